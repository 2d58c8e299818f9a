"""`flask providers list · add · remove · check`: the DNS accounts. They never show a secret."""

from __future__ import annotations

import dataclasses
import sys
from typing import Any

import click

from app.cli.editing import Store, afterwards, ask_secret, edited, known_or_fail, reloaded, secret_files
from app.cli.output import Exit, as_json, document, fail, speaks_plainly, table
from app.config import Config, values_of
from app.config.schema.providers import lines_of
from app.installation import configuration
from app.naming import unknown
from dns.errors import DnsError, SettingsError
from dns.providers import PROVIDERS, make_provider, provider_class, secret_keys


@click.group()
def providers() -> None:
    """The DNS providers: list, add, remove, check."""


@providers.command("list")
@as_json
@speaks_plainly
def list_providers(as_json: bool) -> None:
    """Every provider with its kind, its lines and the zones that services name. No secrets."""
    config = configuration()
    facts: list[dict[str, Any]] = [
        {
            "name": name,
            "kind": section.kind,
            "lines": None if (able := lines_of(section)) is None else sorted(able),
            "zones": zones_of(config, name),
            "services": [s.name for s in config.dns.services if s.provider == name],
        }
        for name, section in config.dns.providers.items()
    ]
    if as_json:
        document({"providers": facts})
        return
    if not facts:
        click.echo("there are no providers: `flask providers add`, or under dns.providers in config.yml")
        return
    rows = [
        (
            f["name"],
            f["kind"],
            "any" if f["lines"] is None else ", ".join(f["lines"]),
            ", ".join(f["zones"]),
            ", ".join(f["services"]),
        )
        for f in facts
    ]
    table(("PROVIDER", "KIND", "LINES", "ZONES", "SERVICES"), rows)


def zones_of(config: Config, provider: str) -> list[str]:
    """The zones that the provider's services name, each once."""
    return sorted({service.zone for service in config.dns.services if service.provider == provider})


@providers.command("add")
@click.argument("name")
@click.option("--kind", required=True, help=", ".join(PROVIDERS))
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="A setting that is no secret.")
@click.option("--zone", "zones", multiple=True, help="Check these zones before anything is written.")
@click.option("--anyway", is_flag=True, help="Write it even if the check fails.")
@as_json
@speaks_plainly
def add_provider(
    name: str, kind: str, settings: tuple[str, ...], zones: tuple[str, ...], anyway: bool, as_json: bool
) -> None:
    """Writes a provider into config.yml.

    Secrets are asked for without echo (or read from standard input, a line each) and stored in files of their own.
    """
    config = configuration()
    if name in config.dns.providers:
        fail(f"there is a provider {name} already: choose another name, or remove it first")
    if kind not in PROVIDERS:
        fail(unknown("kind", kind, PROVIDERS))
    try:
        entry = provider_entry(name, kind, settings)
    except SettingsError as error:
        fail(str(error))
    troubles = _try(entry, name, kind, zones)
    if troubles and not anyway:
        fail("\n".join([*troubles, "nothing was written; mend it, or write it --anyway"]), Exit.SOME_FAILED)
    with secret_files(config) as store:
        stored = with_secret_files(name, kind, entry, store)
        edited(config, lambda editor: editor.add_provider(name, {"kind": kind, **stored}))
    service = reloaded()
    if as_json:
        document({"added": True, "name": name, "kind": kind, "running": service, "missing": troubles})
        return
    for sentence in troubles:
        click.echo(sentence, err=True)
    click.echo(f"{name} is added to {config.path}{afterwards(service)}")


def provider_entry(name: str, kind: str, settings: tuple[str, ...]) -> dict[str, Any]:
    """The provider's keys with secrets in clear, as typed or asked for. Raises SettingsError."""
    hidden = secret_keys(kind)
    fields = {f.name: f for f in dataclasses.fields(provider_class(kind).Settings) if f.init}
    entry: dict[str, Any] = {}
    for text in settings:
        key, equals, value = text.partition("=")
        plain = key.removesuffix("_file")
        if not equals:
            raise SettingsError(key, f"--set {text}: write KEY=VALUE")
        if key not in fields and plain not in hidden:
            raise SettingsError(key, unknown("setting", key, fields))
        if key in hidden and not value.startswith("${"):
            raise SettingsError(
                key, f"{key} is a secret: leave it out, it is asked for (or give {key}_file=PATH)"
            )
        entry[key] = _typed(value)
    for key in fields:
        needed = (
            fields[key].default is dataclasses.MISSING and fields[key].default_factory is dataclasses.MISSING
        )
        if key in hidden and needed and key not in entry and f"{key}_file" not in entry:
            entry[key] = ask_secret(f"{key} of {name}")
    return entry


def _typed(value: str) -> Any:
    """A number or truth value as one, ``[a, b]`` and ``{a: b}`` as YAML, everything else as text."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    if value.startswith("${"):
        return value
    try:
        return YAML(typ="safe", pure=True).load(value)
    except YAMLError:
        return value


def with_secret_files(name: str, kind: str, entry: dict[str, Any], store: Store) -> dict[str, Any]:
    """The keys as they go into config.yml: each secret as the ``_file`` it is stored in (mode 0600)."""
    hidden = secret_keys(kind)
    stored: dict[str, Any] = {}
    for key, value in entry.items():
        if key in hidden and isinstance(value, str) and not value.startswith("${"):
            stored[f"{key}_file"] = store(f"provider-{name}.{key}", value)
        else:
            stored[key] = value
    return stored


def _try(entry: dict[str, Any], name: str, kind: str, zones: tuple[str, ...]) -> list[str]:
    if not zones or any(str(value).startswith("${") or key.endswith("_file") for key, value in entry.items()):
        return []
    try:
        provider = make_provider(name, kind, entry)
    except DnsError as error:
        return [str(error)]
    try:
        return [sentence for zone in zones for sentence in missing(provider, zone)]
    finally:
        provider.close()


def missing(provider: Any, zone: str) -> list[str]:
    """What is missing for the zone, in sentences; an error of the provider is one."""
    try:
        return list(provider.check(zone))
    except DnsError as error:
        return [str(error)]


@providers.command("remove")
@click.argument("name")
@as_json
@speaks_plainly
def remove_provider(name: str, as_json: bool) -> None:
    """Takes a provider out of config.yml; its services must go first."""
    config = configuration()
    known_or_fail("provider", name, config.dns.providers)
    users = [service.name for service in config.dns.services if service.provider == name]
    if users:
        fail(f"{name} is used by {', '.join(users)}: remove these services first")
    edited(config, lambda editor: editor.remove_provider(name))
    service = reloaded()
    if as_json:
        document({"removed": True, "name": name, "running": service})
    else:
        click.echo(f"{name} is removed from {config.path}{afterwards(service)}")
        for path in sorted((config.data_dir / "secrets").glob(f"provider-{name}.*")):
            click.echo(f"its secret still lies in {path}", err=True)


@providers.command("check")
@click.argument("name", required=False)
@click.option("--zone", "zones", multiple=True, help="Default: the zones of its services.")
@as_json
@speaks_plainly
def check_providers(name: str | None, zones: tuple[str, ...], as_json: bool) -> None:
    """Reads the zones at the providers and says what is missing; exit status 1 when something is. Writes nothing."""
    config = configuration()
    if name is not None:
        known_or_fail("provider", name, config.dns.providers)
    facts = [_checked(config, each, zones) for each in ([name] if name else config.dns.providers)]
    if as_json:
        document({"ok": all(f["ok"] for f in facts), "providers": facts})
    else:
        for f in facts:
            _say(f)
        if not facts:
            click.echo("there are no providers")
    if not all(f["ok"] for f in facts):
        sys.exit(int(Exit.SOME_FAILED))


def _checked(config: Config, name: str, zones: tuple[str, ...]) -> dict[str, Any]:
    section = config.dns.providers[name]
    wanted = list(zones) or zones_of(config, name)
    found: list[dict[str, Any]] = []
    try:
        provider = make_provider(name, section.kind, values_of(section))
    except DnsError as error:
        found = [{"zone": zone, "missing": [str(error)]} for zone in wanted or [""]]
    else:
        try:
            found = [{"zone": zone, "missing": missing(provider, zone)} for zone in wanted]
        finally:
            provider.close()
    return {
        "name": name,
        "kind": section.kind,
        "zones": found,
        "ok": not any(zone["missing"] for zone in found),
    }


def _say(facts: dict[str, Any]) -> None:
    if not facts["zones"]:
        click.echo(f"{facts['name']} ({facts['kind']}): no service names a zone of it; give one with --zone")
    for zone in facts["zones"]:
        said = "\n  ".join(zone["missing"]) or "well"
        click.echo(f"{facts['name']} ({facts['kind']}) {zone['zone']}: {said}")
