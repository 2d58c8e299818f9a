"""Decides who is ill: the nodes that do not answer, or the supervisor's own way out. It asks nobody itself.

Asked before a withdrawal for health, over the answers of every other published node and every canary:

    there was nobody to ask                          believe the evidence
    somebody answered                                believe the evidence
    nobody did, canaries are configured              cut off, until a canary answers
    nobody did, no canaries, for isolation_seconds   believe the evidence
    nobody did, no canaries, not as long             cut off, until a node answers
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Isolation:
    """The memory between two questions: since when (seconds since the epoch) nobody has answered, None when
    not cut off.
    """

    since: float | None = None
    reason: str = ""

    @property
    def cut_off(self) -> bool:
        """Whether nothing may be changed now."""
        return bool(self.reason)


@dataclass(frozen=True, slots=True)
class Asked:
    """Who was asked and who answered; names of nodes, and of canaries."""

    nodes: frozenset[str] = frozenset()
    canaries: frozenset[str] = frozenset()
    answered: frozenset[str] = frozenset()


def judge(memory: Isolation, asked: Asked, at: float, isolation_seconds: float) -> Isolation:
    """The memory after asking; `cut_off` says whether the withdrawal must wait.

    While cut off with canaries, only a canary's answer ends it; a node that answers shows that it lives,
    and the others' silence may still be our side's. Once the time has passed without canaries, the
    evidence stands and goes on standing until somebody answers and the silence begins anew.
    """
    if asked.canaries:
        return _with_canaries(memory, asked, at)
    if not asked.nodes or asked.nodes & asked.answered:
        return Isolation()
    since = memory.since if memory.since is not None else at
    waited = at - since
    if waited >= isolation_seconds:
        return Isolation(since)
    return Isolation(
        since,
        f"cut off: none of {len(asked.nodes)} other published nodes answers, "
        "so the fault may be on this side; "
        f"nothing is changed for {isolation_seconds - waited:.0f} s more or until one answers "
        "(canaries under health would tell sooner)",
    )


def _with_canaries(memory: Isolation, asked: Asked, at: float) -> Isolation:
    enough = asked.canaries if memory.cut_off else asked.canaries | asked.nodes
    if enough & asked.answered:
        return Isolation()
    since = memory.since if memory.since is not None else at
    return Isolation(
        since,
        f"cut off: none of {len(asked.nodes)} other published nodes and {len(asked.canaries)} canaries "
        "answers, "
        "so the fault is on this side; nothing is changed until a canary answers",
    )
