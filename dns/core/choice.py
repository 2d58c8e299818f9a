"""Chooses the records of one record set, with a reason for each record and each absence. It writes nothing.

    the first tier with an address that may answer               its addresses
    none, and `fallback: any`                                    every other node's that may answer
    none, but a node that would count is unknown                 what stands, less what is known unfit
    none, and no fit node has an address of this type at all     nothing
    none, `when_none_ready: withdraw`                            nothing
    none, `when_none_ready: hold`                                what stands
    none, `when_none_ready: fallback`                            the service's own addresses

"May answer": known to be fit, or unknown and published already (unknown changes nothing). Of more than
`max_answers`, those that stand already stay, then the order of the configuration counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from dns.core.model import (
    Capabilities,
    DesiredRecord,
    Fallback,
    LinePlan,
    RecordKey,
    Service,
    WhenNoneReady,
    address_type,
    canonical_value,
)
from dns.core.offers import NodeIndex, Offer

OUTRANKED = "is fit, but others answer first"


class Choice(NamedTuple):
    """What a set holds, as far as it does not depend on its name."""

    records: tuple[DesiredRecord, ...]
    reason: str
    missing: Mapping[str, str]
    against: Mapping[str, str]
    unfit: Mapping[str, tuple[str, ...]]
    stopgap: bool = False


@dataclass(slots=True)
class Chooser:
    """One decision. `against` and `missing` grow as tiers are passed over."""

    service: Service
    key: RecordKey
    plan: LinePlan
    able: Capabilities
    known: NodeIndex
    standing: tuple[str, ...]

    def choose(self) -> Choice:
        """The records of the set, with reasons."""
        passed: list[str] = []
        tiers = self.plan.tiers if self.plan.tiers is not None else (tuple(self.known.nodes),)
        for tier in tiers:
            if chosen := self._answering(tier):
                return self._answer(chosen, tiers, (*passed, *tier), "")
            passed += [name for name in tier if name not in passed]
        if self.plan.fallback is Fallback.ANY:
            seen = set(passed)
            others = tuple(name for name in self.known.nodes if name not in seen)
            if chosen := self._answering(others):
                return self._answer(chosen, tiers, (*passed, *others), "stands in")
            passed += others
        return self._none(passed)

    def _offers(self, name: str) -> tuple[Offer, ...]:
        return self.known.offers(self.key.type, self.key.line, self.service.allow_private).get(name, ())

    def _answering(self, tier: Iterable[str]) -> list[tuple[str, Offer]]:
        """The tier's addresses that may answer, each once, with the node it is listed for."""
        found: dict[str, tuple[str, Offer]] = {}
        for name in tier:
            node = self.known.nodes.get(name)
            if node is None or node.drained:
                continue
            for offer in self._offers(name):
                if offer.fit or (offer.fit is None and offer.value in self.standing):
                    found.setdefault(offer.value, (name, offer))
        return list(found.values())

    def _answer(
        self,
        chosen: list[tuple[str, Offer]],
        tiers: Sequence[Sequence[str]],
        looked_at: tuple[str, ...],
        how: str,
    ) -> Choice:
        kept = self._limited(chosen)
        missing = {name: self._why_not(name) for tier in tiers for name in tier}
        for name, offer in kept:
            for holder in (name, *offer.nodes):
                missing.pop(holder, None)
        records = [self._record(name, offer, how) for name, offer in kept]
        records += self._unlearnt(looked_at, {r.value for r in records})
        records = records[: self._bound()]
        because = _sentence(
            [missing[n] for n in looked_at if not missing.get(n, OUTRANKED).endswith(OUTRANKED)]
        )
        names = ", ".join(dict.fromkeys(name for name, _ in kept))
        reason = f"{self.key.line} → node{'s' if ',' in names else ''} {names}"
        reason += f": {because}" if because else ""
        return self._choice(records, reason, missing)

    def _limited(self, chosen: list[tuple[str, Offer]]) -> list[tuple[str, Offer]]:
        bound = self._bound()
        if bound is None or len(chosen) <= bound:
            return chosen
        stays = sorted(chosen, key=lambda pair: pair[1].value not in self.standing)[:bound]
        values = {offer.value for _, offer in stays}
        return [pair for pair in chosen if pair[1].value in values]

    def _bound(self) -> int | None:
        return min((n for n in (self.plan.max_answers, self.able.max_answers) if n is not None), default=None)

    def _record(self, name: str, offer: Offer, how: str) -> DesiredRecord:
        if offer.fit is None:
            reason = f"{offer.why}: what is unknown changes nothing, so it stays"
        else:
            reason = f"node {name} is ready and in sync" + (f" and {how}" if how else "")
        return DesiredRecord(offer.value, self.service.ttl, self._weight(name), offer.nodes, reason)

    def _weight(self, name: str) -> int | None:
        return self.plan.weights.get(name, 1) if self.able.weights and self.plan.weights else None

    def _unlearnt(self, names: Iterable[str], have: set[str]) -> list[DesiredRecord]:
        """What stands and may be the address of a node whose addresses have not been learnt yet."""
        unlearnt = [n for n in names if n in self.known.nodes and not self.known.nodes[n].addresses_known]
        if not unlearnt:
            return []
        why = f"may be the address of node {unlearnt[0]}, which has not been learnt yet, so it stays"
        return [self._kept(v, why) for v in self.standing if v not in self.known.holders and v not in have]

    def _kept(self, value: str, reason: str) -> DesiredRecord:
        holders = tuple(node.name for node, _ in self.known.holders.get(value, ()))
        return DesiredRecord(value, self.service.ttl, None, holders, reason)

    def _none(self, passed: Sequence[str]) -> Choice:
        missing = {name: self._why_not(name) for name in passed}
        because = _sentence(list(missing.values())) or "no node is configured for it"
        records, outcome, stopgap = self._left(passed, because)
        choice = self._choice(records, f"{self.key.line} → {outcome}: {because}", missing)
        return choice._replace(stopgap=stopgap)

    def _left(self, passed: Sequence[str], because: str) -> tuple[tuple[DesiredRecord, ...], str, bool]:
        """What stands when no address may answer, the words for it, and whether it is a stopgap."""
        nodes = [self.known.nodes[name] for name in passed if name in self.known.nodes]
        offers = [offer for node in nodes for offer in self._offers(node.name)]
        doubtful = [n for n in nodes if not n.drained and (n.fit is None or not n.addresses_known)]
        if doubtful or any(o.fit is None for o in offers):
            stays = [v for v in self.standing if self._bad(v) is None]
            if stays:
                return (
                    tuple(self._kept(v, "what is unknown changes nothing") for v in stays),
                    "as it is",
                    False,
                )
        if not offers and any(node.fit and not node.drained for node in nodes):
            return (), "nothing", False
        if self.service.when_none_ready is WhenNoneReady.HOLD and self.standing:
            why = f"no node is fit, and the service holds its last answer: {because}"
            return tuple(self._kept(v, why) for v in self.standing), "its last answer, held", True
        if self.service.when_none_ready is WhenNoneReady.FALLBACK and (own := self._own_addresses()):
            why = f"no node is fit, so the service's fallback address answers: {because}"
            return tuple(self._kept(v, why) for v in own), "the fallback addresses", True
        return (), "nothing", False

    def _own_addresses(self) -> list[str]:
        same = (a for a in self.service.fallback_addresses if address_type(a) == self.key.type)
        return list(dict.fromkeys(canonical_value(self.key.type, a) for a in same))

    def _why_not(self, name: str) -> str:
        """Why this node does not answer here, as a clause."""
        node = self.known.nodes.get(name)
        if node is None:
            return f"node {name} is not configured"
        if node.drained:
            return f"node {name} is drained"
        offers = self._offers(name)
        if node.fit is not True:
            return f"node {name} {node.reason or 'is not known to be ready and in sync'}"
        if not offers:
            return f"node {name} has no {'IPv6' if self.key.type == 'AAAA' else 'IPv4'} address for this line"
        return next(
            (o.why for o in offers if o.fit is not True), f"node {name} is fit, but others answer first"
        )

    def _bad(self, value: str) -> str | None:
        """Why a value that stands must not, None when nothing is known against it."""
        if value not in self.known.holders:
            return None
        offer = self.known.verdict(value).judged(self.service.allow_private)
        return offer.why if offer.fit is False else None

    def _choice(self, records: Sequence[DesiredRecord], reason: str, missing: Mapping[str, str]) -> Choice:
        """The choice with what it is against: what stands and should not."""
        wanted = {r.value for r in records}
        going = [v for v in self.standing if v not in wanted]
        unfit = {v: self._unfit_holders(v) for v in going if self._bad(v) is not None}
        return Choice(tuple(records), reason, missing, {v: self._gone(v) for v in going}, unfit)

    def _unfit_holders(self, value: str) -> tuple[str, ...]:
        """The undrained nodes whose health speaks against a value; none where all its holders are drained."""
        if self.known.verdict(value).fit is not False:
            return ()
        return tuple(node.name for node, _ in self.known.holders[value] if not node.drained)

    def _gone(self, value: str) -> str:
        if value not in self.known.holders:
            return f"{value} is no node's address any more"
        return self._bad(value) or f"node {self.known.verdict(value).nodes[0]} is not wanted here any more"


def _sentence(clauses: Sequence[str]) -> str:
    """The clauses, each once; of many the first three."""
    each = list(dict.fromkeys(clauses))
    more = f"; and {len(each) - 3} more" if len(each) > 3 else ""
    return "; ".join(each[:3]) + more
