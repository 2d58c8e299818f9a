"""Compares one node with the source beside its writing, and says what the differences mean; mends nothing."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace

from sync.batches import GOES_ON, Control, Tools, can_look, is_source_away, is_sources, run_once
from sync.core.args import Run
from sync.core.audit import AuditContext, Finding, sort_findings
from sync.core.model import Change, Destination, Form, Outcome
from sync.core.result import RunResult
from sync.resyncing import SUSPECTS_AT_ONCE

LINKS_ASKED = 1000


@dataclass(slots=True)
class AuditReport:
    """What an audit found: ``drift`` (the node's doing), ``missed`` (changes of the source that no event told),
    ``leftovers`` (rsync's own temporary files on the node). ``alters_links``: its daemon stores symlinks as
    something else than is sent, None where that is not known. ``outcome`` DONE: the comparison is whole.
    """

    outcome: Outcome = Outcome.DONE
    message: str = ""
    deep: bool = False
    drift: tuple[bytes, ...] = ()
    missed: tuple[bytes, ...] = ()
    leftovers: tuple[bytes, ...] = ()
    alters_links: bool | None = None
    runs: list[RunResult] = field(default_factory=list)

    def stop(self, result: RunResult) -> AuditReport:
        """The comparison is not whole."""
        away = is_source_away(result)
        self.outcome, self.message = Outcome.KILLED if away else result.outcome, result.message
        return self


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
    """Compares a node with the source. ``cursor`` is the node's when the audit begins."""
    report = AuditReport(deep=deep)
    form = Form.DEEP_AUDIT if deep else Form.AUDIT
    delete = tools.scope.delete
    result = run_once(tools, destination, Run(form, delete=delete), control)
    report.runs.append(result)
    if result.outcome not in GOES_ON and not is_sources(result):
        return report.stop(result)
    errors = {*source_errors(), *result.source_failed}
    context = AuditContext(cursor, dustbin(), errors, {}, tools.look, tools.is_pending)
    findings = _sorted(tools, result, context)
    report.alters_links = alters_links(tools, destination, result, cursor, control)
    report.missed = tuple(findings[Finding.MISSED])
    report.leftovers = tuple(findings[Finding.LEFTOVER])
    suspects = findings[Finding.SUSPECT][:SUSPECTS_AT_ONCE]
    if not suspects:
        return report
    again = run_once(tools, destination, Run(form, tuple(suspects), delete=delete), control)
    report.runs.append(again)
    if again.outcome not in GOES_ON and again.outcome is not Outcome.PARTIAL:
        return report.stop(again)
    context = replace(context, dustbin=dustbin(), source_errors={*source_errors(), *again.source_failed})
    second = _sorted(tools, again, context)
    report.drift = tuple(p for p in second[Finding.SUSPECT] if p in set(suspects))
    report.missed += tuple(second[Finding.MISSED])
    return report


def alters_links(
    tools: Tools, destination: Destination, result: RunResult, cursor: int, control: Control
) -> bool | None:
    """Whether the node's daemon stores other targets than are sent; None without a symlink, or an answer.

    With ``munge symlinks`` it puts /rsyncd-munged/ before each and takes it away when asked; without a chroot it
    cuts what leads out of its module, and takes what is sent for cut as well. So no comparison sees either. But
    the length that it lists is that of what is stored (flist.c: readlink_stat leaves st_size alone).
    """
    listed = {found.path for found in result.listed}
    rows = [row for row in tools.store.symlinks(LINKS_ASKED) if row.seq <= cursor and row.path not in listed]
    links = {row.path: row.stat.size for row in rows if _is_still(tools, row)}
    if not links:
        return None
    asked = Run(Form.AUDIT, tuple(links), pull=True)
    told = tools.sweeper.run(destination, asked, stop=control.stop, handle=control.handle).listed
    known = [found.size != links[found.path] for found in told if found.path in links]
    return any(known) if known else None


def _is_still(tools: Tools, row: Change) -> bool:
    return can_look(tools, row.path) and row.stat.same_as(tools.look(row.path))


def _sorted(tools: Tools, result: RunResult, context: AuditContext) -> Mapping[Finding, list[bytes]]:
    seen = [found for found in result.listed if found.path and can_look(tools, found.path)]
    context = replace(context, rows=tools.store.rows([found.path for found in seen]) if seen else {})
    return sort_findings([(found.path, found.action == "delete") for found in seen], context)
