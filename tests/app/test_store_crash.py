"""What a SQLite file holds after kill -9 at any moment, or while it cannot be written, or after damage."""

from __future__ import annotations

import json
import os
import random
import sqlite3
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from flask import Flask

from app.database import DATABASE_FILE
from app.models import READ, db
from app.stores.journal import make_store
from sync.core.model import Change, Kind, Stat, State
from sync.ports import Event, Meta, NodeRecord, SaveChanges, SaveEvent, SaveMeta, SaveNode, StoreError
from tests.servers_db import migrated, sqlite  # noqa: F401 - fixture

FILE = Stat(Kind.FILE, 5, 1, 2, 3, 77, 0o644, 1)
NODE = NodeRecord("n", "k", State.READY, 1.0)

PUT_FOR_EVER = """
import sys
from dataclasses import replace
from pathlib import Path
from app.stores.journal import make_store
from sync.core.model import Change
from sync.ports import SaveChanges, SaveMeta, SaveNode, Meta
from tests.app.test_store_crash import FILE, NODE
from tests.servers_db import migrated
first = int(sys.argv[2])
with migrated(Path(sys.argv[1]), None) as app:
    store = make_store(app, rows_per_transaction=50)
    store.start()
    for seq in range(first, first + 10**9):
        store.put(SaveChanges([Change(b"f%d" % seq, FILE, seq), Change(b"g%d" % (seq % 7), FILE, seq)]))
        store.put(SaveMeta(Meta("m", "/", head=seq)), SaveNode(replace(NODE, cursor=seq)))
        if seq == first + 20:
            store.flush(60)
            print("going", flush=True)
        if seq % 200 == 0:
            store.flush(60)
"""


def test_a_killed_process_never_leaves_a_cursor_ahead_of_its_rows(tmp_path: Path) -> None:
    chance = random.Random(7)
    cursor = 0
    for _ in range(10):
        with subprocess.Popen(
            [sys.executable, "-c", PUT_FOR_EVER, tmp_path, str(cursor + 1)],
            stdout=subprocess.PIPE,
            cwd=os.getcwd(),
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"going\n"
            time.sleep(chance.uniform(0, 0.05))  # the moment of the crash is what is varied
            process.kill()
        with migrated(tmp_path, None) as app:
            store = make_store(app)
            (node,) = store.load().nodes
            assert node.cursor is not None
            assert node.cursor > cursor
            cursor = node.cursor
            rows = [change.seq for change in store.manifest() if change.path.startswith(b"f")]
            # Everything up to the cursor, and at most the rows of the one put behind it.
            assert sorted(rows)[:cursor] == list(range(1, cursor + 1))
            assert len(rows) <= cursor + 1
            saved = store.load().meta
            assert saved is not None
            assert saved.head == cursor
    with sqlite3.connect(tmp_path / DATABASE_FILE) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_another_program_that_holds_the_database_delays_writes_but_no_reads(
    sqlite: Flask,  # noqa: F811
    tmp_path: Path,
) -> None:
    store = make_store(sqlite)
    store.start()
    store.put(SaveChanges([Change(b"a", FILE, 1)]))
    assert store.flush(10)
    other = sqlite3.connect(tmp_path / "var" / DATABASE_FILE, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    assert [change.path for change in store.manifest()] == [b"a"]
    store.put(SaveChanges([Change(b"b", FILE, 2)]))
    assert not store.flush(0.05)
    other.execute("ROLLBACK")
    other.close()
    assert store.flush(10)
    assert store.stop()


def test_rows_a_database_can_never_take_are_left_out_and_the_rest_is_stored(sqlite: Flask) -> None:  # noqa: F811
    store = make_store(sqlite)
    store.start()
    good = [Change(b"f%d" % i, FILE, i) for i in range(100)]
    no_kind = FILE._replace(kind="x")  # type: ignore[arg-type]
    bad = [Change(b"too large", FILE, 2**70), Change(b"no kind", no_kind, 7)]
    store.put(SaveChanges([*good[:50], *bad, *good[50:]]), SaveNode(replace(NODE, cursor=99)))
    assert store.flush(10)
    assert sorted(store.manifest()) == sorted(good)
    assert store.load().nodes[0].cursor == 99
    assert store.trouble() is None
    assert store.stop()


def read_facts(app: Flask) -> str:
    with app.app_context(), db.engines[READ].connect() as connection:
        return str(connection.exec_driver_sql("SELECT facts FROM event").scalar())


def test_prose_that_is_no_unicode_or_holds_a_nul_is_stored_readably(sqlite: Flask) -> None:  # noqa: F811
    store = make_store(sqlite)
    store.start()
    store.put(SaveNode(replace(NODE, reason="a\0b \udcff " + "x" * 20_000)))
    store.put(SaveEvent(Event(1.0, "flip", "\udcff", facts={"path": Path("/x"), "n": float("nan")})))
    assert store.flush(10)
    assert json.loads(read_facts(sqlite)) == {"path": "/x", "n": "nan"}
    (node,) = store.load().nodes
    assert node.reason.startswith("a\\x00b \\udcff xxx")
    assert len(node.reason) < 20_000
    assert store.stop()


def test_a_store_without_a_table_says_what_to_do(sqlite: Flask, tmp_path: Path) -> None:  # noqa: F811
    store = make_store(sqlite)
    store.start()
    with sqlite3.connect(tmp_path / "var" / DATABASE_FILE) as connection:
        connection.execute("DROP TABLE node")
    connection.close()
    with pytest.raises(StoreError, match="restart the service"):
        store.load()
    store.put(SaveNode(NODE))
    assert not store.flush(0.2)
    assert "no such table" in (store.trouble() or "")
    with pytest.raises(StoreError, match="no such table"):
        list(store.manifest())
    assert not store.stop(0)


def test_a_damaged_file_is_said_to_be_one(sqlite: Flask, tmp_path: Path) -> None:  # noqa: F811
    with sqlite.app_context():
        db.engine.dispose()
        db.engines[READ].dispose()
    for file in (tmp_path / "var").glob(DATABASE_FILE + "*"):
        file.write_bytes(b"not a database" * 1000)
    with pytest.raises(StoreError, match=r"not a database.*restore a backup"):
        make_store(sqlite).load()


def test_a_crash_leaves_no_half_of_a_put(sqlite: Flask) -> None:  # noqa: F811
    """The last statement of a transaction fails for good.

    Nothing of it may stand, and the next one may not overtake.
    """
    store = make_store(sqlite)
    with sqlite.app_context(), db.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE transfer RENAME TO hidden")
        connection.exec_driver_sql("ALTER TABLE event RENAME TO away")
    store.put(SaveMeta(Meta("m", "/", head=1)), SaveEvent(Event(1.0, "flip", "x")))
    store.put(SaveMeta(Meta("m", "/", head=2)))
    store.start()
    assert not store.flush(0.2)
    assert make_store(sqlite).load().meta is None
    with sqlite.app_context(), db.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE away RENAME TO event")
    assert store.flush(20)
    saved = store.load().meta
    assert saved is not None
    assert saved.head == 2
    assert store.stop()
