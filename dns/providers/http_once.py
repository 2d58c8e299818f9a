"""Sends one HTTP request exactly once and says whether it can have had an effect; it follows no redirect.

Standard library, because the usual clients write the whole URL to their logs, and here it may hold a token.
"""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

MAX_ANSWER_BYTES = 65536


class NotSent(Exception):  # noqa: N818 - a result with a reason, not an error of its own
    """No connection came about: the request certainly had no effect. The text is short and holds no URL."""


class Lost(Exception):  # noqa: N818 - as above
    """The connection ended before an answer came: the request may have had its effect."""


@dataclass(frozen=True, slots=True)
class Reply:
    """Status, the beginning of the text, and Retry-After in seconds where it was given so."""

    status: int
    text: str
    retry_after: float | None = None


def send_once(
    method: str, url: str, headers: Mapping[str, str], body: bytes | None, timeout_seconds: float
) -> Reply:
    """The reply, whatever its status; a redirect is not followed. Raises `NotSent` or `Lost`."""
    parts = urlsplit(url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        connection, target = _connect(url, target, timeout_seconds)
    except (OSError, ValueError) as trouble:
        raise NotSent(_short(trouble)) from None
    try:
        connection.request(method, target, body, {"Host": parts.netloc.rpartition("@")[2], **headers})
        answer = connection.getresponse()
        text = answer.read(MAX_ANSWER_BYTES).decode("utf-8", "replace")
        wish = answer.headers.get("Retry-After", "")
        return Reply(answer.status, text, float(wish) if wish.isdigit() else None)
    except (OSError, http.client.HTTPException, ValueError) as trouble:
        raise Lost(_short(trouble)) from None
    finally:
        connection.close()


def _connect(url: str, target: str, timeout_seconds: float) -> tuple[http.client.HTTPConnection, str]:
    """An open connection to the host or to the environment's proxy, and the target to ask for there."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port
    proxy = getproxies().get(parts.scheme)
    loopback = host == "localhost" or host.startswith("127.") or host == "::1"
    if proxy and not loopback and not proxy_bypass(host):
        via = urlsplit(proxy)
        if parts.scheme == "http":
            plain = http.client.HTTPConnection(via.hostname or "", via.port or 80, timeout=timeout_seconds)
            plain.connect()
            return plain, f"http://{parts.netloc.rpartition('@')[2]}{target}"
        tunnel = http.client.HTTPSConnection(via.hostname or "", via.port or 80, timeout=timeout_seconds)
        tunnel.set_tunnel(host, port or 443)
        tunnel.connect()
        return tunnel, target
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    direct = kind(host, port, timeout=timeout_seconds)
    direct.connect()
    return direct, target


def _short(trouble: Exception) -> str:
    if isinstance(trouble, ssl.SSLCertVerificationError):
        return "its certificate is not trusted"
    if isinstance(trouble, TimeoutError):
        return "time-out"
    if isinstance(trouble, socket.gaierror):
        return "its name is not known"
    return (trouble.strerror if isinstance(trouble, OSError) else None) or type(trouble).__name__
