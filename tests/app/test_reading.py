"""Pages of the history and the journal, on every kind of database."""

from __future__ import annotations

import base64
import time
from dataclasses import replace

import pytest
from flask import Flask

from app.models import EventRow, db
from app.stores.journal import make_store
from app.stores.reading import MOST, Reading, make_reading
from app.stores.retention import trim
from sync.core.dustbin import Binned
from sync.core.model import GONE, Change, Kind, Stat
from sync.ports import Event, SaveBinned, SaveChanges, SaveEvent, SaveTransfer, StoreError, Transfer, Write
from tests.servers_db import database, database_server, mariadb, postgresql, sqlite  # noqa: F401 - fixtures

FILE = Stat(Kind.FILE, 5, 1_700_000_000_500_000_000, 2, 3, 77, 0o644, 1)
RUN = Transfer(0.0, "a", "files", "done", 0, 0.25, 3, 2**40, 1, "carried")


def stored(app: Flask, *writes: Write) -> Reading:
    store = make_store(app)
    store.start()
    store.put(*writes)
    assert store.stop(20)
    return make_reading(app)


def test_events_come_newest_first_and_page_by_page(database: Flask) -> None:  # noqa: F811
    events = [
        Event(float(i), "flip" if i % 2 else "audit", f"event {i}", "ab"[i % 2], "info", {"n": i, "é": None})
        for i in range(10)
    ]
    reading = stored(database, *map(SaveEvent, events))
    first = reading.events(limit=4)
    assert [event["at"] for event in first] == [9, 8, 7, 6]
    assert first[0] == {
        "id": first[0]["id"], "at": 9.0, "kind": "flip", "severity": "info", "node": "b",
        "message": "event 9", "facts": {"n": 9, "é": None},
    }  # fmt: skip
    assert [event["at"] for event in reading.events(limit=4, before=first[-1]["id"])] == [5, 4, 3, 2]
    assert [event["at"] for event in reading.events(node="a", limit=2)] == [8, 6]
    assert [event["at"] for event in reading.events(node="a", kind="flip")] == []
    assert len(reading.events(kind=["flip", "audit"])) == 10
    assert [event["at"] for event in reading.events(since_at=8.0)] == [9, 8]
    assert [event["at"] for event in reading.events(after=first[1]["id"])] == [9]
    assert reading.events(severity="error") == []
    assert reading.events(limit=0) == reading.events(limit=-1) == []


def test_transfers_come_newest_first_by_node(database: Flask) -> None:  # noqa: F811
    runs = [replace(RUN, at=float(i), node="ab"[i % 2], code=None if i == 3 else 0) for i in range(4)]
    reading = stored(database, *map(SaveTransfer, runs))
    newest = reading.transfers(limit=1)[0]
    assert newest == {
        "id": newest["id"], "at": 3.0, "node": "b", "form": "files", "outcome": "done", "code": None,
        "seconds": 0.25, "files": 3, "bytes": 2**40, "deleted": 1, "message": "carried",
    }  # fmt: skip
    assert [run["at"] for run in reading.transfers(node="a")] == [2, 0]
    assert [run["at"] for run in reading.transfers(before=newest["id"], limit=2)] == [2, 1]
    assert reading.transfers(form="audit") == []


def test_changes_show_a_path_as_text_and_its_bytes_where_that_is_not_enough(database: Flask) -> None:  # noqa: F811
    changes = [Change("ü".encode(), FILE, 1), Change(b"\xff/x", GONE, 2), Change(b"z", FILE, 3)]
    reading = stored(database, SaveChanges(changes))
    assert reading.changes(limit=2, before=3) == [
        {"seq": 2, "path": "\\xff/x", "path_b64": base64.b64encode(b"\xff/x").decode(), "kind": "gone",
         "size": 0, "mtime": 0.0, "mode": 0},
        {"seq": 1, "path": "ü", "kind": "file", "size": 5, "mtime": 1_700_000_000.5, "mode": 0o644},
    ]  # fmt: skip
    assert [change["seq"] for change in reading.changes(above=1)] == [3, 2]


def test_dustbin_entries_have_an_id_that_names_node_and_path(database: Flask) -> None:  # noqa: F811
    entry = Binned("a", b"\xff", 5, 4, 1.5, "no space", 11, 2, 9.5)
    reading = stored(database, SaveBinned([entry, replace(entry, node="b", path=b"y")]))
    (row,) = reading.dustbin("a")
    assert row["path"] == "\\xff"
    assert base64.b64decode(row["path_b64"]) == b"\xff"
    assert (row["first_failed_at"], row["discarded"], row["code"]) == (1.5, False, 11)
    assert len(row["id"]) == 16
    assert [entry["node"] for entry in reading.dustbin()] == ["a", "b"]
    assert reading.counts() == {"changes": 0, "events": 0, "transfers": 0, "dustbin": 2}


def test_retention_removes_what_is_older_in_small_steps_and_ids_are_not_given_again(
    database: Flask,  # noqa: F811
) -> None:
    events = [SaveEvent(Event(float(i), "flip", "x")) for i in range(25)]
    reading = stored(database, *events, *[SaveTransfer(replace(RUN, at=float(i))) for i in range(3)])
    newest = reading.events(limit=1)[0]["id"]
    assert trim(database, 10.0, chunk=4) == {"events": 10, "transfers": 3}
    assert [event["at"] for event in reading.events()][-1] == 10.0
    assert trim(database, 100.0, chunk=4) == {"events": 15, "transfers": 0}
    assert reading.events() == []
    stored(database, SaveEvent(Event(1.0, "flip", "x")))
    assert reading.events(limit=1)[0]["id"] > newest


def test_a_page_has_a_bound_and_takes_an_index(sqlite: Flask) -> None:  # noqa: F811
    reading = stored(sqlite, *[SaveEvent(Event(1.0, "flip", "x", "n")) for _ in range(MOST + 5)])
    assert len(reading.events(limit=10**9)) == MOST
    with sqlite.app_context(), db.engine.connect() as connection:
        plan = connection.exec_driver_sql(
            "EXPLAIN QUERY PLAN SELECT * FROM event WHERE node = 'n' AND id < 9 ORDER BY id DESC LIMIT 5"
        ).all()
    assert "ix_event_node_id" in str(plan)
    assert "TEMP B-TREE" not in str(plan)


def test_a_page_without_tables_is_a_sentence(sqlite: Flask) -> None:  # noqa: F811
    with sqlite.app_context():
        EventRow.__table__.drop(db.engine)  # type: ignore[attr-defined]
    with pytest.raises(StoreError, match="restart the service"):
        make_reading(sqlite).events()


def test_a_manifest_of_a_hundred_thousand_rows_is_written_and_read_in_seconds(sqlite: Flask) -> None:  # noqa: F811
    """Generous bounds on CPU time: the machine is shared. bench/ measures."""
    store = make_store(sqlite)
    store.start()
    started = time.process_time()
    for at in range(0, 100_000, 5000):
        store.put(SaveChanges([Change(b"d%d/f%d" % (i // 10, i), FILE, i) for i in range(at, at + 5000)]))
    assert store.flush(60)
    written = time.process_time()
    assert sum(1 for _ in store.manifest()) == 100_000
    read = time.process_time()
    assert store.stop()
    assert written - started < 12
    assert read - written < 1.5
