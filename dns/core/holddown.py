"""Decides how long a node that became fit again waits before it is published: longer for one that flaps.

It never delays a withdrawal. Each withdrawal doubles the next wait, from the configured start to ten
minutes; an hour without one forgets them all.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

LONGEST_SECONDS = 600.0
CALM_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class HoldDown:
    """A node's memory of leaving and returning; times are seconds since the epoch.

    `withdrawals`: how often it left within the memory; `left_at` when it did last; `fit_since` since when
    it has been fit without a break, None while it is not.
    """

    withdrawals: int = 0
    left_at: float | None = None
    fit_since: float | None = None


def left(memory: HoldDown, at: float) -> HoldDown:
    """After evidence against a node that was fit. Hearing it again while it is away changes nothing."""
    if memory.fit_since is None and memory.left_at is not None:
        return memory
    recent = _calmed(memory, at)
    return HoldDown(recent.withdrawals + 1, at, None)


def returned(memory: HoldDown, at: float) -> HoldDown:
    """After a node became fit. Hearing it again changes nothing."""
    return memory if memory.fit_since is not None else replace(_calmed(memory, at), fit_since=at)


def wait_seconds(memory: HoldDown, first_seconds: float) -> float:
    """How long a return waits in all: 0 for a node that never left, then first, 2·first, 4·first … 600
    s.
    """
    if memory.withdrawals == 0:
        return 0.0
    doubled = first_seconds * 2.0 ** min(memory.withdrawals - 1, 30)
    return min(doubled, max(LONGEST_SECONDS, first_seconds))


def remaining_seconds(memory: HoldDown, at: float, first_seconds: float) -> float:
    """How long it still waits; 0 when it may be published. Full length while the node is not fit."""
    wait = wait_seconds(memory, first_seconds)
    if memory.fit_since is None:
        return wait
    return max(0.0, memory.fit_since + wait - at)


def _calmed(memory: HoldDown, at: float) -> HoldDown:
    """The memory, empty when the node has been fit for an hour without a break."""
    calm = memory.fit_since is not None and at - memory.fit_since >= CALM_SECONDS
    return HoldDown(0, None, memory.fit_since) if calm else memory
