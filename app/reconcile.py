"""Keeps records in line with the nodes: one thread per provider, each pass read, compute, guard, apply.

It gathers the facts (fitness, hold-downs, addresses, freezes, the question whether we are cut off) and hands
them to the DNS half, which decides. A change of a node's fitness wakes every thread at once; a timer does the rest.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from app.address_book import AddressBook
from app.canaries import Roll
from app.config import Config
from app.config.schema.dns import LineConfig, ServiceConfig
from app.config.values import values_of
from app.stores.records import RecordStore
from app.views import Json, Published
from dns.core.guard import Context
from dns.core.holddown import HoldDown, left, remaining_seconds, returned
from dns.core.isolation import Isolation, judge
from dns.core.model import (
    DesiredSet,
    Fallback,
    LinePlan,
    NodeFacts,
    Operation,
    RecordKey,
    Service,
    WhenNoneReady,
)
from dns.core.ownership import remark_of
from dns.core.published import accounts, why_unpublished
from dns.errors import DnsError, ProviderError
from dns.executor import Executor, Pass
from dns.ledger import HistoryEntry, LedgerUnavailableError
from dns.planner import Planned
from dns.providers import make_provider
from dns.providers.port import Provider, Wiring
from sync.engine import Engine
from sync.field import Fitness, Listener

log = logging.getLogger(__name__)

COALESCE_SECONDS = 0.02  # flips of one moment become one plan
RETRY_SECONDS = 5.0
ANSWER_SECONDS = 120.0
Emit = Callable[..., None]


@dataclass
class _Request:
    """Something a provider's thread is asked to do for somebody who waits."""

    confirmed: bool = False
    adopt: frozenset[str] = frozenset()
    only_plan: bool = False
    answer: Future[list[Any]] = field(default_factory=Future)


class Reconciler(Listener):
    """The DNS half at work. ``start`` and ``stop`` once; ``configure`` at a start and at each reload."""

    def __init__(
        self,
        config: Config,
        engine: Engine,
        store: RecordStore,
        book: AddressBook,
        *,
        installation: str,
        at_once: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._config, self._engine, self.store, self._book = config, engine, store, book
        self._installation, self._at_once, self._clock = installation, at_once, clock
        self._started_at = clock()
        self._lock = threading.RLock()  # owns everything below
        self._holddowns: dict[str, HoldDown] = {}
        self._isolation = Isolation()
        self._broken: set[str] = set()  # providers that could not be made
        self._frozen = ""
        self._workers: dict[str, _Worker] = {}
        self._roll = Roll()
        self.counts: Counter[tuple[str, ...]] = Counter()
        self.lost = threading.Event()  # set when this supervisor must not write any more

    # ── life ─────────────────────────────────────────────────────────────────────────────────────────────

    def start(self) -> None:
        """Takes up what was stored, and starts a thread per provider that is used."""
        try:
            self._frozen = self.store.fact("frozen", "")
            stored = self.store.fact("hold-downs", {})
            self._holddowns = {name: HoldDown(*memory) for name, memory in stored.items()}
        except LedgerUnavailableError as error:
            log.warning("hold-downs and freezes of before the start are not known: %s", error)
        for name, fitness in self._engine.field.fitness().items():
            self._remember(name, fitness)
        self._start_workers()

    def stop(self) -> None:
        """Ends the threads; an operation under way is finished first, within its time limit."""
        self._stop_workers()
        self._roll.close()

    def configure(self, config: Config) -> None:
        """Takes another configuration: the workers begin anew, memories stay."""
        self._stop_workers()
        with self._lock:
            self._config = config
        self._start_workers()

    def _start_workers(self) -> None:
        config = self._config
        if not config.dns.enabled:
            return
        for name, section in config.dns.providers.items():
            services = [service_of(s) for s in config.dns.services if s.provider == name]
            zones = {s.zone_key.zone for s in services} | self._ledger_zones(name)
            if not zones:
                continue
            try:
                wiring = Wiring(notice=lambda sentence: self._emit(sentence, "warning"))
                provider = make_provider(name, section.kind, values_of(section), wiring)
            except DnsError as error:
                self._broken.add(name)
                self._emit(f"provider {name}: {error}", "error", about=f"provider {name}")
                continue
            if name in self._broken:
                self._broken.discard(name)
                self._emit(f"provider {name} is all right again", about=f"provider {name}")
            worker = _Worker(self, provider, services, sorted(zones), config.dns.reconcile_seconds)
            with self._lock:
                self._workers[name] = worker
            if not self._at_once:
                worker.start()

    def _ledger_zones(self, provider: str) -> set[str]:
        try:
            return self.store.zones(provider)
        except LedgerUnavailableError:
            return set()

    def _stop_workers(self) -> None:
        with self._lock:
            workers, self._workers = self._workers, {}
        for worker in workers.values():
            worker.stop()

    def _emit(self, message: str, severity: str = "info", kind: str = "dns", **facts: Any) -> None:
        self._engine.post(lambda: self._engine.field.emit(kind, message, severity=severity, **facts))

    # ── what wakes it ────────────────────────────────────────────────────────────────────────────────────

    def fitness(self, changed: Mapping[str, Fitness]) -> None:
        """From the engine's thread: notes it and wakes the providers' threads."""
        for name, fitness in changed.items():
            self._remember(name, fitness)
        self.wake()

    def wake(self) -> None:
        """Every provider's thread makes a pass soon."""
        with self._lock:
            workers = list(self._workers.values())
        for worker in workers:
            worker.wake()

    def _remember(self, name: str, fitness: Fitness) -> None:
        if fitness.fit is None:
            return
        with self._lock:
            before = self._holddowns.get(name, HoldDown())
            after = (returned if fitness.fit else left)(before, self._clock())
            if name not in self._holddowns and not fitness.fit:
                after = HoldDown()  # it has never been fit: there is nothing it flaps from
            if after == before and name in self._holddowns:
                return
            self._holddowns[name] = after
            stored = {n: [m.withdrawals, m.left_at, m.fit_since] for n, m in self._holddowns.items()}
        threading.Thread(target=self._store_holddowns, args=(stored,), name="hold-downs", daemon=True).start()

    def _store_holddowns(self, stored: Mapping[str, Any]) -> None:
        try:
            self.store.save_fact("hold-downs", stored)
        except LedgerUnavailableError as error:
            log.warning("hold-downs are kept in memory only: %s", error)

    # ── facts ────────────────────────────────────────────────────────────────────────────────────────────

    def facts(self) -> list[NodeFacts]:
        """What is known of every node at this moment. Never waits."""
        now = self._clock()
        fitness = self._engine.field.fitness()
        nodes = dict(self._engine.field.nodes)
        lines = {node.name: node.lines for node in self._config.nodes}
        found = []
        for name, node in nodes.items():
            known = fitness.get(name, Fitness(None, "not judged yet"))
            fit, reason = known.fit, known.reason
            waits = self._hold_down_left(name, now)
            if fit and waits > 0:
                fit, reason = None, f"is back and waits {waits:.0f} s before it is published again"
            addresses, heard = self._book.addresses(name)
            found.append(
                NodeFacts(name, fit, reason, node.drained, tuple(lines.get(name, ())), addresses, heard)
            )
        return found

    def _hold_down_left(self, name: str, now: float) -> float:
        with self._lock:
            memory = self._holddowns.get(name, HoldDown())
            if memory.fit_since is None:
                return 0.0
            return remaining_seconds(memory, now, self._config.dns.hold_down_seconds)

    def next_return_seconds(self) -> float | None:
        """When the next hold-down ends; None when none runs."""
        now = self._clock()
        with self._lock:
            names = list(self._holddowns)
        waits = [w for w in (self._hold_down_left(name, now) for name in names) if w > 0]
        return min(waits, default=None)

    def context(self, planned: Planned, confirmed: bool) -> Context:
        """What the guard must know besides the plan; asks whether we are cut off where that matters."""
        facts = planned.facts
        return Context(
            frozen=self.frozen_by_person(),
            cut_off=self._cut_off(planned),
            startup_hold_seconds=0.0 if self._at_once else self._config.dns.startup_hold_seconds,
            seconds_since_start=self._clock() - self._started_at,
            known_nodes=sum(
                1 for node in facts if self._engine.field.fitness().get(node.name, _UNKNOWN).fit is not None
            ),
            all_nodes=len(facts),
            confirmed=confirmed,
        )

    def _cut_off(self, planned: Planned) -> str:
        """The question before a withdrawal for health (design: one second at most)."""
        suspects = planned.suspects
        if not suspects and not self._isolation.cut_off:
            return ""
        published = set(self.published_nodes())
        nodes = dict(self._engine.field.nodes)
        others = {
            name: (nodes[name].settings.destination, nodes[name].settings.probes)
            for name in published - suspects
            if name in nodes
        }
        asked = self._roll.call(others, self._config.health.canaries)
        with self._lock:
            before = self._isolation
            after = self._isolation = judge(
                before, asked, self._clock(), self._config.health.isolation_seconds
            )
        if after.cut_off and not before.cut_off:
            self._emit(after.reason, "error", kind="cut_off")
        elif before.cut_off and not after.cut_off:
            self._emit("not cut off any more", kind="cut_off")
        return after.reason

    def interrupted(self) -> bool:
        """Whether operations must stop right now."""
        return bool(self._frozen) or self.lost.is_set()

    # ── results ──────────────────────────────────────────────────────────────────────────────────────────

    def note_pass(self, provider: str, result: Pass) -> None:
        """Counts and tells what came of a pass, and who is published now."""
        for entry in result.entries:
            self.counts["operations", provider, entry.action.value, "ok" if entry.ok else "failed"] += 1
            if not entry.ok:
                self.counts["errors", provider, entry.code] += 1
            text = f"{entry.action.value} {', '.join(entry.values) or ', '.join(entry.old_values)} for {entry.key}"
            outcome = entry.reason if entry.ok else f"failed: {entry.answer}"
            self._emit(
                f"{text}: {outcome}",
                "info" if entry.ok else "error",
                service=entry.service,
                provider=provider,
                name=entry.key.name,
                type=entry.key.type,
                line=entry.key.line,
                values=list(entry.values),
                old_values=list(entry.old_values),
                reason=entry.reason,
            )
        for key, sentence in result.drift.items():
            self._emit(f"{key} was changed at the provider: {sentence}", "warning")
        if result.error is not None:
            self.counts["errors", provider, result.error.code] += 1

    def published_nodes(self) -> dict[str, tuple[RecordKey, ...]]:
        """Each published node, with the record sets of ours in which one of its addresses stands."""
        published, desired = self._stands()
        return accounts(published, desired, self.facts())

    def _stands(self) -> tuple[dict[RecordKey, tuple[str, ...]], dict[RecordKey, DesiredSet]]:
        with self._lock:
            workers = list(self._workers.values())
        published: dict[RecordKey, tuple[str, ...]] = {}
        desired: dict[RecordKey, DesiredSet] = {}
        for worker in workers:
            published.update(worker.published())
            desired.update(worker.desired())
        return published, desired

    def publications(self) -> dict[str, Published]:
        """What pages and the API say of each node."""
        published, desired = self._stands()
        facts = self.facts()
        where = accounts(published, desired, facts)
        views = {}
        for node in facts:
            addresses = tuple(address.value for address in node.addresses)
            reason = None if where.get(node.name) else self._why_not(node, desired)
            views[node.name] = Published(reason is None, reason, addresses)
        return views

    def _why_not(self, node: NodeFacts, desired: Mapping[RecordKey, DesiredSet]) -> str:
        if not self._config.dns.enabled:
            return "DNS is switched off (dns.enabled)"
        if not self._config.dns.services:
            return "no service is configured"
        if node.drained:
            return "drained"
        if node.fit is not True:
            return node.reason
        return why_unpublished(node.name, desired) or "no service asks for it"

    def status(self) -> Json:
        """ "frozen" and "services" for the status view."""
        with self._lock:
            workers = dict(self._workers)
            frozen = self._frozen or self._isolation.reason or None
        services = []
        for service in self._config.dns.services:
            worker = workers.get(service.provider)
            services.append(
                {
                    "name": service.name,
                    "zone": service.zone,
                    "record": service.record,
                    "fqdn": service.fqdn,
                    "provider": service.provider,
                    "error": worker.trouble() if worker else None,
                    "lines": worker.lines_of(service.name) if worker else [],
                }
            )
        return {"frozen": f"frozen by a person: {frozen}" if self._frozen else frozen, "services": services}

    # ── commands ─────────────────────────────────────────────────────────────────────────────────────────

    def frozen_by_person(self) -> str:
        with self._lock:
            return self._frozen

    def freeze(self, reason: str) -> None:
        """Nothing is written until ``unfreeze``, over restarts too."""
        with self._lock:
            self._frozen = reason or "no reason given"
        self.store.save_fact("frozen", self._frozen)
        self._emit(f"frozen: {self._frozen}", "warning", about="frozen by a person")

    def unfreeze(self) -> None:
        """Goes on writing."""
        with self._lock:
            self._frozen = ""
        self.store.save_fact("frozen", "")
        self._emit("unfrozen", about="frozen by a person")
        self.wake()

    def plan(self) -> Json:
        """What would be done now, of every provider."""
        operations: list[Json] = []
        held: list[str] = []
        for planned in self._ask_all(_Request(only_plan=True)):
            if isinstance(planned, str):
                held.append(planned)
                continue
            operations += [operation_view(operation) for operation in planned.plan.operations]
            held += [f"{key}: {reason}" for key, reason in planned.plan.held.items()]
            held += list(planned.problems)
        if self.frozen_by_person():
            held.insert(0, f"frozen by a person: {self.frozen_by_person()}")
        return {"operations": operations, "held": "; ".join(dict.fromkeys(held)) or None}

    def apply(self, *, confirmed: bool, adopt: Collection[str] = ()) -> Json:
        """One pass over every zone now: how many operations were accepted, and what was held."""
        applied, failed, held = 0, 0, []
        for result in self._ask_all(_Request(confirmed=confirmed, adopt=frozenset(adopt))):
            if isinstance(result, str):
                held.append(result)
                continue
            applied += result.applied
            failed += sum(1 for entry in result.entries if not entry.ok)
            held += [result.held] if result.held else []
            held += [str(result.error)] if result.error else []
            held += [f"{key}: {reason}" for key, reason in result.sets_held.items()]
        return {"applied": applied, "failed": failed, "held": "; ".join(dict.fromkeys(held)) or None}

    def _ask_all(self, like: _Request) -> list[Any]:
        with self._lock:
            workers = list(self._workers.values())
        requests = [_Request(like.confirmed, like.adopt, like.only_plan) for _ in workers]
        for worker, request in zip(workers, requests, strict=True):
            worker.ask(request)
        found: list[Any] = []
        for worker, request in zip(workers, requests, strict=True):
            try:
                found += request.answer.result(ANSWER_SECONDS)
            except Exception as error:  # noqa: BLE001 - one provider's trouble is that provider's
                found.append(f"provider {worker.name}: {error or 'no answer in time'}")
        return found


_UNKNOWN = Fitness(None, "")


class _Worker:
    """One provider's thread: passes over its zones, one after another."""

    def __init__(
        self,
        reconciler: Reconciler,
        provider: Provider,
        services: Sequence[Service],
        zones: Sequence[str],
        every_seconds: float,
    ) -> None:
        self.name = provider.name
        self._reconciler = reconciler
        self._provider = provider
        self._services = list(services)
        self._zones = zones
        self._every = every_seconds
        self._stop = threading.Event()
        self._wake = threading.Event()
        self._requests: list[_Request] = []
        self._lock = threading.Lock()  # owns _requests, _passes, _adopted
        self._passes: dict[str, Pass] = {}
        self._adopted: set[str] = set()
        store = reconciler.store
        remark = remark_of(reconciler._installation)
        self._executor = Executor(
            provider, store, self._note, remark=remark, clock=reconciler._clock, stop=self._stop
        )
        self._thread = threading.Thread(target=self._loop, name=f"dns {provider.name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread between two operations."""
        self._stop.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(10)
        with self._lock:
            requests, self._requests = self._requests, []
        for request in requests:
            request.answer.set_exception(DnsError("the service is stopping or reloading; try again"))
        self._provider.close()

    def wake(self) -> None:
        self._wake.set()

    def ask(self, request: _Request) -> None:
        """Does it in this thread when none runs (a one-off command), else in the worker's."""
        if not self._thread.is_alive():
            self._do(request)
            return
        with self._lock:
            self._requests.append(request)
        self._wake.set()

    def _loop(self) -> None:
        while not self._stop.is_set():
            waiting = self._do_requests()
            if not waiting:
                self._pass_all(_Request())
            self._wake.wait(self._seconds_to_next())
            if self._wake.is_set() and not self._stop.wait(COALESCE_SECONDS):
                self._wake.clear()

    def _do_requests(self) -> bool:
        with self._lock:
            requests, self._requests = self._requests, []
        for request in requests:
            self._do(request)
        return bool(requests)

    def _seconds_to_next(self) -> float:
        times = [self._every]
        returns = self._reconciler.next_return_seconds()
        if returns is not None:
            times.append(returns + 0.01)
        with self._lock:
            passes = list(self._passes.values())
        for result in passes:
            if result.retry_after_seconds is not None:
                times.append(max(0.1, result.retry_after_seconds))
            elif result.error is not None or result.held or result.unfinished:
                times.append(RETRY_SECONDS)
        if self._reconciler._isolation.cut_off:
            times.append(1.0)
        return min(times)

    def _do(self, request: _Request) -> None:
        try:
            if request.only_plan:
                request.answer.set_result([self._planned(zone) for zone in self._zones])
            else:
                request.answer.set_result(self._pass_all(request))
        except Exception as error:
            log.exception("a pass of provider %s broke off", self.name)
            request.answer.set_exception(error)

    def _planned(self, zone: str) -> Planned | str:
        try:
            return self._executor.plan(zone, self._of(zone), self._reconciler.facts)
        except ProviderError as error:
            return f"{zone}: {error}"

    def _of(self, zone: str) -> list[Service]:
        return [service for service in self._services if service.zone_key.zone == zone]

    def _pass_all(self, request: _Request) -> list[Pass]:
        results = []
        for zone in self._zones:
            if self._stop.is_set():
                break
            try:
                results.append(self._pass(zone, request))
            except Exception:
                log.exception("a pass over %s at %s broke off; it is made again", zone, self.name)
        return results

    def _pass(self, zone: str, request: _Request) -> Pass:
        reconciler = self._reconciler
        services = self._of(zone)
        with self._lock:
            once = {s.name for s in services if s.adopt and s.name not in self._adopted}
        result = self._executor.reconcile(
            zone,
            services,
            reconciler.facts,
            lambda planned: reconciler.context(planned, request.confirmed),
            adopt=once | (request.adopt & {s.name for s in services}),
            interrupted=reconciler.interrupted,
        )
        with self._lock:
            before = self._passes.get(zone)
            self._passes[zone] = result
            if result.error is None:
                self._adopted |= once
        reconciler.note_pass(self.name, result)
        self._tell_standing(zone, before, result)
        return result

    def _tell_standing(self, zone: str, before: Pass | None, result: Pass) -> None:
        """Says once what is held or failing, and once when it is over."""
        old, new = standing(before), standing(result)
        if new and new != old:
            text = f"{zone} at {self.name}: {new}"
            self._reconciler._emit(text, "error", held=bool(result.held), about=f"{zone} at {self.name}")
        elif old and not new:
            text = f"{zone} at {self.name} is all right again"
            self._reconciler._emit(text, about=f"{zone} at {self.name}")

    def _note(self, entry: HistoryEntry) -> None:
        self._reconciler.store.note(entry)

    # ── what pages ask, from any thread ──────────────────────────────────────────────────────────────────

    def published(self) -> dict[RecordKey, tuple[str, ...]]:
        with self._lock:
            return {
                key: values for result in self._passes.values() for key, values in result.published.items()
            }

    def desired(self) -> dict[RecordKey, DesiredSet]:
        with self._lock:
            planned = [result.planned for result in self._passes.values() if result.planned is not None]
        return {key: wanted for each in planned for key, wanted in each.desired.items()}

    def trouble(self) -> str | None:
        with self._lock:
            found = [standing(result) for result in self._passes.values()]
        return "; ".join(text for text in found if text) or None

    def lines_of(self, service: str) -> list[Json]:
        """Every record set of a service: what stands, what should, and why."""
        published = self.published()
        with self._lock:
            held = {k: v for result in self._passes.values() for k, v in result.sets_held.items()}
        return [
            {
                "line": key.line,
                "type": key.type,
                "name": key.name,
                "values": list(published.get(key, ())),
                "desired": list(wanted.values),
                "nodes": sorted({node for record in wanted.records for node in record.nodes}),
                "reason": wanted.reason,
                "missing": dict(wanted.missing),
                "held": held.get(key) or wanted.held or None,
            }
            for key, wanted in self.desired().items()
            if wanted.service == service and (wanted.values or published.get(key) or wanted.reason)
        ]


def standing(result: Pass | None) -> str:
    """What keeps a zone from being as it should, empty when nothing does."""
    if result is None:
        return ""
    if result.error is not None:
        return str(result.error)
    return result.held or result.unfinished


def operation_view(operation: Operation) -> Json:
    """An operation as the API gives it."""
    return {
        "action": operation.action.value,
        "service": operation.service,
        "provider": operation.zone.provider,
        "zone": operation.zone.zone,
        "name": operation.key.name,
        "type": operation.key.type,
        "line": operation.key.line,
        "values": list(operation.values),
        "old_values": list(operation.old_values),
        "reason": operation.reason,
    }


def service_of(config: ServiceConfig) -> Service:
    """A service of the configuration as the DNS half takes it."""
    lines = None if config.lines is None else {line: line_plan(c) for line, c in config.lines.items()}
    return Service(
        name=config.name,
        provider=config.provider,
        zone=config.zone,
        record=config.record,
        types=tuple(config.types),
        ttl=config.ttl,
        lines=lines,
        when_none_ready=WhenNoneReady(config.when_none_ready),
        fallback_addresses=tuple(config.fallback_addresses),
        adopt=config.adopt,
        allow_private=config.allow_private,
    )


def line_plan(config: LineConfig) -> LinePlan:
    """A line of a service likewise."""
    return LinePlan(config.node_tiers, Fallback(config.fallback), config.max_answers, dict(config.weights))
