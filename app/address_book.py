"""Keeps every node's addresses up to date: asks the sources on their timers, probes entries that have probes.

It decides nothing about records; it answers `addresses(node)` from memory and calls `changed` when that differs.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from app.addresses import source_spec
from app.config.schema.nodes import AddressConfig, NodeConfig
from app.content import ProbeShop
from app.stores.records import RecordStore
from dns.addresses import AddressSource, Reported, Reports, make_source
from dns.core.address import AddressChange, Keeper
from dns.core.model import Address
from dns.ledger import LedgerUnavailableError
from sync.core.model import Destination
from sync.probes import CannotObserve, ProbeSeries, ProbeTarget
from sync.timers import Timers

log = logging.getLogger(__name__)

ASK_SECONDS = {
    "static": 86_400.0,
    "reported": 60.0,
    "hostname": 30.0,
    "interface": 30.0,
    "command": 60.0,
    "url": 120.0,
}
"""How often each kind of source is asked. Services on the internet are asked least; a report comes by itself."""
THREADS = 16


@dataclass
class _Entry:
    """One entry under a node's ``addresses``. Owned by the book's lock."""

    node: str
    config: AddressConfig
    source: AddressSource
    keeper: Keeper
    series: ProbeSeries | None
    fit: dict[str, bool] = field(default_factory=dict)  # address → what its own probes said last
    why: dict[str, str] = field(default_factory=dict)
    resolving: threading.Lock = field(default_factory=threading.Lock)
    probing: threading.Lock = field(default_factory=threading.Lock)
    asked: threading.Event = field(default_factory=threading.Event)  # its source has answered or failed once


class AddressBook:
    """The addresses of all nodes. ``start`` and ``stop`` once; ``configure`` at a start and at each reload."""

    def __init__(
        self,
        store: RecordStore,
        shop: ProbeShop,
        timers: Timers,
        *,
        changed: Callable[[str], None],
        told: Callable[[str, str, str], None],
        probed: Callable[[str, str, bool], None] = lambda node, address, good: None,
        probe_seconds: float = 5.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """``changed(node)``: its addresses or their fitness differ now; ``told(node, message, severity)``;
        ``probed(node, address, good)``: an address's own probes said something new.
        """
        self._store, self._shop, self._timers = store, shop, timers
        self._changed, self._told, self._probed = changed, told, probed
        self._probe_seconds, self._clock = probe_seconds, clock
        self._lock = threading.RLock()
        self._entries: dict[str, list[_Entry]] = {}
        self._destinations: dict[str, Destination] = {}
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="address")
        self._stopping = threading.Event()
        self.reports = Reports()

    def load_reports(self) -> None:
        """Takes up what nodes reported before the start."""
        try:
            self.reports = Reports(self._store.reports())
        except LedgerUnavailableError as error:
            log.warning("addresses reported before the start are not known: %s", error)

    def configure(self, nodes: Iterable[tuple[NodeConfig, Destination]]) -> None:
        """Takes the nodes; entries that stay the same keep what they know."""
        with self._lock:
            old = self._entries
            self._entries, self._destinations = {}, {}
            for node, destination in nodes:
                known = {entry.config: entry for entry in old.get(node.name, [])}
                self._entries[node.name] = [
                    known.get(config) or self._entry(node.name, config) for config in node.address_sources
                ]
                self._destinations[node.name] = destination
            fresh = [e for e in self._all() if all(e is not k for ks in old.values() for k in ks)]
            gone = {self._key(e) for es in old.values() for e in es} - {self._key(e) for e in self._all()}
        for key in gone:
            self._timers.cancel(f"address {key}")
            self._timers.cancel(f"address probe {key}")
        for entry in fresh:
            if entry.config.static is not None:
                self._resolve(entry, quietly=True)  # known at once: nothing has to be asked
            else:
                self._ask_regularly(entry)
            if entry.series is not None:
                self._probe_regularly(entry)

    def _entry(self, node: str, config: AddressConfig) -> _Entry:
        spec = source_spec(node, config)
        series = self._shop.series(config.probes) if config.probes else None
        return _Entry(node, config, make_source(spec, self.reports), Keeper(config.keep_seconds), series)

    def _all(self) -> list[_Entry]:
        return [entry for entries in self._entries.values() for entry in entries]

    def _key(self, entry: _Entry) -> str:
        return f"{entry.node} {hash(entry.config):x}"

    def stop(self) -> None:
        """Ends the pool; sources are bounded in time."""
        self._stopping.set()
        self._pool.shutdown(wait=True, cancel_futures=True)

    # ── asking ───────────────────────────────────────────────────────────────────────────────────────────

    def _ask_regularly(self, entry: _Entry) -> None:
        """Now, and then every so often. A repeating timer: one that sets itself anew in its own call is lost."""
        name = f"address {self._key(entry)}"
        self._ask(entry)
        self._timers.every(name, ASK_SECONDS[entry.config.source], lambda: self._ask(entry))

    def _probe_regularly(self, entry: _Entry) -> None:
        name = f"address probe {self._key(entry)}"
        self._ask_probe(entry)
        self._timers.every(name, self._probe_seconds, lambda: self._ask_probe(entry))

    def _ask(self, entry: _Entry) -> None:
        self._submit(entry.resolving, lambda: self._resolve(entry))

    def _ask_probe(self, entry: _Entry) -> None:
        self._submit(entry.probing, lambda: self._probe(entry))

    def settle(self, seconds: float) -> None:
        """Waits until every source was asked once and every address probed, or so long: for one-off commands."""
        deadline = time.monotonic() + seconds
        with self._lock:
            entries = self._all()
        for entry in entries:
            entry.asked.wait(max(0.0, deadline - time.monotonic()))
            if entry.series is not None:
                self._probe(entry)

    def _submit(self, turn: threading.Lock, work: Callable[[], None]) -> None:
        """In the pool; dropped while the same is still under way there."""
        if self._stopping.is_set() or not turn.acquire(blocking=False):
            return
        try:
            self._pool.submit(self._safely, turn, work)
        except RuntimeError:
            turn.release()

    def _safely(self, turn: threading.Lock, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception:
            log.exception("asking for an address broke off")
        finally:
            turn.release()

    def _resolve(self, entry: _Entry, quietly: bool = False) -> None:
        resolution = entry.source.resolve()
        with self._lock:
            entry.asked.set()
            before = entry.keeper.known
            entry.keeper, change = entry.keeper.observe(resolution, self._clock())
            moved = (change is not None and change.moved) or before != entry.keeper.known
        if change is not None and not quietly:
            self._tell(entry, change, before)
        if moved and not quietly:
            self._changed(entry.node)

    def _tell(self, entry: _Entry, change: AddressChange, known_before: bool) -> None:
        if change.failing or known_before:
            severity = "warning" if change.failing else "info"
            self._told(entry.node, f"address ({entry.source.label}): {change.reason}", severity)

    def _probe(self, entry: _Entry) -> None:
        destination = self._destinations.get(entry.node)
        if destination is None or entry.series is None:
            return
        for address in entry.keeper.addresses:
            target = ProbeTarget(entry.node, address, address, destination.port, destination.transport)
            try:
                observation = entry.series.observe(target)
            except CannotObserve:
                return
            with self._lock:
                before = entry.fit.get(address)
                entry.fit[address] = observation.good
                entry.why[address] = "" if observation.good else f"does not answer: {observation.detail}"
            if before is not observation.good:
                self._probed(entry.node, address, observation.good)
                self._changed(entry.node)
                if before is not None:
                    word = "answers again" if observation.good else f"does not answer: {observation.detail}"
                    self._told(
                        entry.node, f"address {address} {word}", "info" if observation.good else "warning"
                    )

    # ── answers ──────────────────────────────────────────────────────────────────────────────────────────

    def addresses(self, node: str) -> tuple[tuple[Address, ...], bool]:
        """The node's addresses, and whether every source has been heard since the start. Never waits for one."""
        with self._lock:
            entries = self._entries.get(node)
            if entries is None:
                return (), False  # a node that the engine knows already and this book does not yet
            known = all(entry.keeper.known for entry in entries)
            found = [
                Address(
                    value=address,
                    lines=frozenset(entry.config.lines),
                    fit=entry.fit.get(address) if entry.series is not None else True,
                    why=entry.why.get(address, ""),
                    shared=entry.config.shared,
                )
                for entry in entries
                for address in entry.keeper.addresses
            ]
        return tuple(found), known

    def first(self) -> Mapping[str, str]:
        """Each node's first address, for nodes that follow theirs."""
        with self._lock:
            found = {name: [a for e in es for a in e.keeper.addresses] for name, es in self._entries.items()}
        return {name: addresses[0] for name, addresses in found.items() if addresses}

    def takes_reports(self, node: str) -> bool:
        """Whether the node is configured to report its address."""
        with self._lock:
            return any(entry.config.reported for entry in self._entries.get(node, []))

    def report(self, node: str, addresses: Iterable[str]) -> bool:
        """Takes a node's report; True when it differs from the last. Raises AddressError or ValueError."""
        changed = self.reports.put(node, addresses, self._clock())
        reported = self.reports.last(node)
        if reported is not None and changed:
            self._save(node, reported)
        with self._lock:
            entries = [entry for entry in self._entries.get(node, []) if entry.config.reported]
        for entry in entries:
            self._resolve(entry)
        return changed

    def _save(self, node: str, reported: Reported) -> None:
        try:
            self._store.save_report(node, reported)
        except LedgerUnavailableError as error:
            log.warning("the report of %s is kept in memory only: %s", node, error)
