"""Asks the probes of each node, on the node's own timer and in threads of its own; judges no answer."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from sync.core.model import Observation, ProbeResult
from sync.crew import Crew
from sync.node import Node
from sync.probes import CannotObserve, ProbeTarget

log = logging.getLogger(__name__)

AT_ONCE = 256
"""Threads that wait for answers: a node that is silent for seconds must not keep the others' probes waiting."""


@dataclass(frozen=True, slots=True)
class Observed:
    """A series of probes has ended. ``observation`` None: this machine could not even ask."""

    node: Node
    began: float
    observation: Observation | None


class Observing:
    """Asks for observations; ``post`` gets an Observed for each, from another thread."""

    def __init__(
        self, post: Callable[[Observed], None], wall: Callable[[], float], mono: Callable[[], float]
    ) -> None:
        self.post, self.wall, self.mono = post, wall, mono
        self._crew = Crew("probe", AT_ONCE)

    def observe(self, node: Node) -> None:
        """Asks the node's probes, one series at a time."""
        if node.observing:
            return
        target, series, began = target_of(node), node.settings.probes, self.mono()

        def ask() -> None:
            try:
                observation: Observation | None = series.observe(target)
            except CannotObserve:  # we are the one in trouble: no state changes on that
                observation = None
            except Exception:
                log.exception("a probe of %s broke off", node.name)
                result = ProbeResult("probe", False, None, "internal error")
                observation = Observation(self.wall(), False, (result,))
            self.post(Observed(node, began, observation))

        node.observing = self._crew.submit(ask)

    def submit(self, call: Callable[[], None]) -> None:
        """Lets one of the threads do something else that may wait for a disk."""
        self._crew.submit(call)

    def close(self, seconds: float) -> None:
        """Ends the threads; one that hangs (a name server that does not answer) is left behind."""
        if not self._crew.close(seconds):
            log.warning("a probe did not end in time")


def target_of(node: Node) -> ProbeTarget:
    """Where the node's probes go."""
    to = node.settings.destination
    return ProbeTarget(
        node=node.name,
        host=to.host,
        address=node.settings.address or to.host,
        port=to.ssh_port if to.transport == "ssh" else to.port,
        transport=to.transport,
    )
