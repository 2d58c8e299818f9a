"""The lease on real servers: one holder at a time, judged by the server's clock, and a fence behind it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
import sqlalchemy as sa
from flask import Flask

from app.models import LeaseRow, db
from app.stores.journal import SqlStore, make_store
from app.stores.lease import Lease, LeaseHeld, has_ended_here, holder_here
from app.stores.retention import trim
from app.stores.writer import FencedOut
from sync.ports import Meta, SaveMeta
from tests.servers_db import (  # noqa: F401 - fixtures
    DatabaseServer,
    mariadb,
    mariadb_server,
    migrated,
    postgresql,
    postgresql_server,
    server,
)


class Told:
    """What a lease said, to be waited for."""

    def __init__(self) -> None:
        self.said: list[tuple[bool, str]] = []
        self._news = threading.Condition()

    def __call__(self, held: bool, reason: str) -> None:
        with self._news:
            self.said.append((held, reason))
            self._news.notify_all()

    def wait(self, count: int, seconds: float = 20) -> None:
        with self._news:
            assert self._news.wait_for(lambda: len(self.said) >= count, seconds), self.said


Make = Callable[..., Lease]


@pytest.fixture
def app(server: DatabaseServer, tmp_path: Path) -> Iterator[Flask]:  # noqa: F811
    with migrated(tmp_path / "var", server.create()) as app:
        yield app


@pytest.fixture
def make(app: Flask) -> Iterator[Make]:
    """Makes leases on the database, quick ones, and ends them."""
    made: list[Lease] = []
    with app.app_context():
        engine = db.engine

    def make(holder: str, told: Told | None = None, **times: float) -> Lease:
        times = {"ttl_seconds": 1.0, "renew_seconds": 0.1, **times}
        made.append(Lease(engine, holder, on_change=told or Told(), **times))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for lease in made:
        lease.stop()


def expire(app: Flask) -> None:
    """As if the holder had been silent for longer than its lease."""
    with app.app_context(), db.engine.begin() as connection:
        connection.execute(sa.update(LeaseRow).values(expires=1.0))


def test_a_second_supervisor_is_refused_with_the_first_ones_name(make: Make) -> None:
    first = make("host-a:1", ttl_seconds=60.0)
    token = first.acquire()
    with pytest.raises(LeaseHeld, match=r"host-a:1 supervises .* another (59|60) s") as held:
        make("host-b:2").acquire()
    assert held.value.holder == "host-a:1"
    assert first.held()
    first.stop()
    assert not first.held()
    assert make("host-b:2").acquire() == token + 1


def test_of_many_that_ask_at_once_exactly_one_gets_it(make: Make) -> None:
    leases = [make(f"host:{i}", ttl_seconds=60.0) for i in range(4)]
    got: list[Lease] = []
    refused: list[LeaseHeld] = []

    def ask(lease: Lease) -> None:
        try:
            lease.acquire()
            got.append(lease)
        except LeaseHeld as error:
            refused.append(error)

    threads = [threading.Thread(target=ask, args=(lease,)) for lease in leases]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(got), len(refused)) == (1, 3)


def test_a_lease_that_is_renewed_outlives_its_time(make: Make) -> None:
    told = Told()
    lease = make("a", told)
    lease.acquire()
    lease.start()
    deadline = time.monotonic() + 1.5  # a time and a half of its length
    while time.monotonic() < deadline:
        with pytest.raises(LeaseHeld):
            make("b").acquire()
        time.sleep(0.1)
    assert lease.held()
    assert told.said == []


def test_a_holder_that_was_asleep_learns_that_another_has_taken_over(app: Flask, make: Make) -> None:
    told = Told()
    sleeper = make("sleeper", told)
    sleeper.acquire()
    expire(app)
    successor = make("successor", ttl_seconds=60.0)
    assert successor.acquire() == sleeper.token + 1
    sleeper.start()
    told.wait(1)
    assert told.said == [(False, "another supervisor has taken over the lease")]
    assert not sleeper.held()
    assert sleeper.taken()
    assert not sleeper.renew()
    assert successor.held()
    sleeper.stop()
    with pytest.raises(LeaseHeld, match="successor"):
        make("third").acquire()


def test_the_old_holders_writes_are_refused_and_it_is_told(app: Flask, make: Make) -> None:
    old = make("old")
    old.acquire()
    fenced: list[str] = []
    stores: list[SqlStore] = [make_store(app, fence=old, on_fenced=fenced.append)]
    stores[0].start()
    stores[0].put(SaveMeta(Meta("m", "/", head=1)))
    assert stores[0].flush(10)
    expire(app)
    new = make("new")
    new.acquire()
    stores.append(make_store(app, fence=new))
    stores[1].start()
    stores[0].put(SaveMeta(Meta("m", "/", head=99)))
    assert not stores[0].flush(0.5)
    assert "another supervisor has taken over" in (stores[0].trouble() or "")
    assert len(fenced) == 1
    stores[1].put(SaveMeta(Meta("m", "/", head=2)))
    saved = stores[1].load().meta
    assert saved is not None
    assert saved.head == 2
    with pytest.raises(FencedOut):
        trim(app, 0.0, fence=old)
    assert not stores[0].stop(0)
    assert stores[1].stop()


def test_a_take_over_waits_for_the_transaction_that_has_passed_the_fence(app: Flask, make: Make) -> None:
    old = make("old")
    old.acquire()
    expire(app)
    new, done = make("new"), threading.Event()

    def take_over() -> None:
        new.acquire()
        done.set()

    thread = threading.Thread(target=take_over)
    with app.app_context(), db.engine.begin() as connection:
        old.check(connection)
        thread.start()
        assert not done.wait(0.3)
    thread.join()
    assert new.held()


@pytest.mark.parametrize("starter", [postgresql_server, mariadb_server])
def test_a_server_that_is_away_puts_the_lease_in_doubt_and_its_return_ends_that(
    starter: Callable[[], AbstractContextManager[DatabaseServer]], tmp_path: Path
) -> None:
    with starter() as own, migrated(tmp_path / "var", own.create()) as app:
        with app.app_context():
            engine = db.engine
        told = Told()
        lease = Lease(engine, "a", on_change=told, ttl_seconds=1.0, renew_seconds=0.1)
        lease.acquire()
        store = make_store(app, fence=lease)
        store.start()
        lease.start()
        _go_away_and_come_back(own, told, lease, store)
        lease.stop()
        assert store.stop()


def _go_away_and_come_back(own: DatabaseServer, told: Told, lease: Lease, store: SqlStore) -> None:
    own.kill()
    try:
        told.wait(1)
        assert told.said == [(False, "the lease could not be renewed for 1 s")]
        assert not lease.held()
        for head in range(1, 50):
            store.put(SaveMeta(Meta("m", "/", head=head)))
        assert not store.flush(0.3)
        trouble = store.trouble() or ""
        assert "look at the server" in trouble
        assert "\n" not in trouble
    finally:
        own.start()
    told.wait(2)
    assert told.said[1] == (True, "the lease is renewed; nobody had taken it")
    assert store.flush(30)
    saved = store.load().meta
    assert saved is not None
    assert saved.head == 49
    assert store.trouble() is None


def test_a_server_that_hangs_is_left_behind_in_time(tmp_path: Path) -> None:
    """A stopped server accepts connections and never answers; neither threads nor callers may wait for it."""
    with mariadb_server() as own, migrated(tmp_path / "var", own.create()) as app:
        with app.app_context():
            engine = db.engine
        told = Told()
        lease = Lease(engine, "a", on_change=told, ttl_seconds=1.0, renew_seconds=0.1)
        lease.acquire()
        lease.start()
        store = make_store(app, fence=lease)
        store.start()
        own.process.send_signal(signal.SIGSTOP)
        try:
            store.put(SaveMeta(Meta("m", "/", head=1)))
            told.wait(1)
            assert not lease.held()
            assert not lease.taken()
            assert not store.flush(0.01)
            asked_at = time.monotonic()
            assert not store.stop(0.1)
            lease.stop(0.1)
            assert time.monotonic() - asked_at < 4
        finally:
            own.process.send_signal(signal.SIGCONT)
        assert store.stop(10)


def test_a_lease_needs_a_server() -> None:
    with pytest.raises(ValueError, match="not sqlite"):
        Lease(sa.create_engine("sqlite://"), "a", on_change=Told())


def test_a_lease_that_a_dead_process_left_behind_is_waited_for(make: Make) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    left = make(f"{socket.gethostname()}:{gone.pid}", ttl_seconds=0.6)
    left.acquire()
    waited: list[float] = []

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        time.sleep(seconds)

    assert make(holder_here()).acquire_after(has_ended_here, sleep) == left.token + 1
    assert 0 < waited[0] <= 0.7


def test_a_row_that_runs_for_hours_as_its_clock_was_set_back_is_waited_for_no_longer_than_a_lease(
    make: Make,
) -> None:
    make(holder_here(), ttl_seconds=7200.0).acquire()
    waited: list[float] = []
    with pytest.raises(LeaseHeld, match=r"for another 7\d\d\d s"):
        make(holder_here(), ttl_seconds=10.0).acquire_after(has_ended_here, waited.append)
    assert waited == [10.1]


@pytest.mark.parametrize(
    "whose", ["other.example:1", f"{socket.gethostname()}:{os.getppid()}", "no number:x"]
)
def test_a_lease_of_one_that_lives_or_is_elsewhere_is_not_waited_for(make: Make, whose: str) -> None:
    make(whose).acquire()
    with pytest.raises(LeaseHeld):
        make(holder_here()).acquire_after(has_ended_here, lambda seconds: pytest.fail("it waits"))


def test_a_number_that_is_our_own_is_that_of_a_start_before() -> None:
    assert has_ended_here(holder_here())
