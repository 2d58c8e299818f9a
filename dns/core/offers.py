"""Which address may answer where: every node's addresses judged once for all services. It chooses nothing.

An address's verdict has three values: True may be added, False must go, None changes nothing.

    the node       its address's own probes     the address
    drained        any                          must go
    known unfit    any                          must go
    known fit      bad                          must go
    unknown        good or unknown              changes nothing
    known fit      unknown                      changes nothing
    known fit      good                         may be added

An address with several undrained holders is as fit as the least fit of them; declared `shared`, as the
most fit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from dns.core.address import why_unpublishable
from dns.core.model import DEFAULT, Address, NodeFacts, address_type, canonical_value


class Offer(NamedTuple):
    """An address with its verdict; `why` completes "…, because" where the verdict is not True."""

    value: str
    fit: bool | None
    why: str
    nodes: tuple[str, ...]
    secluded: str | None
    """Why it may not be published unless private addresses are allowed; None when it may."""
    forbidden: str | None
    """Why it may not be published at all; None when it may."""

    def judged(self, allow_private: bool) -> Offer:
        """The offer as a service sees it that does or does not allow private addresses."""
        no = self.forbidden if allow_private else self.secluded
        if no is None:
            return self
        return self._replace(fit=False, why=f"its address {no}")


@dataclass
class NodeIndex:
    """The nodes, indexed once. Not for sharing between threads: it fills itself as lines are asked
    about.
    """

    nodes: Mapping[str, NodeFacts]
    holders: Mapping[str, tuple[tuple[NodeFacts, Address], ...]]
    _offers: dict[tuple[str, str, bool], dict[str, tuple[Offer, ...]]] = field(default_factory=dict)
    _verdicts: dict[str, Offer] = field(default_factory=dict)
    choices: dict[object, object] = field(default_factory=dict)
    """What `dns.core.desired` chose already, by everything the choice depends on."""

    def offers(self, record_type: str, line: str, allow_private: bool) -> Mapping[str, tuple[Offer, ...]]:
        """By node, the addresses of this type that may answer on this line."""
        wanted = (record_type, line, allow_private)
        if wanted not in self._offers:
            self._offers[wanted] = {
                name: tuple(
                    self.verdict(value).judged(allow_private)
                    for address in node.addresses
                    if (value := _canonical(address.value))
                    and address_type(value) == record_type
                    and (not address.lines or line in address.lines)
                )
                for name, node in self.nodes.items()
            }
        return self._offers[wanted]

    def verdict(self, value: str) -> Offer:
        """Whether this address may answer, over all its holders."""
        if value not in self._verdicts:
            self._verdicts[value] = _judge(value, self.holders[value])
        return self._verdicts[value]

    def on_line(self, line: str) -> tuple[str, ...]:
        """The nodes that say they are on this line; on default also those that say nothing."""
        return tuple(
            name
            for name, node in self.nodes.items()
            if line in node.lines or (line == DEFAULT and not node.lines)
        )

    def lines(self) -> tuple[str, ...]:
        """All lines that nodes name, in the nodes' order, without default."""
        named = (line for node in self.nodes.values() for line in node.lines if line != DEFAULT)
        return tuple(dict.fromkeys(named))


def index(nodes: Iterable[NodeFacts]) -> NodeIndex:
    """The nodes ready for `compute`; of two nodes with one name the first counts."""
    by_name: dict[str, NodeFacts] = {}
    for node in nodes:
        by_name.setdefault(node.name, node)
    holders: dict[str, list[tuple[NodeFacts, Address]]] = {}
    for node in by_name.values():
        for address in node.addresses:
            if value := _canonical(address.value):
                holders.setdefault(value, []).append((node, address))
    return NodeIndex(by_name, {value: tuple(pairs) for value, pairs in holders.items()})


def _canonical(value: str) -> str:
    """The canonical spelling, empty for what is no address (its source has said so already)."""
    try:
        return canonical_value(address_type(value), value)
    except ValueError:
        return ""


def _judge(value: str, holders: Sequence[tuple[NodeFacts, Address]]) -> Offer:
    names = tuple(node.name for node, _ in holders)
    undrained = [(node, address) for node, address in holders if not node.drained]
    secluded, forbidden = why_unpublishable(value), why_unpublishable(value, allow_private=True)
    if not undrained:
        return Offer(value, False, f"node {names[0]} is drained", names, secluded, forbidden)
    verdicts = [_holder(node, address) for node, address in undrained]
    shared = any(address.shared for _, address in undrained)
    order = (True, None, False) if shared else (False, None, True)
    fit, why = next((v, w) for wanted in order for v, w in verdicts if v is wanted)
    return Offer(value, fit, why, tuple(node.name for node, _ in undrained), secluded, forbidden)


def _holder(node: NodeFacts, address: Address) -> tuple[bool | None, str]:
    """One holder's verdict with its reason, as a clause."""
    if node.fit is False:
        return False, f"node {node.name} {node.reason or 'is not ready or not in sync'}"
    if address.fit is False:
        return (
            False,
            f"node {node.name}'s address {address.value} {address.why or 'does not answer its probes'}",
        )
    if node.fit is None:
        return None, f"node {node.name} {node.reason or 'is not known yet'}"
    if address.fit is None:
        return None, f"node {node.name}'s address {address.value} {address.why or 'is not known yet'}"
    return True, ""
