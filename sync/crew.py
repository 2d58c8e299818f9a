"""A few named threads that take calls in order; unlike concurrent.futures, a call that never returns cannot keep
the process from ending. Decides nothing.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable

log = logging.getLogger(__name__)

Call = Callable[[], None]


class Crew:
    """Up to ``limit`` daemon threads, started when they are first needed. Usable from any thread."""

    def __init__(self, name: str, limit: int) -> None:
        self._name = name
        self._limit = limit
        self._calls: queue.SimpleQueue[Call | None] = queue.SimpleQueue()
        self._idle = threading.Semaphore(0)
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._closed = False

    def submit(self, call: Call) -> bool:
        """Queues the call; False when the crew is closed."""
        with self._lock:
            if self._closed:
                return False
            self._calls.put(call)
            if not self._idle.acquire(blocking=False) and len(self._threads) < self._limit:
                name = f"{self._name}-{len(self._threads)}"
                thread = threading.Thread(target=self._work, name=name, daemon=True)
                self._threads.append(thread)
                thread.start()
            return True

    def _work(self) -> None:
        while True:
            call = self._calls.get()
            if call is None:
                return
            try:
                call()
            except Exception:
                log.exception("a call broke off in %s", threading.current_thread().name)
            del call  # an idle thread must not keep alive what it did last
            self._idle.release()

    def close(self, seconds: float) -> bool:
        """Drops what waits and ends the threads; whether all of them ended in time. Idempotent."""
        with self._lock:
            self._closed = True
            threads = list(self._threads)
        while True:
            try:
                self._calls.get_nowait()
            except queue.Empty:
                break
        for _ in threads:
            self._calls.put(None)
        deadline = time.monotonic() + seconds
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in threads)
