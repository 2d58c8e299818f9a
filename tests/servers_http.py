"""A small HTTP server on loopback whose answers a function gives, and which misbehaves when told to."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

BAD_GATEWAY = b"<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"


@dataclass(frozen=True)
class Request:
    """One request as it came."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Response:
    """What to answer; a dict or list goes as JSON."""

    status: int = 200
    body: Any = b""
    kind: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)

    def encoded(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


@dataclass
class _Fault:
    kind: str
    matches: Callable[[Request], bool]
    times: int
    response: Response


class HttpServer:
    """Serves `app` on a free loopback port; a context manager. `requests` holds every request that came."""

    def __init__(self, app: Callable[[Request], Response]) -> None:
        self.app = app
        self.requests: list[Request] = []
        self.stopping = threading.Event()
        self._faults: list[_Fault] = []
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._http.daemon_threads = False
        self._http.owner = self  # type: ignore[attr-defined]
        self._thread = self._listener()

    def _listener(self) -> threading.Thread:
        return threading.Thread(target=self._http.serve_forever, args=(0.02,), name="http-server")

    @property
    def port(self) -> int:
        return int(self._http.server_address[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> HttpServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self._http.shutdown()
        self._thread.join()
        self._hang_up()
        self._http.server_close()

    @contextmanager
    def deaf(self) -> Iterator[None]:
        """Nobody listens on the port for a while, and kept connections are gone."""
        address = self._http.server_address
        self._http.shutdown()
        self._thread.join()
        self._http.socket.close()
        self._hang_up()
        try:
            yield
        finally:
            self._http.socket = socket.create_server(address[:2], backlog=128)
            self._thread = self._listener()
            self._thread.start()

    @contextmanager
    def misbehaving(
        self,
        kind: str,
        matches: Callable[[Request], bool] = lambda request: True,
        times: int = 10**6,
        response: Response | None = None,
    ) -> Iterator[None]:
        """While inside, matching requests go wrong.

        kind: answer (`response`) · html (a 502 page) · silence (until the server stops) · reset (undone) ·
        lost (it is done, then the connection closes) · lost-silent.
        """
        fault = _Fault(kind, matches, times, response or Response(500))
        with self._lock:
            self._faults.append(fault)
        try:
            yield
        finally:
            with self._lock, suppress(ValueError):
                self._faults.remove(fault)

    def next_fault(self, request: Request) -> _Fault | None:
        with self._lock:
            self.requests.append(request)
            for fault in self._faults:
                if fault.times > 0 and fault.matches(request):
                    fault.times -= 1
                    return fault
        return None

    def _hang_up(self) -> None:
        with self._lock:
            for connection in self._open:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    @contextmanager
    def tracked(self, connection: socket.socket) -> Iterator[None]:
        with self._lock:
            self._open.add(connection)
        try:
            yield
        finally:
            with self._lock:
                self._open.discard(connection)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    @property
    def owner(self) -> HttpServer:
        return self.server.owner  # type: ignore[attr-defined, no-any-return]

    def handle(self) -> None:
        with self.owner.tracked(self.connection), suppress(OSError):
            super().handle()

    def _serve(self) -> None:
        parts = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        request = Request(self.command, parts.path, query, headers, body)
        fault = self.owner.next_fault(request)
        kind = fault.kind if fault else ""
        if fault and kind == "answer":
            self._send(fault.response)
        elif kind == "html":
            self._send(Response(502, BAD_GATEWAY, "text/html"))
        elif kind in {"silence", "reset"}:
            self._lose(kind == "silence")
        else:
            response = self.owner.app(request)
            if kind.startswith("lost"):
                self._lose(kind == "lost-silent")
            else:
                self._send(response)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815 - the base class names them

    def _lose(self, silent: bool) -> None:
        if silent:
            self.owner.stopping.wait(30)
        self.close_connection = True
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def _send(self, response: Response) -> None:
        body = response.encoded()
        self.send_response(response.status)
        for name, value in response.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Type", response.kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it
        """Quiet: a test reads `requests` instead."""
