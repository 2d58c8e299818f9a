"""The dns section: providers and the services whose names are answered with nodes. Never looks at other
sections.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag, model_validator

from app.config.durations import Duration, PositiveDuration
from app.config.schema.base import LineCode, Name, Positive, Section
from app.config.schema.nodes import Ip
from app.config.schema.providers import ProviderConfig

RecordType = Literal["A", "AAAA"]
_LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)")


def _domain(value: str) -> str:
    """A domain name in lower case, without the dot at its end."""
    name = value.rstrip(".").lower()
    _labels(name, value)
    if "." not in name and len(name) < 2:
        raise ValueError("must be a zone's name, like example.com")
    return name


def _record(value: str) -> str:
    """A name inside its zone, in lower case; ``@`` is the zone itself, a first label ``*`` a wildcard."""
    name = value.lower()
    if name.endswith("."):
        raise ValueError("must be relative to the zone: without the dot at its end")
    if name not in ("@", "*"):
        _labels(name.removeprefix("*."), value)
    return name


def _labels(name: str, typed: str) -> None:
    if not name.isascii():
        raise ValueError(f"must be in its ASCII form{_ascii_form(name)}")
    bad = [label for label in name.split(".") if not _LABEL.fullmatch(label)]
    if bad or len(name) > 253:
        raise ValueError("must be a name: labels of 1 to 63 letters, digits, '-', '_', with dots between")


def _ascii_form(name: str) -> str:
    try:
        return f": {name.encode('idna').decode('ascii')}"
    except UnicodeError:
        return ""


def _each_once(values: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(values)) != len(values):
        raise ValueError("names one of them twice")
    return values


def _upper(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


Tier = Annotated[tuple[Name, ...], Field(min_length=1), AfterValidator(_each_once)]


def _all(value: str) -> str:
    if value != "all":
        raise ValueError("must be all, or a list of nodes")
    return value


def _all_or_names(value: Any) -> str:
    return "all" if isinstance(value, str) else "names"


Nodes = Annotated[
    Annotated[str, AfterValidator(_all), Tag("all")] | Annotated[Tier, Tag("names")],
    Discriminator(_all_or_names),
]


class LineConfig(Section):
    """Which nodes answer on a line: `nodes` (all, or one tier of names) or `tiers` (the first with a fit
    node).
    """

    nodes: Nodes | None = None
    tiers: Annotated[tuple[Tier, ...], Field(min_length=1)] | None = None
    fallback: Literal["any", "none"] = "any"
    max_answers: Positive | None = None
    weights: Mapping[Name, Annotated[Positive, Field(le=100)]] = {}

    @model_validator(mode="after")
    def _one_way(self) -> LineConfig:
        if (self.nodes is None) == (self.tiers is None):
            raise ValueError("needs exactly one of nodes and tiers")
        return self

    @property
    def node_tiers(self) -> tuple[tuple[str, ...], ...] | None:
        """The tiers by name, best first; None: every node, in one tier."""
        if self.tiers is not None:
            return self.tiers
        return (self.nodes,) if isinstance(self.nodes, tuple) else None


class ServiceConfig(Section):
    """A DNS name answered with nodes. `lines` None: from the nodes' own lines, fallback any."""

    name: Name
    provider: str
    zone: Annotated[str, AfterValidator(_domain)]
    record: Annotated[str, AfterValidator(_record)]
    types: Annotated[
        tuple[Annotated[RecordType, BeforeValidator(_upper)], ...],
        Field(min_length=1),
        AfterValidator(_each_once),
    ] = ("A", "AAAA")
    ttl: Annotated[int, Field(ge=0, le=2**31 - 1)] = 600
    lines: Annotated[Mapping[LineCode, LineConfig], Field(min_length=1)] | None = None
    when_none_ready: Literal["withdraw", "hold", "fallback"] = "withdraw"
    fallback_addresses: tuple[Ip, ...] = ()
    adopt: bool = False
    allow_private: bool = False

    @model_validator(mode="after")
    def _can_fall_back(self) -> ServiceConfig:
        if self.when_none_ready == "fallback" and not self.fallback_addresses:
            raise ValueError("when_none_ready: fallback needs fallback_addresses")
        return self

    @model_validator(mode="after")
    def _name_fits(self) -> ServiceConfig:
        if len(self.fqdn) > 253:
            raise ValueError("record and zone together are longer than the 253 characters of a name")
        return self

    @property
    def fqdn(self) -> str:
        """The full name, without the dot at its end."""
        return self.zone if self.record == "@" else f"{self.record}.{self.zone}"


class DnsConfig(Section):
    """How and how often records are written. All times are seconds."""

    enabled: bool = True
    reconcile_seconds: PositiveDuration = 60
    startup_hold_seconds: Duration = 120
    hold_down_seconds: Annotated[Duration, Field(le=600)] = 10
    providers: Mapping[Name, ProviderConfig] = {}
    services: tuple[ServiceConfig, ...] = ()
