"""The registry of providers: kind → where its class is. It imports a provider when it is asked for,
never before.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from importlib import import_module
from typing import Any, cast

from dns.errors import SettingsError
from dns.providers.port import Provider, Wiring

PROVIDERS: dict[str, str] = {
    "zonefile": "dns.providers.zonefile:ZoneFile",
    "rfc2136": "dns.providers.rfc2136:Rfc2136",
    "aliyun": "dns.providers.aliyun:Aliyun",
    "cloudflare": "dns.providers.cloudflare:Cloudflare",
    "dnspod": "dns.providers.dnspod:Dnspod",
    "route53": "dns.providers.route53:Route53",
    "callback": "dns.providers.callback:Callback",
}

EXTRAS: dict[str, str] = {
    "cloudflare": "requirements-cloudflare.txt",
    "dnspod": "requirements-dnspod.txt",
    "route53": "requirements-route53.txt",
}
"""Kinds whose SDK is not installed by default, with the file that installs it."""


def provider_class(kind: str) -> Any:
    """The provider's class. Raises SettingsError for an unknown kind or an extra that is not installed."""
    if kind not in PROVIDERS:
        raise SettingsError(
            "kind", f"unknown provider kind {kind!r}; there are {', '.join(sorted(PROVIDERS))}"
        )
    module, _, name = PROVIDERS[kind].partition(":")
    try:
        return getattr(import_module(module), name)
    except ModuleNotFoundError as missing:
        if kind not in EXTRAS or (missing.name or "").startswith("dns."):
            raise
        raise SettingsError(
            "kind", f"the provider {kind} needs {missing.name}: pip install -r {EXTRAS[kind]}"
        ) from missing


def settings_of(kind: str, values: Mapping[str, Any]) -> Any:
    """The settings of a kind from its configuration keys (without `kind`). Raises SettingsError naming the
    key.
    """
    settings = provider_class(kind).Settings
    known = {f.name: f for f in dataclasses.fields(settings) if f.init}
    for key in values:
        if key not in known:
            raise SettingsError(
                key, f"unknown key {key!r} for a provider of kind {kind}; it has {', '.join(known)}"
            )
    for f in known.values():
        required = f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
        if required and f.name not in values:
            raise SettingsError(f.name, f"a provider of kind {kind} needs {f.name}")
    return settings(**values)


def secret_keys(kind: str) -> frozenset[str]:
    """The keys of a kind that are never shown."""
    fields = dataclasses.fields(provider_class(kind).Settings)
    return frozenset(f.name for f in fields if f.metadata.get("secret"))


def make_provider(name: str, kind: str, values: Mapping[str, Any], wiring: Wiring | None = None) -> Provider:
    """The provider configured as `name`; connects nowhere yet. Raises SettingsError."""
    settings = settings_of(kind, values)
    return cast(Provider, provider_class(kind)(name, settings, wiring or Wiring()))
