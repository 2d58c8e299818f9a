"""Limits how many rsync jobs of a kind run at once; decides nothing about nodes.

Four lanes, so that recovery does not starve the ready: events (max_processes), full resyncs at start
(max_init), full resyncs of recovering nodes (max_recovery) and audits (max_audits). Each is a bounded semaphore
over a pool of threads that are started when they are first needed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


class Lane:
    """Up to ``limit`` jobs at once."""

    def __init__(self, name: str, limit: int) -> None:
        self.name = name
        self.limit = limit
        self._slots = threading.BoundedSemaphore(limit)
        self._pool = ThreadPoolExecutor(limit, thread_name_prefix=f"rsync-{name}")
        self._busy = 0
        self._lock = threading.Lock()

    @property
    def busy(self) -> int:
        """How many jobs run."""
        return self._busy

    def try_submit(self, job: Callable[[], T], done: Callable[[T], None]) -> bool:
        """Starts the job in a thread of the lane; False when the lane is full. Never waits.

        ``done`` gets the job's result in that thread, after its place is free again.
        """
        if not self._slots.acquire(blocking=False):
            return False
        with self._lock:
            self._busy += 1
        try:
            self._pool.submit(self._run, job, done)
        except RuntimeError:  # the lane is closing
            self._release()
            return False
        return True

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

    def close(self) -> None:
        """Waits for the running jobs (cancel them first) and ends the threads."""
        self._pool.shutdown(wait=True, cancel_futures=True)
