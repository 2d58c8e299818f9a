"""Gives idle nodes the work that is due; owned by the engine's thread. What came of it: sync/results.py.

    ready, a change is settling              → get ready       lane events
    ready, changes after its cursor          → send            lane events
    ready, dustbin entries due               → send them       lane events
    ready, a full resync was asked for       → resync in place lane recovery
    ready, unproven or its timer rang        → audit           lane audits (beside the writing)
    recovery, its pause is over              → resync          lane init at start, else recovery
    recovery, resync done, not yet at target → send            lane events

One writing job per node and per destination at a time (promise 7). A job's end comes back as a message; a job
that was overtaken (its node is gone or fell ill meanwhile) is told from the present one by its number.
"""

from __future__ import annotations

import itertools
import logging
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import replace

from sync import jobs
from sync.core.dustbin import due
from sync.core.health import HealthRules
from sync.core.listing import Progress
from sync.core.model import Change, Form, Kind, Outcome, State
from sync.field import Field
from sync.jobs import AuditReport, Batch, Control, Report, ResyncOrder, Tools
from sync.lanes import Lane, LaneLimits
from sync.node import Node, Work
from sync.ports import StoreError
from sync.results import HELD_RETRY_SECONDS, JobDone, Results

__all__ = ["Dispatcher", "JobDone", "LaneLimits"]

log = logging.getLogger(__name__)

BATCHES_KEPT = 16
BATCH_SECONDS = 5.0

Job = Callable[[Control], Report | AuditReport]


class Dispatcher:
    """Starts jobs and hands their ends to the results."""

    def __init__(
        self,
        field: Field,
        tools: Tools,
        limits: LaneLimits,
        rules: HealthRules,
        post: Callable[[JobDone], None],
        recheck: Callable[[tuple[bytes, ...]], None],
    ) -> None:
        self.field = field
        self.tools = tools
        self.rules = rules
        self.post = post
        self.results = Results(field, recheck)
        self.lanes = {name: Lane(name, limit) for name, limit in limits.by_lane().items()}
        self._old_lanes: list[Lane] = []  # of older limits, whose jobs may still run
        self.accepting = False  # the first scan is done
        self._numbers = itertools.count(1)
        self._batches: dict[tuple[int, int, int], tuple[float, Batch]] = {}
        self.in_flight: tuple[Batch, ...] = ()
        self._bearers: Counter[Batch] = Counter()  # how many jobs carry each of them
        self._written: set[str] = set()  # the destinations that a job writes to
        self._running: dict[int, Work] = {}
        self._turn = 0
        self._promise: tuple[int, float, Batch] | None = None  # after this head, until then at the latest
        self._waiting: dict[str, deque[str]] = {}  # lane → who found no room in it since all were last served

    def retool(self, tools: Tools, limits: LaneLimits, rules: HealthRules) -> None:
        """Takes other tools and limits for the jobs to come; what runs ends as it began."""
        self.tools, self.rules = tools, rules
        self._batches.clear()
        self._break_promise()
        for name, limit in limits.by_lane().items():
            if self.lanes[name].limit != limit:
                self._old_lanes.append(self.lanes[name])
                self.lanes[name] = Lane(name, limit)

    def cancel_all(self, reason: str) -> None:
        """Ends everything that runs, jobs of nodes that are gone included, by process group."""
        for work in list(self._running.values()):
            work.control.stop.cancel(reason)

    def close(self, seconds: float) -> None:
        """Gives no more work, ends what runs and the lanes' threads."""
        self.accepting = False
        self._break_promise()
        self.cancel_all("the service is stopping")
        deadline = self.field.mono() + seconds
        for lane in (*self.lanes.values(), *self._old_lanes):
            if not lane.close(max(0.1, deadline - self.field.mono())):
                log.warning("a job in lane %s did not end in time", lane.name)

    def being_sent(self, path: bytes) -> bool:
        """Whether a batch under way carries the path (asked from the surveyor's thread)."""
        return any(path in batch.seqs for batch in self.in_flight)

    # ── giving work ──────────────────────────────────────────────────────────────────────────────────────

    def serve(self) -> None:
        """Gives every idle node what is due, beginning with another node each time."""
        self._keep_promise()
        if not self._may_give():
            return
        self._waiting.clear()
        for node in self._in_turn():
            self._serve(node)

    def _in_turn(self) -> list[Node]:
        nodes = list(self.field.nodes.values())
        self._turn = (self._turn + 1) % max(1, len(nodes))
        return nodes[self._turn :] + nodes[: self._turn]

    def stir(self, paths: int, within_seconds: float) -> None:
        """Gets rsyncs ready for so many files that will have settled within that time, or not."""
        if self._promise is not None or not self._may_give():
            return
        head, mono = self.field.tail.head, self.field.mono()
        promise = Batch.promised()
        self._promise = head, mono + within_seconds, promise
        for node in self._in_turn():
            if not self.lanes["events"].has_room:
                break
            if self._is_idle_at(node, head, mono):
                self._get_ready(node, promise, paths)
        if promise not in self._bearers:
            self._promise = None

    def _is_idle_at(self, node: Node, head: int, mono: float) -> bool:
        return (
            node.work is None
            and not node.parked
            and node.state is State.READY
            and node.cursor == head
            and node.retry_mono <= mono
            and not (node.orders or node.resync_due or node.failures)
        )

    def _get_ready(self, node: Node, promise: Batch, paths: int) -> None:
        tools, destination = self.tools, node.settings.destination
        self._start(
            node,
            "events",
            Form.FILES,
            "send",
            lambda control: jobs.send_promised(
                tools, destination, promise, paths, replace(control, progress=noting(node))
            ),
            batch=promise,
        )

    def _keep_promise(self) -> None:
        """Says what has settled to those who got ready for it, or that nothing has in time."""
        if self._promise is None:
            return
        before, until, promise = self._promise
        head, mono = self.field.tail.head, self.field.mono()
        if head <= before and mono < until:
            return
        self._promise = None
        if head > before >= self.field.tail.floor and self._may_give():
            promise.keep(self.field.tail.after(before), head, before)
            self._remember(before, head, before, promise)
        else:
            promise.keep((), None)

    def _break_promise(self) -> None:
        """Nothing comes of it for those who got ready; what settles is given out as ever."""
        if self._promise is not None:
            self._promise[2].keep((), None)
            self._promise = None

    def serve_next(self, name: str) -> None:
        """Gives the place that this node's job has just left to whom waits for one, then the node what is due.

        A job's end is no reason to look at all nodes: with hundreds of them that would cost more than the job.
        """
        if not self._may_give():
            return
        for lane, waiting in list(self._waiting.items()):
            while waiting and self.lanes[lane].has_room:
                self._serve_if_there(waiting.popleft())
        self._serve_if_there(name)

    def _may_give(self) -> bool:
        return self.accepting and self.field.store.trouble() is None

    def _serve_if_there(self, name: str) -> None:
        node = self.field.nodes.get(name)
        if node is not None:
            self._serve(node)

    def _serve(self, node: Node) -> None:
        if node.parked:
            return
        if node.work is None:
            self._write(node)
        if node.audit is None and (node.audit_due or node.deep_due):
            self._audit(node)

    def _write(self, node: Node) -> None:
        mono = self.field.mono()
        if node.state is State.RECOVERY and node.target is None:
            if mono >= node.recovery_mono and (node.held is None or node.accepted):
                self._resync(node, "init" if node.at_start else "recovery")
            return
        if not node.receives or mono < node.retry_mono:
            return
        if node.orders:
            order = node.orders[0]
            if self._send(node, order.batch, "order"):
                node.orders.remove(order)
                node.ordered = order
            return
        if node.resync_due and self._resync(node, "recovery"):
            return
        self._catch_up(node)

    def _catch_up(self, node: Node) -> None:
        cursor, tail = node.cursor or 0, self.field.tail
        if cursor < tail.floor:
            log.warning("%s: its cursor fell behind the tail; a full resync brings it back", node.name)
            node.resync_due, node.target = node.state is State.READY, None
        elif cursor < tail.head:
            self._send_changes(node, cursor)
        elif node.leftovers:
            self._clean(node)
        elif entries := due(node.dustbin.values(), self.field.wall()):
            self._send(node, Batch.of_entries(entries), "retry")

    def _send_changes(self, node: Node, cursor: int) -> None:
        batch = self._batch(cursor, node.sent_through if node.sent_through > cursor else cursor)
        if node.sent_through > cursor and batch.deletes_only and self.tools.may_delete() is not None:
            node.retry_mono = self.field.mono() + HELD_RETRY_SECONDS
            return
        self._send(node, batch)

    def _batch(self, cursor: int, sent: int) -> Batch:
        """The batch above the cursor, up to ``sent`` only what is gone. Nodes at the same place share it, and
        with it one look at the tree.
        """
        head, mono = self.field.tail.head, self.field.mono()
        kept = self._batches.get((cursor, head, sent))
        if kept is not None and kept[0] > mono - BATCH_SECONDS:
            return kept[1]
        rows: tuple[Change, ...] = self.field.tail.after(cursor)
        if sent > cursor:
            rows = tuple(row for row in rows if row.seq > sent or row.stat.kind is Kind.GONE)
        batch = Batch(rows, head, sent)
        self._remember(cursor, head, sent, batch)
        return batch

    def _remember(self, cursor: int, head: int, sent: int, batch: Batch) -> None:
        if len(self._batches) >= BATCHES_KEPT:
            self._batches.clear()
        self._batches[cursor, head, sent] = (self.field.mono(), batch)

    def _send(self, node: Node, batch: Batch, kind: str = "send") -> bool:
        tools, destination = self.tools, node.settings.destination
        work = jobs.retry if kind == "retry" else jobs.send
        return self._start(
            node,
            "events",
            Form.FILES,
            kind,
            lambda control: work(tools, destination, batch, replace(control, progress=noting(node))),
            batch=batch,
        )

    def _clean(self, node: Node) -> None:
        """Removes rsync's own left-over temporary files in place, unless they have become content."""
        listed, tools, destination = node.leftovers, self.tools, node.settings.destination

        def job(control: Control) -> Report:
            return jobs.remove(tools, destination, listed, control)

        if self._start(node, "events", Form.GONE, "clean", job, batch=Batch([], None)):
            node.leftovers = ()

    def _resync(self, node: Node, lane: str) -> bool:
        tools, destination = self.tools, node.settings.destination
        if tools.scope.delete and tools.may_delete() is not None:
            node.recovery_mono = self.field.mono() + HELD_RETRY_SECONDS
            return False
        watermark = self.field.tail.head
        proof, drifted, store = node.proof_seq, node.drift, tools.store
        introduce, accepted = not node.introduced, node.accepted

        def job(control: Control) -> Report:
            rows = [row for row in store.since(proof) if row.seq <= watermark] if proof is not None else []
            order = ResyncOrder(introduce, accepted, tuple(rows), drifted)
            return jobs.resync(tools, destination, order, replace(control, progress=noting(node)))

        return self._start(node, lane, Form.EVERYTHING, "resync", job, watermark=watermark)

    def _audit(self, node: Node) -> None:
        if node.state is not State.READY or node.cursor is None or self.field.mono() < node.audit_mono:
            return
        deep, cursor, field, tools = node.deep_due, node.cursor, self.field, self.tools
        destination = node.settings.destination

        def job(control: Control) -> AuditReport:
            return jobs.audit(
                tools,
                destination,
                deep=deep,
                cursor=cursor,
                dustbin=lambda: set(node.dustbin.copy()),
                source_errors=lambda: set(field.source_errors.copy()),
                control=control,
            )

        form = Form.DEEP_AUDIT if deep else Form.AUDIT
        if self._start(node, "audits", form, "audit", job, watermark=cursor):
            node.audit_due = node.deep_due = False

    def _start(
        self,
        node: Node,
        lane: str,
        form: Form,
        kind: str,
        job: Job,
        *,
        batch: Batch | None = None,
        watermark: int | None = None,
    ) -> bool:
        """Whether the job could be started: its lane has room, and nobody else writes to the destination."""
        if not self.lanes[lane].has_room:
            self._waiting.setdefault(lane, deque()).append(node.name)
            return False
        key = None if kind == "audit" else node.settings.destination.spec_key
        if key in self._written:
            return False  # a job of a node of the same name that was let go is just ending
        total = len(batch.seqs) if batch else 0
        work = Work(next(self._numbers), form, Control(), self.field.mono(), total, watermark, key, batch)

        def run() -> Report | AuditReport | Exception:
            return _guarded(job, work.control, kind, node.name)

        def done(result: Report | AuditReport | Exception) -> None:
            self.post(JobDone(node.name, work.number, kind, result, batch, watermark or 0))

        if not self.lanes[lane].try_submit(run, done):
            return False
        if kind == "audit":
            node.audit = work
        else:
            node.work = work
        self._running[work.number] = work
        if key is not None:
            self._written.add(key)
        if batch is not None:
            self._bearers[batch] += 1
            if self._bearers[batch] == 1:
                self.in_flight = tuple(self._bearers)
        return True

    def _ended(self, work: Work) -> None:
        if work.writes_to is not None:
            self._written.discard(work.writes_to)
        if work.batch is not None:
            self._bearers[work.batch] -= 1
            if not self._bearers[work.batch]:
                del self._bearers[work.batch]
                self.in_flight = tuple(self._bearers)

    # ── taking in what came of it ────────────────────────────────────────────────────────────────────────

    def finish(self, done: JobDone) -> Outcome | None:
        """Takes in a job's end and answers its outcome, None when it no longer matters."""
        work = self._running.pop(done.number, None)
        if work is not None:
            self._ended(work)
        node = self.field.nodes.get(done.node)
        if node is None or work is None or work not in (node.work, node.audit):
            return None
        if work is node.audit:
            node.audit = None
        else:
            node.work, node.progress = None, None
        return self.results.take(node, work, done)


def noting(node: Node) -> Callable[[Progress], None]:
    """Keeps how far the run on a node is; called in the worker's thread, read in any."""

    def note(progress: Progress) -> None:
        node.progress = progress

    return note


def _guarded(job: Job, control: Control, kind: str, name: str) -> Report | AuditReport | Exception:
    try:
        return job(control)
    except StoreError as error:  # what it was to say or send is not known now; tried again
        log.warning("a job on %s waits for the database: %s", name, error)
        control.stop.cancel("the database cannot be read")
        return (AuditReport if kind == "audit" else Report)(Outcome.KILLED, str(error))
    except Exception as error:
        log.exception("a job on %s broke off", name)
        return error
