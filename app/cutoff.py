"""Asks before a withdrawal whether it is us who are cut off, and again until somebody answers. Withdraws nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection

from app.canaries import Nodes, Roll
from dns.core.isolation import Isolation, judge


class CutOff:
    """The memory of the question, shared by all providers' threads."""

    def __init__(
        self,
        roll: Roll,
        tell: Callable[[str, bool], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """``tell(sentence, cut off)`` at the begin and at the end of each isolation, and when a longer silence ends."""
        self._roll, self._tell, self._clock = roll, tell, clock
        self._asking = threading.Lock()  # one question at a time; owns _last
        self._last: tuple[Nodes, frozenset[str], float] = ({}, frozenset(), 0.0)
        self._memory = Isolation()

    @property
    def reason(self) -> str:
        """Why nothing may be changed now, empty when it may."""
        return self._memory.reason

    @property
    def since(self) -> float | None:
        """Since when nobody has answered."""
        return self._memory.since

    def resume(self, since: float | None) -> None:
        """A one-off command goes on where the last one was: nobody has answered since then."""
        self._memory = Isolation(since)

    def ask(
        self, published: Nodes, suspects: Collection[str], canaries: Collection[str], isolation_seconds: float
    ) -> str:
        """Why a withdrawal of the suspects must wait, empty when the evidence stands.

        Each suspect's withdrawal asks every *other* published node. With several suspects that is all of them, and
        while nobody answers too: a supervisor that is cut off loses its nodes one after another.
        """
        with self._asking:
            several = len(suspects) > 1 or self._memory.since is not None
            others = {n: to for n, to in published.items() if several or n not in suspects}
            self._last = (others, frozenset(canaries), isolation_seconds)
            return self._ask_again()

    def recheck(self) -> str:
        """The same question once more."""
        with self._asking:
            return self._ask_again() if self._memory.cut_off else ""

    def _ask_again(self) -> str:
        nodes, canaries, isolation_seconds = self._last
        before = self._memory
        enough = canaries if canaries and before.cut_off else (*canaries, *nodes)
        asked = self._roll.call(nodes, canaries, enough)
        after = self._memory = judge(before, asked, self._clock(), isolation_seconds)
        if after.cut_off and not before.cut_off:
            self._tell(after.reason, True)
        elif before.cut_off and not after.cut_off:
            self._tell(
                "not cut off any more: "
                + (
                    "somebody answers again"
                    if after.since is None
                    else "nobody answers, and the evidence stands"
                ),
                False,
            )
        elif before.since is not None and after.since is None and asked.answered:
            self._tell("somebody answers again", False)
        return after.reason
