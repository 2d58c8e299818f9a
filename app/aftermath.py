"""Says which nodes left ``ready`` only because the supervisor was cut off, and are looked at anew. It asks nobody.

A supervisor that is cut off withdraws nobody (promise 3), and that must not be made up for once the cable is back: what
was seen meanwhile is no evidence. A node that was published then is unknown until

    it is ready again                                        from then on what is seen of it counts
    its full resync fails, or it is still dead after a while evidence, seen since
    it is resynced for what differs                          likewise
    it is ready after a while                                what is seen of it from then on counts
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping

from sync.core.model import Flip, State


class Aftermath:
    """The nodes that are still looked at anew. Thread-safe."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = threading.Lock()  # owns what follows
        self._names: set[str] = set()
        self._until = 0.0
        self._waits = False  # nobody has been believed to be dead since the last begin

    def begin(self, names: Iterable[str], seconds: float) -> None:
        """Somebody answers again; these were published, and get so long to be seen alive."""
        with self._lock:
            self._names, self._until = set(names), self._clock() + seconds
            self._waits = True

    def flipped(self, flip: Flip) -> bool:
        """Notes what ends the doubt about a node; whether that is evidence against it."""
        failed = flip.old is State.RECOVERY and flip.new is State.UNHEALTH
        # Silence sends no ready node into recovery: drift does, and a person.
        seen = flip.old is State.READY and flip.new is State.RECOVERY
        late = self._clock() >= self._until and (
            flip.old is State.READY or State.DEAD in (flip.old, flip.new)
        )
        if flip.new is State.READY or failed or seen or late:
            with self._lock:
                doubted = flip.node in self._names
                self._names.discard(flip.node)
            return doubted and flip.new is not State.READY
        return False

    def believed(self, states: Callable[[], Mapping[str, State]]) -> list[str]:
        """After the while, once: who is still dead, which counts from now on. Who is ready is forgotten as well."""
        if not self._waits or self._clock() < self._until:
            return []
        known = states()
        with self._lock:
            self._waits = False
            dead = sorted(name for name in self._names if known.get(name) is State.DEAD)
            self._names = {n for n in self._names if known.get(n) not in (None, State.DEAD, State.READY)}
        return dead

    def spares(self, name: str, state: State) -> bool:
        """Whether that the node is in this state is no evidence against it."""
        if name not in self._names or state is State.READY:
            return False
        return state is not State.DEAD or self._clock() < self._until

    @property
    def ends_in_seconds(self) -> float | None:
        """When those that are still dead are believed to be; None when nobody waits for it."""
        left = self._until - self._clock()
        return left if self._names and left > 0 else None
