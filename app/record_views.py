"""Turns services of the configuration into those of the DNS half, and its results into plain JSON. Decides nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from app.config.schema.dns import LineConfig, ServiceConfig
from app.views import Json
from dns.core.model import DesiredSet, Fallback, LinePlan, Operation, RecordKey, Service, WhenNoneReady
from dns.executor import Pass


def service_of(config: ServiceConfig) -> Service:
    """A service of the configuration as the DNS half takes it."""
    lines = None if config.lines is None else {line: line_plan(c) for line, c in config.lines.items()}
    return Service(
        name=config.name,
        provider=config.provider,
        zone=config.zone,
        record=config.record,
        types=tuple(config.types),
        ttl=config.ttl,
        lines=lines,
        when_none_ready=WhenNoneReady(config.when_none_ready),
        fallback_addresses=tuple(config.fallback_addresses),
        adopt=config.adopt,
        allow_private=config.allow_private,
    )


def line_plan(config: LineConfig) -> LinePlan:
    """A line of a service likewise."""
    return LinePlan(config.node_tiers, Fallback(config.fallback), config.max_answers, dict(config.weights))


def operation_view(operation: Operation) -> Json:
    """An operation as the API gives it."""
    return {
        "action": operation.action.value,
        "service": operation.service,
        "provider": operation.zone.provider,
        "zone": operation.zone.zone,
        "name": operation.key.name,
        "type": operation.key.type,
        "line": operation.key.line,
        "values": list(operation.values),
        "old_values": list(operation.old_values),
        "reason": operation.reason,
    }


def lines_view(service: str, passes: Iterable[Pass]) -> list[Json]:
    """Every record set of a service: what stands, what should, and why.

    A type of which no node has an address (mostly AAAA) is left out where the line's other type is in use.
    """
    sets = [
        set_view(key, wanted, result.published.get(key, ()), result.sets_held.get(key) or wanted.held)
        | {"drift": result.drift.get(key)}
        for result in passes
        if result.planned is not None
        for key, wanted in result.planned.desired.items()
        if wanted.service == service and (wanted.values or result.published.get(key) or wanted.reason)
    ]
    used = {one["line"] for one in sets if not is_unaddressed(one)}
    return [one for one in sets if not is_unaddressed(one) or one["line"] not in used]


def is_unaddressed(one: Json) -> bool:
    """Whether a set stands empty for the one reason that no node has an address of its type."""
    if one["values"] or one["desired"] or one["held"] or not one["missing"]:
        return False
    family = "IPv6" if one["type"] == "AAAA" else "IPv4"
    return all(f"no {family} address" in reason for reason in one["missing"].values())


def set_view(key: RecordKey, wanted: DesiredSet, values: tuple[str, ...], held: str) -> Json:
    """One record set."""
    return {
        "line": key.line,
        "type": key.type,
        "name": key.name,
        "values": list(values),
        "desired": list(wanted.values),
        "nodes": sorted({node for record in wanted.records for node in record.nodes}),
        "reason": wanted.reason,
        "missing": dict(wanted.missing),
        "held": held or None,
        "stopgap": wanted.stopgap,
    }


def standing(result: Pass | None) -> str:
    """What keeps a zone from being as it should, empty when nothing does."""
    if result is None:
        return ""
    if result.error is not None:
        return str(result.error)
    problems = result.planned.problems if result.planned is not None else ()
    whole = (result.held or result.unfinished or "",)
    return "; ".join(
        dict.fromkeys(text for text in (*whole, *problems, *held_sets(result.sets_held)) if text)
    )


def held_sets(sets: Mapping[RecordKey, str]) -> list[str]:
    """A sentence per reason, with the sets that it holds."""
    by_reason: dict[str, list[str]] = {}
    for key, reason in sets.items():
        by_reason.setdefault(reason, []).append(str(key))
    return [
        reason if keys[0].split(" ", 1)[0] in reason else f"{', '.join(keys)}: {reason}"
        for reason, keys in by_reason.items()
    ]
