"""What an audit's findings mean: a node is blamed only where nothing else explains the difference."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.core.audit import AuditContext, Finding, classify, is_leftover, sort_findings
from sync.core.model import GONE, Change, Stat
from tests.sync.test_journal import stat


def context(
    *,
    row: Stat | None,
    now: Stat,
    seq: int = 5,
    cursor: int = 5,
    path: bytes = b"p",
    dustbin: tuple[bytes, ...] = (),
    errors: tuple[bytes, ...] = (),
    pending: bool = False,
) -> AuditContext:
    rows = {} if row is None else {path: Change(path, row, seq)}
    return AuditContext(cursor, dustbin, errors, rows, lambda p: now, lambda p: pending)


@pytest.mark.parametrize(
    ("given_", "finding"),
    [
        (context(row=stat(1), now=stat(1)), Finding.SUSPECT),
        (context(row=None, now=GONE), Finding.SUSPECT),
        (context(row=GONE, now=GONE), Finding.SUSPECT),
        (context(row=stat(1), now=stat(2)), Finding.MISSED),
        (context(row=None, now=stat(1)), Finding.MISSED),
        (context(row=stat(1), now=GONE), Finding.MISSED),
        (context(row=GONE, now=stat(1)), Finding.MISSED),
        (context(row=stat(1), now=stat(2), pending=True), Finding.ON_ITS_WAY),
        (context(row=stat(1), now=stat(1), seq=6), Finding.ON_ITS_WAY),
        (context(row=stat(1), now=stat(1), dustbin=(b"p",)), Finding.KNOWN),
        (context(row=stat(1), now=stat(1), errors=(b"p",)), Finding.SOURCE),
    ],
)
def test_each_line_of_the_table(given_: AuditContext, finding: Finding) -> None:
    assert classify(b"p", False, given_) is finding


@pytest.mark.parametrize("name", [b".a.Ab12Cd", b"d/.a.Ab12Cd", b".~tmp~/x", b"d/.~tmp~/x/y"])
def test_rsyncs_own_files_are_left_overs_unless_the_source_has_them(name: bytes) -> None:
    assert is_leftover(name)
    assert classify(name, True, context(row=None, now=GONE, path=name)) is Finding.LEFTOVER
    mine = context(row=stat(1), now=stat(1), path=name)
    assert classify(name, False, mine) is Finding.SUSPECT


stats = st.one_of(st.just(GONE), st.integers(0, 2).map(stat))


@given(
    st.one_of(st.none(), stats),
    stats,
    st.integers(0, 10),
    st.integers(0, 10),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)
def test_a_node_is_suspected_only_if_the_source_is_as_its_row_and_the_node_had_confirmed_it(
    row: Stat | None, now: Stat, seq: int, cursor: int, binned: bool, error: bool, pending: bool
) -> None:
    given_ = context(
        row=row,
        now=now,
        seq=seq,
        cursor=cursor,
        dustbin=(b"p",) if binned else (),
        errors=(b"p",) if error else (),
        pending=pending,
    )
    finding = classify(b"p", False, given_)
    if finding is Finding.SUSPECT:
        assert (row or GONE).same_as(now)
        assert row is None or seq <= cursor
        assert not binned
        assert not error
    if finding is Finding.MISSED:
        assert not (row or GONE).same_as(now)


def test_all_listed_paths_are_sorted_once() -> None:
    given_ = context(row=stat(1), now=stat(1), path=b"b")
    found = sort_findings([(b"a", False), (b"b", False), (b".x.Ab12Cd", True)], given_)
    assert sorted(p for paths in found.values() for p in paths) == [b".x.Ab12Cd", b"a", b"b"]
    assert set(found) == set(Finding)
