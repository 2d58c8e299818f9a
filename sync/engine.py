"""The one thread in which everything that is known of the nodes comes together; never waits for a node or a disk.

Messages come in (settled changes, observations, ends of jobs, timers, commands), each is taken in, then the
nodes are judged and idle ones get what is due:

    inbox ─► take in ─► judge (promise 2) ─► serve (dispatcher)

Probes, rsync, scans and the database have threads of their own, so a silent node delays nobody.
"""

from __future__ import annotations

import logging
import os
import queue
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from sync.core import health as healths
from sync.core.args import RsyncOptions
from sync.core.dustbin import discard, retry
from sync.core.health import HealthRules
from sync.core.model import Flip, Observation, Outcome, ProbeResult, State
from sync.core.rails import Identity
from sync.core.scope import Scope
from sync.dispatcher import Dispatcher, JobDone, LaneLimits
from sync.field import Field, Listener
from sync.jobs import Batch, Report, Tools
from sync.node import Node, NodeSettings, Order
from sync.ports import DropRows, ForgetNode, Meta, SaveBinned, SaveChanges, SaveMeta, Store, TrimTombstones
from sync.probes import CannotObserve, ProbeTarget
from sync.rsync import Runner
from sync.scan import look
from sync.surveyor import FirstScanDone, Settled, SourceNews, Surveyor, SurveySettings, Watching
from sync.timers import Timers

log = logging.getLogger(__name__)
T = TypeVar("T")

JUDGE_SECONDS = 0.05
TOMBSTONE_SECONDS = 24 * 3600.0
SOURCE_RECHECK_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """Everything from the configuration that the content half needs; durations in seconds."""

    survey: SurveySettings
    options: RsyncOptions
    sweep_root: bytes  # an empty directory of ours, see Tools.sweeper
    nodes: tuple[NodeSettings, ...] = ()
    limits: LaneLimits = LaneLimits()
    rules: HealthRules = HealthRules()
    large_bytes: int = 268_435_456
    dustbin_seconds: float = 5.0
    max_lag_seconds: float = 30.0
    audit_seconds: float = 1800.0
    deep_audit_seconds: float = 86_400.0


@dataclass(frozen=True, slots=True)
class _Observed:
    node: str
    began: float
    observation: Observation | None  # None: this machine could not even ask


@dataclass(frozen=True, slots=True)
class _Call:
    action: Callable[[], object]
    answer: Future[object]


@dataclass(frozen=True, slots=True)
class _Due:
    what: str
    node: str = ""


_STOP = object()


class UnknownNode(Exception):  # noqa: N818 - an answer to a command
    """A command named a node that is not configured."""


@dataclass(slots=True)
class Ticket:
    """Somebody waits for a node's full resync: ``done`` is called once with (ok, message)."""

    done: Callable[[bool, str], None]
    seen_working: bool = field(default=False)


class Engine:
    """The content half at work. ``start`` to ``stop`` once; commands may come from any thread."""

    def __init__(
        self,
        settings: EngineSettings,
        store: Store,
        *,
        make_watcher: Callable[[SurveySettings, Surveyor], Watching] | None = None,
        listeners: Sequence[Listener] = (),
        wall: Callable[[], float] = time.time,
        mono: Callable[[], float] = time.monotonic,
        at_once: bool = False,
        hands_off: bool = False,
    ) -> None:
        """``at_once``: a one-off run, in which nodes are left alone until they are asked for, and whose stored
        state does not count then. ``hands_off``: the dispatcher gives no work at all.
        """
        self.settings = settings
        self.store = store
        self.wall, self.mono = wall, mono
        self.at_once = at_once
        self.hands_off = hands_off
        self.make_watcher = make_watcher
        self.field = Field(store, wall, mono, listeners)
        self.timers = Timers()
        self.started_at = wall()
        self.source = SourceNews(None, 0, False, None, (), (), None)
        self.accepting = threading.Event()
        self._inbox: queue.SimpleQueue[object] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._loop, name="engine", daemon=True)
        self._probing = ThreadPoolExecutor(64, thread_name_prefix="probe")
        self._stopping = threading.Event()
        self._tickets: dict[str, list[Ticket]] = {}
        self._meta = Meta(machine=machine_id(), root=os.fsdecode(settings.survey.root))
        self._judged = float("-inf")
        self._trim_marks: list[tuple[float, int]] = []
        self.surveyor = Surveyor(settings.survey, store, self._inbox.put, self._being_sent, mono)
        self.dispatcher = self._new_dispatcher(settings)

    def _new_dispatcher(self, settings: EngineSettings) -> Dispatcher:
        return Dispatcher(
            self.field,
            self._tools(settings),
            settings.limits,
            settings.rules,
            self._inbox.put,
            lambda: self.surveyor.files,
            self.surveyor.recheck,
            settings.survey.max_shrink_percent,
        )

    def _tools(self, settings: EngineSettings) -> Tools:
        root, scope = settings.survey.root, settings.survey.scope
        return Tools(
            runner=Runner(settings.options, root, scope),
            sweeper=Runner(settings.options, settings.sweep_root, Scope()),
            look=lambda path: look(root, path),
            count_below=lambda path, limit: count_below(root, path, limit),
            scope=scope,
            store=self.store,
            may_delete=self.surveyor.may_delete,
            large_bytes=settings.large_bytes,
        )

    def _being_sent(self, path: bytes) -> bool:
        return self.dispatcher.being_sent(path)

    # ── start and stop ───────────────────────────────────────────────────────────────────────────────────

    def start(self) -> None:
        """Restores what is stored, sets the watches, scans once; work begins when the scan is done.

        Raises StoreError when the store cannot be read.
        """
        saved = self.store.load()
        meta = self._adopt(saved.meta)
        self._apply_numbers(self.settings)
        records = {record.name: record for record in saved.nodes} if meta is not None else {}
        drains = {record.name: record.drained for record in saved.nodes}
        clean = meta is not None and meta.clean_stop
        for settings in self.settings.nodes:
            record = records.get(settings.name)
            if record is not None and record.spec_key != settings.destination.spec_key:
                record = None
            node = self._restored(settings, record, meta, clean) if record else self._new_node(settings)
            node.drained_by_command = drains.get(settings.name)
            node.at_start = True
            node.parked = self.at_once
            self.field.nodes[node.name] = node
        for entry in saved.dustbin:
            if entry.node in self.field.nodes and self.field.nodes[entry.node].cursor is not None:
                self.field.nodes[entry.node].dustbin[entry.path] = entry
        self._load_tail()
        self._save_meta(clean_stop=False)
        self.field.emit("start", f"started with {len(self.field.nodes)} nodes")
        if self.make_watcher is not None:
            self.surveyor.make_watcher = self.make_watcher
        self.timers.start()
        self.surveyor.start(meta)
        self._thread.start()
        self.timers.every("tick", 1.0, lambda: self._inbox.put(_Due("tick")))
        self.timers.every(
            "source errors", SOURCE_RECHECK_SECONDS, lambda: self._inbox.put(_Due("source errors"))
        )
        self.timers.every("tombstones", 3600.0, lambda: self._inbox.put(_Due("tombstones")))
        if not self.at_once:
            self._inbox.put(_Due("nodes"))

    def stop(self) -> None:
        """Ends everything this engine started, rsync groups included, and stores that it ended cleanly."""
        self._stopping.set()
        self.timers.stop()
        for node in list(self.field.nodes.values()):
            cancel_jobs(node, "the service is stopping")
        self.surveyor.stop()
        self._inbox.put(_STOP)
        if self._thread.is_alive():
            self._thread.join(5)
        self.dispatcher.close()
        self._probing.shutdown(wait=True, cancel_futures=True)
        self._drain_ends()
        self.field.emit("stop", "stopped")
        for node in self.field.nodes.values():
            if not node.parked:
                self.field.save(node)
        self._save_meta(clean_stop=self.accepting.is_set())
        self.store.flush(5)

    def _drain_ends(self) -> None:
        """Ends that arrived while the loop was ending still count: what they confirmed is confirmed."""
        while True:
            try:
                message = self._inbox.get_nowait()
            except queue.Empty:
                return
            if isinstance(message, JobDone):
                self.dispatcher.finish(message)
            elif isinstance(message, _Call):
                message.answer.cancel()

    def _adopt(self, meta: Meta | None) -> Meta | None:
        """A manifest belongs to (machine, root); one of another is dropped, and with it every cursor."""
        mine = self._meta
        if meta is None or (meta.machine, meta.root) != (mine.machine, mine.root):
            if meta is not None:
                self.store.put(DropRows(None))
                self.field.emit(
                    "start",
                    f"the stored manifest was made for {meta.root} on another machine or root: it starts anew",
                    severity="warning",
                )
                self._meta = replace(mine, head=meta.head, trimmed=meta.head)
            return None
        self._meta = meta
        return meta

    def _restored(self, settings: NodeSettings, record: object, meta: Meta | None, clean: bool) -> Node:
        node = Node.restored(settings, record, meta.trimmed if meta else 0)  # type: ignore[arg-type]
        fresh = node.proof_at is not None and self.wall() - node.proof_at < self.settings.audit_seconds
        node.renewable = clean and fresh and not node.drift_count
        if node.cursor is not None:
            node.move_cursor(node.cursor, float("-inf"), self.settings.max_lag_seconds)
        return node

    def _new_node(self, settings: NodeSettings) -> Node:
        node = Node(settings, healths.new_node(self.wall(), settings.name))
        if not self.at_once:
            self.field.save(node)
        return node

    def _load_tail(self) -> None:
        head = self._meta.head
        cursors = [n.cursor for n in self.field.nodes.values() if n.receives and n.cursor is not None]
        floor = min(cursors, default=head)
        rows = self.store.since(floor) if floor < head else []
        newest = max((row.seq for row in rows), default=0)
        self.field.tail.head = max(head, newest)
        self.field.tail.load(rows, floor if rows else self.field.tail.head)

    def _save_meta(self, *, clean_stop: bool | None = None) -> None:
        scope = self.settings.survey.scope
        root: Identity | None = self.source.root
        self._meta = replace(
            self._meta,
            head=self.field.tail.head,
            files=self.surveyor.files if self.accepting.is_set() else self._meta.files,
            root_inode=root.inode if root is not None else self._meta.root_inode,
            scope=scope.fingerprint,
            scope_paths=tuple(os.fsdecode(p) for p in scope.paths),
            scope_excludes=scope.excludes,
            delete=scope.delete,
            mounts=tuple(os.fsdecode(m) for m in self.source.mounts) or self._meta.mounts,
            clean_stop=self._meta.clean_stop if clean_stop is None else clean_stop,
        )
        self.store.put(SaveMeta(self._meta))

    def _apply_numbers(self, settings: EngineSettings) -> None:
        self.field.max_lag_seconds = settings.max_lag_seconds
        self.field.dustbin_seconds = settings.dustbin_seconds

    # ── the loop ─────────────────────────────────────────────────────────────────────────────────────────

    def _loop(self) -> None:
        while True:
            message = self._inbox.get()
            if message is _STOP:
                return
            try:
                self._take_in(message)
                if self._inbox.empty() or self.mono() - self._judged > JUDGE_SECONDS:
                    self._judge()
                    self.dispatcher.serve()
            except Exception:
                log.exception("the engine stumbled over %s and goes on", type(message).__name__)

    def _judge(self) -> None:
        self._judged = self.mono()
        self.field.judge()

    def _take_in(self, message: object) -> None:
        match message:
            case Settled():
                self._on_settled(message)
            case JobDone():
                self._on_job_done(message)
            case _Observed():
                self._on_observed(message)
            case SourceNews():
                self._on_source(message)
            case FirstScanDone():
                self._on_first_scan(message)
            case _Due():
                self._on_due(message)
            case _Call():
                self._on_call(message)

    def _on_call(self, call: _Call) -> None:
        try:
            call.answer.set_result(call.action())
        except Exception as error:  # noqa: BLE001 - the caller gets it
            call.answer.set_exception(error)

    def _on_settled(self, settled: Settled) -> None:
        rows = self.field.append(settled.changes)
        self.store.put(SaveChanges(rows))
        self._save_meta()
        if len(self.field.tail) > 1000:
            self.field.trim_tail()

    def _on_first_scan(self, done: FirstScanDone) -> None:
        self.accepting.set()
        self.dispatcher.accepting = not self.hands_off
        self._save_meta()
        self.field.emit(
            "start", f"the publish directory holds {done.files} paths, compared in {done.seconds:.1f} s"
        )

    def _on_source(self, news: SourceNews) -> None:
        before, self.source = self.source, news
        if news.fault and news.fault != before.fault:
            self.field.emit("source", f"deletion is stopped: {news.fault}", severity="error", held=news.held)
        elif before.fault and not news.fault:
            self.field.emit("source", "the publish directory is all right again")
        if news.watch and news.watch != before.watch:
            self.field.emit("watch", news.watch, severity="warning")
        elif before.watch and not news.watch:
            self.field.emit("watch", "everything is watched again")
        self._save_meta()

    # ── timers ───────────────────────────────────────────────────────────────────────────────────────────

    def _on_due(self, due: _Due) -> None:
        node = self.field.nodes.get(due.node)
        match due.what:
            case "tick":
                self.surveyor.tick()
                self.field.trim_tail()
            case "nodes":
                for each in list(self.field.nodes.values()):
                    self._begin(each)
            case "observe" if node is not None:
                self._observe(node)
            case "audit" if node is not None:
                node.audit_due = True
            case "deep audit" if node is not None:
                node.deep_due = True
            case "source errors":
                self._recheck_source_errors()
            case "tombstones":
                self._trim_tombstones()

    def _begin(self, node: Node) -> None:
        """A node's timers. Audits begin at a time of its own within the interval."""
        self._observe(node)
        share = 0.5 + healths.jitter(node.name, 0) / 2
        self._every_audit(node, "audit", self.settings.audit_seconds, share)
        self._every_audit(node, "deep audit", self.settings.deep_audit_seconds, share)

    def _every_audit(self, node: Node, what: str, seconds: float, share: float) -> None:
        name, key = node.name, f"{what} {node.name}"

        def again() -> None:
            self._inbox.put(_Due(what, name))
            if not self._stopping.is_set():
                self.timers.after(key, seconds, again)

        if seconds > 0:
            self.timers.after(key, max(seconds * share, min(seconds, 60.0)), again)

    def _recheck_source_errors(self) -> None:
        root = self.settings.survey.root
        paths = tuple(self.field.source_errors)
        if paths:
            self._probing.submit(lambda: self.surveyor.recheck([p for p in paths if is_readable(root, p)]))

    def _trim_tombstones(self) -> None:
        """Tombstones older than a day go; a node whose cursor lies below gets a full resync."""
        now = self.mono()
        self._trim_marks.append((now, self.field.tail.head))
        old = [seq for at, seq in self._trim_marks if at <= now - TOMBSTONE_SECONDS]
        if not old:
            return
        self._trim_marks = [(at, seq) for at, seq in self._trim_marks if at > now - TOMBSTONE_SECONDS]
        seq = max(old)
        self._meta = replace(self._meta, trimmed=max(self._meta.trimmed, seq))
        self.store.put(TrimTombstones(seq))
        self._save_meta()
        for node in self.field.nodes.values():
            if node.cursor is not None and node.cursor < seq:
                node.cursor, node.target = None, None
                self._relapse(node, "its cursor is older than the journal reaches")

    # ── health ───────────────────────────────────────────────────────────────────────────────────────────

    def _observe(self, node: Node) -> None:
        """Asks for an observation in the probes' own pool; one at a time per node."""
        if node.observing or self._stopping.is_set():
            return
        node.observing = True
        d = node.settings.destination
        target = ProbeTarget(
            node=node.name,
            host=d.host,
            address=node.settings.address or d.host,
            port=d.ssh_port if d.transport == "ssh" else d.port,
            transport=d.transport,
        )
        series, name, began = node.settings.probes, node.name, self.mono()

        def observe() -> None:
            try:
                observation: Observation | None = series.observe(target)
            except CannotObserve:  # we are the one in trouble: no state changes on that
                observation = None
            except Exception:
                log.exception("a probe of %s broke off", name)
                observation = Observation(
                    self.wall(), False, (ProbeResult("probe", False, None, "internal error"),)
                )
            self._inbox.put(_Observed(name, began, observation))

        try:
            self._probing.submit(observe)
        except RuntimeError:  # stopping
            node.observing = False

    def _on_observed(self, message: _Observed) -> None:
        node = self.field.nodes.get(message.node)
        if node is None:
            return
        node.observing = False
        node.observations += 1
        observation = message.observation
        if observation is not None:
            self._take_observation(node, message.began, observation)
        delay = healths.next_observation_seconds(node.health, self.settings.rules, node.observations)
        name = node.name
        self.timers.after(f"observe {name}", delay, lambda: self._inbox.put(_Due("observe", name)))

    def _take_observation(self, node: Node, began: float, observation: Observation) -> None:
        if not observation.good and moves_since(node, began):
            observation = replace(observation, good=True)
        for result in observation.results:
            if result.good is False:
                self.field.counts["probe_failures", node.name, result.kind] += 1
        self._feed(node, observation)

    def _feed(self, node: Node, observation: Observation) -> None:
        """Takes an observation, from a probe or from what rsync met, into the node's health."""
        node.observed = observation
        node.health, flip = healths.observe(node.health, observation, self.settings.rules)
        if flip is not None:
            self._flipped(node, flip)
        elif observation.good and node.state is State.READY and not node.proven:
            self._renew(node)

    def _renew(self, node: Node) -> None:
        """A proof from before the start: it renews itself after a clean stop, otherwise an audit comes first."""
        if node.renewable:
            node.proven, node.renewable = True, False
        elif not node.drift_count:
            node.audit_due = True
        else:
            self._relapse(node, "it differed from the source before the start")

    def _flipped(self, node: Node, flip: Flip) -> None:
        self.field.flip(node, flip)
        if flip.new is not State.READY:
            self._fail_tickets(node, flip)
        if flip.new in (State.UNHEALTH, State.DEAD):
            cancel_jobs(node, "the node does not answer")
            node.target = None
            for order in node.orders:
                order.done(Report(Outcome.UNREACHABLE, flip.reason))
            node.orders.clear()
        elif flip.new is State.RECOVERY:
            node.start_recovery()
            pause = self.dispatcher.pause_seconds(node)
            node.recovery_mono = self.mono() + pause
            node.retry_mono = 0.0
        elif flip.new is State.READY:
            node.target = None
            node.retry_mono = 0.0
            self._settle_tickets(node, True, "")

    def _relapse(self, node: Node, reason: str) -> None:
        node.health, flip = healths.relapsed(node.health, self.wall(), reason)
        if flip is not None:
            self._flipped(node, flip)

    # ── the ends of jobs ─────────────────────────────────────────────────────────────────────────────────

    def _on_job_done(self, done: JobDone) -> None:
        outcome = self.dispatcher.finish(done)
        node = self.field.nodes.get(done.node)
        if node is None or outcome is None:
            return
        message = getattr(done.result, "message", "") or str(outcome)
        if outcome is Outcome.UNREACHABLE and node.state in (State.READY, State.RECOVERY):
            self._unreachable(node, done, message)
        elif outcome is Outcome.BROKEN and node.state is State.READY:
            self._observe(node)
        elif done.kind == "resync" and outcome is not Outcome.DONE:
            self._resync_failed(node, outcome, message)
        elif done.kind == "audit" and node.drift_count and node.state is State.READY:
            self._relapse(node, f"{node.drift_count} paths differ from the source")
        elif done.kind == "resync" and node.state is State.READY:
            self._settle_tickets(node, True, "")
        self._perhaps_recovered(node)
        self.field.trim_tail()

    def _unreachable(self, node: Node, done: JobDone, message: str) -> None:
        if node.state is State.RECOVERY and done.kind != "audit":
            self._recovery_failed(node, message)
            return
        results = (ProbeResult("rsync run", False, None, message),)
        self._feed(node, Observation(self.wall(), False, results))

    def _resync_failed(self, node: Node, outcome: Outcome, message: str) -> None:
        if node.held is not None:
            self._settle_tickets(node, False, node.held)
        elif outcome is Outcome.KILLED:
            return
        elif node.state is State.RECOVERY:
            self._recovery_failed(node, message)
        else:
            self._settle_tickets(node, False, message)

    def _recovery_failed(self, node: Node, message: str) -> None:
        self._settle_tickets(node, False, message)
        node.health, flip = healths.recovery_failed(node.health, self.wall(), message)
        if flip is not None:
            self._flipped(node, flip)

    def _perhaps_recovered(self, node: Node) -> None:
        if node.state is not State.RECOVERY or node.target is None or node.work is not None:
            return
        if node.cursor is not None and node.cursor >= node.target:
            node.health, flip = healths.recovered(node.health, self.wall())
            if flip is not None:
                self._flipped(node, flip)

    def _settle_tickets(self, node: Node, ok: bool, message: str) -> None:
        for ticket in self._tickets.pop(node.name, []):
            ticket.done(ok, message)

    def _fail_tickets(self, node: Node, flip: Flip) -> None:
        if flip.new in (State.UNHEALTH, State.DEAD):
            self._settle_tickets(node, False, flip.reason)

    # ── commands, from any thread ────────────────────────────────────────────────────────────────────────

    def call(self, action: Callable[[], T], timeout_seconds: float = 10) -> T:
        """The action's answer, run in the engine's thread. Raises what it raises, TimeoutError when it is stuck."""
        answer: Future[object] = Future()
        self._inbox.put(_Call(action, answer))
        return answer.result(timeout_seconds)  # type: ignore[return-value]

    def post(self, action: Callable[[], object]) -> None:
        """Runs the action in the engine's thread, some time soon; nobody waits for it."""
        self._inbox.put(_Call(action, Future()))

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
                self._observe(self.node(name))

        self.call(look)

    def resync(
        self,
        names: Iterable[str],
        *,
        accept_deletions: bool = False,
        done: Callable[[str, bool, str], None] | None = None,
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

    def _ask_resync(self, node: Node, accept: bool, done: Callable[[str, bool, str], None] | None) -> None:
        name = node.name
        if node.parked:
            node.parked = False
            node.health = healths.new_node(self.wall(), name, "a full resync was asked for")
            node.start_recovery()
        if accept:
            node.accepted, node.held, node.would_delete = True, None, ()
            node.recovery_mono = self.mono()
        if done is not None and node.held is not None:
            done(name, False, node.held)
        elif done is not None and node.state in (State.UNHEALTH, State.DEAD):
            done(name, False, f"is in {node.state} and is synced when it is well again: {node.health.reason}")
        elif done is not None:
            self._tickets.setdefault(name, []).append(Ticket(lambda ok, message: done(name, ok, message)))
        if node.state is State.READY:
            node.resync_due = True
            node.retry_mono = 0.0

    def send_paths(self, name: str, batch: Batch, done: Callable[[Report], None]) -> None:
        """Sends a list to one node out of turn, between its other batches; ``done`` gets the report.

        A node that takes no changes now answers at once, with what it is busy with.
        """

        def order() -> None:
            node = self.node(name)
            if node.receives and not node.parked:
                node.orders.append(Order(batch, done))
            else:
                done(
                    Report(
                        Outcome.BUSY, f"is in {node.state} and takes no single paths: {node.health.reason}"
                    )
                )

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
        return self.call(lambda: self._change_entries(wanted, lambda e: retry(e, self.wall())))

    def discard_paths(self, wanted: Callable[[str, bytes], bool]) -> int:
        """Stops trying these dustbin entries; the nodes go on lacking them. How many there were."""
        return self.call(lambda: self._change_entries(wanted, discard))

    def _change_entries(self, wanted: Callable[[str, bytes], bool], change: Callable[..., object]) -> int:
        count = 0
        for node in self.field.nodes.values():
            changed = [change(e) for e in node.dustbin.values() if wanted(node.name, e.path)]
            for entry in changed:
                node.dustbin[entry.path] = entry  # type: ignore[attr-defined,assignment]
            if changed:
                node.retry_mono = 0.0
                self.store.put(SaveBinned(changed))  # type: ignore[arg-type]
            count += len(changed)
        return count

    def reconfigure(self, settings: EngineSettings) -> None:
        """Takes a new configuration: nodes come and go, limits and scope change; the root stays."""
        self.call(lambda: self._reconfigure(settings))

    def _reconfigure(self, settings: EngineSettings) -> None:
        old, self.settings = (
            self.settings,
            replace(settings, survey=replace(settings.survey, root=self.settings.survey.root)),
        )
        settings = self.settings
        self._apply_numbers(settings)
        self.dispatcher.retool(self._tools(settings), settings.limits, settings.rules)
        if settings.survey != old.survey:
            self.surveyor.rescope(settings.survey)
            if settings.survey.scope.delete and not old.survey.scope.delete:
                for node in self.field.nodes.values():
                    node.resync_due = True
        self.set_nodes_here(settings.nodes)
        if (settings.audit_seconds, settings.deep_audit_seconds) != (
            old.audit_seconds,
            old.deep_audit_seconds,
        ):
            for node in self.field.nodes.values():
                self._begin(node)

    def set_nodes(self, nodes: Sequence[NodeSettings]) -> None:
        """Takes a new list of nodes (the node source's and the file's together)."""
        self.call(lambda: self.set_nodes_here(nodes))

    def set_nodes_here(self, nodes: Sequence[NodeSettings]) -> None:
        wanted = {settings.name: settings for settings in nodes}
        self.settings = replace(self.settings, nodes=tuple(nodes))
        for name in [n for n in self.field.nodes if n not in wanted]:
            self._let_go(self.field.nodes[name])
        for name, settings in wanted.items():
            node = self.field.nodes.get(name)
            if node is None:
                self._add(settings)
            elif node.settings.destination.spec_key != settings.destination.spec_key:
                self._let_go(node, "points to another destination now")
                self._add(settings)
            else:
                node.settings = settings

    def _add(self, settings: NodeSettings) -> None:
        node = self._new_node(settings)
        self.field.nodes[settings.name] = node
        self.field.emit("inventory", "added", node=settings.name)
        self._begin(node)

    def _let_go(self, node: Node, reason: str = "removed from the configuration") -> None:
        """Its rsync group is killed, its timers end, its record goes."""
        cancel_jobs(node, "the node was removed")
        for timer in ("observe", "audit", "deep audit"):
            self.timers.cancel(f"{timer} {node.name}")
        self._settle_tickets(node, False, reason)
        for order in node.orders:
            order.done(Report(Outcome.KILLED, reason))
        del self.field.nodes[node.name]
        for key in [k for k in self.field.counts if node.name in k[1:2]]:
            del self.field.counts[key]
        self.store.put(ForgetNode(node.name))
        self.field.emit("inventory", reason, node=node.name)


def cancel_jobs(node: Node, reason: str) -> None:
    """Ends what runs on the node, by process group."""
    for work in (node.work, node.audit):
        if work is not None:
            work.control.stop.cancel(reason)


def moves_since(node: Node, mono: float) -> bool:
    """Whether a run on the node has moved bytes since then: as good as a good observation."""
    if node.moved_mono >= mono:
        return True
    handles = [work.control.handle for work in (node.work, node.audit) if work is not None]
    return any(h.moved and h.last_progress_at is not None and h.last_progress_at >= mono for h in handles)


def count_below(root: bytes, path: bytes, limit: int) -> int:
    """How many paths lie below a directory, counting no further than ``limit``; -1 when it cannot be read."""
    count = 0
    pending = [os.path.join(root, path) if path else root]
    while pending and count < limit:
        try:
            with os.scandir(pending.pop()) as entries:
                for entry in entries:
                    count += 1
                    if count >= limit:
                        break
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(entry.path)
        except OSError:
            return -1
    return count


def is_readable(root: bytes, path: bytes) -> bool:
    """Whether a file or directory can be opened for reading now, or is not there any more."""
    try:
        descriptor = os.open(os.path.join(root, path), os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    except OSError as error:
        return isinstance(error, FileNotFoundError | NotADirectoryError)
    os.close(descriptor)
    return True


def machine_id() -> str:
    """What tells this machine from others: systemd's machine id, else the host name and its hardware address."""
    for name in ("/etc/machine-id", "/var/lib/dbus/machine-id"):
        try:
            text = Path(name).read_text(encoding="ascii").strip()
        except OSError:
            continue
        if text:
            return text
    return f"{socket.gethostname()}-{uuid.getnode():012x}"
