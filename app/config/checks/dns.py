"""Checks services against providers and nodes: what is named exists, and what is asked can be expressed."""

from __future__ import annotations

from collections.abc import Iterator

from app.config.checks.finding import Declared, Finding
from app.config.errors import nearest
from app.config.schema.dns import LineConfig, ServiceConfig
from app.config.schema.providers import ProviderConfig, answers_limit, lines_of, ttl_limits
from app.config.schema.root import Config
from app.config.tree import Loc
from app.config.values import values_of
from dns.core.address import why_unpublishable
from dns.core.model import address_type
from dns.errors import SettingsError
from dns.providers import settings_of


def findings(config: Config, declared: Declared) -> Iterator[Finding]:
    """Unknown providers and nodes, names given twice, TTLs and lines that a provider cannot express."""
    for name, provider in config.dns.providers.items():
        yield from _usable(name, provider)
    names: set[str] = set()
    claims: dict[tuple[str, str, str, str], str] = {}
    for index, service in enumerate(config.dns.services):
        loc: Loc = ("dns", "services", index)
        if service.name in names:
            yield Finding(
                (*loc, "name"), f"{service.name} is the name of an earlier service already: choose another"
            )
        names.add(service.name)
        yield from _against_others(service, loc, claims)
        yield from _against_provider(config, service, loc, declared)
        for line, rules in (service.lines or {}).items():
            yield from _against_nodes(config, rules, (*loc, "lines", line), declared)
        yield from _fallback_addresses(service, loc)


def _usable(name: str, provider: ProviderConfig) -> Iterator[Finding]:
    """What the provider itself says of its settings: an SDK that is not installed, a file that is not there."""
    try:
        settings_of(provider.kind, values_of(provider))
    except SettingsError as error:
        key = () if error.key in ("", "kind") else (error.key,)
        yield Finding(("dns", "providers", name, *key), str(error))


def _against_others(
    service: ServiceConfig, loc: Loc, claims: dict[tuple[str, str, str, str], str]
) -> Iterator[Finding]:
    for record_type in service.types:
        for line in service.lines or ("*",):
            key = (service.provider, service.fqdn, record_type, line)
            every = (*key[:3], "*")
            rival = claims.get(key) or claims.get(every)
            if rival is None and line == "*":
                rival = next((name for claim, name in claims.items() if claim[:3] == key[:3]), None)
            if rival is not None:
                where = "" if line == "*" else f" on line {line}"
                yield Finding((*loc, "record"), f"{rival} claims {service.fqdn} {record_type}{where} already")
                return
            claims[key] = service.name


def _against_provider(
    config: Config, service: ServiceConfig, loc: Loc, declared: Declared
) -> Iterator[Finding]:
    provider = config.dns.providers.get(service.provider)
    if provider is None:
        if service.provider not in declared.providers:
            close = nearest(service.provider, declared.providers)
            yield Finding((*loc, "provider"), f"{service.provider} is not under dns.providers", close)
        return
    shortest, longest = ttl_limits(provider)
    if not shortest <= service.ttl <= longest:
        yield Finding((*loc, "ttl"), f"{service.ttl} s: {provider.kind} takes {shortest} to {longest} s")
    yield from _lines(config, service, provider, loc)
    yield from _answers(service, provider, loc)


def _lines(config: Config, service: ServiceConfig, provider: ProviderConfig, loc: Loc) -> Iterator[Finding]:
    able = lines_of(provider)
    if able is None:
        return
    text = ", ".join(sorted(able))
    if service.lines is not None:
        for line in service.lines:
            if line not in able:
                said = f"{service.provider} ({provider.kind}) can express only {text}"
                yield Finding((*loc, "lines", line), said, nearest(line, able), of_key=True)
        return
    derived = {line for node in config.nodes for line in node.lines} - able
    if derived:
        yield Finding(
            loc,
            f"takes its lines from the nodes, which carry {', '.join(sorted(derived))}, but "
            f"{service.provider} ({provider.kind}) can express only {text}: give the service its own lines",
        )


def _answers(service: ServiceConfig, provider: ProviderConfig, loc: Loc) -> Iterator[Finding]:
    most = answers_limit(provider)
    for line, rules in (service.lines or {}).items():
        if most is not None and rules.max_answers is not None and rules.max_answers > most:
            yield Finding(
                (*loc, "lines", line, "max_answers"),
                f"{service.provider} sets one address a record: give 1, or use #{{ips}} in its request",
            )


def _against_nodes(config: Config, rules: LineConfig, loc: Loc, declared: Declared) -> Iterator[Finding]:
    tiers = rules.node_tiers
    key = "nodes" if rules.tiers is None else "tiers"
    for tier, names in enumerate(tiers or ()):
        for index, name in enumerate(names):
            if name not in declared.nodes and config.node_source.command is None:
                at = (*loc, key, index) if key == "nodes" else (*loc, key, tier, index)
                yield Finding(at, f"{name} is not under nodes", nearest(name, declared.nodes))
    for name in rules.weights:
        if name not in declared.nodes and config.node_source.command is None:
            yield Finding(
                (*loc, "weights", name), f"{name} is not under nodes", nearest(name, declared.nodes)
            )


def _fallback_addresses(service: ServiceConfig, loc: Loc) -> Iterator[Finding]:
    for index, address in enumerate(service.fallback_addresses):
        at = (*loc, "fallback_addresses", index)
        if address_type(address) not in service.types:
            yield Finding(
                at, f"{address} needs type {address_type(address)}, which the service does not have"
            )
        elif why := why_unpublishable(address, allow_private=True):
            yield Finding(at, why)


def warnings(config: Config) -> Iterator[str]:
    """Services whose names nobody can be sent to, as far as the configuration alone says."""
    if config.dns.services and not config.nodes and config.node_source.command is None:
        yield "dns.services are configured, but there are no nodes to answer with"
    for service in config.dns.services:
        for who, address in _known_addresses(config, service):
            if why := why_unpublishable(address, service.allow_private):
                yield f"service {service.name} will not publish {who}: {why}"


def _known_addresses(config: Config, service: ServiceConfig) -> Iterator[tuple[str, str]]:
    """The addresses that the service may answer with and that stand in the configuration, with whose they are."""
    rules = (service.lines or {}).values()
    everybody = not rules or any(line.node_tiers is None for line in rules)
    named = {name for line in rules for tier in line.node_tiers or () for name in tier}
    for node in config.nodes:
        if everybody or node.name in named:
            yield from ((node.name, source.static) for source in node.address_sources if source.static)
    yield from (("a fallback address", address) for address in service.fallback_addresses)
