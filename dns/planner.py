"""Reads a zone and says what would be done about it. It changes nothing at the provider.

The one thing it writes is the ledger's word for record sets that an operator hands over.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from dns.core.desired import claims, compute
from dns.core.diff import diff
from dns.core.model import (
    Capabilities,
    DesiredSet,
    NodeFacts,
    Observed,
    Plan,
    Record,
    RecordKey,
    RecordSet,
    Service,
    ZoneKey,
)
from dns.core.offers import index
from dns.core.ownership import Entry, Ownership, adopted, decide
from dns.core.withdrawal import withdrawals_only
from dns.errors import ProviderError
from dns.ledger import LedgerUnavailableError, OwedLedger
from dns.providers.port import Provider

Facts = Callable[[], Sequence[NodeFacts]]


@dataclass(frozen=True)
class Planned:
    """A zone as it was read and what follows from it; nothing has been written.

    `published`: what answers now, in the sets that are ours; `drift`: sets that somebody changed since we
    wrote them, in a sentence each; `problems`: services that cannot be written as configured.
    """

    zone: ZoneKey
    names: frozenset[str]
    plan: Plan
    desired: Mapping[RecordKey, DesiredSet]
    observed: Observed
    ownership: Ownership
    published: Mapping[RecordKey, tuple[str, ...]]
    facts: tuple[NodeFacts, ...]
    problems: tuple[str, ...] = ()
    drift: Mapping[RecordKey, str] = field(default_factory=dict)
    adopted: tuple[RecordKey, ...] = ()

    @property
    def unfit(self) -> Mapping[RecordKey, frozenset[str]]:
        """Set by set, what the plan takes away on evidence: nodes known to be unfit, or drained."""
        going: dict[RecordKey, frozenset[str]] = {}
        for operation in self.plan.operations:
            wanted = self.desired.get(operation.key)
            gone = set(operation.old_values) - set(operation.values)
            if wanted and (evident := gone & wanted.unfit.keys()):
                going[operation.key] = going.get(operation.key, frozenset()) | evident
        return going

    @property
    def suspects(self) -> frozenset[str]:
        """The nodes whose health is why something is withdrawn; none, and nobody need be asked."""
        sets = self.unfit.items()
        return frozenset(name for key, gone in sets for v in gone for name in self.desired[key].unfit[v])


class Planner:
    """Plans for the zones of one provider. It remembers the ledger's entries for the time that it is
    away.
    """

    def __init__(
        self, provider: Provider, ledger: OwedLedger, remark: str, clock: Callable[[], float]
    ) -> None:
        self._provider, self._ledger, self._remark, self._clock = provider, ledger, remark, clock
        self._known: dict[ZoneKey, Mapping[RecordKey, Entry]] = {}

    def plan(
        self, zone: str, services: Sequence[Service], facts: Facts, adopt: Collection[str] = ()
    ) -> Planned:
        """What would be done. `adopt` names services whose record sets are taken over as they stand.

        Raises ProviderError when the zone cannot be read.
        """
        key = ZoneKey(self._provider.name, zone)
        able = self._provider.capabilities(zone)
        entries, away = self.entries(key)
        nodes = tuple(facts())
        known = index(nodes)
        claimed = claims(services, known, {key: able}).get(key, {})
        names = frozenset(k.name for k in (*claimed, *entries))
        observed = self.read(key, names)
        taken = self._adopt(key, claimed, observed, entries, adopt)
        if taken:
            entries, away = self.entries(key)
        ownership = decide(claimed, observed, entries, able, self._remark)
        published = {k: answering(observed.records(k)) for k in ownership.owned if observed.knows(k)}
        result = compute(services, known, {key: published}, self._clock(), {key: able})
        desired = result.of(key)
        plan = diff(key, desired, observed, ownership, able, self._remark)
        if away:
            plan = withdrawals_only(plan, desired, observed)
        drift = _drift(ownership, observed, entries, able)
        read = (observed, ownership, published, nodes)
        return Planned(key, names, plan, desired, *read, result.problems, drift, taken)

    def desired(
        self, planned: Planned, services: Sequence[Service], nodes: Sequence[NodeFacts]
    ) -> Mapping[RecordKey, DesiredSet]:
        """What should stand by other facts than the plan was made from, everything else being the same."""
        able = {planned.zone: self._provider.capabilities(planned.zone.zone)}
        found = compute(services, nodes, {planned.zone: planned.published}, self._clock(), able)
        return found.of(planned.zone)

    def entries(self, key: ZoneKey) -> tuple[Mapping[RecordKey, Entry], bool]:
        """The ledger's entries, those of last time while it is away; and whether it is."""
        try:
            self._known[key] = self._ledger.entries(key)
        except LedgerUnavailableError:
            return self._known.get(key, {}), True
        return self._known[key], False

    def read(self, key: ZoneKey, names: frozenset[str]) -> Observed:
        """What stands at these names; the ledger's word where the provider cannot be read back."""
        if self._provider.capabilities(key.zone).reads_back:
            return self._provider.observe(key.zone, names) if names else Observed()
        entries, _ = self.entries(key)
        return Observed(
            {k: RecordSet(k, found) for k, entry in entries.items() if (found := _believed(entry))}
        )

    def read_again(self, planned: Planned) -> Observed:
        """What stands after the plan; incomplete when it cannot be read: the next pass will."""
        try:
            return self.read(planned.zone, planned.names)
        except ProviderError as error:
            return Observed(complete=False, why=str(error))

    def _adopt(
        self,
        key: ZoneKey,
        claimed: Mapping[RecordKey, str],
        observed: Observed,
        entries: Mapping[RecordKey, Entry],
        services: Collection[str],
    ) -> tuple[RecordKey, ...]:
        """Take over what stands in the sets of these services and is not in the ledger as it stands."""
        found = adopted([k for k, service in claimed.items() if service in services], observed, "")
        new = [k for k, entry in found.items() if k not in entries or not entry.values <= entries[k].values]
        for record_key in new:
            self._ledger.settle(key, record_key, claimed[record_key], found[record_key].records)
        return tuple(new)


def _believed(entry: Entry) -> tuple[Record, ...]:
    """What the ledger says stands. What may stand, since an answer was lost, is not counted upon to
    answer, and is therefore written again or taken away.
    """
    known = {r.value for r in entry.records}
    perhaps = (Record(value, 0, enabled=False) for value in entry.intended if value not in known)
    return (*entry.records, *perhaps)


def answering(records: Sequence[Record]) -> tuple[str, ...]:
    """The values that answer; disabled records do not."""
    return tuple(r.value for r in records if r.enabled)


def _drift(
    ownership: Ownership, observed: Observed, entries: Mapping[RecordKey, Entry], able: Capabilities
) -> dict[RecordKey, str]:
    """Sets that were changed by somebody else since we wrote them, in a sentence each."""
    found: dict[RecordKey, str] = {}
    if not able.reads_back:
        return found
    for key, entry in entries.items():
        if entry.intended or not observed.knows(key) or key in ownership.held:
            continue
        was, now = {r.value for r in entry.records}, set(answering(observed.records(key)))
        if was != now:
            change = f"{', '.join(sorted(was))} → {', '.join(sorted(now)) or 'nothing'}"
            found[key] = f"{key} was changed at the provider: {change}"
    return found
