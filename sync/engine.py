"""The one thread in which everything that is known of the nodes comes together; never waits for a node or a disk.

Messages come in (settled changes, observations, ends of jobs, timers, commands), each is taken in, and idle
nodes get what is due:

    inbox ─► take in ─► serve whom it concerns ─► now and then (pace): judge all (promise 2), serve all

Probes, rsync, scans and the database have threads of their own, so a silent node delays nobody.
"""

from __future__ import annotations

import logging
import queue
import re
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from sync.commands import Call, Commands, Stopped, UnknownNode
from sync.core import health as healths
from sync.core.args import RsyncOptions
from sync.core.health import HealthRules
from sync.core.model import Outcome, State
from sync.core.scope import Scope
from sync.course import Course, cancel_jobs
from sync.dispatcher import Dispatcher, JobDone
from sync.field import Field, Listener
from sync.glance import count_below, is_readable
from sync.jobs import Report, Tools
from sync.lanes import LaneLimits
from sync.node import Node, NodeSettings
from sync.observing import Observed, Observing
from sync.orphans import Orphans
from sync.pace import Pace
from sync.ports import ForgetNode, SaveChanges, Store
from sync.record import Record, Restart
from sync.rsync import Runner
from sync.scan import glance, look
from sync.survey import FirstScanDone, Settled, SourceNews, Stirring, SurveySettings, Watching
from sync.surveyor import Surveyor
from sync.timers import Timers

__all__ = ["Engine", "EngineSettings", "Stopped", "UnknownNode"]

log = logging.getLogger(__name__)

SOURCE_RECHECK_SECONDS = 60.0
NODE_TIMERS = ("observe", "audit", "deep audit")


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
class _Due:
    what: str
    node: str = ""


_STOP = object()


class Engine(Commands):
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
        orphans: Orphans | None = None,
    ) -> None:
        """``at_once``: a one-off run, in which nodes are left alone until they are asked for, and whose stored
        state does not count then. ``hands_off``: the dispatcher gives no work at all. ``orphans``, opened:
        nothing is sent while rsyncs of an earlier run are still at work.
        """
        self.settings = settings
        self.store = store
        self.wall, self.mono = wall, mono
        self.at_once, self.hands_off = at_once, hands_off
        self.orphans = orphans
        self.waits_for: str | None = None  # why nothing is sent although the tree was compared
        self._known_before = False
        self.field = Field(store, wall, mono, listeners)
        self.timers = Timers()
        self.started_at = wall()
        self.source = SourceNews(None, 0, False, None, (), (), None)
        self.accepting = threading.Event()
        self.ended = False
        self._inbox = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._loop, name="engine", daemon=True)
        self._pace = Pace()
        self._record = Record(self.field, settings.survey)
        self._observing = Observing(self._inbox.put, wall, mono)
        self.course = Course(self.field, settings.rules, self._observing.observe)
        self.surveyor = Surveyor(settings.survey, store, self._inbox.put, self._being_sent, mono)
        if make_watcher is not None:
            self.surveyor.make_watcher = make_watcher
        self.dispatcher = Dispatcher(
            self.field,
            self._tools(settings),
            settings.limits,
            settings.rules,
            self._inbox.put,
            self.surveyor.recheck,
        )
        self.dispatcher.results.readable = self._on_readable

    def _tools(self, settings: EngineSettings) -> Tools:
        root, scope = settings.survey.root, settings.survey.scope
        inherited = self.orphans.inherited if self.orphans is not None else ()
        return Tools(
            runner=Runner(settings.options, root, scope, inherited=inherited),
            sweeper=Runner(settings.options, settings.sweep_root, Scope(), inherited=inherited),
            look=lambda path: look(root, path),
            glance=lambda path: glance(root, path),
            count_below=lambda path, limit: count_below(root, path, limit),
            scope=scope,
            store=self.store,
            may_delete=self.surveyor.may_delete,
            is_pending=self.surveyor.is_pending,
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
        settings, record = self.settings, self._record
        meta = record.adopt(saved.meta)
        self._known_before = meta is not None
        self._apply_numbers(settings)
        rules = Restart(
            audit_seconds=settings.audit_seconds,
            max_lag_seconds=settings.max_lag_seconds,
            clean=meta is not None and meta.clean_stop,
            at_once=self.at_once,
            begins_to_delete=meta is not None and settings.survey.scope.delete and not meta.delete,
        )
        record.restore_nodes(saved, meta, list(settings.nodes), rules)
        if not self.at_once:  # a single round has no time to give, and judges by what it finds
            self.field.judged_from = float("inf")
        record.load_tail()
        self._save_meta(clean_stop=None if self.at_once and meta is not None else False)
        self._say_of_run("start", f"started with {len(self.field.nodes)} nodes")
        self.timers.start()
        self.surveyor.start(meta)
        self._thread.start()
        self._set_timers()

    def _set_timers(self) -> None:
        self.timers.every("tick", 1.0, lambda: self._inbox.put(_Due("tick")))
        self.timers.every(
            "source errors", SOURCE_RECHECK_SECONDS, lambda: self._inbox.put(_Due("source errors"))
        )
        self.timers.every("tombstones", 3600.0, lambda: self._inbox.put(_Due("tombstones")))
        if not self.at_once:
            self._inbox.put(_Due("nodes"))

    def stop(self) -> None:
        """Ends everything this engine started, rsync groups included, and stores that it ended cleanly.

        In order: no more work is begun, what runs is ended, what has ended meanwhile is taken in and stored.
        """
        self.ended = True
        self.timers.stop()
        self._inbox.put(_STOP)
        if self._thread.is_alive():
            self._thread.join(2)
        self.dispatcher.cancel_all("the service is stopping")
        self.surveyor.stop()
        self.dispatcher.close(3)
        self._observing.close(0.5)
        self._drain_ends()
        self._say_of_run("stop", "stopped")
        for node in self.field.nodes.values():
            if not node.parked:
                self.field.save(node)
        self._save_meta(clean_stop=self._ends_cleanly())
        self.store.flush(2)

    def _drain_ends(self) -> None:
        """Ends that arrived while the loop was ending still count: what they confirmed is confirmed."""
        while True:
            try:
                message = self._inbox.get_nowait()
            except queue.Empty:
                return
            if isinstance(message, JobDone):
                self.dispatcher.finish(message)
            elif isinstance(message, Call):
                message.answer.set_exception(Stopped("the content half is stopping"))

    def _ends_cleanly(self) -> bool | None:
        """What to store of this end; None leaves it, for a one-off run says nothing of the nodes it left alone."""
        return None if self.at_once and self._known_before else self.accepting.is_set()

    def _save_meta(self, *, clean_stop: bool | None = None, behind: tuple[SaveChanges, ...] = ()) -> None:
        known = self.accepting.is_set()
        self._record.save(
            self.settings.survey,
            self.source if known else None,
            self.surveyor.files if known else None,
            clean_stop=clean_stop,
            behind=behind,
        )

    def _apply_numbers(self, settings: EngineSettings) -> None:
        self.field.max_lag_seconds = settings.max_lag_seconds
        self.field.dustbin_seconds = settings.dustbin_seconds
        self.course.rules = settings.rules

    # ── the loop ─────────────────────────────────────────────────────────────────────────────────────────

    def _loop(self) -> None:
        while True:
            message = self._next()
            if message is _STOP:
                return
            try:
                if message is not None:
                    self._take_in(message)
                    self._follow(message)
                if self._pace.is_due(self.mono(), self._inbox.empty()):
                    self._look_at_all()
            except Exception:
                log.exception("the engine stumbled over %s and goes on", type(message).__name__)

    def _next(self) -> object:
        """The next message, or None when none came until all nodes are to be looked at."""
        wait = self._pace.wait_seconds(self.mono())
        try:
            return self._inbox.get(timeout=wait)
        except queue.Empty:
            return None

    def _follow(self, message: object) -> None:
        """Gives work where a message makes some due at once, and says when all nodes are looked at again."""
        match message:
            case Settled():
                self._serve()
                self._pace.soon(self.mono())
            case JobDone():
                if not self.ended:
                    self.dispatcher.serve_next(message.node)
                self._pace.soon(self.mono())
            case Stirring() | _Due(what="observe"):
                pass
            case Observed():
                if not message.node.proven or message.node.state is not State.READY:
                    self._pace.soon(self.mono())
            case _:
                self._pace.at_once()
        if self.field.flipped:
            self._pace.at_once()

    def _look_at_all(self) -> None:
        self._pace.looked(self.mono())
        self.field.flipped = False
        self.field.trim_tail()
        self.field.judge()
        self._serve()

    def _serve(self) -> None:
        if not self.ended:
            self.dispatcher.serve()

    def _take_in(self, message: object) -> None:
        match message:
            case Settled():
                self._on_settled(message)
            case Stirring():
                if not self.ended:
                    self.dispatcher.stir(message.paths, message.within_seconds)
            case JobDone():
                self._on_job_done(message)
            case Observed():
                self._on_observed(message)
            case SourceNews():
                self._on_source(message)
            case FirstScanDone():
                self._on_first_scan(message)
            case _Due():
                self._on_due(message)
            case Call():
                message.carry_out()

    def _on_settled(self, settled: Settled) -> None:
        rows = self.field.append(settled.changes, settled.new)
        self._save_meta(behind=(SaveChanges(rows),))
        if len(self.field.tail) > 1000:
            self.field.trim_tail()

    def _on_first_scan(self, done: FirstScanDone) -> None:
        self.accepting.set()
        if not self.at_once:
            self.field.judged_from = self.mono() + self.settings.max_lag_seconds
        self._begin_work()
        if not self.hands_off:
            self._trim_tombstones()
        self._save_meta()
        self._say_of_run(
            "start", f"the publish directory holds {done.files} paths, compared in {done.seconds:.1f} s"
        )

    def _say_of_run(self, kind: str, message: str) -> None:
        """A line of the timeline, but for runs that only look: they are no start of anything."""
        if not self.hands_off:
            self.field.emit(kind, message)

    def _begin_work(self) -> None:
        """Lets the dispatcher give work, unless rsyncs of an earlier run are still at it (promise 7)."""
        before = self.waits_for
        self.waits_for = self.orphans.remain() if self.orphans is not None else None
        if self.waits_for is None:
            self.dispatcher.accepting = not self.hands_off
        elif before is None:
            self.field.emit("held", self.waits_for, severity="warning")

    def _on_source(self, news: SourceNews) -> None:
        before, self.source = self.source, news
        if news.fault and _kind(news.fault) != _kind(before.fault):
            self.field.emit("source", f"deletion is stopped: {news.fault}", severity="error", held=news.held)
        elif before.fault and not news.fault:
            self.field.emit("source", "the publish directory is all right again")
        if news.watch and news.watch != before.watch:
            self.field.emit("watch", news.watch, severity="warning")
        elif before.watch and not news.watch:
            self.field.emit("watch", "everything is watched again")
        self._save_meta()

    def _on_job_done(self, done: JobDone) -> None:
        outcome = self.dispatcher.finish(done)
        node = self.field.nodes.get(done.node)
        if node is not None and outcome is not None:
            self.course.take_end(node, done, outcome)

    def _on_observed(self, message: Observed) -> None:
        node = message.node
        if self.field.nodes.get(node.name) is not node:
            return  # let go meanwhile
        node.observing = False
        node.observations += 1
        if message.observation is not None:
            self.course.take_observation(node, message.began, message.observation)
        delay = healths.next_observation_seconds(node.health, self.settings.rules, node.observations)
        self._after("observe", node.name, delay)

    # ── timers ───────────────────────────────────────────────────────────────────────────────────────────

    def _after(self, what: str, name: str, seconds: float) -> None:
        if seconds <= 0:
            return  # switched off
        self.timers.after(f"{what} {name}", seconds, lambda: self._inbox.put(_Due(what, name)))

    def _on_due(self, due: _Due) -> None:
        node = self.field.nodes.get(due.node)
        match due.what:
            case "tick":
                self.surveyor.tick()
                if self.waits_for is not None:
                    self._begin_work()
            case "nodes":
                for each in list(self.field.nodes.values()):
                    self._begin(each)
            case "observe" if node is not None:
                self._observing.observe(node)
            case "audit" if node is not None:
                node.audit_due = True
                self._after("audit", node.name, self.settings.audit_seconds)
            case "deep audit" if node is not None:
                node.deep_due = True
                self._after("deep audit", node.name, self.settings.deep_audit_seconds)
            case "source errors":
                self._recheck_source_errors()
            case "tombstones":
                self._trim_tombstones()

    def _begin(self, node: Node) -> None:
        """A node's timers. Audits begin at a time of its own within the interval."""
        self._observing.observe(node)
        share = 0.5 + healths.jitter(node.name, 0) / 2
        for what, seconds in (
            ("audit", self.settings.audit_seconds),
            ("deep audit", self.settings.deep_audit_seconds),
        ):
            self.timers.cancel(f"{what} {node.name}")
            self._after(what, node.name, max(seconds * share, min(seconds, 60.0)))

    def _recheck_source_errors(self) -> None:
        root = self.settings.survey.root
        paths = tuple(self.field.source_errors)
        if paths:
            self._observing.submit(lambda: self.surveyor.recheck([p for p in paths if is_readable(root, p)]))

    def _on_readable(self, path: bytes) -> None:
        """What lies below a folder that could not be read was not carried, and stands in nobody's dustbin."""
        if not self.surveyor.has_children(path):
            return

        def recheck() -> None:
            self.surveyor.recheck([row.path for row in self.store.manifest(path) if row.path != path])

        self._observing.submit(recheck)

    def _trim_tombstones(self) -> None:
        """Tombstones older than a day go; a node whose cursor lies below gets a full resync."""
        seq = self._record.trim_tombstones()
        if seq is None:
            return
        for node in self.field.nodes.values():
            if node.cursor is not None and node.cursor < seq:
                node.cursor, node.target = None, None
                self.course.relapse(node, "its cursor is older than the journal reaches")

    # ── nodes come and go ────────────────────────────────────────────────────────────────────────────────

    def reconfigure(self, settings: EngineSettings) -> None:
        """Takes a new configuration: nodes come and go, limits and scope change; the root stays."""
        self.call(lambda: self._reconfigure(settings))

    def _reconfigure(self, settings: EngineSettings) -> None:
        old = self.settings
        settings = replace(settings, survey=replace(settings.survey, root=old.survey.root))
        self.settings = settings
        self._apply_numbers(settings)
        self.dispatcher.retool(self._tools(settings), settings.limits, settings.rules)
        if settings.survey != old.survey:
            self.surveyor.rescope(settings.survey)
            if settings.survey.scope.delete and not old.survey.scope.delete:
                for node in self.field.nodes.values():
                    node.resync_due = True
        self.set_nodes_here(settings.nodes)
        times = (settings.audit_seconds, settings.deep_audit_seconds)
        if times != (old.audit_seconds, old.deep_audit_seconds):
            for node in self.field.nodes.values():
                self._begin(node)
        self._save_meta()

    def set_nodes(self, nodes: Sequence[NodeSettings]) -> None:
        """Takes a new list of nodes (the node source's and the file's together)."""
        self.call(lambda: self.set_nodes_here(nodes))

    def set_nodes_here(self, nodes: Sequence[NodeSettings]) -> None:
        """The same in the engine's thread."""
        wanted = {settings.name: settings for settings in nodes}
        self.settings = replace(self.settings, nodes=tuple(nodes))
        for name in [n for n in self.field.nodes if n not in wanted]:
            self._let_go(self.field.nodes[name], "removed from the configuration")
        for name, settings in wanted.items():
            node = self.field.nodes.get(name)
            if node is None:
                self._add(settings)
            elif node.settings.destination.spec_key != settings.destination.spec_key:
                drained = node.drained_by_command
                self._let_go(node, "points to another destination now")
                self._add(settings, drained)
            else:
                node.settings = settings

    def _add(self, settings: NodeSettings, drained: bool | None = None) -> None:
        node = Node(settings, healths.new_node(self.wall(), settings.name))
        node.drained_by_command = drained
        node.parked = self.at_once
        self.field.nodes[settings.name] = node
        if not self.at_once:
            self.field.save(node)
        self.field.emit("inventory", "added", node=settings.name)
        if not self.at_once:
            self._begin(node)

    def _let_go(self, node: Node, reason: str) -> None:
        """Its rsync group is killed, its timers end, its record goes."""
        cancel_jobs(node, "the node was removed")
        for timer in NODE_TIMERS:
            self.timers.cancel(f"{timer} {node.name}")
        self.course.answer(node, False, reason)
        for order in (*node.orders, *([node.ordered] if node.ordered is not None else [])):
            self.field.tell(order.done, Report(Outcome.KILLED, reason))
        del self.field.nodes[node.name]
        for key in [k for k in self.field.counts if node.name in k[1:2]]:
            del self.field.counts[key]
        self.store.put(ForgetNode(node.name))
        self.field.emit("inventory", reason, node=node.name)


def _kind(fault: str | None) -> str:
    """What a fault is, without its numbers: a tree that is still changing is one fault, not many."""
    return re.sub(r"\d+", "", fault or "")
