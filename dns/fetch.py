"""One HTTP exchange within limits of time and size. Never through a proxy unasked, never with the URL in
an error.

URLs carry tokens (robots, hooks), so errors name scheme, host and port only, and the log lines in which httpx
prints whole URLs and headers are dropped here.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx

_LOGGERS = ("httpx", "httpcore.connection", "httpcore.http11", "httpcore.http2", "httpcore.proxy")
_ANY = {4: "0.0.0.0", 6: "::"}  # noqa: S104 — a source address, nothing listens

for _name in _LOGGERS:
    logging.getLogger(_name).addFilter(lambda record: False)


class FetchError(Exception):
    """No answer came. ``sent`` is False when the request certainly never reached anybody."""

    def __init__(self, message: str, *, sent: bool) -> None:
        super().__init__(message)
        self.sent = sent


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, headers (lower-case names) and the first bytes of the body."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    cut: bool

    @property
    def ok(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status < 300

    @property
    def text(self) -> str:
        """The body as UTF-8, with what is not UTF-8 replaced."""
        return self.body.decode("utf-8", "replace")


def fetch(
    url: str,
    *,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
    timeout_seconds: float = 10.0,
    body_bytes: int = 65536,
    family: int | None = None,
    redirects: int = 0,
    trust: ssl.SSLContext | None = None,
    proxies: bool = False,
) -> Answer:
    """The server's answer, whatever its status. Raises FetchError when none came, was in time or was plain
    HTTP.

    ``family`` (4 or 6) fixes the way out by the source address. The limit covers the whole exchange from the
    connection on, also for a server that sends a byte a second; looking up the host's name has the
    resolver's own limit. ``proxies``: go through the environment's proxy where it names one.
    """
    where = origin(url)
    with _Deadline(timeout_seconds) as deadline:
        try:
            with _client(timeout_seconds, family, redirects, trust or default_trust(), proxies) as client:
                return _exchange(client, url, method, headers, body, body_bytes, deadline)
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            if deadline.passed or isinstance(error, httpx.TimeoutException):
                sent = not isinstance(error, httpx.ConnectTimeout | httpx.PoolTimeout)
                raise FetchError(f"{where} did not answer within {timeout_seconds:g} s", sent=sent) from None
            sent = not isinstance(error, httpx.ConnectError | httpx.UnsupportedProtocol | httpx.InvalidURL)
            raise FetchError(f"{where}: {_words(error)}", sent=sent) from None


def origin(url: str) -> str:
    """Scheme, host and port of a URL, for messages: what follows may be secret."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or "?"
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "a URL that cannot be read"
    return f"{parts.scheme or '?'}://{f'[{host}]' if ':' in host else host}{port}"


def _client(
    timeout_seconds: float, family: int | None, redirects: int, trust: ssl.SSLContext, proxies: bool
) -> httpx.Client:
    local = _ANY[family] if family else None
    transport = None if proxies else httpx.HTTPTransport(verify=trust, trust_env=False, local_address=local)
    return httpx.Client(
        transport=transport,
        verify=trust,
        trust_env=proxies,
        timeout=timeout_seconds,
        follow_redirects=redirects > 0,
        max_redirects=redirects,
    )


def _exchange(
    client: httpx.Client,
    url: str,
    method: str,
    headers: Mapping[str, str] | None,
    body: bytes | None,
    body_bytes: int,
    deadline: _Deadline,
) -> Answer:
    request = client.build_request(
        method,
        url,
        content=body,
        headers={"User-Agent": "Lockstep", "Accept-Encoding": "identity", **(headers or {})},
        extensions={"trace": deadline.watch},
    )
    response = client.send(request, stream=True)
    try:
        kept, cut = _beginning(response.iter_raw(), body_bytes)
    finally:
        response.close()
    return Answer(response.status_code, dict(response.headers), kept, cut)


def _beginning(chunks: Iterator[bytes], limit: int) -> tuple[bytes, bool]:
    kept = bytearray()
    for chunk in chunks:
        kept += chunk
        if len(kept) > limit:
            return bytes(kept[:limit]), True
    return bytes(kept), False


def _words(error: Exception) -> str:
    if isinstance(error, httpx.InvalidURL | httpx.UnsupportedProtocol):
        return "the URL cannot be used; it must begin with http:// or https:// and name a host"
    if isinstance(error, httpx.TooManyRedirects):
        return "too many redirects"
    if isinstance(error, httpx.ConnectError):
        return f"no connection: {error}"
    return f"the exchange broke off: {error or type(error).__name__}"


@functools.cache
def default_trust() -> ssl.SSLContext:
    """The certificates trusted by default; made once, since loading them takes longer than most requests."""
    return httpx.create_ssl_context(trust_env=False)


class _Deadline:
    """Cuts the sockets of one exchange when the time is over: httpx's own limits are per read, not per
    exchange.
    """

    def __init__(self, seconds: float) -> None:
        self.passed = False
        self._lock = threading.Lock()  # guards passed and sockets between the caller and the timer
        self._sockets: list[socket.socket] = []
        self._timer = threading.Timer(seconds, self._cut)
        self._timer.name = "fetch-deadline"
        self._timer.daemon = True

    def __enter__(self) -> _Deadline:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        self._timer.join()
        for sock in self._sockets:
            sock.close()

    def watch(self, event: str, info: Mapping[str, object]) -> None:
        """httpcore's trace hook: remembers every connection by a duplicate, which outlives the wrapping in
        TLS.
        """
        if event != "connection.connect_tcp.complete":
            return
        sock = info["return_value"].get_extra_info("socket")  # type: ignore[attr-defined]
        with self._lock:
            self._sockets.append(socket.socket(fileno=os.dup(sock.fileno())))
        if self.passed:
            self._cut()

    def _cut(self) -> None:
        with self._lock:
            self.passed = True
            for sock in self._sockets:
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)
