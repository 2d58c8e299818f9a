"""Holds requests back so that no more than allowed leave per second and action; it sends nothing itself."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from threading import Lock


class Budget:
    """At most `per_second` requests of each action in any second, for one account. Threads may share it.

    A window that slides, not a bucket that refills: a full bucket lets nearly twice its rate pass in the first
    second, and providers count what comes in a second. A burst up to the limit still passes at once. Below one a
    second the window is as long as one request needs. A rate of 0 or less means no limit.
    """

    def __init__(
        self, per_second: float, monotonic: Callable[[], float], sleep: Callable[[float], object]
    ) -> None:
        self._rate = per_second
        self._most = max(1, int(per_second))
        self._window = max(1.0, self._most / per_second) if per_second > 0 else 0.0
        self._monotonic = monotonic
        self._sleep = sleep
        self._lock = Lock()
        self._sent: dict[str, deque[float]] = {}  # action -> when the last requests went, or may go

    def take(self, action: str) -> float:
        """Waits until one request of this action may go; returns the seconds waited."""
        wait = self._reserve(action)
        if wait > 0:
            self._sleep(wait)
        return wait

    def _reserve(self, action: str) -> float:
        if self._rate <= 0:
            return 0.0
        with self._lock:
            now = self._monotonic()
            sent = self._sent.setdefault(action, deque(maxlen=self._most))
            # The window is measured from the request that leaves it; those who wait have their turn reserved.
            turn = max(now, sent[0] + self._window) if len(sent) == self._most else now
            sent.append(turn)
            return turn - now
