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
from dns.core.guard import Context, Hold, guard
from dns.core.model import DesiredSet, Observed, Operation, Plan, RecordKey, Service, ZoneKey
from dns.core.ownership import Entry
from dns.errors import ProviderError
from dns.ledger import History, HistoryEntry, Ledger, OwedLedger
from dns.planner import Facts, Planned, Planner, answering
from dns.providers.port import Provider

ROUNDS = 5
"""How often a pass begins anew because the facts or the zone changed under it."""


@dataclass(frozen=True)
class Pass:
    """What came of a pass.

    `held`: why nothing of the plan was carried out, None when it was (or nothing was due); `error`: why
    the zone could not be read; `sets_held`: set by set, why it was left alone. `published`: what stands
    on our account now. `unfinished`: why the plan was not carried out to its end, empty when it was.
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
        self._ledger = OwedLedger(ledger)
        self._planner = Planner(provider, self._ledger, remark, clock)
        self._carrier = Carrier(provider, self._ledger, history, clock, stop or threading.Event())

    def plan(
        self, zone: str, services: Sequence[Service], facts: Facts, adopt: Collection[str] = ()
    ) -> Planned:
        """What would be done; see `Planner.plan`."""
        return self._planner.plan(zone, services, facts, adopt)

    def reconcile(
        self,
        zone: str,
        services: Sequence[Service],
        facts: Facts,
        context: Callable[[Planned], Context],
        adopt: Collection[str] = (),
        interrupted: Callable[[], bool] = lambda: False,
    ) -> Pass:
        """One pass over a zone of this provider; raises nothing that a provider or the ledger does.

        `services` are those of this provider and zone; `facts` is asked for at the start and again before
        each operation, so it must be quick and never wait; `context` is asked once there is something to
        do, and it may take the second that the isolation question takes. `adopt` names services whose
        record sets are taken over as they stand. `interrupted`, asked before each operation, drops the
        rest and asks `context` anew: a person froze the records, or we were cut off.
        """
        so_far = Pass(ZoneKey(self.provider.name, zone), None)
        for _ in range(ROUNDS):
            try:
                planned = self._planner.plan(zone, services, facts, adopt)
            except ProviderError as error:
                return replace(so_far, error=error)
            so_far = replace(
                so_far,
                planned=planned,
                published=planned.published,
                drift={**so_far.drift, **planned.drift},
                adopted=so_far.adopted + planned.adopted,
            )
            around = context(planned) if planned.plan else Context()
            around = replace(around, falls_back=self.provider.capabilities(zone).line_fallback_to_default)
            verdict = guard(planned.plan, completed(around, planned, services))
            if isinstance(verdict, Hold):
                return replace(
                    so_far,
                    sets_held=verdict.plan.held,
                    held=verdict.reason,
                    needs_person=verdict.needs_person,
                )
            carried = self._carry_out(planned, verdict.plan, services, facts, interrupted)
            so_far = replace(so_far, entries=(*so_far.entries, *carried.entries))
            if not carried.again:
                break
        return self._finished(so_far, planned, verdict.plan, carried)

    def _carry_out(
        self,
        planned: Planned,
        plan: Plan,
        services: Sequence[Service],
        facts: Facts,
        interrupted: Callable[[], bool],
    ) -> Carried:
        if not plan.operations:
            return Carried()
        seen = [planned.facts]

        def still_wanted(rest: tuple[Operation, ...]) -> bool:
            if interrupted():
                return False
            now = tuple(facts())
            if now == seen[0]:
                return True
            seen[0] = now
            desired = self._planner.desired(planned, services, now)
            return all(_same_values(desired, planned.desired, operation.key) for operation in rest)

        return self._carrier.carry_out(plan, planned.desired, planned.observed, still_wanted)

    def _finished(self, so_far: Pass, planned: Planned, plan: Plan, carried: Carried) -> Pass:
        after = self._planner.read_again(planned) if carried.touched else planned.observed
        published = dict(planned.published)
        for key in (*planned.ownership.owned, *carried.touched):
            if after.knows(key):
                published[key] = answering(after.records(key))
        if self.provider.capabilities(planned.zone.zone).reads_back:
            self._settle(planned, after, carried)
        return replace(
            so_far,
            sets_held={**plan.held, **carried.held},
            published=published,
            unfinished=carried.dropped,
            retry_after_seconds=carried.retry_after_seconds,
        )

    def _settle(self, planned: Planned, after: Observed, carried: Carried) -> None:
        """Tell the ledger what stands: ids it lacks, sets the remarks gave back, intents of earlier passes.

        An intent of this pass stays: a listing that lags behind must not make its record an orphan.
        """
        entries, away = self._planner.entries(planned.zone)
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


def completed(context: Context, planned: Planned, services: Sequence[Service]) -> Context:
    """The context with what follows from the plan itself."""
    return replace(
        context,
        configured_names=frozenset(service.fqdn for service in services),
        evidence=planned.unfit,
        no_nodes=not planned.facts,
        answering=sum(1 for values in planned.published.values() if values),
    )


def _same_values(
    one: Mapping[RecordKey, DesiredSet], other: Mapping[RecordKey, DesiredSet], key: RecordKey
) -> bool:
    if key not in one or key not in other:
        return (key in one) == (key in other)
    return set(one[key].values) == set(other[key].values)
