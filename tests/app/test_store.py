"""The store's contract, on every kind of database."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from flask import Flask

from app.stores.journal import SqlStore, make_store
from sync.core.dustbin import Binned
from sync.core.model import GONE, Change, Kind, Stat, State
from sync.ports import (
    ClearBinned,
    DropRows,
    ForgetNode,
    Meta,
    NodeRecord,
    SaveBinned,
    SaveChanges,
    SaveMeta,
    SaveNode,
    TrimTombstones,
)
from tests.servers_db import database, database_server, mariadb, migrated, postgresql  # noqa: F401 - fixtures

FILE = Stat(Kind.FILE, 5, 1_700_000_000_123_456_789, 1_700_000_000_987_654_321, 2049, 77, 0o644, 1)
DIRECTORY = FILE._replace(kind=Kind.DIRECTORY, mode=0o755)
NODE = NodeRecord("sh-telecom", "rsync://h:873/content", State.READY, 1_700_000_000.25, "up", 7)


@pytest.fixture
def store(database: Flask) -> Iterator[SqlStore]:  # noqa: F811
    store = make_store(database)
    store.start()
    yield store
    store.stop()


def again(app: Flask) -> SqlStore:
    """The store as a new process sees it."""
    return make_store(app)


def binned(node: str, path: bytes, **facts: object) -> Binned:
    entry = Binned(node, path, 5, 4, 1_700_000_000.5, "no space", 11, 2, 1_700_000_010.125)
    return replace(entry, **facts)  # type: ignore[arg-type]


def paths(store: SqlStore, under: bytes = b"") -> set[bytes]:
    return {change.path for change in store.manifest(under)}


def test_a_new_installation_has_nothing_saved(store: SqlStore) -> None:
    saved = store.load()
    assert (saved.meta, saved.nodes, saved.dustbin) == (None, (), ())
    assert list(store.manifest()) == []
    assert store.trouble() is None


def test_what_was_put_comes_back_exactly_after_a_restart(store: SqlStore, database: Flask) -> None:  # noqa: F811
    meta = Meta(
        "machine", "/srv/\udcff\x00ä", 12, "scope", ("a", "b"), ("*.tmp",), delete=False, mounts=("\udcfe",),
        head=9, trimmed=3, files=2, clean_stop=True,
    )  # fmt: skip
    full = replace(
        NODE, proof_seq=6, proof_at=1.5, deep_proof_at=2.5, introduced=True, drift=3, drained=False,
        recoveries=4, last_in_sync_at=1_700_000_000.123456, last_audit_at=9.75,
    )  # fmt: skip
    nodes = (replace(NODE, name="a", cursor=None), replace(full, name="A"), replace(NODE, drained=True))
    bins = {binned("a", b"x\xff"), binned("A", b"x\xff", code=None, discarded=True, error="é" * 9)}
    store.put(SaveMeta(meta), *map(SaveNode, nodes), SaveBinned(list(bins)))
    assert store.stop()
    saved = again(database).load()
    assert saved.meta == meta
    assert set(saved.nodes) == set(nodes)
    assert set(saved.dustbin) == bins


@pytest.mark.parametrize(
    "path",
    [
        b"a",
        b"\xff\xfe/\x01",
        b"-x",
        b"#x",
        b" x ",
        b"new\nline",
        "ü/日本".encode(),
        b"d/" * 2500 + b"f",
        b"%s'\\\"?:x",
    ],
)
def test_a_path_of_any_bytes_comes_back_as_it_went(store: SqlStore, path: bytes) -> None:
    change = Change(path, FILE, 1)
    store.put(SaveChanges([change]))
    assert store.rows([path]) == {path: change}
    assert list(store.manifest(path)) == [change]


@pytest.mark.parametrize(
    "stat",
    [
        FILE._replace(inode=2**64 - 1, dev=2**63),
        FILE._replace(size=2**63 - 1),
        FILE._replace(mtime_ns=99_999_999_999_999 * 10**9, ctime_ns=-(2**63)),
        FILE._replace(mtime_ns=-5_000_000_001),
        Stat(Kind.SYMLINK, 0, 0, 0, 0, 0, 0, 0),
        FILE._replace(kind=Kind.OTHER, mode=0o7777),
    ],
)
def test_numbers_of_any_size_come_back_exactly(store: SqlStore, stat: Stat) -> None:
    store.put(SaveChanges([Change(b"p", stat, 2**62)]))
    (change,) = store.manifest()
    assert change == Change(b"p", stat, 2**62)
    assert type(change) is Change
    assert type(change.stat) is Stat
    assert change.stat.kind is stat.kind
    assert store.linked(stat.dev, stat.inode) == [b"p"]


def test_a_path_that_changes_again_moves_to_the_end(store: SqlStore) -> None:
    store.put(SaveChanges([Change(b"a", FILE, 1), Change(b"b", FILE, 2)]))
    store.flush(10)
    store.put(SaveChanges([Change(b"a", GONE, 3)]))
    assert [(c.path, c.seq) for c in store.since(0)] == [(b"b", 2), (b"a", 3)]
    assert store.since(2) == [Change(b"a", GONE, 3)]
    assert store.since(3) == []
    assert paths(store) == {b"b"}


def test_the_manifest_below_a_path_ends_where_the_name_ends(store: SqlStore) -> None:
    inside = [b"d", b"d/", b"d/a", b"d/a/b/c", b"d/\xff\xff", b"d/\x00"]
    outside = [b"d0", b"d.", b"da", b"D/a", b"e", b"c/d/a"]
    store.put(SaveChanges([Change(p, DIRECTORY, i) for i, p in enumerate(inside + outside)]))
    assert paths(store, b"d") == set(inside)
    assert paths(store, b"d/a") == {b"d/a", b"d/a/b/c"}
    assert paths(store, b"nothing") == set()


@pytest.mark.parametrize("length", [253, 254, 255, 256, 3000])
def test_the_manifest_below_a_long_path_is_as_exact(store: SqlStore, length: int) -> None:
    under = b"\xff" * length
    inside = [under, under + b"/a", under + b"/" + b"z" * 300]
    outside = [under + b"0", under[:-1], under[:-1] + b"/a", under + b"\xff/a"]
    store.put(SaveChanges([Change(p, FILE, i) for i, p in enumerate(inside + outside)]))
    assert paths(store, under) == set(inside)


def test_rows_answers_for_thousands_of_paths_and_leaves_out_unknown_ones(store: SqlStore) -> None:
    known = [Change(b"f%d" % i, GONE if i % 2 else FILE, i + 1) for i in range(1201)]
    store.put(SaveChanges(known))
    assert store.rows([c.path for c in known] + [b"unknown"]) == {c.path: c for c in known}
    assert store.rows([]) == {}


def test_some_symlinks_are_given_and_no_more_than_asked_for(store: SqlStore) -> None:
    link = FILE._replace(kind=Kind.SYMLINK)
    store.put(
        SaveChanges([Change(b"file", FILE, 1), *(Change(b"link-%d" % n, link, n + 2) for n in range(5))])
    )
    assert {row.path for row in store.symlinks(9)} == {b"link-%d" % n for n in range(5)}
    assert len(store.symlinks(3)) == 3


def test_linked_names_the_live_paths_of_an_inode_whatever_the_device_is_called_now(store: SqlStore) -> None:
    other = FILE._replace(inode=78)
    store.put(SaveChanges([Change(b"a", FILE, 1), Change(b"b", FILE, 2), Change(b"c", other, 3)]))
    store.put(SaveChanges([Change(b"b", GONE, 4)]))
    assert store.linked(FILE.dev + 1, FILE.inode) == [b"a"]


def test_dropped_rows_and_trimmed_tombstones_are_gone(store: SqlStore) -> None:
    gone = [Change(b"g%d" % i, GONE, i) for i in range(1, 5)]
    store.put(SaveChanges([*gone, Change(b"a", FILE, 6), Change(b"b", FILE, 7)]))
    store.put(TrimTombstones(2))
    assert [c.seq for c in store.since(0)] == [3, 4, 6, 7]
    store.put(DropRows([b"a", b"g3", b"unknown"]))
    assert [c.seq for c in store.since(0)] == [4, 7]
    store.put(DropRows(), SaveChanges([Change(b"n", FILE, 8)]))
    assert [c.seq for c in store.since(0)] == [8]


def test_a_forgotten_node_takes_its_dustbin_with_it_and_no_other(store: SqlStore) -> None:
    store.put(SaveNode(NODE), SaveNode(replace(NODE, name="other")))
    store.put(SaveBinned([binned(NODE.name, b"x"), binned("other", b"x"), binned("other", b"y")]))
    store.flush(10)
    store.put(ForgetNode(NODE.name), ClearBinned("other", [b"y", b"z"]))
    saved = store.load()
    assert [node.name for node in saved.nodes] == ["other"]
    assert saved.dustbin == (binned("other", b"x"),)
    store.put(ClearBinned("other"), SaveBinned([binned("other", b"n")]))
    assert store.load().dustbin == (binned("other", b"n"),)


def test_many_rows_in_one_put_and_many_puts_of_one_row_arrive(store: SqlStore) -> None:
    store.put(SaveChanges([Change(b"big%d" % i, FILE, i) for i in range(25_000)]))
    for i in range(500):
        store.put(
            SaveChanges([Change(b"s%d" % (i % 50), FILE, 25_000 + i)]), SaveNode(replace(NODE, cursor=i))
        )
    assert sum(1 for _ in store.manifest()) == 25_050
    assert store.load().nodes[0].cursor == 499


def test_a_manifest_left_half_read_holds_nothing(store: SqlStore) -> None:
    store.put(SaveChanges([Change(b"f%d" % i, FILE, i) for i in range(5000)]))
    for _ in range(50):
        rows = store.manifest()
        next(rows)
        rows.close()  # type: ignore[attr-defined]
    store.put(SaveChanges([Change(b"last", FILE, 5001)]))
    assert store.flush(10)


def test_the_files_of_the_database_are_the_owners_alone(tmp_path: Path) -> None:
    folder = tmp_path / "var"
    before = os.umask(0)
    try:
        with migrated(folder, None) as app, app.app_context():
            files = sorted(folder.glob("lockstep.db*"))
            assert {"lockstep.db", "lockstep.db-wal", "lockstep.db-shm"} <= {file.name for file in files}
            assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
        (folder / "lockstep.db").chmod(0o644)  # as an older version left it
        with migrated(folder, None):
            assert (folder / "lockstep.db").stat().st_mode & 0o777 == 0o600
    finally:
        os.umask(before)
