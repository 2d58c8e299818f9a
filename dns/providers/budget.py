"""Holds requests back so that no more than allowed leave per second and action; it sends nothing itself."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock


class Budget:
    """A token bucket per action, for one account. Safe to share between threads.

    A bucket holds one second's worth of requests: a burst after a quiet time passes at once, and the long-run
    rate never exceeds `per_second`. A rate of 0 or less means no limit.
    """

    def __init__(
        self, per_second: float, monotonic: Callable[[], float], sleep: Callable[[float], object]
    ) -> None:
        self._rate = per_second
        self._size = max(1.0, per_second)
        self._monotonic = monotonic
        self._sleep = sleep
        self._lock = Lock()
        self._buckets: dict[str, tuple[float, float]] = {}  # action -> (tokens, when they were counted)

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
            tokens, counted = self._buckets.get(action, (self._size, now))
            tokens = min(self._size, tokens + (now - counted) * self._rate) - 1.0
            # A bucket below zero is a queue: those who come later wait behind those who reserved before.
            self._buckets[action] = (tokens, now)
            return max(0.0, -tokens / self._rate)
