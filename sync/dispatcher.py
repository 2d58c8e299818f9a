"""Gives idle nodes the work that is due and takes in what came of it; owned by the engine's thread.

    ready, changes after its cursor          → send            lane events
    ready, dustbin entries due               → send them       lane events
    ready, a full resync was asked for       → resync in place lane recovery
    ready, unproven or its timer rang        → audit           lane audits (beside the writing)
    recovery, its pause is over              → resync          lane init at start, else recovery
    recovery, resync done, not yet at target → send            lane events

One writing job per node at a time (promise 7). A job's end comes back as a message; a job that was overtaken
(its node is gone or fell ill meanwhile) is told from the present one by its number.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from sync import jobs
from sync.core.args import AUDITS
from sync.core.dustbin import due
from sync.core.health import HealthRules, recovery_pause_seconds
from sync.core.listing import Progress
from sync.core.model import Change, Form, Outcome, State
from sync.core.rails import largest_deletion
from sync.core.result import RunResult
from sync.field import Field
from sync.jobs import AuditReport, Batch, Control, Report, ResyncOrder, Tools
from sync.lanes import Lane
from sync.node import Node, Work
from sync.ports import SaveTransfer, StoreError, Transfer

log = logging.getLogger(__name__)

BATCHES_KEPT = 16
BATCH_SECONDS = 5.0
HELD_RETRY_SECONDS = 2.0
BUSY_RETRY_SECONDS = 0.5
SLOWEST_RETRY_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class LaneLimits:
    """How many rsync jobs run at once; the ``sync`` section's names."""

    max_processes: int = 160
    max_init: int = 12
    max_recovery: int = 6
    max_audits: int = 4


@dataclass(frozen=True, slots=True)
class JobDone:
    """A job has ended; ``result`` is what the job answered, or the exception that broke it."""

    node: str
    number: int
    kind: str
    result: Report | AuditReport | Exception
    batch: Batch | None = None
    watermark: int = 0


class Dispatcher:
    """Starts jobs and says what their ends mean. ``observed_failure`` feeds what rsync saw into the health."""

    def __init__(
        self,
        field: Field,
        tools: Tools,
        limits: LaneLimits,
        rules: HealthRules,
        post: Callable[[JobDone], None],
        files: Callable[[], int],
        recheck: Callable[[tuple[bytes, ...]], None],
        max_shrink_percent: float,
    ) -> None:
        self.field = field
        self.tools = tools
        self.rules = rules
        self.post = post
        self.files = files
        self.recheck = recheck
        self.max_shrink_percent = max_shrink_percent
        self.lanes = {name: Lane(name, limit) for name, limit in lane_limits(limits).items()}
        self._closing: list[Lane] = []  # lanes of older limits whose jobs may still run
        self.accepting = False  # the first scan is done
        self._numbers = itertools.count(1)
        self._batches: dict[tuple[int, int], tuple[float, Batch]] = {}
        self.in_flight: tuple[Batch, ...] = ()
        self._running: dict[int, Batch] = {}
        self._turn = 0

    def retool(self, tools: Tools, limits: LaneLimits, rules: HealthRules) -> None:
        """Takes other tools and limits for the jobs to come; what runs ends as it began."""
        self.tools, self.rules = tools, rules
        self._batches.clear()
        for name, limit in lane_limits(limits).items():
            if self.lanes[name].limit != limit:
                self._closing.append(self.lanes[name])
                self.lanes[name] = Lane(name, limit)

    def close(self) -> None:
        """Waits for what still runs (cancel first) and ends the lanes' threads."""
        for lane in (*self.lanes.values(), *self._closing):
            lane.close()

    def being_sent(self, path: bytes) -> bool:
        """Whether a batch under way carries the path (asked from the surveyor's thread)."""
        return any(path in batch.seqs for batch in self.in_flight)

    # ── giving work ──────────────────────────────────────────────────────────────────────────────────────

    def serve(self) -> None:
        """Gives every idle node what is due, beginning with another node each time."""
        if not self.accepting or self.field.store.trouble() is not None:
            return
        nodes = list(self.field.nodes.values())
        if not nodes:
            return
        self._turn = (self._turn + 1) % len(nodes)
        for node in nodes[self._turn :] + nodes[: self._turn]:
            if node.parked:
                continue
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
            self._send(node, node.orders[0].batch, "order")
            return
        if node.resync_due and self._resync(node, "recovery"):
            return
        assert node.cursor is not None  # noqa: S101 - `receives` says so
        if node.cursor < self.field.tail.head and node.cursor >= self.field.tail.floor:
            self._send(node, self._batch(node.cursor))
        elif node.leftovers:
            self._clean(node)
        elif node.dustbin:
            self._retry(node)

    def _batch(self, cursor: int) -> Batch:
        """The batch above the cursor; nodes at the same cursor share it, and with it one look at the tree."""
        head, mono = self.field.tail.head, self.field.mono()
        kept = self._batches.get((cursor, head))
        if kept is not None and kept[0] > mono - BATCH_SECONDS:
            return kept[1]
        if len(self._batches) >= BATCHES_KEPT:
            self._batches.clear()
        batch = Batch(self.field.tail.after(cursor), head)
        self._batches[cursor, head] = (mono, batch)
        return batch

    def _send(self, node: Node, batch: Batch, kind: str = "send") -> bool:
        return self._start(
            node,
            "events",
            Form.FILES,
            kind,
            lambda control: jobs.send(self.tools, node.settings.destination, batch, control),
            batch=batch,
        )

    def _retry(self, node: Node) -> None:
        entries = due(node.dustbin.values(), self.field.wall())
        if not entries:
            return
        try:
            rows = self.tools.store.rows([entry.path for entry in entries])
        except StoreError:
            return
        changes = [rows.get(e.path) or Change(e.path, self.tools.look(e.path), e.seq) for e in entries]
        self._send(node, Batch(changes, None))

    def _clean(self, node: Node) -> None:
        """Removes rsync's own left-over temporary files in place, unless they have become content."""
        listed, node.leftovers = node.leftovers, ()
        steps = Batch([], None)

        def job(control: Control) -> Report:
            return jobs.remove(self.tools, node.settings.destination, listed, control)

        self._start(node, "events", Form.GONE, "clean", job, batch=steps)

    def _resync(self, node: Node, lane: str) -> bool:
        tools = self.tools
        if tools.scope.delete and not node.accepted and tools.may_delete() is not None:
            node.recovery_mono = self.field.mono() + HELD_RETRY_SECONDS
            return False
        watermark = self.field.tail.head
        proof, drifted, store = node.proof_seq, node.drift, tools.store
        introduce, accepted = not node.introduced, node.accepted
        limit = largest_deletion(self.files(), self.max_shrink_percent)

        def progressed(progress: Progress) -> None:
            node.progress = progress

        def job(control: Control) -> Report:
            rows = [row for row in store.since(proof) if row.seq <= watermark] if proof is not None else []
            order = ResyncOrder(
                introduce=introduce,
                accepted=accepted,
                max_delete=None if introduce else limit,
                recheck=tuple(rows),
                drifted=drifted,
            )
            return jobs.resync(tools, node.settings.destination, order, replace(control, progress=progressed))

        return self._start(node, lane, Form.EVERYTHING, "resync", job, watermark=watermark)

    def _audit(self, node: Node) -> None:
        if node.state is not State.READY or node.cursor is None:
            return
        deep, cursor, field = node.deep_due, node.cursor, self.field

        def job(control: Control) -> AuditReport:
            return jobs.audit(
                self.tools,
                node.settings.destination,
                deep=deep,
                cursor=cursor,
                dustbin=lambda: set(node.dustbin.copy()),
                source_errors=lambda: set(field.source_errors.copy()),
                control=control,
            )

        form = Form.DEEP_AUDIT if deep else Form.AUDIT
        self._start(node, "audits", form, "audit", job, watermark=cursor)

    def _start(
        self,
        node: Node,
        lane: str,
        form: Form,
        kind: str,
        job: Callable[[Control], Report | AuditReport],
        *,
        batch: Batch | None = None,
        watermark: int = 0,
    ) -> bool:
        work = Work(next(self._numbers), form, Control(), self.field.mono(), len(batch.seqs) if batch else 0)

        def run() -> Report | AuditReport | Exception:
            try:
                return job(work.control)
            except Exception as error:
                log.exception("a job on %s broke off", node.name)
                return error

        def done(result: Report | AuditReport | Exception) -> None:
            self.post(JobDone(node.name, work.number, kind, result, batch, watermark))

        # Noted first: the job may end before try_submit returns.
        before = node.audit if kind == "audit" else node.work
        if kind == "audit":
            node.audit = work
        else:
            node.work = work
        if self.lanes[lane].try_submit(run, done):
            if batch is not None:
                self._running[work.number] = batch
                if batch not in self.in_flight:
                    self.in_flight = (*self.in_flight, batch)
            return True
        if kind == "audit":
            node.audit = before
        else:
            node.work = before
        return False

    # ── taking in what came of it ────────────────────────────────────────────────────────────────────────

    def finish(self, done: JobDone) -> Outcome | None:
        """Takes in a job's end and answers its outcome, None when it no longer matters."""
        node = self.field.nodes.get(done.node)
        self._drop_batch(done.number)
        if node is None:
            return None
        if done.kind == "audit":
            if node.audit is None or node.audit.number != done.number:
                return None
            node.audit = None
        else:
            if node.work is None or node.work.number != done.number:
                return None
            node.work = None
            node.progress = None
        if isinstance(done.result, Exception):
            self._back_off(node, f"an internal error: {type(done.result).__name__}; see the log")
            return Outcome.BROKEN
        self._note_runs(node, done.result.runs)
        if isinstance(done.result, AuditReport):
            self._audited(node, done, done.result)
        elif done.kind == "resync":
            self._resynced(node, done, done.result)
        elif done.kind == "order":
            if node.orders:
                node.orders.pop(0).done(done.result)
            self._sent(node, done.batch, done.result)
        else:
            self._sent(node, done.batch, done.result)
        return done.result.outcome

    def _drop_batch(self, number: int) -> None:
        if self._running.pop(number, None) is not None:
            self.in_flight = tuple({id(b): b for b in self._running.values()}.values())

    def _note_runs(self, node: Node, runs: list[RunResult]) -> None:
        field = self.field
        now = field.wall()
        for run in runs:
            field.counts["runs", run.form.value, run.outcome.value] += 1
            field.counts["exits", str(run.code)] += 1
            field.note_seconds(run.form.value, run.seconds)
            field.counts["bytes", node.name] += run.bytes
            if run.form not in AUDITS:
                field.counts["carried", node.name, "files"] += run.files
                field.counts["carried", node.name, "bytes"] += run.bytes
                field.counts["carried", node.name, "deleted"] += run.deleted
            node.bytes_sent += run.bytes
            field.put(
                SaveTransfer(
                    Transfer(
                        at=now,
                        node=node.name,
                        form=run.form.value,
                        outcome=run.outcome.value,
                        code=run.code,
                        seconds=run.seconds,
                        files=run.files,
                        bytes=run.bytes,
                        deleted=run.deleted,
                        message=run.message,
                    )
                )
            )

    def _sent(self, node: Node, batch: Batch | None, report: Report) -> None:
        if report.moved:
            node.moved_mono = self.field.mono()
        if report.stopped:
            self._stopped(node, report)
            return
        node.failures, node.blocked = 0, None
        if batch is None:
            return
        self._settle_paths(node, report, batch.seqs)
        self.field.unbin(node, [p for p in batch.paths if p not in report.failed])
        if batch.through is not None and node.receives and batch.through > (node.cursor or 0):
            self.field.move_cursor(node, batch.through)
        self.field.save(node)
        if batch.seqs:
            self.field.batch_done(node, batch.paths)

    def _settle_paths(self, node: Node, report: Report, seqs: Mapping[bytes, int]) -> None:
        field = self.field
        for path, error in report.source_failed.items():
            if path not in field.source_errors:
                name = path.decode("utf-8", "backslashreplace")
                field.emit("source", f"cannot read {name}: {error}", severity="warning")
            field.source_errors[path] = (error, field.wall())
        for path in seqs:
            if path in field.source_errors and path not in report.source_failed:
                del field.source_errors[path]
        field.bin(node, {p: e for p, e in report.failed.items() if p not in report.source_failed}, seqs)
        if report.vanished:
            self.recheck(tuple(report.vanished))

    def _stopped(self, node: Node, report: Report) -> None:
        """The node as a whole did not take it: when to try again."""
        mono = self.field.mono()
        if report.outcome is Outcome.KILLED:
            node.retry_mono = mono + (HELD_RETRY_SECONDS if report.held else 0.0)
        elif report.outcome is Outcome.BUSY:
            node.retry_mono = mono + BUSY_RETRY_SECONDS
        elif report.outcome is not Outcome.UNREACHABLE:
            self._back_off(node, report.message)

    def _back_off(self, node: Node, message: str) -> None:
        node.failures += 1
        delay = min(self.field.dustbin_seconds * 2.0 ** min(node.failures - 1, 10), SLOWEST_RETRY_SECONDS)
        node.retry_mono = self.field.mono() + delay
        node.recovery_mono = max(node.recovery_mono, node.retry_mono)
        if node.blocked != message:
            node.blocked = message
            self.field.emit("resync", f"cannot be sent to: {message}", node=node.name, severity="error")

    def _resynced(self, node: Node, done: JobDone, report: Report) -> None:
        if report.moved:
            node.moved_mono = self.field.mono()
        if report.stopped:
            self._resync_stopped(node, report)
            return
        field = self.field
        node.failures, node.blocked, node.held, node.would_delete = 0, None, None, ()
        node.accepted, node.at_start, node.resync_due = False, False, False
        node.introduced = True
        self._settle_paths(node, report, dict.fromkeys(report.failed, done.watermark))
        field.unbin(node, [p for p in node.dustbin if p not in report.failed])
        node.drift, node.drift_count = (), 0
        node.proof_seq, node.proof_at, node.proven = done.watermark, field.wall(), True
        if done.watermark > (node.cursor or -1) or node.state is State.RECOVERY:
            field.move_cursor(node, done.watermark)
        if node.state is State.RECOVERY:
            node.target = field.tail.head
        total = sum(run.files for run in report.runs)
        exceptions = f", {len(report.failed)} paths failed" if report.failed else ""
        field.emit("resync", f"full resync done: {total} paths carried{exceptions}", node=node.name)
        field.save(node)

    def _resync_stopped(self, node: Node, report: Report) -> None:
        field, mono = self.field, self.field.mono()
        if report.held is not None:
            node.recovery_mono = node.retry_mono = mono + HELD_RETRY_SECONDS
            if report.needs_person:
                node.held, node.would_delete = report.held, report.would_delete
                field.emit(
                    "held", report.held, node=node.name, severity="error", paths=len(report.would_delete)
                )
            return
        if report.outcome is Outcome.KILLED:
            return
        if node.state is State.READY:
            node.resync_due = False
        if report.outcome is not Outcome.UNREACHABLE:
            self._back_off(node, report.message)

    def _audited(self, node: Node, done: JobDone, report: AuditReport) -> None:
        field = self.field
        deep = node.deep_due
        node.audit_due = node.deep_due = False
        if report.outcome is not Outcome.DONE:
            if report.outcome is not Outcome.KILLED:
                field.emit("audit", f"audit failed: {report.message}", node=node.name, severity="warning")
            return
        now = field.wall()
        node.last_audit_at = now
        if report.missed:
            names = ", ".join(p.decode("utf-8", "backslashreplace") for p in report.missed[:3])
            field.emit("audit", f"{len(report.missed)} changes had not been noticed: {names}", node=node.name)
            self.recheck(report.missed)
        node.leftovers = report.leftovers
        if report.drift:
            node.drift, node.drift_count = report.drift, len(report.drift)
            names = ", ".join(p.decode("utf-8", "backslashreplace") for p in report.drift[:3])
            message = f"{len(report.drift)} paths differ from the source: {names}"
            field.emit("drift", message, node=node.name, severity="warning", paths=len(report.drift))
        else:
            node.proven = True
            node.drift, node.drift_count = (), 0
            node.proof_at, node.proof_seq = now, done.watermark
            if deep:
                node.deep_proof_at = now
        field.save(node)

    def pause_seconds(self, node: Node) -> float:
        """How long the node's next recovery waits."""
        return recovery_pause_seconds(node.health, self.rules)


def lane_limits(limits: LaneLimits) -> dict[str, int]:
    """The lanes and their sizes."""
    return {
        "events": limits.max_processes,
        "init": limits.max_init,
        "recovery": limits.max_recovery,
        "audits": limits.max_audits,
    }
