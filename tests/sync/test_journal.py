"""The journal's tail and comparisons: whatever is cut where, a reader gets each newest change exactly once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.core.journal import Tail, ancestors, is_below, signature, topmost
from sync.core.live import Live, parent_of
from sync.core.model import GONE, Change, Kind, Stat

names = st.sampled_from([b"a", b"b", b"c", b"a-b"])
paths = st.lists(names, min_size=1, max_size=4).map(b"/".join)


def stat(number: int, kind: Kind = Kind.FILE) -> Stat:
    return Stat(kind, number, number, number, 1, number, 0o644, 1)


stats = st.one_of(st.just(GONE), st.integers(0, 5).map(stat))


@given(st.lists(st.tuples(paths, stats), max_size=40), st.data())
def test_what_lies_above_any_cursor_is_each_paths_newest_change_in_order(
    appended: list[tuple[bytes, Stat]], data: st.DataObject
) -> None:
    tail = Tail(7)
    newest: dict[bytes, Change] = {}
    for path, seen in appended:
        change = tail.append(path, seen)
        assert change.seq == tail.head
        newest[path] = change
        if data.draw(st.booleans()):
            tail.forget(data.draw(st.integers(tail.floor, tail.head)))
        cursor = data.draw(st.integers(tail.floor, tail.head))
        expected = sorted((c for c in newest.values() if c.seq > cursor), key=lambda c: c.seq)
        assert list(tail.after(cursor)) == expected
        assert tail.count_after(cursor) == len(expected)
    assert len(tail) <= len(newest)


@given(st.lists(st.tuples(paths, stats), min_size=1, max_size=30), st.data())
def test_a_tail_that_is_loaded_again_goes_on_as_the_one_that_was_stored(
    appended: list[tuple[bytes, Stat]], data: st.DataObject
) -> None:
    tail = Tail()
    for path, seen in appended:
        tail.append(path, seen)
    floor = data.draw(st.integers(0, tail.head))
    again = Tail(tail.head)
    again.load(tail.after(floor), floor)
    cursor = data.draw(st.integers(floor, tail.head))
    assert again.after(cursor) == tail.after(cursor)
    assert again.append(b"next", GONE) == tail.append(b"next", GONE)


@given(st.lists(st.tuples(st.just(b"d"), st.sampled_from(["new", "again", "gone", "file"])), max_size=12))
def test_what_was_born_after_a_cursor_was_not_there_at_it(appended: list[tuple[bytes, str]]) -> None:
    tail, born, there = Tail(), 0, False
    for path, what in appended:
        new = what == "new" and not there
        seen = {"gone": GONE, "file": stat(1)}.get(what, stat(1, Kind.DIRECTORY))
        change = tail.append(path, seen, new=new)
        there = seen is not GONE
        born = tail.head if new else born if there and seen.kind is Kind.DIRECTORY else 0
        assert change.born == born
        assert 0 <= change.born <= change.seq


def test_a_cursor_below_the_floor_is_an_error_and_not_an_empty_answer() -> None:
    tail = Tail()
    tail.append(b"a", GONE)
    tail.append(b"b", GONE)
    tail.forget(2)
    with pytest.raises(ValueError, match="below the tail's floor"):
        tail.after(1)
    assert tail.count_after(1) == 1


@given(st.sets(paths))
def test_the_topmost_cover_all_and_none_covers_another(some: set[bytes]) -> None:
    tops = topmost(some)
    assert all(any(is_below(p, t) for t in tops) for p in some)
    assert not any(a != b and is_below(a, b) for a in tops for b in tops)
    assert set(tops) <= some


@given(paths)
def test_a_path_lies_below_each_of_its_ancestors_and_no_other(path: bytes) -> None:
    above = list(ancestors(path))
    assert all(is_below(path, a) and a != path for a in above)
    assert len(above) == path.count(b"/")
    assert not is_below(path, path + b"x")
    assert not is_below(path + b"-x", path)


@given(st.lists(st.tuples(paths, st.one_of(st.none(), st.integers(0, 3).map(stat))), max_size=60))
def test_the_live_index_counts_children_and_knows_what_is_the_same(
    steps: list[tuple[bytes, Stat | None]],
) -> None:
    live, model = Live(), dict[bytes, Stat]()
    for path, seen in steps:
        if seen is None:
            live.drop(path)
            model.pop(path, None)
        else:
            live.add(path, seen)
            model[path] = seen
        assert (path in live) == (path in model)
    assert len(live) == len(model)
    for path, seen in model.items():
        assert live.is_same(path, seen)
        assert not live.is_same(path, stat(9))
    for directory in {parent_of(p) for p, _ in steps}:
        assert live.children(directory) == sum(parent_of(p) == directory for p in model)


@given(st.sets(paths, max_size=20), st.data())
def test_a_scan_that_misses_a_known_path_is_never_complete(known: set[bytes], data: st.DataObject) -> None:
    live = Live()
    for path in known:
        live.add(path, stat(1))
    missing = data.draw(st.sets(st.sampled_from(sorted(known)))) if known else set()
    found: dict[int, int] = {}
    for path in known - missing:
        found[hash(parent_of(path))] = found.get(hash(parent_of(path)), 0) + 1
    assert live.is_complete(found) == (not missing)


def test_a_doubted_path_is_changed_whatever_stands_there() -> None:
    live = Live()
    live.add(b"a", stat(1))
    live.doubt(b"a")
    live.doubt(b"unknown")
    assert not live.is_same(b"a", stat(1))
    assert b"unknown" not in live


@given(st.integers(0, 3), st.integers(0, 3), st.sampled_from([Kind.FILE, Kind.DIRECTORY, Kind.SYMLINK]))
def test_a_signature_says_what_same_as_says(one: int, other: int, kind: Kind) -> None:
    a, b = stat(one, kind), stat(other, kind)
    assert (signature(a) == signature(b)) == a.same_as(b)
