"""Limits how many rsync jobs of a kind run at once; decides nothing about nodes.

Four lanes, so that recovery does not starve the ready: events (max_processes), full resyncs at start
(max_init), full resyncs of recovering nodes (max_recovery) and audits (max_audits). Each is a bounded semaphore
over threads that are started when they are first needed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from sync.crew import Crew

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class LaneLimits:
    """How many rsync jobs run at once; the ``sync`` section's names."""

    max_processes: int = 160
    max_init: int = 12
    max_recovery: int = 6
    max_audits: int = 4

    def by_lane(self) -> dict[str, int]:
        """The lanes and their sizes."""
        return {
            "events": self.max_processes,
            "init": self.max_init,
            "recovery": self.max_recovery,
            "audits": self.max_audits,
        }


class Lane:
    """Up to ``limit`` jobs at once."""

    def __init__(self, name: str, limit: int) -> None:
        self.name = name
        self.limit = limit
        self._slots = threading.BoundedSemaphore(limit)
        self._crew = Crew(f"rsync-{name}", limit)
        self._busy = 0
        self._lock = threading.Lock()

    @property
    def busy(self) -> int:
        """How many jobs run."""
        return self._busy

    @property
    def has_room(self) -> bool:
        """Whether another job could begin; only the thread that submits can rely on it."""
        return self._busy < self.limit

    def try_submit(self, job: Callable[[], T], done: Callable[[T], None]) -> bool:
        """Starts the job in a thread of the lane; False when the lane is full. Never waits.

        ``done`` gets the job's result in that thread, after its place is free again.
        """
        if not self._slots.acquire(blocking=False):
            return False
        with self._lock:
            self._busy += 1
        if self._crew.submit(lambda: self._run(job, done)):
            return True
        self._release()  # the lane is closing
        return False

    def _run(self, job: Callable[[], T], done: Callable[[T], None]) -> None:
        try:
            result = job()
        finally:
            self._release()
        done(result)

    def _release(self) -> None:
        with self._lock:
            self._busy -= 1
        self._slots.release()

    def close(self, seconds: float) -> bool:
        """Waits for the running jobs (cancel them first) and ends the threads; whether all ended in time."""
        return self._crew.close(seconds)
