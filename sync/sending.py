"""Sends a batch to one node: files and trees, then large files, then deletions; isolates what fails by itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from sync.batches import GOES_ON, Batch, Control, Report, Tools, is_sources, run_once
from sync.core.args import Run, left_overs
from sync.core.batch import Steps
from sync.core.dustbin import Isolation
from sync.core.model import Destination, Form, Kind, Outcome
from sync.core.result import RunResult

LOOKED_AT_ONCE = 2000
SHOWN_BYTES = 1 << 20
SHOWN_BYTES_A_FILE = 1 << 14
"""What is less is over before anybody looks; and rsync says how far it is after every file, which costs."""
SPLITS = frozenset({Outcome.PARTIAL, Outcome.NO_SPACE})


def send(tools: Tools, destination: Destination, batch: Batch, control: Control) -> Report:
    """What came of sending the batch; whatever fails by itself is isolated and named in ``failed``."""
    report = Report()
    steps = batch.steps(tools)
    report.vanished += steps.vanished
    if steps.fresh and not send_list(
        tools, destination, Form.SUBTREES, steps.fresh, steps, report, control, fresh=True
    ):
        if report.stopped:
            return report
        steps = batch.flat_steps(tools)
    if steps.trees and not send_list(tools, destination, Form.SUBTREES, steps.trees, steps, report, control):
        if report.stopped:
            return report
        steps = batch.flat_steps(tools)
    if steps.files:
        send_list(tools, destination, Form.FILES, steps.files, steps, report, control)
    for path in steps.large:
        if not report.stopped:
            send_list(tools, destination, Form.FILES, (path,), steps, report, control, large=True)
    if (steps.gone or steps.left) and not report.stopped:
        delete(tools, destination, steps, report, control)
    return report


def send_promised(
    tools: Tools, destination: Destination, batch: Batch, paths: int, control: Control
) -> Report:
    """The same for a batch whose changes are only settling, probably to so many files.

    rsync starts, connects and logs in meanwhile: at the default quiet_seconds that is most of what a small file
    needs. What the guess does not fit is sent by an rsync of its own, after the first has ended.
    """
    guess = Run(Form.FILES, (b".",) * paths, delete=False)
    begun = tools.runner.begin(destination, guess, stop=control.stop, handle=control.handle)
    try:
        if not batch.is_known(control.stop):
            reason = control.stop.reason  # ended, it must not count for what the promise may still become
            return Report() if reason is None else Report(Outcome.KILLED, f"ended: {reason}")
        return send(tools, destination, batch, replace(control, begun=begun))
    finally:
        if begun is not None:
            begun.drop()


def retry(tools: Tools, destination: Destination, batch: Batch, control: Control) -> Report:
    """The same for paths from the dustbin, which count as confirmed only when a look with checksums agrees.

    Some fail without a word: a daemon that rewrites the targets of symlinks takes them each time, and differs.
    """
    report = send(tools, destination, batch, control)
    sent = [path for path in batch.paths if path not in report.failed]
    for start in range(0, len(sent), LOOKED_AT_ONCE):
        if not report.stopped:
            part = tuple(sent[start : start + LOOKED_AT_ONCE])
            verify(tools, destination, part, report, control)
    return report


def verify(
    tools: Tools, destination: Destination, paths: tuple[bytes, ...], report: Report, control: Control
) -> None:
    """Adds to ``failed`` those of the paths that the node does not have as the source has them."""
    run = Run(Form.DEEP_AUDIT, paths, delete=tools.scope.delete)
    result = report.note(run_once(tools, destination, run, control))
    if result.outcome not in GOES_ON and result.outcome is not Outcome.PARTIAL:
        report.stop(result)
        return
    still = [found.path for found in result.listed if found.path]
    rows = tools.store.rows(still) if still else {}
    for path in still:
        row = rows.get(path)
        if row is None or row.stat.same_as(tools.look(path)):  # else it changed meanwhile and is on its way
            report.failed.setdefault(path, ("differs though it was sent", result.code))


def delete(tools: Tools, destination: Destination, steps: Steps, report: Report, control: Control) -> None:
    """The deletions of a batch, if the source may be believed this moment."""
    reason = tools.may_delete()
    if reason is not None:
        report.hold(reason)
        report.owes_deletions = True
        return
    if steps.gone:
        send_list(tools, destination, Form.GONE, steps.gone, steps, report, control)
    if steps.left and not report.stopped:
        sweeping = replace(tools, runner=tools.sweeper)
        send_list(sweeping, destination, Form.GONE, steps.left, steps, report, control)


def remove(tools: Tools, destination: Destination, paths: Sequence[bytes], control: Control) -> Report:
    """Deletes these paths on the node, those that the source has not made its own meanwhile."""
    report = Report()
    reason = tools.may_delete()
    if reason is not None:
        report.hold(reason)
        return report
    gone = tuple(p for p in paths if tools.look(p).kind is Kind.GONE)
    if gone:
        send_list(tools, destination, Form.GONE, gone, Steps(), report, control)
    return report


def send_list(
    tools: Tools,
    destination: Destination,
    form: Form,
    paths: Sequence[bytes],
    steps: Steps,
    report: Report,
    control: Control,
    *,
    large: bool = False,
    fresh: bool = False,
) -> bool:
    """Sends one list. False when trees failed in part (then their paths must be sent one by one) or it stopped."""
    whole = Run(form, tuple(paths), large=large, fresh=fresh, delete=False)
    if not _is_worth_watching(steps.sizes):
        control = replace(control, progress=None)
    result = report.note(run_once(tools, destination, whole, control))
    if result.outcome in GOES_ON or is_sources(result):
        return True
    if result.outcome not in SPLITS:
        report.stop(result)
        return False
    if result.outcome is Outcome.NO_SPACE and (tidy := left_overs(whole)) is not None:
        run_once(tools, destination, tidy, control)  # what lies in .~tmp~ takes up the rest of the space
    if form is Form.SUBTREES:
        return False
    return _isolate(tools, destination, whole, result, steps, report, control)


def _is_worth_watching(sizes: Mapping[bytes, int]) -> bool:
    return sum(sizes.values()) >= max(SHOWN_BYTES, SHOWN_BYTES_A_FILE * len(sizes))


def _isolate(
    tools: Tools,
    destination: Destination,
    whole: Run,
    result: RunResult,
    steps: Steps,
    report: Report,
    control: Control,
) -> bool:
    """Halves the list until the failing paths are alone. False when the node as a whole gave up on the way."""
    sizes = [(path, steps.sizes.get(path, 0)) for path in whole.paths]
    search = Isolation.of(sizes, result.message, result.code, result.failed)
    while search.batch:
        run = replace(whole, paths=search.batch)
        part = report.note(run_once(tools, destination, run, control))
        good = part.outcome in GOES_ON or is_sources(part)
        if not good and part.outcome not in SPLITS:
            report.stop(part)
            return False
        if part.outcome is Outcome.NO_SPACE and (tidy := left_overs(run)) is not None:
            run_once(tools, destination, tidy, control)
        search = search.after(good, part.message, part.code, part.failed)
    named = {path: error for run in report.runs for path, error in run.failed.items()}
    for path, culprit in search.failed.items():
        report.failed[path] = (named.get(path, culprit.error), culprit.code)
    return True
