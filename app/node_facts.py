"""Says what is known of every node now: fitness, hold-downs, addresses. It decides no record and asks nobody."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping

from app.address_book import AddressBook
from app.aftermath import Aftermath
from app.config.schema.nodes import NodeConfig
from app.holddowns import HoldDowns
from app.noderail import NodeRail
from dns.core.model import Address, NodeFacts
from sync.core.model import Flip, State
from sync.engine import Engine
from sync.field import Fitness
from sync.node import Node

UNKNOWN = Fitness(None, "is not known yet")
GONE = "is gone from the configuration with over half of the others"
ANEW = "is looked at anew, since the supervisor was cut off while it did not answer"
ARRIVING = "is being resynced after the start, and not proven yet"


class Knowledge:
    """Answers from memory, to any thread."""

    def __init__(self, engine: Engine, book: AddressBook, holddowns: HoldDowns, rail: NodeRail) -> None:
        self._engine, self._book, self._holddowns, self._rail = engine, book, holddowns, rail
        self.aftermath = Aftermath()
        self._lock = threading.Lock()  # owns what follows
        self._lines: Mapping[str, tuple[str, ...]] = {}
        self._arriving: set[str] = set()  # nodes whose first resync since the start has not ended yet

    def begin(self) -> None:
        """Looks at the nodes as the engine restored them; ``remember`` what it says of them comes after."""
        with self._lock:
            self._arriving = {
                name
                for name, node in dict(self._engine.field.nodes).items()
                if _is_arriving(node) and not self._holddowns.has_left(name)
            }

    def set_nodes(self, nodes: Iterable[NodeConfig]) -> None:
        """Takes the list of nodes, before the engine does: what is gone must not look like an order."""
        lines = {node.name: tuple(node.lines) for node in nodes}
        with self._lock:
            had = dict(self._lines)
        before = self._rail.gone
        self._rail.take(lines)
        with self._lock:
            # One that was gone with the others comes back through a full resync, which is no evidence against it.
            self._arriving |= before & lines.keys()
            self._lines = {**had, **lines} if self._rail.gone else lines

    def remember(self, changed: Mapping[str, Fitness]) -> None:
        """Notes who leaves and who returns."""
        for name, fitness in changed.items():
            known = self._judged(name, fitness)
            if known.fit is not None:
                self._holddowns.note(name, known.fit)

    def flipped(self, flip: Flip) -> bool:
        """Whether something is known of the node from now on: it left its first recovery since the start, or what ends
        the second look at it speaks against it.
        """
        known = self.aftermath.flipped(flip)
        with self._lock:
            known = known or flip.node in self._arriving
            self._arriving.discard(flip.node)
        if known and flip.new is not State.READY:
            self._remember_again(flip.node)
        return known

    def _remember_again(self, name: str) -> None:
        """What was said of it before, which was no evidence then."""
        self.remember({name: self._engine.field.fitness().get(name, UNKNOWN)})

    def address_probed(self, node: str, address: str, good: bool) -> None:
        """An address's own probes said something new."""
        self._holddowns.note(_address_key(node, address), good)

    def facts(self, hold_down_seconds: float) -> list[NodeFacts]:
        """What the DNS half is told. Nodes gone with over half of the others are unknown, wherever they are."""
        self._rail.load()  # which the start may have failed to
        for name in self.aftermath.believed(self._states):
            self._remember_again(name)
        fitness = self._engine.field.fitness()
        nodes = dict(self._engine.field.nodes)
        with self._lock:
            lines = self._lines
        found = []
        for name, node in nodes.items():
            known = self._judged(name, fitness.get(name, UNKNOWN))
            if known.fit and (waits := self._holddowns.waits(name, hold_down_seconds)):
                known = Fitness(None, waiting_sentence(*waits[:2]))
            addresses, heard = self._book.addresses(name)
            if known.fit is not False:
                addresses = tuple(self._held_down(name, address, hold_down_seconds) for address in addresses)
            found.append(
                NodeFacts(name, known.fit, known.reason, node.drained, lines.get(name, ()), addresses, heard)
            )
        gone = sorted(self._rail.gone - nodes.keys())
        return found + [
            NodeFacts(name, None, GONE, lines=lines.get(name, ()), addresses_known=False) for name in gone
        ]

    def _states(self) -> dict[str, State]:
        return {name: node.state for name, node in dict(self._engine.field.nodes).items()}

    def known(self, facts: Iterable[NodeFacts]) -> tuple[int, int]:
        """How many of these nodes have been judged since the start, of how many; a hold-down is no doubt."""
        fitness = self._engine.field.fitness()
        names = [node.name for node in facts if node.reason is not GONE]
        judged = [n for n in names if self._judged(n, fitness.get(n, UNKNOWN)).fit is not None]
        return len(judged), len(names)

    def waiting(self, hold_down_seconds: float) -> dict[str, str]:
        """The nodes that are fit and wait for the end of their hold-down, with the sentence that says so."""
        found = {}
        for name, known in self._engine.field.fitness().items():
            if known.fit and (waits := self._holddowns.waits(name, hold_down_seconds)):
                found[name] = waiting_sentence(*waits[:2])
        return found

    def _judged(self, name: str, fitness: Fitness) -> Fitness:
        """The first resync after a start is no evidence against a node: it did not leave anything (promise 3). Nor is
        what was seen while the supervisor was cut off.
        """
        if fitness.fit is not False:
            return fitness
        node = self._engine.field.nodes.get(name)
        if node is not None and name in self._arriving and node.state is State.RECOVERY:
            return Fitness(None, ARRIVING)
        if node is not None and self.aftermath.spares(name, node.state):
            return Fitness(None, ANEW)
        return fitness

    def _held_down(self, node: str, address: Address, first_seconds: float) -> Address:
        """An address that came back after its own probes had failed waits as a node does."""
        waits = (
            self._holddowns.waits(_address_key(node, address.value), first_seconds) if address.fit else None
        )
        if waits is None:
            return address
        why = waiting_sentence(*waits[:2])
        return Address(address.value, address.lines, None, why, address.shared)


def _is_arriving(node: Node) -> bool:
    return node.at_start and not node.parked and node.state is State.RECOVERY and node.cursor is None


def waiting_sentence(since: float, wait_seconds: float) -> str:
    """Why a node that is fit is not published yet; the same sentence for as long as it waits."""
    at = time.strftime("%H:%M:%S", time.localtime(since))
    return f"is back since {at} and is published again after {wait_seconds:.0f} s without a break"


def _address_key(node: str, address: str) -> str:
    """An address's name among the hold-downs; a node's name holds no blank."""
    return f"{node} {address}"
