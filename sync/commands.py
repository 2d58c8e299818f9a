"""What may be asked of a running engine from any thread; each command is carried out in the engine's thread."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TypeVar

from sync.core import health as healths
from sync.core.dustbin import Binned, discard, retry
from sync.core.model import Outcome, State
from sync.course import Course
from sync.field import Field
from sync.jobs import Batch, Report
from sync.node import Node, Order
from sync.ports import SaveBinned, Store
from sync.surveyor import Surveyor

T = TypeVar("T")

Done = Callable[[str, bool, str], None]


class UnknownNode(Exception):  # noqa: N818 - an answer to a command
    """A command named a node that is not configured."""


class Stopped(Exception):  # noqa: N818 - an answer to a command
    """The engine has ended or is ending."""


@dataclass(frozen=True, slots=True)
class Call:
    """An action on its way into the engine's thread."""

    action: Callable[[], object]
    answer: Future[object]

    def carry_out(self) -> None:
        if not self.answer.set_running_or_notify_cancel():
            return  # nobody waits any more
        try:
            self.answer.set_result(self.action())
        except Exception as error:  # noqa: BLE001 - the caller gets it
            self.answer.set_exception(error)


class Commands:
    """The commands of an Engine, which is the only one to inherit from this."""

    field: Field
    store: Store
    surveyor: Surveyor
    course: Course
    ended: bool
    _inbox: queue.SimpleQueue[object]

    def call(self, action: Callable[[], T], timeout_seconds: float = 10) -> T:
        """The action's answer, run in the engine's thread. Raises what it raises, TimeoutError when it is stuck,
        Stopped when the engine has ended.
        """
        answer: Future[object] = Future()
        if self.ended:
            raise Stopped("the content half is stopping")
        self._inbox.put(Call(action, answer))
        return answer.result(timeout_seconds)  # type: ignore[return-value]

    def post(self, action: Callable[[], object]) -> None:
        """Runs the action in the engine's thread, some time soon; nobody waits for it."""
        self._inbox.put(Call(action, Future()))

    def node(self, name: str) -> Node:
        """The node (for use in the engine's thread). Raises UnknownNode with the names there are."""
        try:
            return self.field.nodes[name]
        except KeyError:
            names = ", ".join(sorted(self.field.nodes)) or "none are configured"
            raise UnknownNode(f"there is no node {name!r}; the nodes are: {names}") from None

    def check(self, names: Iterable[str]) -> None:
        """Observes these nodes now."""
        wanted = list(names)

        def look() -> None:
            for name in wanted:
                self.course.observe(self.node(name))

        self.call(look)

    def resync(
        self, names: Iterable[str], *, accept_deletions: bool = False, done: Done | None = None
    ) -> str | None:
        """Asks for a full resync of these nodes; why the source's deletions could not be accepted, or None.

        A ready node is resynced in place and stays published; others as soon as their state allows.
        ``done`` is called once per node with (name, ok, message).
        """
        if accept_deletions:
            refused = self.surveyor.accept()
            if refused is not None:
                return refused
        wanted = list(names)

        def ask() -> None:
            for name in wanted:
                self._ask_resync(self.node(name), accept_deletions, done)

        self.call(ask)
        return None

    def _ask_resync(self, node: Node, accept: bool, done: Done | None) -> None:
        if node.parked:
            node.parked = False
            node.health = healths.new_node(self.field.wall(), node.name, "a full resync was asked for")
            node.start_recovery()
        if accept:
            node.accepted, node.held, node.would_delete = True, None, ()
            node.recovery_mono = node.retry_mono = self.field.mono()
        if done is not None:
            self._await_resync(node, done)
        if node.state is State.READY:
            node.resync_due = True
            node.retry_mono = 0.0

    def _await_resync(self, node: Node, done: Done) -> None:
        name = node.name
        if node.held is not None:
            done(name, False, node.held)
        elif node.state in (State.UNHEALTH, State.DEAD):
            done(name, False, f"is in {node.state} and is synced when it is well again: {node.health.reason}")
        else:
            self.course.await_resync(node, lambda ok, message: done(name, ok, message))

    def send_paths(self, name: str, batch: Batch, done: Callable[[Report], None]) -> None:
        """Sends a list to one node out of turn, between its other batches; ``done`` gets the report.

        A node that takes no changes now answers at once, with what it is busy with.
        """

        def order() -> None:
            node = self.node(name)
            if node.receives and not node.parked:
                node.orders.append(Order(batch, done))
            else:
                reason = f"is in {node.state} and takes no single paths: {node.health.reason}"
                done(Report(Outcome.BUSY, reason))

        self.call(order)

    def accept_deletions(self) -> str | None:
        """A person takes the source as it is; why not, or None."""
        return self.surveyor.accept()

    def drain(self, name: str, drained: bool) -> None:
        """Drains or undrains; stored, and over the file."""

        def act() -> None:
            node = self.node(name)
            node.drained_by_command = drained
            self.field.save(node)
            self.field.emit("nodes", "drained" if drained else "undrained", node=name)

        self.call(act)

    def retry_paths(self, wanted: Callable[[str, bytes], bool]) -> int:
        """Tries these dustbin entries again at once; how many there were."""
        return self.call(lambda: self._change_entries(wanted, lambda e: retry(e, self.field.wall())))

    def discard_paths(self, wanted: Callable[[str, bytes], bool]) -> int:
        """Stops trying these dustbin entries; the nodes go on lacking them. How many there were."""
        return self.call(lambda: self._change_entries(wanted, discard))

    def _change_entries(
        self, wanted: Callable[[str, bytes], bool], change: Callable[[Binned], Binned]
    ) -> int:
        count = 0
        for node in self.field.nodes.values():
            changed = [change(e) for e in node.dustbin.values() if wanted(node.name, e.path)]
            node.dustbin.update((entry.path, entry) for entry in changed)
            if changed:
                node.retry_mono = 0.0
                self.store.put(SaveBinned(changed))
            count += len(changed)
        return count
