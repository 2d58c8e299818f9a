"""Decides whether a plan may be carried out now. It lets through or holds, with the reason, and changes
no operation.

    frozen by a person                     everything is held, until `flask dns unfreeze`
    cut off                                everything is held, until somebody answers again
    the start's hold                       everything is held, until every node is known or time has passed
    there is no node at all                everything is held, until a person says so
    the listing is not complete            held set by set, by `diff` already
    a set of a service that is gone        held, until a person says `flask dns apply --yes`
    too much would go without evidence     everything is held, until a person says so

"Too much": after it, more than `max_withdrawn_percent` of the sets that answer now would answer nothing,
and those are at least `min_withdrawn`. A percentage alone is blind for few sets, a number alone for many.
Nodes that are known to be unfit are evidence and count in neither, since promise 3 wants them gone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from dns.core.diff import UNCLAIMED
from dns.core.model import Action, Plan, RecordKey

NO_NODES = (
    "there is not one node: an empty list is a fault, not an order; `flask dns apply --yes` overrules it"
)


@dataclass(frozen=True, slots=True)
class Rails:
    """When a plan asks a person first: both bounds must be passed."""

    max_withdrawn_percent: float = 50.0
    min_withdrawn: int = 3


@dataclass(frozen=True, slots=True)
class Context:
    """What the guard knows besides the plan.

    - `frozen`: why a person froze the records, empty when nobody did; `cut_off`: the same for isolation.
    - `known_nodes` of `all_nodes` have been judged since the start, `seconds_since_start` ago.
    - `configured_names`: the full names that some service of the configuration claims in this zone.
    - `nodes_gone`: why the list of nodes is not believed now, empty when it is; `falls_back`: an asker on a line
      without records is answered from default, so a line's own records may go without leaving anybody alone.
    - `confirmed`: a person has said yes to this very plan (`apply --yes`, or the page).
    - `evidence`: set by set, the plan's withdrawals that follow from what is known of nodes
      (`DesiredSet.against`).
    """

    frozen: str = ""
    cut_off: str = ""
    startup_hold_seconds: float = 120.0
    seconds_since_start: float = 0.0
    known_nodes: int = 0
    all_nodes: int = 0
    configured_names: frozenset[str] = frozenset()
    confirmed: bool = False
    nodes_gone: str = ""
    falls_back: bool = True
    evidence: Mapping[RecordKey, frozenset[str]] = field(default_factory=dict)
    no_nodes: bool = False
    answering: int = 0
    """How many of our sets answer now."""
    rails: Rails = Rails()


@dataclass(frozen=True, slots=True)
class Apply:
    """The plan may be carried out: `plan` is what is left of it, with what is held and why."""

    plan: Plan


@dataclass(frozen=True, slots=True)
class Hold:
    """Nothing of the plan may be carried out now. `needs_person`: it will not thaw by itself."""

    plan: Plan
    reason: str
    needs_person: bool = False


def guard(plan: Plan, context: Context) -> Apply | Hold:
    """Whether the plan may be carried out; a plan without operations always may."""
    if not plan.operations:
        return Apply(plan)
    if context.frozen:
        return Hold(plan, f"frozen by a person: {context.frozen}; `flask dns unfreeze` goes on", True)
    if context.cut_off:
        return Hold(plan, context.cut_off)
    if why := _still_starting(context):
        return Hold(plan, why)
    if context.confirmed:
        return Apply(plan)
    if context.no_nodes:
        return Hold(plan, NO_NODES, True)
    remaining = _without_orphans(plan, context)
    if why := _too_much(remaining, context):
        return Hold(remaining, why, True)
    return Apply(remaining)


def _still_starting(context: Context) -> str:
    left = context.startup_hold_seconds - context.seconds_since_start
    unknown = context.all_nodes - context.known_nodes
    if unknown <= 0 or left <= 0:
        return ""
    return (
        f"just started: {unknown} of {context.all_nodes} nodes are not known yet; "
        f"nothing is written before they are, or for {left:.0f} s more"
    )


def _without_orphans(plan: Plan, context: Context) -> Plan:
    """The plan without the sets that nobody claims any more and whose end no person has agreed to."""
    held = dict(plan.held)
    for operation in plan.operations:
        if operation.action is Action.REMOVE and operation.reason == UNCLAIMED:
            why = _why_kept(operation.key, context)
            if why:
                held[operation.key] = f"{why}; `flask dns apply --yes` withdraws what stands"
    if len(held) == len(plan.held):
        return plan
    return replace(plan, operations=tuple(o for o in plan.operations if o.key not in held), held=held)


def _why_kept(key: RecordKey, context: Context) -> str:
    """Why a set that no service claims stays all the same, empty when it may go by itself."""
    if key.name not in context.configured_names:
        return f"no service of the configuration answers {key.name} any more, adding it again keeps this"
    if context.nodes_gone:
        return context.nodes_gone
    if not context.falls_back:
        return (
            f"no service claims the line {key.line} of {key.name} any more, "
            "and its askers would be left without an answer"
        )
    return ""


def _too_much(plan: Plan, context: Context) -> str:
    """Why a plan that withdraws without evidence needs a person, empty when it does not."""
    emptied = [key for key in _emptied(plan) if not context.evidence.get(key)]
    percent = 100.0 * len(emptied) / context.answering if context.answering else 0.0
    if len(emptied) < context.rails.min_withdrawn or percent <= context.rails.max_withdrawn_percent:
        return ""
    names = ", ".join(str(key) for key in emptied[:3])
    return (
        f"{len(emptied)} of {context.answering} record sets would stop answering though no node is known to "
        f"be unfit ({names}…): was the configuration changed by mistake? `flask dns apply --yes` does it"
    )


def _emptied(plan: Plan) -> list[RecordKey]:
    """The sets that the plan takes values from and gives none."""
    gets = {o.key for o in plan.operations if o.new}
    return sorted({o.key for o in plan.operations if o.action is Action.REMOVE} - gets)
