"""Samples the nodes every few seconds and adds them up by minute, hour and day, for plots. Decides nothing.

A thread of its own reads the engine and writes once a minute; nothing waits for it or for the database. What
could not be written is kept for an hour and written when the database is back.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass, field, fields
from typing import Any

import sqlalchemy as sa
from flask import Flask

from app.database import READ, writing
from app.models import SampleRow, db
from app.schema import reason_of
from app.stores.journal import Fence
from app.stores.writer import FencedOut
from app.views import Publications
from sync.core.model import State
from sync.engine import Engine

log = logging.getLogger(__name__)

SAMPLE_SECONDS = 5.0
MINUTE, HOUR, DAY = 60, 3600, 86_400
KEEP_SECONDS = {MINUTE: 26 * HOUR, HOUR: 32 * DAY, DAY: 800 * DAY}
UNWRITTEN_MINUTES = 60
RECENT_MINUTES = 60
CHUNK = 2000


@dataclass(slots=True)
class Sums:
    """One node over one span: what SampleRow holds beside its key."""

    ready: float = 0.0
    unhealth: float = 0.0
    dead: float = 0.0
    recovery: float = 0.0
    in_sync: float = 0.0
    published: float = 0.0
    rtt_sum: float = 0.0
    rtt_count: int = 0
    rtt_max: float = 0.0
    lag_sum: float = 0.0
    lag_count: int = 0
    lag_max: float = 0.0
    bytes: int = 0
    files: int = 0
    runs: int = 0
    failures: int = 0

    def add(self, other: Mapping[str, Any]) -> None:
        """Adds another span's sums."""
        for name in NAMES:
            mine, theirs = getattr(self, name), other[name]
            setattr(self, name, max(mine, theirs) if name.endswith("_max") else mine + theirs)

    def row(self) -> dict[str, Any]:
        """The sums by name."""
        return {name: getattr(self, name) for name in NAMES}


NAMES = tuple(f.name for f in fields(Sums))


@dataclass(frozen=True, slots=True)
class Look:
    """A node at one moment, as read in the engine's thread. Counters grow."""

    state: State
    in_sync: bool
    rtt_seconds: float | None
    lag_seconds: float | None
    counters: tuple[int, int, int, int]  # bytes, files, runs, failures


def look(engine: Engine) -> dict[str, Look]:
    """Every node now."""
    found, counts = engine.field, engine.field.counts
    return {
        node.name: Look(
            node.state,
            node.in_sync,
            node.observed.rtt_seconds if node.observed is not None else None,
            found.lag_seconds(node),
            (
                counts["carried", node.name, "bytes"],
                counts["carried", node.name, "files"],
                counts["node_runs", node.name],
                counts["node_failures", node.name],
            ),
        )
        for node in found.nodes.values()
    }


@dataclass(slots=True)
class Recent:
    """The last hour's lag by minute, for sparklines: no page asks the database for it."""

    points: deque[tuple[int, float]] = field(default_factory=lambda: deque(maxlen=RECENT_MINUTES))


class Recorder:
    """``start`` to ``stop`` once."""

    def __init__(
        self,
        app: Flask,
        engine: Engine,
        publications: Publications,
        *,
        fence: Fence | None = None,
        wall: Callable[[], float] = time.time,
        every_seconds: float = SAMPLE_SECONDS,
    ) -> None:
        self._fence = fence
        self._app, self._engine, self._publications, self._wall = app, engine, publications, wall
        self._every = every_seconds
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="history", daemon=True)
        self._sums: dict[str, Sums] = {}
        self._counters: dict[str, tuple[int, int, int, int]] = {}
        self._minute: int | None = None
        self._sampled_at: float | None = None
        self._unwritten: deque[tuple[int, dict[str, Sums]]] = deque(maxlen=UNWRITTEN_MINUTES)
        self._recent: dict[str, Recent] = {}
        self._trouble = False

    def start(self) -> None:
        """Begins to sample."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread and writes what there is."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(5)
        self._turn_over(None)

    def recent_lag(self, node: str) -> list[tuple[int, float]]:
        """(minute's epoch seconds, longest lag in it) of the last hour."""
        found = self._recent.get(node)
        return list(found.points) if found is not None else []

    def _loop(self) -> None:
        self._remember()
        while not self._stop.wait(self._every):
            try:
                self.sample()
            except FutureTimeout:
                continue
            except Exception:
                log.exception("the nodes could not be sampled; the next round tries again")

    def _remember(self) -> None:
        """The last hour from before the start."""
        since = int(self._wall()) - RECENT_MINUTES * MINUTE
        try:
            for row in read(self._app, None, MINUTE, since):
                self._recent.setdefault(row["node"], Recent()).points.append((row["at"], row["lag_max"]))
        except sa.exc.SQLAlchemyError:
            return

    def sample(self) -> None:
        """Takes one sample, and at the end of a minute writes it."""
        found = self._engine.call(lambda: look(self._engine), self._every)
        published = self._publications()
        now = self._wall()
        minute = int(now) // MINUTE * MINUTE
        if self._minute is not None and minute != self._minute:
            self._turn_over(minute)
        self._minute = minute
        passed = 0.0 if self._sampled_at is None else min(max(0.0, now - self._sampled_at), 4 * self._every)
        self._sampled_at = now
        for name, seen in found.items():
            standing = published.get(name)
            self._add(name, seen, passed, standing is not None and standing.published)
        for gone in [name for name in self._recent if name not in found]:
            del self._recent[gone]

    def _add(self, name: str, seen: Look, seconds: float, published: bool) -> None:
        sums = self._sums.setdefault(name, Sums())
        setattr(sums, seen.state.value, getattr(sums, seen.state.value) + seconds)
        sums.in_sync += seconds * seen.in_sync
        sums.published += seconds * published
        if seen.rtt_seconds is not None:
            sums.rtt_sum, sums.rtt_count = sums.rtt_sum + seen.rtt_seconds, sums.rtt_count + 1
            sums.rtt_max = max(sums.rtt_max, seen.rtt_seconds)
        if seen.lag_seconds is not None:
            sums.lag_sum, sums.lag_count = sums.lag_sum + seen.lag_seconds, sums.lag_count + 1
            sums.lag_max = max(sums.lag_max, seen.lag_seconds)
        before = self._counters.get(name, (0, 0, 0, 0))
        grown = [max(0, now - old) for now, old in zip(seen.counters, before, strict=True)]
        self._counters[name] = seen.counters
        sums.bytes, sums.files = sums.bytes + grown[0], sums.files + grown[1]
        sums.runs, sums.failures = sums.runs + grown[2], sums.failures + grown[3]

    def _turn_over(self, minute: int | None) -> None:
        if self._minute is not None and self._sums:
            self._unwritten.append((self._minute, self._sums))
            for name, sums in self._sums.items():
                self._recent.setdefault(name, Recent()).points.append((self._minute, sums.lag_max))
        self._sums, self._minute = {}, minute
        while self._unwritten:
            at, sums_by_node = self._unwritten[0]
            try:
                write(self._app, at, sums_by_node, self._fence)
            except FencedOut:
                self._unwritten.clear()  # another samples now; two would count each minute twice
                return
            except sa.exc.SQLAlchemyError as error:
                if not self._trouble:
                    log.warning(
                        "the history could not be written: %s; it is kept for an hour", reason_of(error)
                    )
                self._trouble = True
                return
            self._trouble = False
            self._unwritten.popleft()
        if minute is not None and minute % 600 == 0:
            trim(self._app, self._wall(), self._fence)


def write(app: Flask, minute: int, sums_by_node: Mapping[str, Sums], fence: Fence | None = None) -> None:
    """Adds a minute to its own row and to those of its hour and day: one transaction.

    Raises FencedOut, and writes nothing, when another supervisor holds the lease.
    """
    with app.app_context(), writing() as session:
        for span in (MINUTE, HOUR, DAY):
            at = minute // span * span
            here = sa.and_(SampleRow.span == span, SampleRow.at == at, SampleRow.node.in_(sums_by_node))
            table: Any = SampleRow.__table__
            stored = {row.node: dict(row._mapping) for row in session.execute(sa.select(table).where(here))}
            rows = []
            for name, sums in sums_by_node.items():
                total = Sums(**sums.row())
                if name in stored:
                    total.add(stored[name])
                rows.append({"node": name, "span": span, "at": at, **total.row()})
            if stored:
                session.execute(sa.delete(table).where(here))
            session.execute(sa.insert(table), rows)
        if fence is not None:
            fence.check(session.connection())


def trim(app: Flask, now: float, fence: Fence | None = None) -> None:
    """Removes what is older than each span is kept, a little at a time."""
    table: Any = SampleRow.__table__
    for span, keep in KEEP_SECONDS.items():
        old = sa.and_(table.c.span == span, table.c.at < now - keep)
        try:
            with app.app_context(), writing() as session:
                oldest = session.scalar(sa.select(sa.func.min(table.c.at)).where(table.c.span == span))
                if oldest is not None and oldest < now - keep:
                    session.execute(sa.delete(table).where(old, table.c.at < oldest + 600))
                if fence is not None:
                    fence.check(session.connection())
        except FencedOut:
            return
        except sa.exc.SQLAlchemyError as error:
            log.warning("old history was not removed: %s", reason_of(error))


def read(app: Flask, node: str | None, span: int, since: int) -> list[dict[str, Any]]:
    """The rows of one node (all: None) of one span since a time, oldest first."""
    table: Any = SampleRow.__table__
    query = sa.select(table).where(table.c.span == span, table.c.at >= since).order_by(table.c.at)
    if node is not None:
        query = query.where(table.c.node == node)
    with app.app_context(), db.engines[READ].connect() as connection:
        return [dict(row._mapping) for row in connection.execute(query)]


WINDOWS: Mapping[str, tuple[int, int, int]] = {
    "24h": (DAY, MINUTE, 10 * MINUTE),
    "7d": (7 * DAY, HOUR, 2 * HOUR),
    "30d": (30 * DAY, HOUR, 12 * HOUR),
}
"""How far back, from which rows, and how long one cell of a history bar is, in seconds."""


def cells(rows: Iterable[Mapping[str, Any]], now: float, window: str) -> list[dict[str, Any]]:
    """One entry per cell, oldest first: at, state (the worst that took a twentieth of it, or none), shares."""
    length, _, cell = WINDOWS[window]
    first = (int(now) - length) // cell * cell + cell
    sums: dict[int, Sums] = {}
    for row in rows:
        at = row["at"] // cell * cell
        sums.setdefault(at, Sums()).add(row)
    found = []
    for at in range(first, int(now) + 1, cell):
        here = sums.get(at)
        times = {s.value: getattr(here, s.value) for s in State} if here is not None else {}
        total = sum(times.values())
        worst = next((s for s in ("dead", "unhealth", "recovery") if total and times[s] >= total / 20), None)
        found.append(
            {
                "at": at,
                "state": (worst or "ready") if total else "none",
                "ready": times["ready"] / total if total else None,
                "in_sync": here.in_sync / total if here is not None and total else None,
            }
        )
    return found
