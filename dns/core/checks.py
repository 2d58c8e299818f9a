"""Says what cannot be: a service against the capabilities of its provider. It bends nothing to make it
fit.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from dns.core.address import why_unpublishable
from dns.core.model import ADDRESS_TYPES, Capabilities, Service, WhenNoneReady, address_type

_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")


def problems_of(service: Service, able: Capabilities) -> tuple[str, ...]:
    """Every reason why this service cannot be written at a provider that can do this; empty when it can."""
    who = f"service {service.name}"
    return tuple(f"{who}: {problem}" for check in _CHECKS for problem in check(service, able))


def why_no_name(name: str) -> str | None:
    """Why this is no name a record can have (RFC 1035, 2.3.4; a leading ``*`` label and ``_`` are
    allowed).
    """
    labels = name.split(".")
    if len(name) > 253:
        return f"{name[:40]}… is longer than 253 characters"
    for place, label in enumerate(labels):
        if not (_LABEL.fullmatch(label) or (label == "*" and place == 0)):
            return f"{label!r} in {name} is no label: 1 to 63 letters, digits or '-', no '-' at either end"
    return None


def _name(service: Service, able: Capabilities) -> Iterable[str]:
    try:
        name = service.fqdn
    except UnicodeError:
        yield f"{service.record}.{service.zone} has no form in ASCII"
        return
    if why := why_no_name(name):
        yield why


def _types(service: Service, able: Capabilities) -> Iterable[str]:
    for record_type in service.types:
        if record_type not in ADDRESS_TYPES:
            yield f"type {record_type} is not written here; there are {' and '.join(ADDRESS_TYPES)}"


def _ttl(service: Service, able: Capabilities) -> Iterable[str]:
    if not able.ttl_min <= service.ttl <= able.ttl_max:
        bounds = f"{able.ttl_min} to {able.ttl_max} s"
        yield f"ttl {service.ttl} is outside what the provider {service.provider} takes: {bounds}"


def _lines(service: Service, able: Capabilities) -> Iterable[str]:
    for line, plan in (service.lines or {}).items():
        if not able.takes_line(line):
            there = ", ".join(sorted(able.lines or ())) or "default alone"
            yield f"line {line} does not exist at the provider {service.provider}; there is {there}"
        yield from _weights(service, line, plan.weights.values(), able)


def _weights(service: Service, line: str, weights: Iterable[int], able: Capabilities) -> Iterable[str]:
    """Weights count where the provider has them; elsewhere they are as if not given."""
    given = list(weights)
    if able.weights and any(not 1 <= weight <= able.max_weight for weight in given):
        yield f"line {line} gives a weight outside 1 to {able.max_weight}"


def _fallback(service: Service, able: Capabilities) -> Iterable[str]:
    if service.when_none_ready is WhenNoneReady.FALLBACK and not service.fallback_addresses:
        yield "when_none_ready is fallback, but fallback_addresses is empty"
    for address in service.fallback_addresses:
        try:
            address_type(address)
        except ValueError:
            yield f"fallback address {address!r} is no IPv4 or IPv6 address"
            continue
        if why := why_unpublishable(address, service.allow_private):
            yield f"fallback address {address} {why}; allow_private: true lets private ones through"


_CHECKS = (_name, _types, _ttl, _lines, _fallback)
