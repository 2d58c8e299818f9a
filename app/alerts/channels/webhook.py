"""Tells by an HTTP request. Signs it when it has a secret; never says the URL, which may hold a token.

Signature: ``X-Lockstep-Signature: sha256=HEX`` is HMAC-SHA256 with the secret over the value of
``X-Lockstep-Timestamp`` (seconds since the epoch), a full stop and the body. A receiver refuses what is
older than a few minutes, and takes ``X-Lockstep-Delivery`` it has seen before as a repetition after a lost
answer.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from app.alerts.channels.contract import Options, Rate, url_secrets
from app.alerts.channels.http import exchange, web_url
from app.alerts.channels.variables import fill, in_json, in_url, variables
from app.alerts.model import Delivery, Notice
from app.alerts.wording import body as plain_text
from app.alerts.wording import title


@dataclass(frozen=True, slots=True)
class WebhookChannel:
    """``body`` None: the notice as JSON. GET sends no body, so its URL carries the variables."""

    name: str
    url: str = field(repr=False)
    method: str = "POST"
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: str | None = field(default=None, repr=False)
    secret: str = field(default="", repr=False)
    timeout_seconds: float = 10.0
    clock: Callable[[], float] = field(default=time.time, repr=False)
    rate: Rate | None = None

    @classmethod
    def from_options(cls, options: Options) -> WebhookChannel:
        """Raises ChannelError for a URL that cannot work."""
        return cls(
            options.channel,
            web_url(options.channel, options.needed("url")),
            options.text("method", "POST").upper(),
            options.table("headers"),
            options.text("body") or None,
            options.text("secret"),
            options.number("timeout", 10),
        )

    def send(self, notice: Notice) -> Delivery:
        """One request."""
        values = variables(notice)
        body = None if self.method == "GET" else self._body(notice, values)
        given = {name.lower() for name in self.headers}
        own = self._own_headers(notice, body or b"").items()
        headers = {**self.headers, **{name: value for name, value in own if name.lower() not in given}}
        secrets = (*url_secrets(self.url), self.secret, *self.headers.values())
        _, delivery = exchange(
            fill(self.url, values, in_url),
            method=self.method,
            headers=headers,
            body=body,
            timeout_seconds=self.timeout_seconds,
            secrets=secrets,
        )
        return delivery

    def _body(self, notice: Notice, values: Mapping[str, str]) -> bytes:
        if self.body is None:
            document = notice.to_json() | {"title": title(notice), "text": plain_text(notice)}
            return json.dumps(document, ensure_ascii=False).encode()
        return fill(self.body, values, in_json if _is_json(self.body) else in_url).encode()

    def _own_headers(self, notice: Notice, body: bytes) -> dict[str, str]:
        headers = {"X-Lockstep-Delivery": notice.id}
        if self.method != "GET":
            as_json = self.body is None or _is_json(self.body)
            headers["Content-Type"] = (
                "application/json; charset=utf-8" if as_json else "application/x-www-form-urlencoded"
            )
        if self.secret:
            timestamp = f"{self.clock():.0f}"
            headers["X-Lockstep-Timestamp"] = timestamp
            headers["X-Lockstep-Signature"] = f"sha256={signature(self.secret, timestamp, body)}"
        return headers


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """The hexadecimal signature of a body sent at this time."""
    return hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def _is_json(template: str) -> bool:
    return template.lstrip()[:1] in ("{", "[")
