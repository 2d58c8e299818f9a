"""Lets one supervisor of several write to a database server: a lease row with a fencing token.

Not for SQLite.

    free ──acquire──► held ──no renewal for 8 s──► in doubt ──renewed──► held
                       │                              │
                       └────── another's token ───────┴──► lost (for good)

The row's clock is the database's. A holder renews every 3 s a lease of 10 s, and counts it as in doubt by
its own monotonic clock before it can have expired: whoever sends must stop then, because another may begin.
A holder that was asleep and does not know it is stopped by the fence: each transaction of the store ends
with a look at the row.
"""

from __future__ import annotations

import logging
import math
import os
import socket
import time
from collections.abc import Callable
from threading import Event, Lock, Thread

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from app.models import LeaseRow
from app.schema import reason_of
from app.stores.writer import FencedOut
from sync.ports import StoreError

log = logging.getLogger(__name__)

TTL_SECONDS = 10.0
RENEW_SECONDS = 3.0
DOUBT_FRACTION = 0.8

OnChange = Callable[[bool, str], None]
"""Told from the lease's thread: whether the lease is held now, and why."""


def holder_here() -> str:
    """This process, as a lease names it."""
    return f"{socket.gethostname()}:{os.getpid()}"


def has_ended_here(holder: str) -> bool:
    """Whether the holder was a process of this machine that is no more; False for those of other machines."""
    host, _, pid = holder.rpartition(":")
    if host != socket.gethostname() or not pid.isdigit():
        return False
    if int(pid) == os.getpid():  # in a container each start has the same number
        return True
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


class LeaseHeld(Exception):  # noqa: N818 - the state it reports
    """Another supervisor holds the lease."""

    def __init__(self, holder: str, seconds: float) -> None:
        self.holder, self.seconds = holder, seconds
        super().__init__(
            f"{holder} supervises this installation (its lease runs for another {seconds:.0f} s); "
            "stop it, or give this installation a database_url of its own"
        )


class Lease:
    """The lease of one supervisor; ``holder`` names it for people, e.g. "host:pid".

    Usable as the store's fence.
    """

    def __init__(
        self,
        engine: sa.Engine,
        holder: str,
        *,
        on_change: OnChange,
        ttl_seconds: float = TTL_SECONDS,
        renew_seconds: float = RENEW_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine, self._holder, self._on_change = engine, holder[:255], on_change
        self._ttl, self._renew_every, self._clock = ttl_seconds, renew_seconds, clock
        self._now = _clock_of(engine.dialect.name)
        self.token = 0
        self._stop, self._news = Event(), Event()
        self._threads: tuple[Thread, ...] = ()
        self._state = Lock()
        # Guarded by _state; _told is the watch's own.
        self._renewed_at = 0.0
        self._lost = False
        self._told = True

    def acquire(self) -> int:
        """Takes the lease and returns its token. Raises LeaseHeld, or StoreError when the database is away."""
        try:
            return self._acquire()
        except sa.exc.SQLAlchemyError as error:
            raise StoreError(f"the lease could not be asked for: {reason_of(error)}") from error

    def acquire_after(
        self, has_ended: Callable[[str], bool], sleep: Callable[[float], None] = time.sleep
    ) -> int:
        """The same; waits for the end of a lease whose holder has ended without giving it back, by ``has_ended``.

        It is waited for and not taken: who says that a process has ended may be wrong, the database's clock is not.
        No longer than a lease runs: where that clock was set back the row says hours, and a person is told.
        """
        try:
            return self.acquire()
        except LeaseHeld as held:
            if not has_ended(held.holder):
                raise
            seconds = min(held.seconds, self._ttl)
            log.warning("%s ended without giving its lease back; it is ours in %.0f s", held.holder, seconds)
            sleep(seconds + 0.1)
        return self.acquire()

    def _acquire(self) -> int:
        asked_at = self._clock()
        self._ensure_row()
        with self._engine.begin() as connection:
            free = sa.and_(LeaseRow.id == 1, sa.or_(LeaseRow.expires < self._now, LeaseRow.holder == ""))
            values = {"holder": self._holder, "token": LeaseRow.token + 1, "expires": self._now + self._ttl}
            taken = connection.execute(sa.update(LeaseRow).where(free).values(values)).rowcount
            row = connection.execute(
                sa.select(LeaseRow.holder, LeaseRow.token, LeaseRow.expires - self._now).where(
                    LeaseRow.id == 1
                )
            ).one()
        if not taken:
            raise LeaseHeld(row[0], max(float(row[2]), 0.0))
        with self._state:
            self.token, self._renewed_at, self._lost = row[1], asked_at, False
        return self.token

    def start(self) -> None:
        """Renews from now on; after `acquire`. One thread renews, one watches.

        The first may hang in the database.
        """
        self._threads = (
            Thread(target=self._renew_often, name="lease-renewal", daemon=True),
            Thread(target=self._watch, name="lease-watch", daemon=True),
        )
        for thread in self._threads:
            thread.start()

    def stop(self, timeout_seconds: float = 2.0) -> None:
        """Ends the threads and gives the lease back, where the database can be reached. Idempotent."""
        self._stop.set()
        self._news.set()
        for thread in self._threads:
            thread.join(timeout_seconds)
        self._threads = ()
        if self.held():
            mine = sa.update(LeaseRow).where(LeaseRow.id == 1, LeaseRow.token == self.token)
            try:
                with self._engine.begin() as connection:
                    connection.execute(mine.values(holder="", expires=0.0))
            except sa.exc.SQLAlchemyError as error:
                log.warning("the lease was not given back (%s); it ends by itself", reason_of(error))
        with self._state:
            self._renewed_at = -math.inf

    def held(self) -> bool:
        """Whether nobody else can have the lease, by our own clock."""
        with self._state:
            age = self._clock() - self._renewed_at
            return bool(self.token) and not self._lost and age < self._ttl * DOUBT_FRACTION

    def taken(self) -> bool:
        """Whether another has it, for good; while False, a lease that is not held is only in doubt."""
        with self._state:
            return self._lost

    def check(self, connection: sa.Connection) -> None:
        """Keeps the lease ours until the transaction ends; raises FencedOut when it is another's.

        To be called last before the commit: the row stays locked for that moment only, so that a long
        transaction does not hold up the renewal.
        """
        # MySQL and PostgreSQL have this form in common only through SQLAlchemy: read=True is their share
        # lock.
        mine = sa.select(LeaseRow.token).where(LeaseRow.id == 1, LeaseRow.token == self.token)
        if connection.execute(mine.with_for_update(read=True)).first() is None:
            raise FencedOut(
                "another supervisor has taken over the lease: this one writes nothing any more; "
                "find out why there are two, and stop one"
            )

    def renew(self) -> bool:
        """Prolongs the lease once; whether it is still ours. Raises what the database raises."""
        asked_at = self._clock()
        mine = sa.update(LeaseRow).where(LeaseRow.id == 1, LeaseRow.token == self.token)
        with self._engine.begin() as connection:
            kept = connection.execute(mine.values(expires=self._now + self._ttl)).rowcount == 1
        if kept:
            with self._state:
                self._renewed_at = asked_at
        return kept

    # ── the threads ───────────────────────────────────────────────────────────────────────────────────────

    def _renew_often(self) -> None:
        while not self._stop.wait(self._renew_every):
            try:
                kept = self.renew()
            except Exception as error:  # noqa: BLE001 - a database that is away must not end the thread
                log.warning("the lease was not renewed: %s", reason_of(error))
                continue
            if not kept:
                with self._state:
                    self._lost = True
            self._news.set()
            if not kept:
                return

    def _watch(self) -> None:
        while not self._stop.is_set():
            self._news.wait(self._ttl / 20)
            self._news.clear()
            lost, held = self._lost, self.held()
            if not self._stop.is_set() and (lost or held != self._told):
                self._tell(held)
            if lost:
                return

    def _tell(self, held: bool) -> None:
        self._told = held
        if held:
            reason = "the lease is renewed; nobody had taken it"
        elif self._lost:
            reason = "another supervisor has taken over the lease"
        else:
            reason = f"the lease could not be renewed for {self._ttl * DOUBT_FRACTION:.0f} s"
        log.log(logging.INFO if held else logging.ERROR, "%s", reason)
        self._on_change(held, reason)

    def _ensure_row(self) -> None:
        """In a transaction of its own: MySQL reads as of a transaction's first read, without later rows."""
        with self._engine.begin() as connection:
            if connection.execute(sa.select(LeaseRow.id)).first() is None:
                row = {"id": 1, "holder": "", "token": 0, "expires": 0.0}
                connection.execute(_insert_unless_there(self._engine.dialect.name), row)


def _insert_unless_there(dialect: str) -> sa.Executable:
    if dialect == "postgresql":
        return postgresql.insert(LeaseRow).on_conflict_do_nothing()
    return sa.insert(LeaseRow).prefix_with("IGNORE")


def _clock_of(dialect: str) -> sa.ColumnElement[float]:
    """The database's clock, in seconds since the epoch, now and not at the transaction's beginning."""
    if dialect == "postgresql":
        return sa.cast(sa.extract("epoch", sa.func.clock_timestamp()), sa.Double())
    if dialect in ("mysql", "mariadb"):
        # As text: SQLAlchemy knows sysdate, and drops its argument and with it the parts of a second.
        return sa.literal_column("unix_timestamp(sysdate(6))", sa.Double())
    raise ValueError(f"a lease needs a database server, not {dialect}")
