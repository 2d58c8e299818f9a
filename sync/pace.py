"""Says when all nodes are next judged and served together; does neither, and reads no clock.

A look at all nodes costs some microseconds a node, and a busy service gets hundreds of messages a second. So
most messages only owe a look, and what comes within ``SOON_SECONDS`` shares one.
"""

from __future__ import annotations

SOON_SECONDS = 0.25
"""Within this everything that happened has been looked at."""
APART_SECONDS = 0.05
"""While messages come one upon another, what must not wait is looked at this often."""


class Pace:
    """When the next look is due. Times are seconds of any steady clock. Owned by one thread."""

    def __init__(self) -> None:
        self._last = float("-inf")
        self._due_at: float | None = None

    def at_once(self) -> None:
        """Something happened that must not wait, such as a flip."""
        self._due_at = float("-inf")

    def soon(self, now: float) -> None:
        """Something happened that can share a look with what follows: work comes first, also after a calm."""
        due_at = now + SOON_SECONDS
        self._due_at = due_at if self._due_at is None else min(self._due_at, due_at)

    def is_due(self, now: float, idle: bool) -> bool:
        """Whether to look now. While messages wait (not ``idle``) even what must not wait shares a look."""
        if self._due_at is None or self._due_at > now:
            return False
        return idle or now - self._last >= APART_SECONDS

    def wait_seconds(self, now: float) -> float | None:
        """How long to wait for a message at most; None: until one comes."""
        return None if self._due_at is None else max(0.0, self._due_at - now)

    def looked(self, now: float) -> None:
        """A look begins."""
        self._last, self._due_at = now, None
