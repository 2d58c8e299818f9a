"""The contract of a way to tell somebody, and how its options are read. Sends nothing itself.

A channel keeps these rules, and one test suite checks them for all:
- ``send`` never raises for what the world does: trouble is a Delivery that says in full what happened.
- It ends within its time limit, plus a second for ending what hangs.
- No secret of its options stands in a Delivery, a log line or its repr.
- It keeps no queue and tries once; trying again is the outbox's business.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import parse_qsl, urlsplit

from app.alerts.model import Delivery, Notice
from app.redaction import Redactor

_KEY_LENGTH, _SHORTEST_VALUE = 8, 4
TEMPLATES = Path(__file__).resolve().parents[3] / "templates" / "mail"


class ChannelError(ValueError):
    """Options that can never work: to be told when the configuration is checked. Names channel and key."""


@dataclass(frozen=True, slots=True)
class Rate:
    """At most ``count`` messages within ``seconds``."""

    count: int
    seconds: float


class Channel(Protocol):
    """One way to tell somebody."""

    @property
    def name(self) -> str:
        """Its name in the configuration."""
        ...

    @property
    def rate(self) -> Rate | None:
        """What the other side takes; None where there is no limit."""
        ...

    def send(self, notice: Notice) -> Delivery:
        """Tries once to tell of the notice."""
        ...


@dataclass(frozen=True, slots=True)
class Options:
    """The values of one channel of the configuration, whatever holds them; secrets come out of ``secret``
    only.

    ``values`` maps the keys of ``config.yml`` to plain values, or to objects with ``get_secret_value``
    (pydantic's).
    """

    channel: str
    values: Mapping[str, Any] = field(repr=False)
    templates: Path = TEMPLATES

    def text(self, key: str, default: str = "") -> str:
        """A text; the default when it is missing or null."""
        value = _open(self.values.get(key))
        return (
            default if value is None else os.fspath(value) if isinstance(value, os.PathLike) else str(value)
        )

    def needed(self, key: str) -> str:
        """A text that must be there. Raises ChannelError when it is missing or empty."""
        value = self.text(key)
        if not value:
            raise ChannelError(f"channel {self.channel} needs {key}")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts; one text counts as a list. Raises ChannelError when it is missing or empty."""
        value = self.values.get(key)
        found = (value,) if isinstance(value, str) else tuple(str(_open(one)) for one in value or ())
        if not found:
            raise ChannelError(f"channel {self.channel} needs {key}")
        return found

    def table(self, key: str) -> dict[str, str]:
        """A map of texts; empty when it is missing."""
        return {str(name): str(_open(value)) for name, value in (self.values.get(key) or {}).items()}

    def number(self, key: str, default: float) -> float:
        """A number; the default when it is missing or null."""
        value = self.values.get(key)
        return default if value is None else float(value)


def url_secrets(url: str) -> tuple[str, ...]:
    """What of a URL may be a token: the whole, its query's values, and path segments of eight characters
    and more.

    Servers like to repeat path or query in their error pages.
    """
    try:
        parts = urlsplit(url)
        values = [value for _, value in parse_qsl(parts.query)]
    except ValueError:
        return (url,)
    segments = [segment for segment in parts.path.split("/") if len(segment) >= _KEY_LENGTH]
    long_values = [value for value in values if len(value) >= _SHORTEST_VALUE]
    return (url, *long_values, *segments, parts.password or "")


def hide(text: str, *secrets: str) -> str:
    """The text without these secrets in any spelling, and without line breaks."""
    return " ".join(Redactor(secret for secret in secrets if secret).hide(text).split())


def _open(value: Any) -> Any:
    return value.get_secret_value() if hasattr(value, "get_secret_value") else value
