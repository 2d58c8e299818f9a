"""The writer against a database that is slow, away, refuses rows, or belongs to somebody else by now."""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.stores.fold import Fold
from app.stores.statements import Rejected, is_permanent
from app.stores.writer import FencedOut, Writer
from sync.core.model import Change, Kind, Stat, State
from sync.ports import Event, NodeRecord, SaveChanges, SaveEvent, SaveNode, Write

FILE = Stat(Kind.FILE, 1, 2, 3, 4, 5, 6, 1)
NODE = NodeRecord("n", "k", State.READY, 1.0)


def change(seq: int, path: bytes = b"p") -> SaveChanges:
    return SaveChanges([Change(path, FILE, seq)])


def cursor(seq: int) -> SaveNode:
    return SaveNode(replace(NODE, cursor=seq))


class Away(Exception):  # noqa: N818
    """The database cannot be reached."""


class Database:
    """Applies folds in memory; ``failures`` says for each commit what goes wrong before and after it."""

    def __init__(self, plan: Callable[[Fold, bool], Exception | None] = lambda fold, careful: None) -> None:
        self.plan = plan
        self.rows: dict[bytes, int] = {}
        self.cursor = 0
        self.history: list[str] = []
        self.commits: list[int] = []
        self.lost_answers: Iterator[bool] = iter(())

    def commit(self, fold: Fold, careful: bool) -> tuple[Rejected, ...]:
        error = self.plan(fold, careful)
        if error is not None:
            raise error
        for path, row in fold.entries.items():
            if row is not None:
                self.rows[path] = row.seq
        for record in fold.nodes.values():
            if record is not None:
                self.cursor = record.cursor or 0
        self.history += [event.message for event in fold.events]
        self.commits.append(len(fold))
        assert self.cursor <= max(self.rows.values(), default=0), "a cursor ahead of its rows"
        if next(self.lost_answers, False):
            raise Away("the answer to COMMIT was lost")
        return ()


@contextmanager
def running(database: Database, **options: object) -> Iterator[Writer]:
    defaults = {"is_permanent": lambda error: isinstance(error, ValueError), "first_pause_seconds": 0.001}
    writer = Writer(database.commit, **{**defaults, **options})  # type: ignore[arg-type]
    writer.start()
    try:
        yield writer
    finally:
        writer.stop(0)


def test_what_is_put_while_a_transaction_runs_goes_into_the_next_one() -> None:
    entered, go_on = threading.Event(), threading.Event()

    def wait(fold: Fold, careful: bool) -> None:
        entered.set()
        go_on.wait(10)

    database = Database(wait)
    with running(database) as writer:
        writer.put([change(1)])
        assert entered.wait(10)
        for seq in range(2, 102):
            writer.put([change(seq, b"%d" % seq), cursor(seq)])
        assert not writer.flush(0.01)
        go_on.set()
        assert writer.flush(10)
    assert database.commits == [1, 101]


def test_a_transaction_holds_so_many_rows_and_a_put_is_never_cut() -> None:
    go_on = threading.Event()
    database = Database(lambda fold, careful: None if go_on.wait(10) else Away())
    with running(database, rows_per_transaction=10) as writer:
        writer.put([change(0)])
        writer.put([SaveChanges([Change(b"%d" % i, FILE, i) for i in range(25)])])
        for seq in range(12):
            writer.put([change(seq, b"s%d" % seq)])
        go_on.set()
        assert writer.flush(10)
    assert max(database.commits) == 25
    assert all(rows <= 10 for rows in database.commits if rows != 25)


def test_a_database_that_is_away_is_said_and_everything_arrives_in_the_end() -> None:
    away = threading.Event()
    away.set()
    database = Database(lambda fold, careful: Away("gone fishing") if away.is_set() else None)
    with running(database, history_limit=5) as writer:
        writer.put([change(1)])
        assert not writer.flush(10, patient=False)
        assert writer.trouble() == "gone fishing"
        for seq in range(2, 50):
            writer.put([change(seq), cursor(seq), SaveEvent(Event(1.0, "flip", str(seq)))])
        away.clear()
        assert writer.flush(10)
        assert writer.flush(10)  # the event about the dropped ones is put after the commit
        assert writer.trouble() is None
    assert (database.rows, database.cursor) == ({b"p": 49}, 49)
    assert database.history[:5] == ["45", "46", "47", "48", "49"]
    assert "43 events and 0 transfers" in database.history[5]


def test_a_refused_row_is_left_out_with_care_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    class Refusing(Database):
        def commit(self, fold: Fold, careful: bool) -> tuple[Rejected, ...]:
            bad = fold.entries.pop(b"bad", None) if careful else fold.entries.get(b"bad")
            if bad is not None and not careful:
                raise ValueError("out of range")
            super().commit(fold, careful)
            return () if bad is None else (Rejected("the journal's row", bad, ValueError("out of range")),)

    database = Refusing()
    with caplog.at_level(logging.ERROR), running(database) as writer:
        writer.put([change(1, b"good"), change(2, b"bad"), cursor(1)])
        assert writer.flush(10)
        assert writer.flush(10)
        assert writer.rejected == 1
        assert writer.trouble() is None
    assert database.rows == {b"good": 1}
    assert "refuses 1 rows (the journal's row): out of range" in database.history[0]
    assert "b'bad'" in caplog.text


def test_a_malformed_write_does_not_end_the_thread() -> None:
    database = Database()
    with running(database) as writer:
        writer.put([SaveChanges(None), change(1)])  # type: ignore[arg-type]
        assert writer.flush(10)
        assert writer.rejected == 1
    assert database.rows == {b"p": 1}


def test_a_fenced_writer_says_so_and_writes_nothing_more() -> None:
    told: list[str] = []
    database = Database(lambda fold, careful: FencedOut("another has it"))
    with running(database, on_fenced=told.append) as writer:
        writer.put([change(1)])
        assert not writer.flush(10, patient=False)
        writer.put([change(2)])
        assert writer.trouble() == "another has it"
    assert told == ["another has it"]
    assert database.rows == {}


def test_stopping_stores_what_waits_and_a_database_that_is_away_does_not_hold_it_up() -> None:
    database = Database()
    with running(database) as writer:
        for seq in range(1, 100):
            writer.put([change(seq)])
        assert writer.stop(5)
        assert writer.stop(5)
    assert database.rows == {b"p": 99}
    with running(Database(lambda fold, careful: Away("gone"))) as writer:
        writer.put([change(1)])
        assert not writer.stop(0.02)


def test_a_writer_that_does_not_run_or_gets_no_answer_is_trouble() -> None:
    now = [0.0]
    go_on = threading.Event()
    database = Database(lambda fold, careful: None if go_on.wait(10) else Away())
    writer = Writer(database.commit, is_permanent=lambda error: False, clock=lambda: now[0])
    assert writer.trouble() is None
    writer.put([change(1)])
    assert "does not run" in (writer.trouble() or "")
    writer.start()
    assert writer.trouble() is None
    now[0] = 31.0
    assert "not taken a write for 31 s" in (writer.trouble() or "")
    go_on.set()
    assert writer.flush(10)
    assert writer.trouble() is None
    writer.stop(1)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(st.sampled_from(["ok", "away", "lost answer", "refused"]), max_size=12),
    st.integers(1, 8),
    st.integers(0, 2**32),
)
def test_what_is_stored_is_a_prefix_of_what_was_put_whatever_fails(
    outcomes: list[str], rows_per_transaction: int, seed: int
) -> None:
    """Each put is row n and cursor n; after every commit exactly the puts 1…k are there, for a growing k."""
    chance = random.Random(seed)
    waiting = iter(outcomes)
    seen: list[int] = []

    class Checked(Database):
        def commit(self, fold: Fold, careful: bool) -> tuple[Rejected, ...]:
            outcome = next(waiting, "ok")
            if outcome == "away":
                raise Away(outcome)
            if outcome == "refused" and not careful:
                raise ValueError(outcome)
            self.lost_answers = iter([outcome == "lost answer"])
            try:
                return super().commit(fold, careful)
            finally:
                stored = sorted(self.rows.values())
                assert stored == list(range(1, self.cursor + 1))
                seen.append(self.cursor)

    database = Checked()
    total = 30
    with running(database, rows_per_transaction=rows_per_transaction, first_pause_seconds=0.0001) as writer:
        seq = 0
        while seq < total:
            for _ in range(chance.randint(1, 5)):
                seq += 1
                writes: list[Write] = [change(seq, b"%d" % seq), cursor(seq)]
                writer.put(writes if chance.random() < 0.5 else writes[::-1])
            if chance.random() < 0.3:
                writer.flush(1)
        assert writer.flush(10)
    assert database.cursor == seq
    assert seen == sorted(seen)


def test_errors_of_values_are_permanent_and_errors_of_the_connection_are_not() -> None:
    assert is_permanent(UnicodeEncodeError("utf-8", "\udcff", 0, 1, "no"))
    assert is_permanent(OverflowError("too large"))
    assert is_permanent(sa.exc.DataError("s", {}, Exception()))
    assert is_permanent(sa.exc.StatementError("m", "s", {}, Exception()))
    assert not is_permanent(sa.exc.OperationalError("s", {}, Exception()))
    assert not is_permanent(sa.exc.DatabaseError("s", {}, Exception()))
    assert not is_permanent(OSError())
