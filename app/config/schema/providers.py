"""The DNS providers' keys, one class a kind, and what each can express. Never talks to a provider.

The keys are those of the providers' own settings, and the limits those they declare, which a test holds
together; they are said again here because importing every vendor's SDK to check a file would take seconds.
What depends on an account is the provider's to refuse.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr, model_validator

from app.config.durations import PositiveDuration
from app.config.schema.base import (
    AbsolutePath,
    Argv,
    Host,
    LineCode,
    OneLine,
    Port,
    Positive,
    Program,
    Rate,
    Secret,
    Section,
)


def _endpoint(value: str) -> str:
    if not re.fullmatch(r"https?://[^/\s@]+\S*", value):
        raise ValueError("must be an http:// or https:// URL without a user")
    return value


def _secret_url(value: SecretStr) -> SecretStr:
    if not re.fullmatch(r"https?://[^/\s]+\S*", value.get_secret_value()):
        raise ValueError("must be an http:// or https:// URL")
    return value


def _not_empty(value: SecretStr) -> SecretStr:
    if not value.get_secret_value().strip():
        raise ValueError("must not be empty")
    return value


Endpoint = Annotated[str, AfterValidator(_endpoint)]
SecretUrl = Annotated[Secret, AfterValidator(_secret_url)]
Credential = Annotated[Secret, AfterValidator(_not_empty)]
Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]


class ZonefileProvider(Section):
    """RFC 1035 files below `path`, one per zone and line. `lines` None: any line; `reload`: run after a
    change.
    """

    kind: Literal["zonefile"]
    path: AbsolutePath
    template: AbsolutePath | None = None
    reload: Argv | None = None


class Rfc2136Line(Section):
    """The TSIG key file of a view, as tsig-keygen writes it."""

    key_file: AbsolutePath


class Rfc2136Provider(Section):
    """Dynamic updates to one server; each line is a view with its own key."""

    kind: Literal["rfc2136"]
    server: Host
    port: Port = 53
    lines: Annotated[Mapping[LineCode, Rfc2136Line], Field(min_length=1)]
    timeout_seconds: PositiveDuration = 5
    nsupdate: Program = "nsupdate"
    dig: Program = "dig"


class AliyunProvider(Section):
    """AliDNS. `endpoint` None: over HTTPS; an http:// URL on loopback for a test server.

    `ttl_min` and `records_per_set` are what the zone's edition allows.
    """

    kind: Literal["aliyun"]
    access_key_id: Credential
    access_key_secret: Credential
    endpoint: Endpoint | None = None
    requests_per_second: Rate = 20
    ttl_min: Annotated[Positive, Field(le=86400)] = 1
    records_per_set: Positive = 10
    timeout: PositiveDuration = 5
    connect_timeout: PositiveDuration = 2


class CloudflareProvider(Section):
    """Cloudflare, with an API token that may edit DNS in the zone."""

    kind: Literal["cloudflare"]
    token: Credential
    endpoint: Endpoint | None = None
    requests_per_second: Rate = 4
    timeout: PositiveDuration = 5


class DnspodProvider(Section):
    """DNSPod through Tencent Cloud's API 3.0."""

    kind: Literal["dnspod"]
    secret_id: Credential
    secret_key: Credential
    endpoint: Endpoint | None = None
    requests_per_second: Rate = 20
    timeout: PositiveDuration = 5
    connect_timeout: PositiveDuration = 2


class Route53Provider(Section):
    """Route 53; without keys the machine's own AWS credentials are used."""

    kind: Literal["route53"]
    access_key_id: Credential | None = None
    access_key_secret: Credential | None = None
    region: OneLine = "us-east-1"
    endpoint: Endpoint | None = None
    requests_per_second: Rate = 5
    timeout: PositiveDuration = 5
    connect_timeout: PositiveDuration = 2

    @model_validator(mode="after")
    def _both_or_neither(self) -> Route53Provider:
        if (self.access_key_id is None) != (self.access_key_secret is None):
            raise ValueError("needs access_key_id and access_key_secret together, or neither")
        return self


class CallbackRequest(Section):
    """One request with ddns-go's variables ``#{ip} #{domain} #{recordType} #{ttl}``, ``#{action}`` and
    ``#{line}``.
    """

    url: SecretUrl
    method: Method | None = None
    headers: Mapping[str, Secret] = {}
    body: Secret | None = None

    def mentions(self, variable: str) -> bool:
        """Whether a variable stands anywhere in the request."""
        texts = [self.url, *self.headers.values(), *((self.body,) if self.body else ())]
        return any(f"#{{{variable}}}" in text.get_secret_value() for text in texts)


class CallbackProvider(CallbackRequest):
    """A URL for everything else. Withdrawing needs ``#{action}`` or a request of its own.

    `contains`: a text that the answer must hold to count as a success.
    """

    kind: Literal["callback"]
    contains: str | None = None
    withdraw: CallbackRequest | None = None
    timeout: PositiveDuration = 10
    requests_per_second: Rate = 5

    @model_validator(mode="after")
    def _can_withdraw(self) -> CallbackProvider:
        if self.withdraw is None and not self.mentions("action"):
            raise ValueError(
                "cannot withdraw: use #{action} in url, headers or body, or give a request under withdraw"
            )
        return self


ProviderConfig = Annotated[
    ZonefileProvider
    | Rfc2136Provider
    | AliyunProvider
    | CloudflareProvider
    | DnspodProvider
    | Route53Provider
    | CallbackProvider,
    Field(discriminator="kind"),
]


TTL_LIMITS: Mapping[str, tuple[int, int]] = {
    "zonefile": (0, 2**31 - 1),  # RFC 2181, section 8
    "rfc2136": (0, 2**31 - 1),
    "aliyun": (1, 86400),  # the free edition from 600 on: its ttl_min says so
    "cloudflare": (30, 86400),  # below 60 for Enterprise
    "dnspod": (1, 604800),
    "route53": (0, 2**31 - 1),
    "callback": (1, 2**31 - 1),
}
"""The shortest and the longest TTL in seconds by kind."""


def ttl_limits(provider: ProviderConfig) -> tuple[int, int]:
    """The shortest and the longest TTL in seconds that the provider takes, as far as the configuration
    says.
    """
    shortest, longest = TTL_LIMITS[provider.kind]
    return (provider.ttl_min if isinstance(provider, AliyunProvider) else shortest), longest


def lines_of(provider: ProviderConfig) -> frozenset[str] | None:
    """The lines a provider can express; None: any."""
    if isinstance(provider, Rfc2136Provider):
        return frozenset(provider.lines)
    if isinstance(provider, CallbackProvider):
        return None if provider.mentions("line") else frozenset({"default"})
    if isinstance(provider, CloudflareProvider | Route53Provider):
        return frozenset({"default"})
    return None


def answers_limit(provider: ProviderConfig) -> int | None:
    """How many records of one set the provider can hold; None: any number."""
    if isinstance(provider, CallbackProvider):
        return None if provider.mentions("ips") else 1
    return None
