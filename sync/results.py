"""Takes the ends of jobs into what is known of the nodes: cursors, dustbins, proofs, when to try again.

Owned by the engine's thread; starts nothing and flips no state (sync/course.py does).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sync.core.args import AUDITS
from sync.core.model import Outcome, State, text_of
from sync.core.result import RunResult
from sync.field import Field
from sync.jobs import AuditReport, Batch, Report
from sync.node import Node, Work
from sync.ports import SaveTransfer, Transfer

HELD_RETRY_SECONDS = 2.0
BUSY_RETRY_SECONDS = 0.5
KILLED_RETRY_SECONDS = 1.0
AUDIT_RETRY_SECONDS = 30.0
SLOWEST_RETRY_SECONDS = 600.0
ALTERS_LINKS = (
    "its daemon stores other symlinks than are sent to it, which may be broken for whoever serves the folder: "
    "set 'use chroot = yes' and 'munge symlinks = no' in its rsyncd.conf"
)


@dataclass(frozen=True, slots=True)
class JobDone:
    """A job has ended; ``result`` is what the job answered, or the exception that broke it."""

    node: str
    number: int
    kind: str
    result: Report | AuditReport | Exception
    batch: Batch | None = None
    watermark: int = 0


class Results:
    """What the end of each kind of job means for its node."""

    def __init__(self, field: Field, recheck: Callable[[tuple[bytes, ...]], None]) -> None:
        self.field = field
        self.recheck = recheck
        self.readable: Callable[[bytes], None] = lambda path: (
            None
        )  # told of what can be read at the source again

    def take(self, node: Node, work: Work, done: JobDone) -> Outcome:
        """Takes in a job's end and answers its outcome."""
        result = done.result
        if isinstance(result, Exception):
            message = f"an internal error: {type(result).__name__}; see the log"
            self._answer_order(node, done, Report(Outcome.BROKEN, message))
            if done.kind == "audit":
                node.audit_due, node.audit_mono = True, self.field.mono() + AUDIT_RETRY_SECONDS
            else:
                self._back_off(node, message)
            return Outcome.BROKEN
        self._note_runs(node, result.runs)
        if isinstance(result, AuditReport):
            self._audited(node, done, result)
        elif done.kind == "resync":
            self._resynced(node, work, done, result)
        else:
            self._answer_order(node, done, result)
            self._sent(node, work, done.batch, result)
        return result.outcome

    def _answer_order(self, node: Node, done: JobDone, report: Report) -> None:
        if done.kind == "order" and node.ordered is not None:
            order, node.ordered = node.ordered, None
            self.field.tell(order.done, report)

    def _note_runs(self, node: Node, runs: list[RunResult]) -> None:
        field, now = self.field, self.field.wall()
        for run in runs:
            field.counts["runs", run.form.value, run.outcome.value] += 1
            field.counts["exits", str(run.code)] += 1
            field.note_seconds(run.form.value, run.seconds)
            field.counts["node_runs", node.name] += 1
            field.counts["node_failures", node.name] += run.outcome is not Outcome.DONE
            field.counts["bytes", node.name] += run.bytes
            if run.form not in AUDITS:
                field.counts["carried", node.name, "files"] += run.files
                field.counts["carried", node.name, "bytes"] += run.bytes
                field.counts["carried", node.name, "deleted"] += run.deleted
            node.bytes_sent += run.bytes
        field.put(*(SaveTransfer(_transfer(now, node.name, run)) for run in runs))

    # ── a batch ──────────────────────────────────────────────────────────────────────────────────────────

    def _sent(self, node: Node, work: Work, batch: Batch | None, report: Report) -> None:
        if report.moved:
            node.moved_mono = self.field.mono()
        if not (report.runs or report.stopped or (batch is not None and batch.seqs)):
            return  # it got ready for changes that did not come
        if report.held is not None and batch is not None:
            self._settle_paths(node, report, batch.seqs, batch.newest)
            if report.owes_deletions:
                node.sent_through = max(node.sent_through, batch.through or 0)
        if report.stopped:
            self._stopped(node, work, report)
            return
        node.failures, node.blocked = 0, None
        if batch is None:
            return
        self._settle_paths(node, report, batch.seqs, batch.newest)
        self.field.unbin(node, [p for p in batch.paths if p not in report.failed])
        if batch.through is not None and node.receives and batch.through > (node.cursor or 0):
            self.field.move_cursor(node, batch.through)
        self.field.save(node)
        if batch.seqs:
            self.field.batch_done(node, batch.paths)

    def _settle_paths(self, node: Node, report: Report, seqs: Mapping[bytes, int], newest: int) -> None:
        """Whose fault it was that a path was not carried: the source's, the node's, or nobody's."""
        field = self.field
        self._note_source(report.source_failed)
        for path in seqs:
            if path in field.source_errors and path not in report.source_failed:
                del field.source_errors[path]
                self.readable(path)
        failed = {p: e for p, e in report.failed.items() if p not in report.source_failed}
        field.bin(node, failed, {path: seqs.get(path, newest) for path in failed})
        if report.vanished:
            field.make_unsure(report.vanished)
            self.recheck(tuple(dict.fromkeys(report.vanished)))

    def _note_source(self, failed: Mapping[bytes, str]) -> None:
        """What the source could not be read at, whoever found it."""
        field = self.field
        for path, error in failed.items():
            if path not in field.source_errors:
                field.emit("source", f"cannot read {text_of(path)}: {error}", severity="warning")
            field.source_errors[path] = (error, field.wall())

    def _stopped(self, node: Node, work: Work, report: Report) -> None:
        """The node as a whole did not take it: when to try again."""
        mono = self.field.mono()
        if report.held is not None:
            node.retry_mono = mono + HELD_RETRY_SECONDS
        elif report.outcome is Outcome.KILLED:
            self._killed(node, work)
        elif report.outcome is Outcome.BUSY:
            node.retry_mono = mono + BUSY_RETRY_SECONDS
        elif report.outcome is not Outcome.UNREACHABLE:
            self._back_off(node, report.message)

    def _killed(self, node: Node, work: Work) -> None:
        """Ended by us: go on when the node may. Ended by somebody else: not at once again."""
        if work.control.stop.reason is None:
            node.failures += 1
        delay = min(KILLED_RETRY_SECONDS * 2.0 ** min(node.failures, 6), SLOWEST_RETRY_SECONDS)
        node.retry_mono = self.field.mono() + delay
        node.recovery_mono = max(node.recovery_mono, node.retry_mono)

    def _back_off(self, node: Node, message: str) -> None:
        node.failures += 1
        delay = min(self.field.dustbin_seconds * 2.0 ** min(node.failures - 1, 10), SLOWEST_RETRY_SECONDS)
        node.retry_mono = self.field.mono() + delay
        node.recovery_mono = max(node.recovery_mono, node.retry_mono)
        if node.blocked != message:
            node.blocked = message
            self.field.emit("resync", f"cannot be sent to: {message}", node=node.name, severity="error")

    # ── a full resync ────────────────────────────────────────────────────────────────────────────────────

    def _resynced(self, node: Node, work: Work, done: JobDone, report: Report) -> None:
        if report.moved:
            node.moved_mono = self.field.mono()
        if report.stopped:
            self._resync_stopped(node, work, report)
            return
        field = self.field
        node.failures, node.blocked, node.held, node.would_delete = 0, None, None, ()
        node.accepted, node.at_start, node.resync_due = False, False, False
        node.introduced = True
        self._settle_paths(node, report, {}, done.watermark)
        field.unbin(node, [p for p in node.dustbin if p not in report.failed])
        node.drift, node.drift_count, node.sent_through = (), 0, 0
        node.proof_seq, node.proof_at, node.proven = done.watermark, field.wall(), True
        if node.cursor is None or done.watermark > node.cursor:
            field.move_cursor(node, done.watermark)
        if node.state is State.RECOVERY:
            node.target = field.tail.head
        total = sum(run.files for run in report.runs if run.form not in AUDITS)
        exceptions = f", {len(report.failed)} paths failed" if report.failed else ""
        field.emit("resync", f"full resync done: {total} paths carried{exceptions}", node=node.name)
        field.save(node)

    def _resync_stopped(self, node: Node, work: Work, report: Report) -> None:
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
            self._killed(node, work)
            return
        if report.outcome is Outcome.BUSY:
            node.recovery_mono = node.retry_mono = mono + BUSY_RETRY_SECONDS
        elif report.outcome is not Outcome.UNREACHABLE:
            self._back_off(node, report.message)

    # ── an audit ─────────────────────────────────────────────────────────────────────────────────────────

    def _audited(self, node: Node, done: JobDone, report: AuditReport) -> None:
        field = self.field
        if report.outcome is not Outcome.DONE:
            node.audit_due = node.audit_due or not report.deep
            node.deep_due = node.deep_due or report.deep
            node.audit_mono = field.mono() + (
                KILLED_RETRY_SECONDS if report.outcome is Outcome.KILLED else AUDIT_RETRY_SECONDS
            )
            if report.outcome is not Outcome.KILLED:
                field.emit("audit", f"audit failed: {report.message}", node=node.name, severity="warning")
            return
        now = field.wall()
        node.last_audit_at = now
        for run in report.runs:
            self._note_source({p: e for p, e in run.source_failed.items() if p not in run.vanished})
        if report.missed:
            found = f"{len(report.missed)} changes had not been noticed: {_named(report.missed)}"
            field.emit("audit", found, node=node.name)
            self.recheck(report.missed)
        node.leftovers = report.leftovers
        self._note_links(node, report.alters_links)
        if node.state is State.READY:
            self._judge_audit(node, done, report, now)
        field.save(node)

    def _note_links(self, node: Node, alters: bool | None) -> None:
        """Said once; nobody is taken out for it, for where nobody else follows the links it does no harm."""
        if alters is None or alters == node.alters_links:
            return
        node.alters_links = alters
        if alters:
            self.field.emit("audit", ALTERS_LINKS, node=node.name, severity="warning")
        else:
            self.field.emit("audit", "symlinks are stored as they are again", node=node.name)

    def _judge_audit(self, node: Node, done: JobDone, report: AuditReport, now: float) -> None:
        """Proof or drift; what was found of a node that has left READY meanwhile says nothing any more."""
        if report.drift:
            node.drift, node.drift_count = report.drift, len(report.drift)
            message = f"{len(report.drift)} paths differ from the source: {_named(report.drift)}"
            self.field.emit("drift", message, node=node.name, severity="warning", paths=len(report.drift))
            return
        node.proven = True
        node.drift, node.drift_count = (), 0
        node.proof_at, node.proof_seq = now, max(done.watermark, node.proof_seq or 0)
        if report.deep:
            node.deep_proof_at = now


def _named(paths: tuple[bytes, ...]) -> str:
    more = f" and {len(paths) - 3} more" if len(paths) > 3 else ""
    return ", ".join(text_of(path) for path in paths[:3]) + more


def _transfer(now: float, name: str, run: RunResult) -> Transfer:
    return Transfer(
        at=now,
        node=name,
        form=run.form.value,
        outcome=run.outcome.value,
        code=run.code,
        seconds=run.seconds,
        files=run.files,
        bytes=run.bytes,
        deleted=run.deleted,
        message=run.message,
    )
