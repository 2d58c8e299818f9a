"""One pass for one zone: read what stands, compute what should, plan and guard, carry out. It decides
nothing itself.

A pass in which nothing has changed sends one listing and no write. One executor serves one provider, from
one thread.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from dns.carrier import Carried, Carrier
from dns.core.desired import claims, compute
from dns.core.diff import diff
from dns.core.guard import Context, Hold, guard
from dns.core.model import (
    Capabilities,
    DesiredSet,
    NodeFacts,
    Observed,
    Operation,
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
from dns.ledger import History, HistoryEntry, Ledger, LedgerUnavailableError, OwedLedger
from dns.providers.port import Provider

ROUNDS = 5
"""How often a pass begins anew because the facts or the zone changed under it."""

Facts = Callable[[], Sequence[NodeFacts]]


@dataclass(frozen=True)
class Planned:
    """A zone as it was read and what follows from it; nothing has been written."""

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


@dataclass(frozen=True)
class Pass:
    """What came of a pass.

    `held`: why nothing of the plan was carried out, None when it was (or nothing was due); `error`: why
    the zone could not be read; `sets_held`: set by set, why it was left alone. `published`: what stands
    on our account now.
    """

    zone: ZoneKey
    planned: Planned | None
    entries: tuple[HistoryEntry, ...] = ()
    held: str | None = None
    needs_person: bool = False
    error: ProviderError | None = None
    sets_held: Mapping[RecordKey, str] = field(default_factory=dict)
    published: Mapping[RecordKey, tuple[str, ...]] = field(default_factory=dict)
    drift: Mapping[RecordKey, str] = field(default_factory=dict)
    adopted: tuple[RecordKey, ...] = ()
    unfinished: str = ""
    retry_after_seconds: float | None = None

    @property
    def applied(self) -> int:
        """How many operations were accepted."""
        return sum(1 for entry in self.entries if entry.ok)


class Executor:
    """Passes over the zones of one provider."""

    def __init__(
        self,
        provider: Provider,
        ledger: Ledger,
        history: History,
        *,
        remark: str = "",
        clock: Callable[[], float] = time.time,
        stop: threading.Event | None = None,
    ) -> None:
        self.provider = provider
        self._ledger, self._clock, self._remark = OwedLedger(ledger), clock, remark
        self._known: dict[ZoneKey, Mapping[RecordKey, Entry]] = {}
        self._carrier = Carrier(provider, self._ledger, history, clock, stop or threading.Event())

    def reconcile(
        self,
        zone: str,
        services: Sequence[Service],
        facts: Facts,
        context: Callable[[Planned], Context],
        adopt: Collection[str] = (),
    ) -> Pass:
        """One pass over a zone of this provider; raises nothing that a provider or the ledger does.

        `services` are those of this provider and zone; `facts` is asked for at the start and again before
        each operation, so it must be quick and never wait; `context` is asked once there is something to
        do, and it may take the second that the isolation question takes. `adopt` names services whose
        record sets are taken over as they stand.
        """
        entries: list[HistoryEntry] = []
        drift: dict[RecordKey, str] = {}
        taken: tuple[RecordKey, ...] = ()
        for _ in range(ROUNDS):
            try:
                planned = self.plan(zone, services, facts, adopt)
            except ProviderError as error:
                return Pass(ZoneKey(self.provider.name, zone), None, tuple(entries), error=error)
            drift.update(planned.drift)
            taken += planned.adopted
            around = context(planned) if planned.plan else Context()
            verdict = guard(planned.plan, _completed(around, planned, services))
            if isinstance(verdict, Hold):
                return _held(planned, verdict, entries, drift, taken)
            carried = self._carry_out(planned, verdict.plan, zone, services, facts)
            entries += carried.entries
            if not carried.again:
                break
        return self._finished(planned, verdict.plan, carried, entries, drift, taken)

    def plan(
        self, zone: str, services: Sequence[Service], facts: Facts, adopt: Collection[str] = ()
    ) -> Planned:
        """Read the zone and say what would be done; writes nothing but what `adopt` takes over into the
        ledger.

        Raises ProviderError when the zone cannot be read.
        """
        key = ZoneKey(self.provider.name, zone)
        able = self.provider.capabilities(zone)
        entries, away = self._entries(key)
        nodes = tuple(facts())
        known = index(nodes)
        claimed = claims(services, known, {key: able}).get(key, {})
        names = frozenset(k.name for k in (*claimed, *entries))
        observed = self._observe(key, able, names, entries)
        taken = self._adopt(key, claimed, observed, entries, adopt)
        if taken:
            entries, away = self._entries(key)
        ownership = decide(claimed, observed, entries, able, self._remark)
        published = {k: _answering(observed.records(k)) for k in ownership.owned if observed.knows(k)}
        result = compute(services, known, {key: published}, self._clock(), {key: able})
        desired = result.of(key)
        plan = diff(key, desired, observed, ownership, able, self._remark)
        if away:
            plan = withdrawals_only(plan, desired, observed)
        drift = _drift(ownership, observed, entries, able)
        return Planned(
            key, names, plan, desired, observed, ownership, published, nodes, result.problems, drift, taken
        )

    def _entries(self, key: ZoneKey) -> tuple[Mapping[RecordKey, Entry], bool]:
        """The ledger's entries, those of last time while it is away; and whether it is."""
        try:
            self._known[key] = self._ledger.entries(key)
        except LedgerUnavailableError:
            return self._known.get(key, {}), True
        return self._known[key], False

    def _observe(
        self, key: ZoneKey, able: Capabilities, names: frozenset[str], entries: Mapping[RecordKey, Entry]
    ) -> Observed:
        if not able.reads_back:
            return Observed({k: RecordSet(k, entry.records) for k, entry in entries.items() if entry.records})
        return self.provider.observe(key.zone, names) if names else Observed()

    def _adopt(
        self,
        key: ZoneKey,
        claimed: Mapping[RecordKey, str],
        observed: Observed,
        entries: Mapping[RecordKey, Entry],
        services: Collection[str],
    ) -> tuple[RecordKey, ...]:
        """Take over what stands in the sets of these services and is not in the ledger as it stands."""
        wanted = [k for k, service in claimed.items() if service in services]
        found = adopted(wanted, observed, "")
        taken = []
        for record_key, entry in found.items():
            if record_key in entries and entry.values <= entries[record_key].values:
                continue
            self._ledger.settle(key, record_key, claimed[record_key], entry.records)
            taken.append(record_key)
        return tuple(taken)

    def _carry_out(
        self, planned: Planned, plan: Plan, zone: str, services: Sequence[Service], facts: Facts
    ) -> Carried:
        if not plan.operations:
            return Carried()
        seen = [planned.facts]

        def still_wanted(rest: tuple[Operation, ...]) -> bool:
            now = tuple(facts())
            if now == seen[0]:
                return True
            seen[0] = now
            able = {planned.zone: self.provider.capabilities(zone)}
            desired = compute(services, now, {planned.zone: planned.published}, self._clock(), able).of(
                planned.zone
            )
            return all(_same_values(desired, planned.desired, operation.key) for operation in rest)

        return self._carrier.carry_out(plan, planned.desired, planned.observed, still_wanted)

    def _finished(
        self,
        planned: Planned,
        plan: Plan,
        carried: Carried,
        entries: list[HistoryEntry],
        drift: Mapping[RecordKey, str],
        taken: tuple[RecordKey, ...],
    ) -> Pass:
        held = {**plan.held, **carried.held}
        published = dict(planned.published)
        after = self._read_again(planned, carried) if carried.touched else planned.observed
        for key in (*planned.ownership.owned, *carried.touched):
            if after.knows(key):
                published[key] = _answering(after.records(key))
        self._settle(planned, after, carried)
        return Pass(
            *(planned.zone, planned, tuple(entries), None, False, None, held, published, drift, taken),
            *(carried.dropped, carried.retry_after_seconds),
        )

    def _read_again(self, planned: Planned, carried: Carried) -> Observed:
        """What stands after the plan; incomplete when it cannot be read: the next pass will."""
        able = self.provider.capabilities(planned.zone.zone)
        entries, _ = self._entries(planned.zone)
        try:
            return self._observe(planned.zone, able, planned.names, entries)
        except ProviderError as error:
            return Observed(complete=False, why=str(error))

    def _settle(self, planned: Planned, after: Observed, carried: Carried) -> None:
        """Tell the ledger what stands: ids only a listing knows, sets the remarks gave back, old
        intents.
        """
        entries, away = self._entries(planned.zone)
        before = planned.ownership.entries
        learnt = {key: e.service for key, e in planned.ownership.regained.items()}
        learnt.update({key: e.service for key, e in before.items() if e.intended or key in planned.drift})
        for key, service in {**learnt, **carried.touched}.items():
            entry, records = entries.get(key, Entry(service)), after.records(key)
            fresh = set(entry.intended) - set(before[key].intended if key in before else ())
            if away or not after.knows(key) or key in planned.ownership.held or fresh:
                continue
            if key in carried.touched and entry.values != {r.value for r in records}:
                continue  # a listing may lag behind what was accepted; the answer counts
            if entry.intended or entry.records != records:
                self._ledger.settle(planned.zone, key, service, records)


def _held(
    planned: Planned,
    verdict: Hold,
    entries: list[HistoryEntry],
    drift: Mapping[RecordKey, str],
    taken: tuple[RecordKey, ...],
) -> Pass:
    return Pass(
        *(planned.zone, planned, tuple(entries), verdict.reason, verdict.needs_person, None),
        *(verdict.plan.held, planned.published, drift, taken),
    )


def _completed(context: Context, planned: Planned, services: Sequence[Service]) -> Context:
    """The context with what follows from the plan itself."""
    return replace(
        context,
        configured_names=frozenset(service.fqdn for service in services),
        evidence=planned.unfit,
        answering=sum(1 for values in planned.published.values() if values),
    )


def _answering(records: Sequence[Record]) -> tuple[str, ...]:
    return tuple(r.value for r in records if r.enabled)


def _same_values(
    one: Mapping[RecordKey, DesiredSet], other: Mapping[RecordKey, DesiredSet], key: RecordKey
) -> bool:
    if key not in one or key not in other:
        return (key in one) == (key in other)
    return set(one[key].values) == set(other[key].values)


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
        was, now = {r.value for r in entry.records}, set(_answering(observed.records(key)))
        if was != now:
            change = f"{', '.join(sorted(was))} → {', '.join(sorted(now)) or 'nothing'}"
            found[key] = f"{key} was changed at the provider: {change}"
    return found
