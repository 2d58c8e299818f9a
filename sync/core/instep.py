"""Decides which nodes are out of step with the others (promise 2); it never judges by absolute lag.

A node is out of step when, with *then* = now - max_lag_seconds,

 (a) a path in its dustbin has been confirmed by another ready node since *then* or longer: that node's cursor
     had reached the seq of the path's first failure at *then*, and the path is not in that node's dustbin;
 (b) its cursor is below the highest seq that at least half of the ready, undrained nodes (itself counted, if
     it is one) had reached at *then*.

What is not known of the past (a node that has just been added, a start) counts as not reached, so that nobody
goes on a guess. The times of `now` and of the samples are of one clock, preferably a monotonic one.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from sync.core.model import State, text_of

SLOTS = 128
"""Samples a ring keeps for its time: what lies closer together than keep_seconds / SLOTS is thinned out."""


@dataclass(frozen=True, slots=True)
class Cursors:
    """A ring of (time, cursor) samples, oldest first: the cursor has been there since that time.

    Thinning and forgetting only ever make `reached` answer less than the truth, never more.
    """

    times: tuple[float, ...] = ()
    cursors: tuple[int, ...] = ()

    def with_sample(self, at: float, cursor: int, keep_seconds: float) -> Cursors:
        """The ring with one sample more, still able to answer for ``keep_seconds`` before ``at``.

        A cursor that went down (a new destination) makes the past void. A clock that went back is held still.
        """
        if not self.times or cursor < self.cursors[-1]:
            return Cursors((at,), (cursor,))
        if cursor == self.cursors[-1]:
            return self
        at = max(at, self.times[-1])
        start = max(bisect_right(self.times, at - keep_seconds) - 1, 0)
        end = len(self.times)
        if end - start >= 2 and at - self.times[end - 2] < keep_seconds / SLOTS:
            end -= 1
        return Cursors((*self.times[start:end], at), (*self.cursors[start:end], cursor))

    def reached(self, at: float) -> int:
        """The cursor at that time, or less; 0 for a time before the first sample."""
        index = bisect_right(self.times, at)
        return self.cursors[index - 1] if index else 0


@dataclass(frozen=True, slots=True)
class NodeStanding:
    """What promise 2 needs to know of a node.

    ``lacking`` is its dustbin (discarded entries included): path → seq of the first failure. ``cleared`` says
    when a path left the dustbin by a success (path → time); what is older than max_lag_seconds may go.
    Without it, a path that a node took only now would count as confirmed since its cursor passed it.
    """

    name: str
    state: State
    drained: bool
    cursor: int
    ring: Cursors
    lacking: Mapping[bytes, int] = field(default_factory=dict)
    cleared: Mapping[bytes, float] = field(default_factory=dict)


def out_of_step(
    node: NodeStanding, field: Sequence[NodeStanding], now: float, max_lag_seconds: float
) -> str | None:
    """Why the node is out of step with the field, None when it is in step.

    ``field`` are all nodes; whether the node is among them is seen by its name. Word for word the two rules
    above; for many nodes at once ask `judge`, which says the same.
    """
    then = now - max_lag_seconds
    for path, seq in node.lacking.items():
        for other in field:
            if other.name != node.name and _confirmed(other, path, seq, then):
                return _lacks(path, len(node.lacking), other.name, max_lag_seconds)
    due = field_cursor(n.ring.reached(then) for n in field if _counts(n))
    return _behind(node.cursor, due, max_lag_seconds) if node.cursor < due else None


def judge(field: Sequence[NodeStanding], now: float, max_lag_seconds: float) -> dict[str, str | None]:
    """`out_of_step` of every node: O(n log n) for n nodes, plus once all dustbins' entries."""
    then = now - max_lag_seconds
    reached = {n.name: n.ring.reached(then) for n in field}
    due = field_cursor(reached[n.name] for n in field if _counts(n))
    witnesses = sorted((n for n in field if n.state is State.READY), key=lambda n: -reached[n.name])
    best: dict[bytes, NodeStanding | None] = {}
    verdicts: dict[str, str | None] = {}
    for node in field:
        verdicts[node.name] = _failing(node, witnesses, reached, best, then, max_lag_seconds)
        if verdicts[node.name] is None and node.cursor < due:
            verdicts[node.name] = _behind(node.cursor, due, max_lag_seconds)
    return verdicts


def field_cursor(reached: Iterable[int]) -> int:
    """The highest seq that at least half of these reached; 0 for nobody. Half of 1, 2, 3, 4 is 1, 1, 2, 2."""
    ranked = sorted(reached, reverse=True)
    return ranked[(len(ranked) + 1) // 2 - 1] if ranked else 0


def _failing(
    node: NodeStanding,
    witnesses: Sequence[NodeStanding],
    reached: Mapping[str, int],
    best: dict[bytes, NodeStanding | None],
    then: float,
    max_lag_seconds: float,
) -> str | None:
    """Rule (a). The best witness of a path is the furthest of those that have had it, looked for once a path.

    It is the same for every node that lacks the path, because none of those has it.
    """
    for path, seq in node.lacking.items():
        if path not in best:
            best[path] = next((w for w in witnesses if _holds(w, path, then)), None)
        witness = best[path]
        if witness is not None and reached[witness.name] >= seq:
            return _lacks(path, len(node.lacking), witness.name, max_lag_seconds)
    return None


def _confirmed(other: NodeStanding, path: bytes, seq: int, then: float) -> bool:
    return other.state is State.READY and _holds(other, path, then) and other.ring.reached(then) >= seq


def _holds(node: NodeStanding, path: bytes, then: float) -> bool:
    return path not in node.lacking and node.cleared.get(path, then) <= then


def _counts(node: NodeStanding) -> bool:
    return node.state is State.READY and not node.drained


def _lacks(path: bytes, lacking: int, other: str, max_lag_seconds: float) -> str:
    more = f" (one of {lacking} in its dustbin)" if lacking > 1 else ""
    return f"lacks {text_of(path)}{more}, which {other} has had for {max_lag_seconds:g} s"


def _behind(cursor: int, due: int, max_lag_seconds: float) -> str:
    return (
        f"{due - cursor} changes behind what half of the ready nodes had {max_lag_seconds:g} s ago"
        f" (at {cursor}, they were at {due})"
    )
