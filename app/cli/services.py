"""`flask services list · add · remove`: the names answered with nodes. They write config.yml, never a record."""

from __future__ import annotations

import sys
from typing import Any

import click

from app.cli.editing import afterwards, edited, known_or_fail, reloaded
from app.cli.output import as_json, document, fail, speaks_plainly, table
from app.config import Config, values_of
from app.config.schema.dns import ServiceConfig
from app.installation import configuration
from dns.errors import DnsError
from dns.providers import make_provider

WHEN_NONE = {
    "withdraw": "no answer: nobody is sent to a node that is not in step",
    "hold": "the last answer stays: an old page may be better than none",
    "fallback": "addresses of your own, such as a page that says what is going on",
}


@click.group()
def services() -> None:
    """The DNS names that are answered with nodes: list, add, remove."""


@services.command("list")
@as_json
@speaks_plainly
def list_services(as_json: bool) -> None:
    """Every service as configured; `flask status` says what is published."""
    config = configuration()
    facts = [service_facts(service) for service in config.dns.services]
    if as_json:
        document({"services": facts})
        return
    if not facts:
        click.echo("there are no services: `flask services add`, or under dns.services in config.yml")
        return
    rows = [
        (
            f["name"],
            f["fqdn"],
            " ".join(f["types"]),
            f["provider"],
            f["ttl"],
            lines_text(f["lines"]),
            f["when_none_ready"],
        )
        for f in facts
    ]
    table(("SERVICE", "NAME", "TYPES", "PROVIDER", "TTL", "LINES", "WHEN NO NODE IS FIT"), rows)


def service_facts(service: ServiceConfig) -> dict[str, Any]:
    """A service as JSON: the configuration's keys, and its full name."""
    facts = values_of(service)
    for key in ("types", "fallback_addresses"):
        facts[key] = list(facts[key])
    return {**facts, "fqdn": service.fqdn}


def lines_text(lines: dict[str, Any] | None) -> str:
    """A service's lines in a few words."""
    if lines is None:
        return "from the nodes"
    parts = []
    for line, rules in lines.items():
        tiers = [rules["nodes"]] if rules.get("nodes") else rules.get("tiers", ())
        said = " > ".join(tier if isinstance(tier, str) else "+".join(tier) for tier in tiers)
        parts.append(f"{line}: {said}")
    return "; ".join(parts)


@services.command("add")
@click.argument("name")
@click.option("--provider", help="One of dns.providers; may be left out when there is only one.")
@click.option("--zone", required=True, help="example.com")
@click.option("--record", required=True, help="www, or @ for the zone itself.")
@click.option("--type", "types", multiple=True, type=click.Choice(["A", "AAAA"], case_sensitive=False))
@click.option("--ttl", type=int)
@click.option(
    "--line",
    "lines",
    multiple=True,
    help="telecom=NODE,NODE (one tier), telecom=A,B/C (tiers), default=all; none given: from the nodes' own lines.",
)
@click.option("--when-none-ready", type=click.Choice(list(WHEN_NONE)))
@click.option("--fallback-address", "fallback_addresses", multiple=True)
@click.option("--adopt/--no-adopt", default=None, help="Take over, once, what stands at this name already.")
@click.option("--allow-private", is_flag=True, help="Publish private or reserved addresses.")
@as_json
@speaks_plainly
def add_service(name: str, as_json: bool, **given: Any) -> None:
    """Writes a service into config.yml; on a terminal it asks what was not said.

    It looks at the provider first: records that stand there already stay somebody else's unless they are adopted.
    """
    config = configuration()
    if any(service.name == name for service in config.dns.services):
        fail(f"there is a service {name} already: choose another name, or remove it first")
    provider = given["provider"] or _only_provider(config)
    known_or_fail("provider", provider, config.dns.providers)
    entry = service_entry(name, provider, given)
    found = standing(config, provider, given["zone"], given["record"], entry.get("types", ("A", "AAAA")))
    if found:
        entry["adopt"] = _adopt(given["adopt"], found)
    elif given["adopt"]:
        entry["adopt"] = True
    edited(config, lambda editor: editor.add_service(entry))
    service = reloaded()
    if as_json:
        document(
            {
                "added": True,
                "name": name,
                "adopt": bool(entry.get("adopt")),
                "found": found or [],
                "running": service,
            }
        )
    else:
        click.echo(f"{name} is added to {config.path}{afterwards(service)}")
        click.echo("`flask dns plan` shows what it will change")


def _only_provider(config: Config) -> str:
    names = list(config.dns.providers)
    if len(names) != 1:
        fail(f"say --provider: {', '.join(names) or 'there are none, add one with `flask providers add`'}")
    return names[0]


def service_entry(name: str, provider: str, given: dict[str, Any]) -> dict[str, Any]:
    """The service as one would type it under dns.services."""
    entry: dict[str, Any] = {
        "name": name,
        "provider": provider,
        "zone": given["zone"],
        "record": given["record"],
    }
    if given["types"]:
        entry["types"] = [kind.upper() for kind in given["types"]]
    if given["ttl"] is not None:
        entry["ttl"] = given["ttl"]
    if given["lines"]:
        entry["lines"] = dict(line_entry(text) for text in given["lines"])
    chosen = given["when_none_ready"] or _ask_when_none(given["fallback_addresses"])
    if chosen is not None:
        entry["when_none_ready"] = chosen
    if given["fallback_addresses"]:
        entry["fallback_addresses"] = list(given["fallback_addresses"])
    if given["allow_private"]:
        entry["allow_private"] = True
    return entry


def line_entry(text: str) -> tuple[str, dict[str, Any]]:
    """``telecom=a,b/c`` as a line's code and its rules. Ends the command with status 2 for anything else."""
    line, equals, nodes = text.partition("=")
    if not (line and equals and nodes):
        fail(f"--line {text}: write LINE=NODE,NODE or LINE=all, tiers with / between them")
    if nodes == "all":
        return line, {"nodes": "all"}
    tiers = [tier.split(",") for tier in nodes.split("/")]
    return line, {"nodes": tiers[0]} if len(tiers) == 1 else {"tiers": tiers}


def _ask_when_none(fallback: tuple[str, ...]) -> str | None:
    if fallback:
        return "fallback"
    if not sys.stdin.isatty():
        return None
    click.echo("When no node is ready and in sync:", err=True)
    for word, meaning in WHEN_NONE.items():
        click.echo(f"  {word:9} {meaning}", err=True)
    choice = click.Choice([word for word in WHEN_NONE if word != "fallback"])
    answer: str = click.prompt("which", type=choice, default="withdraw", err=True)
    return answer


def standing(config: Config, provider: str, zone: str, record: str, types: Any) -> list[str] | None:
    """The records that stand at the name now, in words; None when the provider cannot be asked (said on stderr)."""
    section = config.dns.providers[provider]
    fqdn = zone if record == "@" else f"{record}.{zone}"
    try:
        made = make_provider(provider, section.kind, values_of(section))
    except DnsError as error:
        click.echo(f"{provider} could not be asked what stands at {fqdn}: {error}", err=True)
        return None
    try:
        if not made.capabilities(zone).reads_back:
            click.echo(f"{provider} cannot be asked what stands at {fqdn} already", err=True)
            return None
        observed = made.observe(zone, frozenset([fqdn]))
    except DnsError as error:
        click.echo(f"{provider} could not be asked what stands at {fqdn}: {error}", err=True)
        return None
    finally:
        made.close()
    if not observed.complete:
        click.echo(f"{provider} did not tell all that stands at {fqdn}: {observed.why}", err=True)
    return [
        f"{key.line}: {key.type} {record.value} (TTL {record.ttl})"
        for key, found in observed.sets.items()
        if key.name == fqdn and key.type in types
        for record in found.records
    ]


def _adopt(said: bool | None, found: list[str]) -> bool:
    click.echo("records stand at this name already:", err=True)
    for text in found:
        click.echo(f"  {text}", err=True)
    if said is not None:
        return said
    if not sys.stdin.isatty():
        click.echo(
            "they stay somebody else's, and hold the service until `flask dns adopt`, or --adopt", err=True
        )
        return False
    return click.confirm(
        "take them over, so that Lockstep may change and withdraw them?", default=False, err=True
    )


@services.command("remove")
@click.argument("name")
@as_json
@speaks_plainly
def remove_service(name: str, as_json: bool) -> None:
    """Takes a service out of config.yml. Its records stand until `flask dns apply --yes` withdraws them."""
    config = configuration()
    known_or_fail("service", name, (service.name for service in config.dns.services))
    edited(config, lambda editor: editor.remove_service(name))
    service = reloaded()
    if as_json:
        document({"removed": True, "name": name, "running": service})
    else:
        click.echo(f"{name} is removed from {config.path}{afterwards(service)}")
        click.echo("its records stand until `flask dns apply --yes` withdraws them")
