"""Keeps records in line with the nodes: gathers what is known, hands it to a thread per provider, remembers for both.

It gathers the facts (fitness, hold-downs, addresses, freezes, whether we are cut off) and the DNS half decides. A
change of a node's fitness wakes every thread at once; nothing here waits in the engine's thread.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from app.address_book import AddressBook
from app.adoption import Adoptions
from app.canaries import Roll
from app.config import Config
from app.config.schema.nodes import NodeConfig
from app.config.values import values_of
from app.cutoff import CutOff
from app.freeze import Freeze
from app.holddowns import HoldDowns
from app.node_facts import Knowledge
from app.noderail import NodeRail
from app.pass_news import PassNews
from app.passes import PlannedHold, ProviderThread, Request
from app.record_views import held_sets, lines_view, operation_view, service_of, standing
from app.stores.records import RecordStore
from app.views import Json, Published
from dns.core.guard import Context
from dns.core.model import DesiredSet, NodeFacts, RecordKey, Service
from dns.core.ownership import remark_of
from dns.core.published import accounts, why_unpublished
from dns.errors import DnsError
from dns.executor import Pass
from dns.ledger import HistoryEntry, LedgerUnavailableError
from dns.planner import Planned
from dns.providers import make_provider
from dns.providers.port import Provider, Wiring
from sync.core.model import Flip
from sync.engine import Engine
from sync.field import Fitness, Listener

log = logging.getLogger(__name__)

ANSWER_SECONDS = 120.0
CUT_OFF = "cut-off-since"


class Reconciler(Listener):
    """The DNS half at work. ``start`` and ``stop`` once; ``pause`` and ``configure`` at each reload."""

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
        """``at_once``: a one-off command, which passes only when it is asked, in the caller's thread."""
        self._config, self._engine, self.store, self._book = config, engine, store, book
        self._remark, self._at_once, self._clock = remark_of(installation), at_once, clock
        self._started_at = clock()
        self._started = False
        self._lock = threading.Lock()  # owns _config, _threads and _broken
        self._threads: dict[str, ProviderThread] = {}
        self._broken: dict[str, str] = {}  # provider → why it cannot be used
        self._holddowns = HoldDowns(store, clock)
        self._roll = Roll()
        self._cutoff = CutOff(self._roll, self._tell_cut_off, clock)
        self._rail = NodeRail(store, self._tell_rail)
        self._knowledge = Knowledge(engine, book, self._holddowns, self._rail)
        self._adoptions, self._freeze = Adoptions(store), Freeze(store)
        self._news = PassNews(self._emit)
        self.lost = threading.Event()  # set when this supervisor must not write any more

    # ── life ─────────────────────────────────────────────────────────────────────────────────────────────

    def start(self, nodes: Iterable[NodeConfig] = ()) -> None:
        """Takes up what was stored, and starts a thread per provider that is used."""
        try:
            self._holddowns.start()
            if self._at_once:
                self._cutoff.resume(self.store.fact(CUT_OFF))
        except LedgerUnavailableError as error:
            log.warning("hold-downs of before the start are not known: %s", error)
        self._rail.load()
        self.set_nodes(nodes)
        self._knowledge.begin()
        self._started = True
        self._knowledge.remember(self._engine.field.fitness())
        self._start_threads({})

    def stop(self) -> None:
        """Ends the threads; an operation under way is finished first, within its time limit."""
        for thread in self._end_threads().values():
            thread.join()
        if self._at_once:
            self._keep_isolation()
        self._holddowns.stop()
        self._roll.close()

    def _keep_isolation(self) -> None:
        """For the next one-off command; a service asks anew."""
        try:
            self.store.save_fact(CUT_OFF, self._cutoff.since)
        except LedgerUnavailableError as error:
            log.warning("since when nobody has answered is not kept: %s", error)

    def pause(self) -> Mapping[str, ProviderThread]:
        """Ends the passes between two operations; ``configure`` takes what this answers, and goes on."""
        return self._end_threads()

    def configure(
        self, config: Config, nodes: Iterable[NodeConfig], before: Mapping[str, ProviderThread]
    ) -> None:
        """Takes another configuration: the threads begin anew, each when its predecessor has ended."""
        with self._lock:
            self._config = config
        self.set_nodes(nodes)
        self._adoptions.forget_all_but([s.name for s in config.dns.services if s.adopt])
        self._start_threads(before)

    def set_nodes(self, nodes: Iterable[NodeConfig]) -> None:
        """Takes the list of nodes, before the engine does: what is gone must not look like an order."""
        self._knowledge.set_nodes(nodes)

    def _start_threads(self, before: Mapping[str, ProviderThread]) -> None:
        config = self._config
        broken = self._strange_providers(config)
        threads: dict[str, ProviderThread] = {}
        looked_after: set[tuple[str, str]] = set()
        for name in config.dns.providers if config.dns.enabled else ():
            services = [service_of(s) for s in config.dns.services if s.provider == name]
            zones = {s.zone_key.zone for s in services} | self._ledger_zones(name)
            if not zones:
                continue
            try:
                provider = self._provider(config, name)
            except DnsError as error:
                broken[name] = f"provider {name}: {error}"
                continue
            threads[name] = self._thread(provider, services, sorted(zones), before.get(name))
            looked_after |= {(zone, name) for zone in zones}
        for name, thread in before.items():
            if name not in threads:
                thread.join()
        with self._lock:
            told, self._broken, self._threads = self._broken, broken, threads
        self._news.forget_all_but(looked_after)
        for name, sentence in broken.items():
            if told.get(name) != sentence:
                self._emit(sentence, "error", held=True, about=f"provider {name}")
        for name in told.keys() - broken.keys():
            self._emit(f"provider {name} is all right again", about=f"provider {name}")
        if not self._at_once:
            for thread in threads.values():
                thread.start()

    def _provider(self, config: Config, name: str) -> Provider:
        section = config.dns.providers[name]
        wiring = Wiring(notice=lambda sentence: self._emit(sentence, "warning"))
        return make_provider(name, section.kind, values_of(section), wiring)

    def _thread(
        self,
        provider: Provider,
        services: Sequence[Service],
        zones: Sequence[str],
        before: ProviderThread | None,
    ) -> ProviderThread:
        return ProviderThread(
            self,
            provider,
            services,
            zones,
            ledger=self.store,
            history=self._note,
            remark=self._remark,
            every_seconds=self._config.dns.reconcile_seconds,
            clock=self._clock,
            before=before,
        )

    def _strange_providers(self, config: Config) -> dict[str, str]:
        """Providers of which the ledger knows records but the configuration nothing."""
        try:
            known = self.store.providers() if config.dns.enabled else {}
        except LedgerUnavailableError:
            return {}
        return {
            name: f"provider {name} is gone from the configuration, but {count} record sets of ours stand there: "
            "they stay as they are; configure it again to change or withdraw them"
            for name, count in known.items()
            if name not in config.dns.providers
        }

    def _ledger_zones(self, provider: str) -> set[str]:
        try:
            return self.store.zones(provider)
        except LedgerUnavailableError:
            return set()

    def _end_threads(self) -> dict[str, ProviderThread]:
        with self._lock:
            threads, self._threads = self._threads, {}
        for thread in threads.values():
            thread.end()
        return threads

    # ── what wakes it ────────────────────────────────────────────────────────────────────────────────────

    def fitness(self, changed: Mapping[str, Fitness]) -> None:
        """From the engine's thread: notes it and wakes the providers' threads."""
        if self._started:  # ``start`` asks for what was said before
            self._knowledge.remember(changed)
            self.wake()

    def flip(self, flip: Flip) -> None:
        """Likewise; a node that leaves its first recovery is known from then on."""
        if self._started and self._knowledge.flipped(flip):
            self.wake()

    def wake(self) -> None:
        """Every provider's thread makes a pass soon."""
        with self._lock:
            threads = list(self._threads.values())
        for thread in threads:
            thread.wake()

    # ── facts ────────────────────────────────────────────────────────────────────────────────────────────

    def facts(self) -> list[NodeFacts]:
        """What is known of every node at this moment. Never waits."""
        return self._knowledge.facts(self._config.dns.hold_down_seconds)

    def address_probed(self, node: str, address: str, good: bool) -> None:
        """An address's own probes said something new."""
        self._knowledge.address_probed(node, address, good)

    def context(self, planned: Planned, request: Request, *, asks: bool = True) -> Context:
        """What the guard must know besides the plan; asks whether we are cut off where that matters."""
        known, of_all = self._knowledge.known(planned.facts)
        no_hold = self._at_once or request.proven
        return Context(
            frozen=TAKEN_OVER if self.lost.is_set() else self.frozen_by_person(),
            cut_off=self._ask_cut_off(planned) if asks else self._cutoff.reason,
            startup_hold_seconds=0.0 if no_hold else self._config.dns.startup_hold_seconds,
            seconds_since_start=self._clock() - self._started_at,
            known_nodes=known,
            all_nodes=of_all,
            confirmed=request.confirmed,
            nodes_gone=self._rail.sentence,
        )

    def _ask_cut_off(self, planned: Planned) -> str:
        """The question before a withdrawal for health (design: one second at most)."""
        suspects = planned.suspects
        if not suspects and not self._cutoff.reason:
            return ""
        if self.interrupted() or self.frozen_by_person():
            return self._cutoff.reason
        return self._ask_all_others(set(self.published_nodes(planned)) | suspects, suspects)

    def look_around(self) -> None:
        """Asks before the zone is read: the provider may be behind the same cable, and then nobody would be asked."""
        if self._at_once or self.interrupted() or self.frozen_by_person():
            return
        published = self.published_nodes()
        suspects = {
            node.name for node in self.facts() if node.fit is False and not node.drained
        } & published.keys()
        if suspects or self._cutoff.since is not None:
            self._ask_all_others(published, suspects)

    def _ask_all_others(self, published: Collection[str], suspects: Collection[str]) -> str:
        nodes = dict(self._engine.field.nodes)
        asked = {
            name: (nodes[name].settings.destination, nodes[name].settings.probes)
            for name in published
            if name in nodes
        }
        health = self._config.health
        return self._cutoff.ask(asked, suspects, health.canaries, health.isolation_seconds)

    def is_cut_off(self) -> bool:
        return bool(self._cutoff.reason)

    def still_cut_off(self) -> bool:
        """Asks the same question again."""
        return bool(self._cutoff.recheck())

    def interrupted(self) -> bool:
        """Whether operations must stop right now."""
        return self._freeze.is_set or self.lost.is_set() or self.is_cut_off()

    def must_not_write(self) -> bool:
        """Another supervisor has taken over."""
        return self.lost.is_set()

    def seconds_to_next(self) -> Sequence[float]:
        """When something that is waited for has come about."""
        dns = self._config.dns
        start = self._started_at + dns.startup_hold_seconds - self._clock()
        returns = self._holddowns.next_return_seconds(dns.hold_down_seconds)
        looked = self._knowledge.aftermath.ends_in_seconds
        asked = self._rail.asks_in_seconds
        return [seconds for seconds in (start, returns, looked, asked) if seconds is not None and seconds > 0]

    def is_starting(self) -> bool:
        """Whether some nodes have not been judged since the start, and the start's hold is not over."""
        dns = self._config.dns
        if self._clock() - self._started_at >= dns.startup_hold_seconds:
            return False
        known, of_all = self._knowledge.known(self._knowledge.facts(dns.hold_down_seconds))
        return known < of_all

    # ── taking over what stands ──────────────────────────────────────────────────────────────────────────

    def to_adopt(self, services: Sequence[Service]) -> frozenset[str]:
        """The services with ``adopt: true`` that have not taken over yet: once means once, over restarts too."""
        return self._adoptions.still_to_do([s.name for s in services if s.adopt])

    def adopted(self, services: Collection[str]) -> None:
        """These have taken over what stood."""
        self._adoptions.note(services)

    # ── results ──────────────────────────────────────────────────────────────────────────────────────────

    def _note(self, entry: HistoryEntry) -> None:
        self.store.note(entry)

    def note_pass(self, provider: str, before: Pass | None, result: Pass) -> None:
        """Counts and tells what came of a pass."""
        self.store.write_waiting()
        log.debug(
            "pass over %s at %s: %d operations, %s",
            result.zone.zone,
            provider,
            len(result.entries),
            standing(result) or "all is as it should be",
        )
        self._news.take(provider, before, result, known=self._is_short(result))

    @property
    def counts(self) -> Counter[tuple[str, ...]]:
        """See PassNews."""
        return self._news.counts

    def _is_short(self, result: Pass) -> bool:
        """Whether it is held by the start only, which ends by itself, or by what was told of already."""
        if result.error is not None or not result.held:
            return False
        starting = bool(self.seconds_to_next()) and result.held.startswith("just started")
        return starting or bool(self.frozen_by_person()) or self.is_cut_off()

    def _tell_cut_off(self, sentence: str, cut_off: bool) -> None:
        self._emit(sentence, "error" if cut_off else "info", kind="cut_off")
        if not cut_off:
            if self._cutoff.since is None:  # somebody answers; else the evidence stands
                self._knowledge.aftermath.begin(self.published_nodes(), self._second_look_seconds())
            self.wake()

    def _second_look_seconds(self) -> float:
        """As long as a node that lives may take to be seen alive, after everything that was asked in vain."""
        health = self._config.health
        probes = max(probe.timeout * probe.attempts for probe in health.probes)
        sleep = health.sleep_times
        return float((health.unhealth_tries + 1) * (sleep.unhealth + probes) + 2 * (sleep.dead + probes))

    def _tell_rail(self, sentence: str, missing: bool) -> None:
        self._emit(sentence, "error" if missing else "info", kind="inventory", about="nodes gone at once")

    def _emit(self, message: str, severity: str = "info", kind: str = "dns", **facts: Any) -> None:
        self._engine.post(lambda: self._engine.field.emit(kind, message, severity=severity, **facts))

    # ── what is shown ────────────────────────────────────────────────────────────────────────────────────

    def published_nodes(self, planned: Planned | None = None) -> dict[str, tuple[RecordKey, ...]]:
        """Each published node, with the record sets of ours in which one of its addresses stands.

        ``planned``: what was read just now, over what the last passes left.
        """
        published, desired = self._stands()
        if planned is not None:
            published.update(planned.published)
            desired.update(planned.desired)
        return accounts(published, desired, self.facts())

    def _stands(self) -> tuple[dict[RecordKey, tuple[str, ...]], dict[RecordKey, DesiredSet]]:
        with self._lock:
            threads = list(self._threads.values())
        published: dict[RecordKey, tuple[str, ...]] = {}
        desired: dict[RecordKey, DesiredSet] = {}
        for thread in threads:
            published.update(thread.published())
            desired.update(thread.desired())
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
        if not node.addresses:
            return "its address is not known" if not node.addresses_known else "it has no address"
        bad = [address for address in node.addresses if address.fit is not True]
        if len(bad) == len(node.addresses):
            return f"its address {bad[0].value} {bad[0].why or 'is not known to answer yet'}"
        if self.frozen_by_person():
            return f"frozen by a person: {self.frozen_by_person()}"
        return why_unpublished(node.name, desired) or "no service asks for it"

    def status(self) -> Json:
        """ "frozen", "nodes_gone" and "services" for the status view."""
        with self._lock:
            threads, broken = dict(self._threads), dict(self._broken)
        services = []
        for service in self._config.dns.services:
            thread = threads.get(service.provider)
            services.append(
                {
                    "name": service.name,
                    "zone": service.zone,
                    "record": service.record,
                    "fqdn": service.fqdn,
                    "provider": service.provider,
                    "error": broken.get(service.provider) or (thread.trouble() if thread else None),
                    "lines": lines_view(service.name, thread.passes().values()) if thread else [],
                }
            )
        frozen = self.frozen_by_person()
        return {
            "frozen": f"frozen by a person: {frozen}" if frozen else self._cutoff.reason or None,
            "nodes_gone": self._rail.sentence or None,
            "services": services,
        }

    # ── commands ─────────────────────────────────────────────────────────────────────────────────────────

    def frozen_by_person(self) -> str:
        """Why a person froze the records, empty when nobody did; also when that cannot be known."""
        return self._freeze.reason

    def freeze(self, reason: str) -> None:
        """Nothing is written until ``unfreeze``, over restarts too. Raises LedgerUnavailableError: not over those."""
        reason = reason or "no reason given"
        self._emit(f"frozen: {reason}", "warning", about="frozen by a person")
        self._freeze.set(reason)

    def unfreeze(self) -> None:
        """Goes on writing. Raises LedgerUnavailableError: then the next start finds it frozen again."""
        self._emit("unfrozen", about="frozen by a person")
        try:
            self._freeze.lift()
        finally:
            self.wake()

    def plan(self) -> Json:
        """What would be done now, of every provider, and what is held."""
        operations: list[Json] = []
        held = self._held_anyway()
        for planned in self._ask_all(Request(only_plan=True)):
            if not isinstance(planned, PlannedHold):
                held.append(str(planned))
                continue
            operations += [operation_view(operation) for operation in planned.planned.plan.operations]
            held += [planned.held] if planned.held else []
            held += [*held_sets(planned.sets_held), *planned.planned.problems]
        return {"operations": operations, "held": "; ".join(dict.fromkeys(held)) or None}

    def _held_anyway(self) -> list[str]:
        with self._lock:
            held = list(self._broken.values())
        frozen = self.frozen_by_person()
        held = [f"frozen by a person: {frozen}; `flask dns unfreeze` goes on", *held] if frozen else held
        return [*held, self._rail.sentence] if self._rail.sentence else held

    def apply(self, *, confirmed: bool, adopt: Collection[str] = (), proven: bool = False) -> Json:
        """One pass over every zone now: how many operations were accepted, what was held, and who waits."""
        if confirmed:
            self._rail.accept()
        applied, failed, held = 0, 0, self._held_anyway()
        for result in self._ask_all(Request(confirmed, frozenset(adopt), proven=proven)):
            if not isinstance(result, Pass):
                held.append(str(result))
                continue
            applied += result.applied
            failed += sum(1 for entry in result.entries if not entry.ok)
            held += [text for text in (standing(result),) if text]
        return {
            "applied": applied,
            "failed": failed,
            "held": "; ".join(dict.fromkeys(held)) or None,
            "waiting": self.waiting(),
        }

    def waiting(self) -> dict[str, str]:
        """The nodes that are fit and wait for the end of their hold-down, with the sentence that says so."""
        return self._knowledge.waiting(self._config.dns.hold_down_seconds)

    def _ask_all(self, like: Request) -> list[Any]:
        with self._lock:
            threads = list(self._threads.values())
        if self._at_once:
            self._book.settle(ANSWER_SECONDS / 10)
        requests = [Request(like.confirmed, like.adopt, like.only_plan, like.proven) for _ in threads]
        for thread, request in zip(threads, requests, strict=True):
            thread.ask(request)
        found: list[Any] = []
        for thread, request in zip(threads, requests, strict=True):
            try:
                found += request.answer.result(ANSWER_SECONDS)
            except Exception as error:  # noqa: BLE001 - one provider's trouble is that provider's
                found.append(f"provider {thread.name}: {error or 'no answer in time'}")
        return found


TAKEN_OVER = "another supervisor has taken over"
