"""The sections about the program itself: web, log, publish. Never looks beyond its own section."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from app.config.durations import Duration, PositiveDuration
from app.config.schema.base import AbsolutePath, Count, Host, Secret, Section

Level = Literal["debug", "info", "warning", "error", "critical"]


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


AnyLevel = Annotated[Level, BeforeValidator(_lower)]


def _address(value: str) -> str:
    try:
        return str(ipaddress.ip_address(value))
    except ValueError:
        raise ValueError("must be the address of one reverse proxy, like 127.0.0.1") from None


class WebConfig(Section):
    """Where pages and API are served, and to whom. Port 0 takes any free one."""

    host: Host = "127.0.0.1"
    port: Annotated[Count, Field(le=65535)] = 7777
    trusted_proxy: Annotated[str, AfterValidator(_address)] | None = None
    public_status: bool = True
    metrics_token: Secret | None = None
    language: Literal["auto", "en", "zh"] = "auto"


class LogConfig(Section):
    """Where log lines go (`path` None: stderr), from which level on, and how they look."""

    path: AbsolutePath | None = None
    level: AnyLevel = "info"
    levels: Mapping[str, AnyLevel] = {}
    format: Literal["text", "json"] = "text"
    rotate_bytes: Count = 10_000_000
    keep: Count = 7


def _subfolder(value: str) -> str:
    """A folder below the root, without slashes at its ends."""
    parts = PurePosixPath(value).parts
    if not value.strip("/") or value.startswith("/") or ".." in parts or "\0" in value or not parts:
        raise ValueError("must be a folder inside publish.root, relative to it: no leading '/', no '..'")
    return str(PurePosixPath(value))


def pattern(value: str) -> str:
    """The exclude pattern itself when rsync reads it as one and nothing else. Raises ValueError otherwise."""
    if not value.strip() or re.search(r"[\n\r\0]", value):
        raise ValueError("must be one pattern on one line")
    if value.startswith(("+ ", "- ", "!")) or value in ("+", "-"):
        raise ValueError("must be a plain pattern: rsync reads a leading '+ ', '- ' or '!' as a rule")
    return value


class PublishConfig(Section):
    """The publish directory, what of it is carried, and when. Percentages are of paths."""

    root: AbsolutePath = "publish"  # type: ignore[assignment]  # validated: becomes an absolute path
    paths: tuple[Annotated[str, AfterValidator(_subfolder)], ...] = ()
    exclude: tuple[Annotated[str, AfterValidator(pattern)], ...] = ("*.git", "*.svn", "*.tmp", ".~tmp~/")
    delete: bool = True
    quiet_seconds: Duration = 0.02
    max_delay_seconds: PositiveDuration = 0.5
    max_shrink_percent: Annotated[float, Field(ge=0, le=100)] = 50
    rescan_seconds: Duration = 0

    @model_validator(mode="after")
    def _in_order(self) -> PublishConfig:
        if self.quiet_seconds > self.max_delay_seconds:
            raise ValueError("quiet_seconds must not be longer than max_delay_seconds")
        return self

    @property
    def path_bytes(self) -> tuple[bytes, ...]:
        """`paths` as the file system spells them."""
        return tuple(os.fsencode(path) for path in self.paths)
