"""Asks a URL and looks at status and content; follows no redirect and reads no proxy from the environment.

httpx's time limits are for each read, so that a server which sends a byte a second would hold a probe for
hours. The streams here therefore know the probe's one deadline.
"""

from __future__ import annotations

import functools
import ssl
import time
from collections.abc import Iterable, Iterator
from typing import Any, cast

import httpcore
import httpx

from sync.core.model import ProbeResult
from sync.probes.connection import Deadline, Timer, bracketed, describe, endpoint, resolve
from sync.probes.probe import ProbeSpec, ProbeTarget

MOST_BYTES = 262_144
HEADERS = {"User-Agent": "lockstep-probe", "Accept-Encoding": "identity", "Connection": "close"}
TIMEOUTS = (TimeoutError, httpx.TimeoutException, httpcore.TimeoutException)
FAILURES = (
    OSError,
    httpx.HTTPError,
    httpx.InvalidURL,
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.UnsupportedProtocol,
)


class Http:
    """Good when the status is one of those wanted and the content holds what it must, all in time."""

    kind = "http"

    def __init__(self, spec: ProbeSpec, timer: Timer = time.monotonic) -> None:
        """Raises ValueError for a spec without an http or https url."""
        if not spec.url or not spec.url.lower().startswith(("http://", "https://")):
            raise ValueError("probe http: url must begin with http:// or https://")
        self._spec = spec
        self._url = spec.url
        self._timer = timer

    def probe(self, target: ProbeTarget) -> ProbeResult:
        timeout = self._spec.timeout_seconds
        where = target.host
        try:
            url = httpx.URL(filled(self._url, target))
            where = endpoint(url.host, url.port or (443 if url.scheme == "https" else 80))
            detail, rtt = self._ask(url, Deadline.after(timeout, self._timer))
        except TIMEOUTS:
            return ProbeResult(self.kind, False, detail=f"no answer in {timeout:g} s ({where})")
        except FAILURES as error:
            return ProbeResult(self.kind, False, detail=_failure(error, where, timeout))
        if detail:
            return ProbeResult(self.kind, False, detail=f"{detail} ({where})")
        return ProbeResult(self.kind, True, rtt)

    def _ask(self, url: httpx.URL, deadline: Deadline) -> tuple[str, float]:
        """What is wrong with the answer (empty: nothing), and the seconds until its head was here."""
        began = self._timer()
        transport = _Transport(deadline, _tls() if url.scheme == "https" else None)
        with (
            httpx.Client(transport=transport, trust_env=False, headers=HEADERS) as client,
            client.stream("GET", url) as response,
        ):
            rtt = self._timer() - began
            wanted = ", ".join(str(s) for s in self._spec.status)
            if response.status_code not in self._spec.status:
                redirect = ", a redirect, which is not followed" if response.has_redirect_location else ""
                return f"status {response.status_code}{redirect}; wanted {wanted}", rtt
            if self._spec.contains is None or _contains(response, self._spec.contains.encode()):
                return "", rtt
            return f"the content does not hold {self._spec.contains!r}", rtt


def filled(url: str, target: ProbeTarget) -> str:
    """The url with ``{host}`` and ``{address}`` put in, IPv6 addresses in brackets."""
    address = target.address or target.host
    return url.replace("{host}", bracketed(target.host)).replace("{address}", bracketed(address))


def _contains(response: httpx.Response, wanted: bytes) -> bool:
    """Whether the first MOST_BYTES of the content hold it."""
    body = b""
    for chunk in response.iter_raw():
        body += chunk[: MOST_BYTES - len(body)]
        if wanted in body or len(body) >= MOST_BYTES:
            break
    return wanted in body


def _failure(error: BaseException, where: str, timeout_seconds: float) -> str:
    """Words for what went wrong below; the URL is left out, because it may carry a password."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and not isinstance(cause, ssl.SSLError):
            return describe(cause, where, timeout_seconds)
        cause = cause.__cause__ or cause.__context__
    words = str(error) if not isinstance(error, httpx.InvalidURL) else "not a URL"
    return f"{words or type(error).__name__} ({where})"


@functools.cache
def _tls() -> ssl.SSLContext:
    """One context for all probes: reading the certificates takes longer than the probe."""
    return httpx.create_ssl_context(trust_env=False)


class _Transport(httpx.BaseTransport):
    """httpx's way to the network, over streams that keep the deadline."""

    def __init__(self, deadline: Deadline, tls: ssl.SSLContext | None) -> None:
        self._pool = httpcore.ConnectionPool(
            ssl_context=tls, max_connections=1, network_backend=_Network(deadline)
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url
        asked = httpcore.Request(
            method=request.method,
            url=httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
            headers=request.headers.raw,
        )
        answer = self._pool.handle_request(asked)
        return httpx.Response(answer.status, headers=answer.headers, stream=_Body(answer))

    def close(self) -> None:
        self._pool.close()


class _Body(httpx.SyncByteStream):
    def __init__(self, answer: httpcore.Response) -> None:
        self._answer = answer

    def __iter__(self) -> Iterator[bytes]:
        yield from cast("Iterable[bytes]", self._answer.stream)

    def close(self) -> None:
        self._answer.close()


class _Network(httpcore.NetworkBackend):
    """Connects to each of the host's addresses in turn, each with its share of the time that is left."""

    def __init__(self, deadline: Deadline) -> None:
        self._deadline = deadline
        self._backend = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        addresses = resolve(host, port)
        for i, address in enumerate(addresses, 1):
            share = self._deadline.left() / (len(addresses) - i + 1)
            try:
                stream = self._backend.connect_tcp(address, port, share, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                if i == len(addresses):
                    raise
            else:
                return _Stream(stream, self._deadline)
        raise httpcore.ConnectError(f"{host} has no address")


class _Stream(httpcore.NetworkStream):
    """A stream whose every operation ends with the deadline, whatever limit it is given."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: Deadline) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._deadline.left())

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._deadline.left())

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        return _Stream(
            self._stream.start_tls(ssl_context, server_hostname, self._deadline.left()), self._deadline
        )

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
