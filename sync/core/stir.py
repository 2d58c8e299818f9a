"""Decides when calm has given way to a few changes long enough for the nodes to get ready for them; reads no clock.

calm ─► first touch ─► a little of quiet_seconds ─► due: those that were touched by then are told
                                                    (a save in an editor is over by then, a copy of a
                                                    tree is seen to be one)
"""

from __future__ import annotations

SHARE = 0.05
LEAST_QUIET_SECONDS = 0.005
"""Where less quiet is asked for, there is no time to get ready in."""


class Stir:
    """When to tell, once for each time that calm ends. Times are seconds of any steady clock."""

    def __init__(self) -> None:
        self.at: float | None = None

    def begins(self, now: float, quiet_seconds: float) -> None:
        """Something was touched after a calm."""
        self.at = now + quiet_seconds * SHARE if quiet_seconds >= LEAST_QUIET_SECONDS else None

    def is_due(self, now: float) -> bool:
        """Whether to tell now; then it is told."""
        if self.at is None or now < self.at:
            return False
        self.at = None
        return True
