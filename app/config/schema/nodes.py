"""The nodes section: who receives the content and which addresses stand for whom. Never looks at other
sections.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from app.config.durations import Duration
from app.config.schema.base import Argv, Host, LineCode, Name, OneLine, Port, Secret, Section
from app.config.schema.sync import Bwlimit, Module, ProbeConfig, SshConfig, Transport, User
from dns.core.address import AddressError, canonical

SOURCES = ("static", "hostname", "reported", "url", "interface", "command")


def ip(value: str) -> str:
    """The address in its one spelling. Raises ValueError when it is none."""
    try:
        return canonical(value)
    except AddressError:
        raise ValueError("must be an IPv4 or IPv6 address") from None


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _url(value: str) -> str:
    if not re.fullmatch(r"https?://[^/\s]+\S*", value):
        raise ValueError("must be an http:// or https:// URL")
    return value


Ip = Annotated[str, AfterValidator(ip)]
Urls = Annotated[
    tuple[Annotated[str, AfterValidator(_url)], ...], BeforeValidator(_as_list), Field(min_length=1)
]


class AddressConfig(Section):
    """One way to learn addresses of a node: exactly one of `static`, `hostname`, `reported`, `url`,
    `interface`, `command`.
    """

    static: Ip | None = None
    hostname: Host | None = None
    reported: Literal[True] | None = None
    url: Urls | None = None
    interface: OneLine | None = None
    command: Argv | None = None
    family: Literal[4, 6] | None = None
    match: str | None = None
    lines: tuple[LineCode, ...] = ()
    probes: tuple[ProbeConfig, ...] = ()
    shared: bool = False
    keep_seconds: Duration = 3600

    @property
    def source(self) -> str:
        """Which of the ways it is: a word of `SOURCES`."""
        return next(name for name in SOURCES if getattr(self, name) is not None)

    @model_validator(mode="after")
    def _one_source(self) -> AddressConfig:
        given = [name for name in SOURCES if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(
                f"needs exactly one of {', '.join(SOURCES)}"
                + (f", not {' and '.join(given)}" if given else "")
            )
        if self.family and given[0] in ("static", "reported"):
            raise ValueError(f"family does not go with {given[0]}: the address says it")
        if self.match is not None and given[0] != "interface":
            raise ValueError("match goes with interface only")
        return self

    @model_validator(mode="after")
    def _match_can_be_read(self) -> AddressConfig:
        try:
            re.compile(self.match or "")
        except re.error as error:
            raise ValueError(f"match is no regular expression: {error}") from None
        return self


class NodeConfig(Section):
    """A machine that receives the content. What is None here is taken from the sync and health sections."""

    name: Name
    title: OneLine | None = None
    host: Host | None = None
    addresses: tuple[AddressConfig, ...] = ()
    lines: tuple[LineCode, ...] = ()
    drained: bool = False
    port: Port | None = None
    module: Module | None = None
    transport: Transport | None = None
    user: User | None = None
    password: Secret | None = None
    ssh: SshConfig | None = None
    bwlimit: Bwlimit | None = None
    probes: Annotated[tuple[ProbeConfig, ...], Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _can_be_found(self) -> NodeConfig:
        if self.host is None and not self.addresses:
            raise ValueError("needs a host or addresses")
        return self

    @property
    def address_sources(self) -> tuple[AddressConfig, ...]:
        """How its addresses are learned: `addresses`, or where none are given the host itself."""
        if self.addresses or self.host is None:
            return self.addresses
        try:
            return (AddressConfig(static=ip(self.host)),)
        except ValueError:
            return (AddressConfig(hostname=self.host),)

    @property
    def known_host(self) -> str | None:
        """Where rsync goes, as far as the configuration alone says: the host, else the first address's own
        words.
        """
        first = self.address_sources[0]
        return self.host or first.static or first.hostname
