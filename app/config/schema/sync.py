"""The sections about sending and health: sync with ssh, health with its probes. Never looks beyond its own
section.
"""

from __future__ import annotations

import posixpath
import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from app.config.durations import Duration, PositiveDuration
from app.config.extra_args import allowed
from app.config.schema.base import (
    AbsolutePath,
    Argv,
    Count,
    Host,
    Port,
    Positive,
    Program,
    Secret,
    Section,
    word,
)

# --- destinations --------------------------------------------------------------------------------------


def _module(value: str) -> str:
    word(value)
    if value.startswith("/") or ".." in value.split("/"):
        raise ValueError("must be a module of the rsync daemon, without leading '/' and without '..'")
    return value


def _user(value: str) -> str:
    word(value)
    if re.search(r"[@:/]", value):
        raise ValueError("must be a user's name without '@', ':' or '/'")
    return value


def _remote_folder(value: str) -> str:
    word(value)
    if not value.startswith(("/", "~/")) or ".." in value.split("/"):
        raise ValueError(
            "must be the full path of the folder on the node: it begins with '/' and has no '..'"
        )
    if posixpath.normpath(value) in ("/", "//", "~"):
        raise ValueError("must not be the node's whole file system or home")
    return posixpath.normpath(value)


def _bwlimit(value: object) -> object:
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)
    if isinstance(value, str) and not re.fullmatch(
        r"[0-9]+(\.[0-9]+)?([KkMmGgTtPp]([Ii]?[Bb])?|[Bb])?", value
    ):
        raise ValueError("must be a rate as rsync writes it: 1000 (KiB a second), 500k, 1.5m, 10MB")
    return value


Module = Annotated[str, AfterValidator(_module)]
User = Annotated[str, AfterValidator(_user)]
Bwlimit = Annotated[str, BeforeValidator(_bwlimit)]
Transport = Literal["daemon", "ssh"]


class SshConfig(Section):
    """How a node is reached over ssh. `path` is the folder on the node that receives the content."""

    user: User | None = None
    port: Port = 22
    key_file: AbsolutePath | None = None
    known_hosts: AbsolutePath | None = None
    path: Annotated[str, AfterValidator(_remote_folder)] | None = None


class SyncConfig(Section):
    """How content is sent: program, transport, limits in time and number. Times are seconds, sizes bytes."""

    rsync: Program = "rsync"
    transport: Transport = "daemon"
    module: Module = "content"
    port: Port = 873
    user: User | None = None
    password: Secret | None = None
    ssh: SshConfig
    connect_seconds: PositiveDuration = 5
    timeout_seconds: PositiveDuration = 300
    stall_seconds: PositiveDuration = 600
    max_processes: Positive = 160
    max_init: Positive = 12
    max_recovery: Positive = 6
    max_audits: Positive = 4
    compress: bool = False
    bwlimit: Bwlimit | None = None
    checksum_max_bytes: Count = 268_435_456
    dustbin_seconds: Annotated[PositiveDuration, Field(le=600)] = 5
    max_lag_seconds: PositiveDuration = 30
    audit_seconds: PositiveDuration = 1800
    deep_audit_seconds: PositiveDuration = 86400
    extra_args: Annotated[tuple[str, ...], AfterValidator(allowed)] = ()

    @model_validator(mode="after")
    def _in_order(self) -> SyncConfig:
        if self.connect_seconds > self.timeout_seconds:
            raise ValueError("connect_seconds must not be longer than timeout_seconds")
        if self.timeout_seconds > self.stall_seconds:
            raise ValueError("timeout_seconds must not be longer than stall_seconds, which ends the process")
        return self


# --- probes --------------------------------------------------------------------------------------------

Timeout = Annotated[PositiveDuration, Field(le=60)]
Attempts = Annotated[Positive, Field(le=20)]


class PingProbe(Section):
    """ICMP echo."""

    kind: Literal["ping"]
    timeout: Timeout = 1
    attempts: Attempts = 3


class RsyncProbe(Section):
    """The rsync daemon's greeting; `port` None: the node's rsync port."""

    kind: Literal["rsync"]
    port: Port | None = None
    timeout: Timeout = 3
    attempts: Attempts = 2


class TcpProbe(Section):
    """A connection to a port."""

    kind: Literal["tcp"]
    port: Port
    timeout: Timeout = 2
    attempts: Attempts = 2


Status = Annotated[int, Field(ge=100, le=599)]


def _probe_url(value: str) -> str:
    if not re.match(r"https?://[^/\s]", value) or re.search(r"\s", value):
        raise ValueError("must be an http:// or https:// URL; {host} and {address} stand for the node's")
    unknown = set(re.findall(r"\{([^{}]*)\}", value)) - {"host", "address"}
    if unknown:
        raise ValueError(f"knows {{host}} and {{address}}, not {{{unknown.pop()}}}")
    return value


class HttpProbe(Section):
    """A GET whose status is one of `status` and whose body holds `contains`, if given."""

    kind: Literal["http"]
    url: Annotated[str, AfterValidator(_probe_url)]
    status: Annotated[tuple[Status, ...], Field(min_length=1)] = (200,)
    contains: str | None = None
    timeout: Timeout = 3
    attempts: Attempts = 2


ProbeConfig = Annotated[PingProbe | RsyncProbe | TcpProbe | HttpProbe, Field(discriminator="kind")]
DEFAULT_PROBES: tuple[PingProbe | RsyncProbe, ...] = (PingProbe(kind="ping"), RsyncProbe(kind="rsync"))


class SleepTimes(Section):
    """Seconds between observations in each state; `total` is the interval of the node source."""

    ready: PositiveDuration = 5
    dead: PositiveDuration = 3
    unhealth: PositiveDuration = 3
    recovery: PositiveDuration = 3
    total: PositiveDuration = 4


class HealthConfig(Section):
    """When a node counts as ready, unhealthy or dead. An empty list of probes is refused: nothing would be
    known.
    """

    sleep_times: SleepTimes
    unhealth_tries: Annotated[Positive, Field(le=1000)] = 5
    unhealth_fatal: Annotated[Count, Field(le=1000)] = 3
    probes: Annotated[tuple[ProbeConfig, ...], Field(min_length=1)] = DEFAULT_PROBES
    canaries: tuple[Host, ...] = ()
    isolation_seconds: Duration = 60

    @model_validator(mode="after")
    def _can_die(self) -> HealthConfig:
        if self.unhealth_fatal > self.unhealth_tries:
            raise ValueError(
                f"unhealth_fatal ({self.unhealth_fatal}) must not be above unhealth_tries "
                f"({self.unhealth_tries}): no node could ever be found dead"
            )
        return self


class NodeSourceConfig(Section):
    """A program that prints the nodes; `command` None: none. `every` None: health.sleep_times.total."""

    command: Argv | None = None
    every: PositiveDuration | None = None
