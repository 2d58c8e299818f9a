"""Sends one HTTP request for a channel and says what came of it. Follows no redirect and tries once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from app.alerts.channels.contract import ChannelError, hide, url_secrets
from app.alerts.model import Delivery
from dns.fetch import Answer, FetchError, fetch, origin

_AGAIN = frozenset({408, 425, 429})
_SHOWN = 300


def exchange(
    url: str,
    *,
    method: str = "POST",
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
    timeout_seconds: float,
    secrets: tuple[str, ...] = (),
) -> tuple[Answer | None, Delivery]:
    """The answer (None when none came) and what its status means; a 2xx is well, a robot's own code is not
    looked at.
    """
    secrets = (*url_secrets(url), *secrets)
    try:
        answer = fetch(
            url, method=method, headers=headers, body=body, timeout_seconds=timeout_seconds, proxies=True
        )
    except FetchError as error:
        lost = "; it may have arrived" if error.sent else ""
        return None, Delivery(False, detail=hide(f"{method} {error}{lost}", *secrets))
    said = answer.text[:_SHOWN].strip() or "nothing"
    detail = hide(f"{method} {origin(url)} answered with status {answer.status}: {said}", *secrets)
    if answer.ok:
        return answer, Delivery(True, detail=detail)
    if 300 <= answer.status < 400:
        return answer, Delivery(False, True, f"{detail}; redirects are not followed, give the final URL")
    permanent = answer.status < 500 and answer.status not in _AGAIN
    return answer, Delivery(False, permanent, detail, _pause(answer))


def post_json(
    url: str, document: Mapping[str, Any], timeout_seconds: float, secrets: tuple[str, ...]
) -> tuple[dict[str, Any] | None, Delivery]:
    """A robot's answer as JSON (None when there is none) and what the status alone means."""
    body = json.dumps(document, ensure_ascii=False).encode()
    headers = {"Content-Type": "application/json; charset=utf-8"}
    answer, delivery = exchange(
        url, headers=headers, body=body, timeout_seconds=timeout_seconds, secrets=secrets
    )
    if answer is None or not delivery.ok:
        return None, delivery
    try:
        said = json.loads(answer.body)
    except ValueError:
        said = None
    if not isinstance(said, dict):
        return None, Delivery(False, detail=f"{delivery.detail}; that is no robot's answer, check the URL")
    return said, delivery


def web_url(channel: str, url: str) -> str:
    """The URL itself. Raises ChannelError when it is no http or https URL; the error does not repeat it."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        usable = False
    if not usable:
        raise ChannelError(f"channel {channel}: url must be an http:// or https:// URL")
    return url


def _pause(answer: Answer) -> float | None:
    wished = answer.headers.get("retry-after", "")
    return min(float(wished), 3600.0) if wished.isdigit() else None
