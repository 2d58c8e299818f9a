"""Counts errors in sliding windows and says which strategies hold. Keeps no more times than the largest
strategy asks for.

A strategy "within X seconds Y errors" (fileSyncGo's SmartPool) holds exactly when the Y-th newest error is
at most X seconds old. What held is over only when for X seconds there were never half as many errors within
X seconds: else a rate near the threshold would begin and end an incident with every error. The newest max(Y)
times are all that must be known for both, however many errors there are.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping


class ErrorWindows:
    """The newest errors and the strategies that look at them. Times never run backwards further than a
    window.
    """

    def __init__(
        self, strategies: Mapping[float, int], times: Iterable[float] = (), examples: Iterable[str] = ()
    ) -> None:
        self.strategies = {float(seconds): int(count) for seconds, count in strategies.items() if count > 0}
        self._times: deque[float] = deque(
            sorted(times), maxlen=max(self.strategies.values(), default=0) or None
        )
        self._examples: deque[str] = deque(examples, maxlen=5)

    def add(self, at: float, what: str) -> None:
        """Notes an error."""
        if not self.strategies:
            return
        if self._times and at < self._times[-1]:  # two threads fed out of order: the times must stay sorted
            self._times = deque(sorted((*self._times, at)), maxlen=self._times.maxlen)
        else:
            self._times.append(at)
        if what and what not in self._examples:
            self._examples.append(what)

    def holds(self, seconds: float, now: float) -> bool:
        """Whether the strategy of this window holds now."""
        count = self.strategies[seconds]
        return len(self._times) >= count and self._times[-count] > now - seconds

    def over_at(self, seconds: float) -> float | None:
        """When a strategy that held is over if nothing more happens; None when it is over already.

        That is its window after the last moment at which half of its errors lay within its window. Older
        times than those known change nothing: twice half of the errors without such a moment span two
        windows.
        """
        half = (self.strategies[seconds] + 1) // 2
        times = tuple(self._times)
        for first, last in zip(reversed(times[: len(times) - half + 1]), reversed(times), strict=False):
            if last - first < seconds:
                return first + 2 * seconds
        return None

    def clip(self, latest: float) -> None:
        """Takes errors of a later time, from before the clock was set back, as of ``latest``."""
        if self._times and self._times[-1] > latest:
            self._times = deque((min(at, latest) for at in self._times), maxlen=self._times.maxlen)

    @property
    def times(self) -> tuple[float, ...]:
        """The times still known, oldest first."""
        return tuple(self._times)

    @property
    def examples(self) -> tuple[str, ...]:
        """A few of the latest different errors."""
        return tuple(self._examples)
