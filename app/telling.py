"""Hands what the engine and the DNS half tell on to alerts and hooks. Never waits: it is called in the
engine's thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

from app.alerts.events import signals_of, signals_of_flip
from app.alerts.service import Alerts
from app.happening import Happening, batch_finished, flipped, record_changed
from app.hooks import Hooks
from sync.core.model import Flip, State
from sync.field import Listener
from sync.ports import Event


class Telling(Listener):
    """A listener of the engine. ``host_of`` gives a node's host, empty where it has none."""

    def __init__(
        self,
        alerts: Alerts,
        hooks: Hooks,
        host_of: Callable[[str], str],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._alerts = alerts
        self._hooks = hooks
        self._host_of = host_of
        self._clock = clock
        self._served: set[str] = (
            set()
        )  # nodes that have been ready since the start; the engine's thread owns it

    def event(self, event: Event) -> None:
        """Everything but flips, which come by themselves."""
        if event.kind == "flip":
            return
        self._alerts.feed(*signals_of(event))
        for happening in records_of(event):
            self._hooks.fire(happening)
        if event.kind == "resync" and event.severity == "info" and event.node is not None:
            host = self._host_of(event.node)
            self._hooks.fire(batch_finished(event.at, event.node, "everything", None, host=host))

    def flip(self, flip: Flip) -> None:
        """A node changed its state; its first way into service after a start is no mistake of its."""
        self._alerts.feed(*signals_of_flip(flip, flip.node not in self._served))
        if flip.new is State.READY:
            self._served.add(flip.node)
        self._hooks.fire(flipped(flip, self._host_of(flip.node)))

    def batch(self, node: str, paths: Sequence[bytes]) -> None:
        """A batch is confirmed by the node."""
        host = self._host_of(node)
        self._hooks.fire(batch_finished(self._clock(), node, "files", paths, len(paths), host=host))


def records_of(event: Event) -> Iterator[Happening]:
    """What an operation at a provider published and withdrew; nothing for any other event, or one that
    failed.
    """
    if event.kind != "dns" or event.severity != "info" or "values" not in event.facts:
        return
    new, old = _texts(event, "values"), _texts(event, "old_values")
    where = {fact: str(event.facts.get(fact, "")) for fact in ("service", "name", "line", "reason")}
    where["record_type"] = str(event.facts.get("type", ""))
    for published, addresses in ((True, new - old), (False, old - new)):
        for address in sorted(addresses):
            yield record_changed(event.at, published, **where, address=address, node="")


def _texts(event: Event, fact: str) -> set[str]:
    found = event.facts.get(fact)
    return {str(one) for one in found} if isinstance(found, list | tuple) else set()
