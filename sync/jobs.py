"""What a worker does on one node from begin to end: send a batch, bring everything in line, or audit.

Straight-line code around rsync runs. A job never touches the engine's state: it is given what it needs and
answers with a result; a node that is down is a result, too.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from sync.core.args import Run
from sync.core.audit import AuditContext, Finding, is_leftover, sort_findings
from sync.core.batch import Listed, Steps, plan, resolve
from sync.core.dustbin import Isolation
from sync.core.listing import Progress
from sync.core.model import Change, Destination, Form, Kind, Outcome, Stat
from sync.core.result import RunResult
from sync.core.scope import Scope
from sync.ports import Store
from sync.process import Cancel, RunHandle

UNKNOWN_LIMIT = 20
"""A node's first full resync may delete so many paths that Lockstep never put there without being asked about."""
SUSPECTS_AT_ONCE = 2000
RECHECK_AT_ONCE = 20_000

_GOES_ON = frozenset({Outcome.DONE, Outcome.VANISHED})
_SPLITS = frozenset({Outcome.PARTIAL, Outcome.NO_SPACE})


class RunsRsync(Protocol):
    """The part of sync.rsync.Runner that a job uses."""

    def run(
        self,
        destination: Destination,
        run: Run,
        *,
        stop: Cancel | None = None,
        progress: Callable[[Progress], None] | None = None,
        handle: RunHandle | None = None,
    ) -> RunResult:
        """Runs one rsync to its end; a node that cannot be reached is a result."""


@dataclass(frozen=True, slots=True)
class Tools:
    """What jobs act with. ``may_delete`` is asked right before every run that deletes: why not, or None."""

    runner: RunsRsync
    sweeper: RunsRsync  # the same over an empty root: deletes what the source still has
    look: Callable[[bytes], Stat]
    count_below: Callable[[bytes, int], int]
    scope: Scope
    store: Store
    may_delete: Callable[[], str | None]
    large_bytes: int


@dataclass(frozen=True, slots=True)
class Control:
    """How others reach into a job: to end it, to see that it moves, to be told how far it is."""

    stop: Cancel = field(default_factory=Cancel)
    handle: RunHandle = field(default_factory=RunHandle)
    progress: Callable[[Progress], None] | None = None


class Batch:
    """Journal rows that go out together, looked at once for all nodes that get the very same batch.

    ``through`` is the seq that a node's cursor has when it has the batch; None for retries from the dustbin.
    """

    def __init__(self, changes: Iterable[Change], through: int | None) -> None:
        self.through = through
        self.seqs = {change.path: change.seq for change in changes}
        self._gone = {change.path: change.stat.kind is Kind.GONE for change in changes}
        self._lock = threading.Lock()
        self._listed: Listed | None = None
        self._steps: Steps | None = None

    @property
    def paths(self) -> Collection[bytes]:
        """The dirty paths of the batch."""
        return self.seqs.keys()

    def steps(self, tools: Tools) -> Steps:
        """What to send, from one look at the tree."""
        with self._lock:
            if self._steps is None:
                self._listed = resolve(self._gone, tools.look, tools.scope.carries)
                self._steps = _plan(self._listed, tools)
            return self._steps

    def flat_steps(self, tools: Tools) -> Steps:
        """The same without trees, so that the paths of a tree that failed can be told apart."""
        self.steps(tools)
        assert self._listed is not None  # noqa: S101 - steps() has just set it
        return _plan(self._listed, tools, trees_above=float("inf"))


def _plan(listed: Listed, tools: Tools, **limits: float) -> Steps:
    return plan(
        listed,
        large_bytes=tools.large_bytes,
        delete=tools.scope.delete,
        count_below=tools.count_below,
        **limits,
    )


@dataclass(slots=True)
class Report:
    """What a job did. ``outcome`` DONE: everything but ``failed`` is confirmed.

    ``failed``: path → (error, exit code) of what the node did not take; ``source_failed``: what the source
    could not be read at; ``vanished``: what the surveyor should look at again; ``held``: why the job stopped
    before a step that deletes, with ``would_delete``.
    """

    outcome: Outcome = Outcome.DONE
    message: str = ""
    failed: dict[bytes, tuple[str, int | None]] = field(default_factory=dict)
    source_failed: dict[bytes, str] = field(default_factory=dict)
    vanished: list[bytes] = field(default_factory=list)
    held: str | None = None
    would_delete: tuple[bytes, ...] = ()
    needs_person: bool = False
    runs: list[RunResult] = field(default_factory=list)
    moved: bool = False

    def note(self, result: RunResult) -> RunResult:
        self.runs.append(result)
        self.moved = self.moved or result.moved
        self.source_failed.update({p: e for p, e in result.source_failed.items() if p not in result.vanished})
        self.vanished += result.vanished
        return result

    def stop(self, result: RunResult) -> None:
        """The node as a whole did not work: nothing more is tried now."""
        self.outcome, self.message = result.outcome, result.message

    def hold(self, reason: str) -> None:
        self.outcome, self.held, self.message = Outcome.KILLED, reason, reason

    @property
    def stopped(self) -> bool:
        return self.outcome is not Outcome.DONE


def _run(tools: Tools, destination: Destination, run: Run, control: Control) -> RunResult:
    progress = control.progress if run.form is Form.EVERYTHING else None
    return tools.runner.run(destination, run, stop=control.stop, progress=progress, handle=control.handle)


# ── sending a batch ──────────────────────────────────────────────────────────────────────────────────────


def send(tools: Tools, destination: Destination, batch: Batch, control: Control) -> Report:
    """Sends a batch; whatever fails by itself is isolated and named in ``failed``."""
    report = Report()
    steps = batch.steps(tools)
    report.vanished += steps.vanished
    if steps.trees and not _send_list(tools, destination, Form.SUBTREES, steps.trees, steps, report, control):
        if report.stopped:
            return report
        steps = batch.flat_steps(tools)
    if steps.files:
        _send_list(tools, destination, Form.FILES, steps.files, steps, report, control)
    for path in steps.large:
        if not report.stopped:
            _send_list(tools, destination, Form.FILES, (path,), steps, report, control, large=True)
    if (steps.gone or steps.left) and not report.stopped:
        _delete(tools, destination, steps, report, control)
    return report


def _delete(tools: Tools, destination: Destination, steps: Steps, report: Report, control: Control) -> None:
    reason = tools.may_delete()
    if reason is not None:
        report.hold(reason)
        return
    if steps.gone:
        _send_list(tools, destination, Form.GONE, steps.gone, steps, report, control)
    if steps.left and not report.stopped:
        sweeping = replace(tools, runner=tools.sweeper)
        _send_list(sweeping, destination, Form.GONE, steps.left, steps, report, control)


def _send_list(
    tools: Tools,
    destination: Destination,
    form: Form,
    paths: Sequence[bytes],
    steps: Steps,
    report: Report,
    control: Control,
    *,
    large: bool = False,
) -> bool:
    """Sends one list. False when trees failed in part (then their paths must be sent one by one) or it stopped."""
    result = report.note(
        _run(tools, destination, Run(form, tuple(paths), large=large, delete=False), control)
    )
    if result.outcome in _GOES_ON or _is_sources(result):
        return True
    if result.outcome not in _SPLITS:
        report.stop(result)
        return False
    if form is Form.SUBTREES:
        return False
    search = Isolation.of(
        [(path, steps.sizes.get(path, 0)) for path in paths], result.message, result.code, result.failed
    )
    while search.batch:
        part = _run(tools, destination, Run(form, search.batch, large=large, delete=False), control)
        report.note(part)
        good = part.outcome in _GOES_ON or _is_sources(part)
        if not good and part.outcome not in _SPLITS:
            report.stop(part)
            return False
        search = search.after(good, part.message, part.code, part.failed)
    named = {path: error for run in report.runs for path, error in run.failed.items()}
    for path, culprit in search.failed.items():
        report.failed[path] = (named.get(path, culprit.error), culprit.code)
    return True


def _is_sources(result: RunResult) -> bool:
    """Whether the run failed in part through the source's fault alone."""
    return (
        result.outcome is Outcome.PARTIAL
        and bool(result.source_failed or result.vanished)
        and not result.failed
    )


# ── bringing everything in line ──────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class ResyncOrder:
    """How a full resync is to go.

    ``introduce``: the node's destination is not known to be ours yet. ``accepted``: a person has agreed to
    whatever is deleted. ``max_delete`` stops a run that would delete more. ``recheck``: the rows that changed
    since the node's last proof, sent again with checksums, because the quick check of a full run cannot see
    a rewrite that kept size and mtime. ``drifted``: what the last audit found, looked at again afterwards.
    """

    introduce: bool = False
    accepted: bool = False
    max_delete: int | None = None
    recheck: tuple[Change, ...] = ()
    drifted: tuple[bytes, ...] = ()


def resync(
    tools: Tools,
    destination: Destination,
    order: ResyncOrder,
    control: Control,
) -> Report:
    """Makes the node equal to the source, deletion last. DONE: complete, but for ``failed``."""
    report = Report()
    delete = tools.scope.delete
    if delete:
        reason = tools.may_delete()
        if reason is not None:
            report.hold(reason)
            return report
        if order.introduce and not order.accepted:
            _look_for_strangers(tools, destination, report, control)
    if report.stopped:
        return report
    limit = None if order.accepted else order.max_delete
    run = Run(Form.EVERYTHING, delete=delete, max_delete=limit)
    result = report.note(_run(tools, destination, run, control))
    if result.outcome is Outcome.NO_SPACE and delete:
        _delete_extras(tools, destination, report, control)
        if report.stopped:
            return report
        result = report.note(_run(tools, destination, run, control))
    if not _is_complete(result):
        report.stop(result)
        return report
    report.failed.update({path: (error, result.code) for path, error in result.failed.items()})
    if result.deletions_skipped and delete:
        _delete_extras(tools, destination, report, control)
    _recheck(tools, destination, order, report, control)
    return report


def _is_complete(result: RunResult) -> bool:
    """Complete, or complete with exceptions: every failing path is named."""
    if result.outcome in _GOES_ON:
        return True
    return result.outcome is Outcome.PARTIAL and bool(
        result.failed or result.source_failed or result.deletions_skipped
    )


def _look_for_strangers(tools: Tools, destination: Destination, report: Report, control: Control) -> None:
    """Stops a first full resync that would delete much that Lockstep never put there (promise 6)."""
    result = report.note(_run(tools, destination, Run(Form.AUDIT, delete=True), control))
    if result.outcome not in _GOES_ON and not _is_complete(result):
        report.stop(result)
        return
    extras = [found.path for found in result.listed if found.action == "delete"]
    ours = tools.store.rows(extras)
    strangers = tuple(path for path in extras if path not in ours and not is_leftover(path))
    if len(strangers) > UNKNOWN_LIMIT:
        report.hold(
            f"the first full resync would delete {len(strangers)} paths that Lockstep never put there: "
            f"look at the destination, then confirm with: "
            f"flask nodes resync {destination.node} --accept-deletions"
        )
        report.would_delete = strangers
        report.needs_person = True


def _delete_extras(tools: Tools, destination: Destination, report: Report, control: Control) -> None:
    """Deletes from an audit's list what rsync itself skipped; nothing below an unreadable directory is listed."""
    result = report.note(_run(tools, destination, Run(Form.AUDIT, delete=True), control))
    if result.outcome not in _GOES_ON and not _is_complete(result):
        report.stop(result)
        return
    extras = [f.path for f in result.listed if f.action == "delete" and tools.look(f.path).kind is Kind.GONE]
    readable = [p for p in extras if _readable_parent(tools, p)]
    if readable:
        listed = Listed({}, gone=tuple(readable))
        _delete(tools, destination, _plan(listed, tools), report, control)


def _readable_parent(tools: Tools, path: bytes) -> bool:
    """Whether the nearest directory that the source has above the path could be read just now."""
    parent = os.path.dirname(path)
    while parent and tools.look(parent).kind is Kind.GONE:
        parent = os.path.dirname(parent)
    return tools.count_below(parent, 1) >= 0


def _recheck(
    tools: Tools, destination: Destination, order: ResyncOrder, report: Report, control: Control
) -> None:
    for start in range(0, len(order.recheck), RECHECK_AT_ONCE):
        if report.stopped:
            return
        part = send(tools, destination, Batch(order.recheck[start : start + RECHECK_AT_ONCE], None), control)
        _merge(report, part)
    if order.drifted and not report.stopped:
        again = Run(Form.AUDIT, order.drifted[:SUSPECTS_AT_ONCE], delete=tools.scope.delete)
        result = report.note(_run(tools, destination, again, control))
        for found in result.listed:
            report.failed.setdefault(found.path, ("a full resync could not repair it", result.code))


def _merge(report: Report, part: Report) -> None:
    report.runs += part.runs
    report.moved = report.moved or part.moved
    report.failed.update(part.failed)
    report.source_failed.update(part.source_failed)
    report.vanished += part.vanished
    if part.stopped:
        report.outcome, report.message, report.held = part.outcome, part.message, part.held


# ── audits ───────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(slots=True)
class AuditReport:
    """What an audit found: ``drift`` (the node's doing), ``missed`` (changes of the source that no event told),
    ``leftovers`` (rsync's own temporary files on the node). ``outcome`` DONE: the comparison is whole.
    """

    outcome: Outcome = Outcome.DONE
    message: str = ""
    drift: tuple[bytes, ...] = ()
    missed: tuple[bytes, ...] = ()
    leftovers: tuple[bytes, ...] = ()
    runs: list[RunResult] = field(default_factory=list)


def audit(
    tools: Tools,
    destination: Destination,
    *,
    deep: bool,
    cursor: int,
    dustbin: Callable[[], Collection[bytes]],
    source_errors: Callable[[], Collection[bytes]],
    control: Control,
) -> AuditReport:
    """Compares a node with the source beside its writing, and says what the differences mean."""
    report = AuditReport()
    form = Form.DEEP_AUDIT if deep else Form.AUDIT
    delete = tools.scope.delete
    result = _run(tools, destination, Run(form, delete=delete), control)
    report.runs.append(result)
    if result.outcome not in _GOES_ON and not _is_sources(result):
        report.outcome, report.message = result.outcome, result.message
        return report
    if not result.listed:
        return report
    context = AuditContext(cursor, dustbin(), source_errors(), {}, tools.look)
    findings = _sorted(tools, result, context)
    report.missed = tuple(findings[Finding.MISSED])
    report.leftovers = tuple(findings[Finding.LEFTOVER])
    suspects = findings[Finding.SUSPECT][:SUSPECTS_AT_ONCE]
    if suspects:
        again = _run(tools, destination, Run(form, tuple(suspects), delete=delete), control)
        report.runs.append(again)
        if again.outcome not in _GOES_ON and again.outcome is not Outcome.PARTIAL:
            report.outcome, report.message = again.outcome, again.message
            return report
        context = replace(context, dustbin=dustbin(), source_errors=source_errors())
        second = _sorted(tools, again, context)
        report.drift = tuple(p for p in second[Finding.SUSPECT] if p in set(suspects))
        report.missed += tuple(second[Finding.MISSED])
    return report


def _sorted(tools: Tools, result: RunResult, context: AuditContext) -> Mapping[Finding, list[bytes]]:
    paths = [found.path for found in result.listed]
    context = replace(context, rows=tools.store.rows(paths))
    return sort_findings([(f.path, f.action == "delete") for f in result.listed if f.path], context)


def remove(tools: Tools, destination: Destination, paths: Sequence[bytes], control: Control) -> Report:
    """Deletes these paths on the node, those that the source has not made its own meanwhile."""
    report = Report()
    gone = tuple(p for p in paths if tools.look(p).kind is Kind.GONE)
    if gone:
        _send_list(tools, destination, Form.GONE, gone, Steps(), report, control)
    return report
