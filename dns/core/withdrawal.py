"""Cuts operations down to what they take away, where their set keeps an answer. It never adds anything.

For the time when nothing can be remembered (the ledger is away: a record added then could be orphaned,
one that is removed could not), and for a replacement that was refused although its old value must go.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from dns.core.diff import UNCLAIMED
from dns.core.model import Action, DesiredSet, Observed, Operation, Plan, Record, RecordKey

AWAY = "the database is away, so nothing is added; what is known to be unfit still goes where an answer stays"


def alone(operation: Operation, standing: Collection[Record], wanted: Collection[str]) -> Operation | None:
    """What is left of an operation without its additions: None when nothing is, or when the set would be
    left without one of the wanted values.

    `standing` is the whole set now, `wanted` the values that should answer. A set's whole replacement is
    cut to the wanted records that stand already; a record's replacement becomes the removal of the old.
    """
    going = [r for r in operation.old if r.value not in wanted]
    staying = tuple(r for r in standing if r.enabled and r.value in wanted)
    if not going or not staying or operation.action is Action.ADD:
        return None
    if operation.action is Action.REMOVE:
        return operation
    if len(operation.old) == len(standing) and len(standing) > 1:
        return replace(operation, new=staying)
    return replace(operation, action=Action.REMOVE, new=())


def withdrawals_only(plan: Plan, desired: Mapping[RecordKey, DesiredSet], observed: Observed) -> Plan:
    """The plan while nothing can be remembered; what is left out is held with the reason."""
    kept: list[Operation] = []
    held = dict(plan.held)
    for operation in plan.operations:
        wanted = desired.get(operation.key)
        values = wanted.values if wanted else ()
        cut = (
            None
            if operation.reason == UNCLAIMED
            else alone(operation, observed.records(operation.key), values)
        )
        if cut is not None:
            kept.append(cut)
        else:
            held.setdefault(operation.key, AWAY)
    return replace(plan, operations=tuple(kept), held=held)
