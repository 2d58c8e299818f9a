"""Decides which lines a service is written on, with the plan of each. Whether a node is fit does not
matter here.

    the service lists lines                     those
    it lists none                               the lines its nodes name, and default; fallback any
    the provider has no lines                   default alone
    it has, without a fall-back to default      besides, every line the zone is answered on, like default
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dns.core.model import DEFAULT, Capabilities, LinePlan, Service, ZoneKey
from dns.core.offers import NodeIndex


def line_plans(
    service: Service, able: Capabilities, in_use: frozenset[str], known: NodeIndex
) -> dict[str, LinePlan]:
    """The plan of each line that is to be written, default first where there is one.

    `in_use` are the lines on which any service of the same zone and provider is written. Lines that the
    provider does not take are left out; `problems_of` names them.
    """
    plans = dict(service.lines) if service.lines is not None else _from_nodes(able, known)
    plans = {line: plan for line, plan in plans.items() if able.takes_line(line)}
    if DEFAULT in plans and not able.line_fallback_to_default:
        every = able.lines if able.lines is not None else in_use
        for line in sorted(every):
            plans.setdefault(line, plans[DEFAULT])
    return plans


def _from_nodes(able: Capabilities, known: NodeIndex) -> dict[str, LinePlan]:
    lines = [line for line in known.lines() if able.takes_line(line)]
    everybody = LinePlan()
    if not lines:
        return {DEFAULT: everybody}
    default = known.on_line(DEFAULT)
    plans = {DEFAULT: LinePlan((default,)) if default else everybody}
    plans.update((line, LinePlan((known.on_line(line),))) for line in lines)
    return plans


def lines_in_use(services: Sequence[Service], known: NodeIndex) -> Mapping[ZoneKey, frozenset[str]]:
    """By zone, every line that any of its services is written on."""
    found: dict[ZoneKey, set[str]] = {}
    from_nodes = set(known.lines())
    for service in services:
        lines = from_nodes if service.lines is None else service.lines
        found.setdefault(service.zone_key, set()).update(lines)
    return {zone: frozenset(lines) for zone, lines in found.items()}
