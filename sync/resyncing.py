"""Brings everything on one node in line with the source, deletion last and behind the rails.

A full run would delete what the source lacks when rsync looks, and between the last check and that look a file
system may be unmounted, or a folder deleted by mistake. So the run itself deletes nothing and says how much it
left (--max-delete=0 costs nothing where nothing is to be deleted); that is deleted from a dry run's list, and of
it only what the journal does not take for there.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from sync.batches import GOES_ON, Batch, Control, Report, Tools, can_look, planned, run_once
from sync.core.args import Run
from sync.core.audit import is_leftover
from sync.core.batch import Listed
from sync.core.journal import ancestors, topmost
from sync.core.model import Change, Destination, Form, Kind, Outcome, text_of
from sync.core.result import RunResult
from sync.sending import delete, send, verify

UNKNOWN_LIMIT = 20
"""A node's first full resync may delete so many paths that Lockstep never put there without being asked about."""
DENIED = re.compile("Permission denied|Operation not permitted|Read-only file system")
SAMPLE = 20
"""So many failed paths are sent once more before a destination counts as closed."""
SUSPECTS_AT_ONCE = 2000
RECHECK_AT_ONCE = 20_000


@dataclass(frozen=True, slots=True)
class ResyncOrder:
    """How a full resync is to go.

    ``introduce``: the node's destination is not known to be ours yet. ``accepted``: a person has agreed to
    whatever is deleted. ``recheck``: the rows that changed since the node's last proof, sent again with
    checksums, because the quick check of a full run cannot see a rewrite that kept size and mtime.
    ``drifted``: what the last audit found, sent with checksums and looked at again afterwards.
    """

    introduce: bool = False
    accepted: bool = False
    recheck: tuple[Change, ...] = ()
    drifted: tuple[bytes, ...] = ()


def resync(tools: Tools, destination: Destination, order: ResyncOrder, control: Control) -> Report:
    """Makes the node equal to the source, deletion last. DONE: complete, but for ``failed``."""
    report = Report()
    deletes = tools.scope.delete
    if deletes:
        reason = tools.may_delete()
        if reason is not None:
            report.hold(reason)
            return report
        if order.introduce and not order.accepted:
            _look_for_strangers(tools, destination, report, control)
    if not report.stopped:
        _carry_everything(tools, destination, report, control)
    if not report.stopped:
        _recheck(tools, destination, order, report, control)
    return report


def _carry_everything(tools: Tools, destination: Destination, report: Report, control: Control) -> None:
    deletes = tools.scope.delete
    run = Run(Form.EVERYTHING, delete=deletes, max_delete=0 if deletes else None)
    result = report.note(run_once(tools, destination, run, control))
    if result.outcome is Outcome.NO_SPACE and deletes:
        _delete_extras(tools, destination, report, control)
        if report.stopped:
            return
        result = report.note(run_once(tools, destination, run, control))
    if not _is_complete(result):
        report.stop(result)
        return
    if result.failed and not _is_closed(tools, destination, result, report, control):
        _try_alone(tools, destination, result, report, control)
    if result.deletions_skipped and deletes and not report.stopped:
        _delete_extras(tools, destination, report, control)


def _is_closed(
    tools: Tools, destination: Destination, result: RunResult, report: Report, control: Control
) -> bool:
    """Stops a resync in which the node took not one file, and takes none of a few that are sent once more either.

    A path that fails is an exception (promise 2); that every one of them does is the destination's fault, and no
    proof of anything, however many nodes are alike in it.
    """
    files = _files_if_all_failed(tools, result)
    if not files:
        return False
    first = [*result.blocked, *(path for path in result.failed if path not in result.blocked)][:SAMPLE]
    rows = tools.store.rows(first)
    if not rows:
        return False
    again = send(tools, destination, Batch(rows.values(), None), control)
    if not again.stopped and not again.failed.keys() >= rows.keys():
        return False
    if not all(DENIED.search(error) for error, _ in again.failed.values()):
        return False  # a name that is too long, a file that is too large: one's own, though all have it
    report.merge(again)
    if not report.stopped:
        path, (error, _) = next(iter(again.failed.items()), (b"", (result.message, None)))
        report.failed.clear()
        report.outcome, report.message = (
            Outcome.CONFIGURATION,
            (
                f"the node took none of the {files} files ({text_of(path)}: {error}); make the destination folder "
                "writable for whom rsync writes as there ('uid' and 'path' in rsyncd.conf; with ssh, ssh.user)"
            ),
        )
    return True


def _files_if_all_failed(tools: Tools, result: RunResult) -> int:
    """How many files there are, if every one failed on the node; 0 as soon as one is found that did not."""
    files = 0
    for row in tools.store.manifest():
        if row.stat.kind is Kind.DIRECTORY or row.path in result.source_failed:
            continue
        if row.path not in result.failed and not any(a in result.blocked for a in ancestors(row.path)):
            return 0
        files += 1
    return files


def _try_alone(
    tools: Tools, destination: Destination, result: RunResult, report: Report, control: Control
) -> None:
    """What failed in a full run goes once more by itself: a folder whose place a file takes may be emptied then.

    rsync skips what lies in a folder that it cannot make, without a word: that goes, or fails, with its folder.
    """
    rows = tools.store.rows(list(result.failed))
    report.failed.update((p, (e, result.code)) for p, e in result.failed.items() if p not in rows)
    if rows:
        report.merge(send(tools, destination, Batch(rows.values(), None), control))
    if report.stopped:
        return
    skipped: list[Change] = []
    for folder in topmost(result.blocked):
        below = [row for row in tools.store.manifest(folder) if row.path != folder]
        if folder in report.failed:
            error = (f"its directory {text_of(folder)} could not be made", result.code)
            report.failed.update((row.path, error) for row in below)
        else:
            skipped += below
    for start in range(0, len(skipped), RECHECK_AT_ONCE):
        if not report.stopped:
            part = Batch(skipped[start : start + RECHECK_AT_ONCE], None)
            report.merge(send(tools, destination, part, control))


def _is_complete(result: RunResult) -> bool:
    """Complete, or complete with exceptions: every failing path is named."""
    if result.outcome in GOES_ON:
        return True
    return result.outcome is Outcome.PARTIAL and bool(
        result.failed or result.source_failed or result.deletions_skipped
    )


def _listed_extras(tools: Tools, destination: Destination, report: Report, control: Control) -> list[bytes]:
    """What a dry run would delete on the node; the report is stopped when that cannot be said."""
    result = report.note(run_once(tools, destination, Run(Form.AUDIT, delete=True), control))
    if not _is_complete(result):
        report.stop(result)
    return [found.path for found in result.listed if found.action == "delete"]


def _look_for_strangers(tools: Tools, destination: Destination, report: Report, control: Control) -> None:
    """Stops a first full resync that would delete much that Lockstep never put there (promise 6)."""
    extras = _listed_extras(tools, destination, report, control)
    if report.stopped:
        return
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
    """Deletes from a dry run's list what rsync itself skipped.

    Not what the journal takes for there (its deletion has not passed the rails), and nothing below a directory
    that cannot be read.
    """
    extras = _listed_extras(tools, destination, report, control)
    if report.stopped:
        return
    rows = tools.store.rows(extras)
    passed = [p for p in extras if p not in rows or rows[p].stat.kind is Kind.GONE]
    gone = [
        p
        for p in passed
        if can_look(tools, p) and tools.look(p).kind is Kind.GONE and _is_parent_readable(tools, p)
    ]
    if gone:
        delete(tools, destination, planned(Listed({}, gone=tuple(gone)), tools), report, control)


def _is_parent_readable(tools: Tools, path: bytes) -> bool:
    """Whether the nearest directory that the source has above the path could be read just now."""
    parent = os.path.dirname(path)
    while parent and tools.look(parent).kind is Kind.GONE:
        parent = os.path.dirname(parent)
    return tools.count_below(parent, 1) >= 0


def _recheck(
    tools: Tools, destination: Destination, order: ResyncOrder, report: Report, control: Control
) -> None:
    drifted = tools.store.rows(order.drifted).values() if order.drifted else ()
    rows = list({row.path: row for row in (*order.recheck, *drifted)}.values())
    for start in range(0, len(rows), RECHECK_AT_ONCE):
        if not report.stopped:
            report.merge(
                send(tools, destination, Batch(rows[start : start + RECHECK_AT_ONCE], None), control)
            )
    if order.drifted and not report.stopped:
        verify(tools, destination, order.drifted[:SUSPECTS_AT_ONCE], report, control)
