"""Calls a URL for every change of a record set; it reads nothing back, the ledger stands for what is there.

One request sets the whole record set, another (or the same with ``#{action}``) withdraws it. In URL, headers
and body these are filled in, the first four in ddns-go's spelling:

    #{ip} #{domain} #{recordType} #{ttl}    #{ips} all addresses, comma-separated
    #{action} add, replace or remove        #{line} the line's word
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol
from urllib.parse import quote, urlsplit

from dns.core.model import DEFAULT, Action, Capabilities, Observed, Operation
from dns.errors import ProviderError, RefusedError, SettingsError, UnavailableError, UnknownOutcomeError
from dns.providers.budget import Budget
from dns.providers.http_once import Lost, NotSent, Reply, send_once
from dns.providers.port import Answer, Wiring
from dns.providers.record_by_record import must_be_values, what

VARIABLES = ("ip", "ips", "domain", "recordType", "ttl", "action", "line")
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
REQUEST_KEYS = frozenset({"url", "method", "headers", "body", "contains"})
_VARIABLE = re.compile(r"#\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class Template:
    """One request with variables in it. `method` None: POST with a body, GET without (as ddns-go has it)."""

    url: str = field(repr=False)
    method: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: str | None = field(default=None, repr=False)
    contains: str | None = None

    def check(self, key: str) -> None:
        """Raises SettingsError below `key` for what cannot work. No message quotes the URL and its token."""
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise SettingsError(key, f"{key} must be an http:// or https:// URL")
        if self.method is not None and self.method.upper() not in METHODS:
            raise SettingsError(key, f"{key}: the method must be one of {', '.join(METHODS)}")
        for variable in self.variables():
            if variable not in VARIABLES:
                known = " ".join(f"#{{{name}}}" for name in VARIABLES)
                raise SettingsError(key, f"{key}: there is no #{{{variable}}}; there are {known}")

    def variables(self) -> frozenset[str]:
        """The names of all variables anywhere in it."""
        texts = (self.url, *self.headers.values(), self.body or "")
        return frozenset(name for text in texts for name in _VARIABLE.findall(text))

    def filled(self, values: Mapping[str, str]) -> tuple[str, str, dict[str, str], bytes | None]:
        """Method, URL, headers and body; in the URL values are percent-encoded."""
        method = (self.method or ("POST" if self.body else "GET")).upper()
        url = _fill(self.url, {name: quote(value, safe=":.,-_~") for name, value in values.items()})
        headers = {name: _fill(text, values) for name, text in self.headers.items()}
        return method, url, headers, _fill(self.body, values).encode() if self.body else None


def _fill(text: str, values: Mapping[str, str]) -> str:
    return _VARIABLE.sub(lambda found: values[found[1]], text)


@dataclass(frozen=True, slots=True)
class CallbackSettings:
    """A provider of kind callback. `withdraw` holds url, method, headers and body of the withdrawing request.

    `contains`: a text that the answer must hold to count as a success. `timeout` is seconds.
    """

    url: str = field(repr=False, metadata={"secret": True})
    method: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False, metadata={"secret": True})
    body: str | None = field(default=None, repr=False, metadata={"secret": True})
    contains: str | None = None
    withdraw: Mapping[str, Any] | None = field(default=None, repr=False, metadata={"secret": True})
    timeout: float = 10
    requests_per_second: float = 5

    def __post_init__(self) -> None:
        self.setting().check("url")
        withdrawing = self.withdrawing()
        if withdrawing is None:
            raise SettingsError(
                "withdraw", "it cannot withdraw: use #{action} in the request or give withdraw"
            )
        withdrawing.check("withdraw")
        if self.timeout <= 0:
            raise SettingsError("timeout", "timeout must be above 0")

    def setting(self) -> Template:
        """The request that makes a set stand."""
        return Template(self.url, self.method, dict(self.headers), self.body, self.contains)

    def withdrawing(self) -> Template | None:
        """The request that takes a set away; None where there is no way to say so."""
        if self.withdraw is None:
            return self.setting() if "action" in self.setting().variables() else None
        if unknown := set(self.withdraw) - REQUEST_KEYS:
            raise SettingsError("withdraw", f"unknown key {sorted(unknown)[0]!r} below withdraw")
        if not self.withdraw.get("url"):
            raise SettingsError("withdraw", "withdraw needs a url")
        return Template(**{"contains": self.contains, **self.withdraw})


class Send(Protocol):
    """Sends one request; see `http_once`."""

    def __call__(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, timeout_seconds: float
    ) -> Reply: ...


class Callback:
    """A URL as a provider; see the contract in `dns.providers.port`."""

    kind: ClassVar[str] = "callback"
    Settings: ClassVar[type[CallbackSettings]] = CallbackSettings

    def __init__(self, name: str, settings: CallbackSettings, wiring: Wiring, send: Send = send_once) -> None:
        self.name = name
        self._settings = settings
        self._set = settings.setting()
        self._withdraw = settings.withdrawing() or self._set
        self._budget = Budget(settings.requests_per_second, wiring.monotonic, wiring.sleep)
        self._send = send

    def capabilities(self, zone: str) -> Capabilities:
        """Lines only where the request names them, several addresses only where it takes ``#{ips}``."""
        variables = self._set.variables()
        return Capabilities(
            lines=None if "line" in variables else frozenset({DEFAULT}),
            ttl_min=1,
            ttl_max=2**31 - 1,
            atomic_sets=True,
            reads_back=False,
            max_answers=None if "ips" in variables else 1,
        )

    def observe(self, zone: str, names: frozenset[str]) -> Observed:
        """Never: nothing can be read back."""
        raise RefusedError("plan", f"{self.name}: {zone} cannot be read back; the ledger stands for it")

    def apply(self, operation: Operation) -> Answer:
        """Sends the one request of this operation; success is a 2xx that holds `contains`."""
        must_be_values(operation)
        template = self._withdraw if operation.action is Action.REMOVE else self._set
        method, url, headers, body = template.filled(_values(operation))
        self._budget.take("request")
        who = what(operation)
        host = urlsplit(url).hostname
        try:
            reply = self._send(method, url, headers, body, self._settings.timeout)
        except NotSent as trouble:
            raise UnavailableError("unreachable", f"{who}: {host} cannot be reached ({trouble})") from None
        except Lost as trouble:
            text = f"{who}: no answer from {host} ({trouble}), so it may have happened or not"
            raise UnknownOutcomeError("no_answer", text) from None
        if failure := _failure(reply, template.contains, f"{who}: {host}"):
            raise failure
        return Answer(f"{host} answered {reply.status}")

    def check(self, zone: str) -> tuple[str, ...]:
        """Nothing can be asked without changing something."""
        return ()

    def close(self) -> None:
        """Holds nothing open."""


def _values(operation: Operation) -> dict[str, str]:
    records = operation.new or operation.old
    return {
        "ip": records[0].value,
        "ips": ",".join(record.value for record in records),
        "domain": operation.key.name,
        "recordType": operation.key.type,
        "ttl": str(records[0].ttl),
        "action": str(operation.action),
        "line": operation.key.line,
    }


def _failure(reply: Reply, contains: str | None, who: str) -> ProviderError | None:
    """What a reply means that is no success. Nothing of its text is shown: it may echo what was sent."""
    status = reply.status
    if 200 <= status < 300:
        if contains is None or contains in reply.text:
            return None
        return RefusedError("refused", f"{who} answered {status} without the text in `contains`")
    if status in (401, 403):
        return RefusedError(
            "credentials", f"{who} answered {status}; check the token in url, headers or body"
        )
    if status == 429:
        return UnavailableError(
            "throttled", f"{who} answered 429; it is tried again later", reply.retry_after
        )
    if status >= 500:
        return UnknownOutcomeError("server", f"{who} answered {status}, so it may have happened or not")
    return RefusedError("refused", f"{who} answered {status}; check url, method and body of this provider")
