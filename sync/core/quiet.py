"""Decides when a dirty path has settled: how long it must be left alone before its change gets a seq.

Rules, for a path that was touched:

    quiet_seconds without another touch                      → due
    max_delay_seconds after its first touch                  → due, however busy it is
    more than BURST paths waiting and the tree still moving  → all wait together, at most max_delay_seconds,
                                                               so that a large publish travels as one batch;
                                                               what is being written just then waits on
    touched again while it was being sent (a growing file)   → 2, 4 … 60 s of quiet, at the latest ten times
                                                               that; until then it is not lag and holds
                                                               nothing back

Never reads a clock or the tree: time is an argument, in seconds of any steady clock.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

BURST = 16
FIRST_DEFERRAL_SECONDS = 2.0
LONGEST_DEFERRAL_SECONDS = 60.0
FORGET_FACTOR = 10


@dataclass(frozen=True, slots=True)
class QuietRules:
    """The two times of the ``publish`` section, in seconds."""

    quiet_seconds: float = 0.02
    max_delay_seconds: float = 0.5


@dataclass(slots=True)
class _Deferral:
    wait_seconds: float
    first: float
    last: float
    waiting: bool


class Quiet:
    """The dirty paths that have not settled yet. Owned by one thread."""

    def __init__(self, rules: QuietRules) -> None:
        self.rules = rules
        self._first: OrderedDict[bytes, float] = OrderedDict()  # by first touch, oldest first
        self._last: OrderedDict[bytes, float] = OrderedDict()  # by last touch, oldest first
        self._deferred: dict[bytes, _Deferral] = {}

    def __len__(self) -> int:
        return len(self._last) + sum(1 for d in self._deferred.values() if d.waiting)

    def __contains__(self, path: bytes) -> bool:
        deferral = self._deferred.get(path)
        return path in self._last or (deferral is not None and deferral.waiting)

    def touch(self, path: bytes, now: float, *, being_sent: bool = False) -> None:
        """Marks the path dirty. ``being_sent``: a run that carries it is under way."""
        deferral = self._deferred.get(path)
        if deferral is not None and deferral.waiting:
            deferral.last = now
            return
        if being_sent and path not in self._last:
            self._defer(path, deferral, now)
            return
        self._first.setdefault(path, now)
        self._last[path] = now
        self._last.move_to_end(path)

    def _defer(self, path: bytes, previous: _Deferral | None, now: float) -> None:
        wait = (
            FIRST_DEFERRAL_SECONDS
            if previous is None
            else min(previous.wait_seconds * 2, LONGEST_DEFERRAL_SECONDS)
        )
        self._deferred[path] = _Deferral(wait, now, now, waiting=True)

    def due(self, now: float) -> list[bytes]:
        """Removes and returns the paths that have settled, those touched longest ago first."""
        due = self._due_deferred(now)
        if not self._last:
            return due
        oldest = next(iter(self._first.values()))
        newest = next(reversed(self._last.values()))
        bursting = len(self._last) > BURST and newest > now - self.rules.quiet_seconds
        if bursting and oldest > now - self.rules.max_delay_seconds:
            return due
        return (
            due
            + self._pop(self._last, now - self.rules.quiet_seconds)
            + self._pop(self._first, now - self.rules.max_delay_seconds)
        )

    def _pop(self, order: OrderedDict[bytes, float], limit: float) -> list[bytes]:
        popped = []
        while order:
            path, at = next(iter(order.items()))
            if at > limit:
                break
            del self._first[path], self._last[path]
            popped.append(path)
        return popped

    def _due_deferred(self, now: float) -> list[bytes]:
        due = []
        for path, d in list(self._deferred.items()):
            if d.waiting:
                if now - d.last >= d.wait_seconds or now - d.first >= d.wait_seconds * FORGET_FACTOR:
                    d.waiting = False
                    d.last = now
                    due.append(path)
            elif now - d.last >= d.wait_seconds * FORGET_FACTOR:
                del self._deferred[path]  # it has been calm: the next touch starts afresh
        return due

    def settling(self) -> tuple[bytes, ...]:
        """What was touched and has not settled, growing files aside; those touched longest ago first."""
        return tuple(self._last)

    def next_at(self) -> float | None:
        """The earliest time at which something may be due; None while nothing waits."""
        times = [
            min(d.last + d.wait_seconds, d.first + d.wait_seconds * FORGET_FACTOR)
            for d in self._deferred.values()
            if d.waiting
        ]
        if self._last:
            by_delay = next(iter(self._first.values())) + self.rules.max_delay_seconds
            order = reversed(self._last.values()) if len(self._last) > BURST else iter(self._last.values())
            times.append(min(next(order) + self.rules.quiet_seconds, by_delay))
        return min(times, default=None)

    @property
    def deferred(self) -> tuple[bytes, ...]:
        """The growing files that are waited for."""
        return tuple(p for p, d in self._deferred.items() if d.waiting)
