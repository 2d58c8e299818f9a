"""Decides what should stand: services and nodes to record sets. It writes nothing and knows no provider
beyond its capabilities; `dns.core.choice` says how one set is chosen, `dns.core.lines` which sets there
are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import cast

from dns.core.checks import problems_of
from dns.core.choice import Choice, Chooser
from dns.core.lines import line_plans, lines_in_use
from dns.core.model import (
    Capabilities,
    Desired,
    DesiredSet,
    LinePlan,
    NodeFacts,
    RecordKey,
    Service,
    ZoneKey,
)
from dns.core.offers import NodeIndex, index

Published = Mapping[ZoneKey, Mapping[RecordKey, tuple[str, ...]]]
"""The values that answer now in the sets we own."""


def compute(
    services: Sequence[Service],
    nodes: Iterable[NodeFacts] | NodeIndex,
    published: Published,
    now: float,
    capabilities: Mapping[ZoneKey, Capabilities],
) -> Desired:
    """Everything that should stand, and what cannot be, in sentences.

    `now` is the moment the facts were gathered; a decision depends on it through the facts only
    (hold-downs and proofs are judged where they are kept), so the same facts give the same answer at any
    time. A service that cannot be expressed at its provider is in `problems` and its sets are held.
    Linear in services × lines, the nodes being indexed once.
    """
    known = nodes if isinstance(nodes, NodeIndex) else index(nodes)
    in_use = lines_in_use(services, known)
    zones: dict[ZoneKey, dict[RecordKey, DesiredSet]] = {}
    problems: list[str] = []
    for service in services:
        zone = service.zone_key
        able = capabilities.get(zone, Capabilities())
        wrong = problems_of(service, able)
        problems += wrong
        sets = zones.setdefault(zone, {})
        for key, plan in _keys(service, able, in_use[zone], known):
            if key in sets:
                problems.append(
                    f"services {sets[key].service} and {service.name} both claim {key}; rename one"
                )
                continue
            standing = published.get(zone, {}).get(key, ())
            sets[key] = _set(service, key, plan, able, known, standing, wrong)
    return Desired(zones, tuple(problems))


def claims(
    services: Sequence[Service], known: NodeIndex, capabilities: Mapping[ZoneKey, Capabilities]
) -> dict[ZoneKey, dict[RecordKey, str]]:
    """The record sets that services answer, whatever stands and whoever is fit: by zone, key → service."""
    in_use = lines_in_use(services, known)
    found: dict[ZoneKey, dict[RecordKey, str]] = {}
    for service in services:
        zone = service.zone_key
        for key, _ in _keys(service, capabilities.get(zone, Capabilities()), in_use[zone], known):
            found.setdefault(zone, {}).setdefault(key, service.name)
    return found


def _keys(
    service: Service, able: Capabilities, in_use: frozenset[str], known: NodeIndex
) -> Iterable[tuple[RecordKey, LinePlan]]:
    name = service.fqdn
    for line, plan in line_plans(service, able, in_use, known).items():
        for record_type in service.types:
            yield RecordKey(name, record_type, line), plan


def _set(
    service: Service,
    key: RecordKey,
    plan: LinePlan,
    able: Capabilities,
    known: NodeIndex,
    standing: tuple[str, ...],
    wrong: Sequence[str],
) -> DesiredSet:
    if wrong:
        return DesiredSet(service.name, key, held=wrong[0])
    choice = _remembered(service, key, plan, able, known, standing)
    return DesiredSet(service.name, key, **choice._asdict())


def _remembered(
    service: Service,
    key: RecordKey,
    plan: LinePlan,
    able: Capabilities,
    known: NodeIndex,
    standing: tuple[str, ...],
) -> Choice:
    """The choice, made once for all sets that agree in everything it depends on."""
    depends = (
        *(plan.tiers, plan.fallback, plan.max_answers, tuple(plan.weights.items()), able.max_answers),
        *(able.weights, service.ttl, service.when_none_ready, service.fallback_addresses),
        *(service.allow_private, key.type, key.line, standing),
    )
    found = known.choices.get(depends)
    if found is None:
        found = Chooser(service, key, plan, able, known, standing).choose()
        known.choices[depends] = found
    return cast(Choice, found)
