"""A real HTTP server on loopback that answers by a script and remembers what it was asked."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Asked:
    """One request as it came in."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    client: str


@dataclass(frozen=True)
class Say:
    """An answer. ``drip_seconds``: one byte at a time with this pause; ``hang``: none until the server stops;
    ``drop``: the connection is closed without one, after the request was read."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    drip_seconds: float = 0.0
    hang: bool = False
    drop: bool = False


class Receiver:
    """What a test holds: the address, the requests, and ``answer`` to say something else from now on."""

    def __init__(self, server: ThreadingHTTPServer, host: str) -> None:
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{server.server_address[1]}"
        self.port = int(server.server_address[1])
        self.asked: list[Asked] = []
        self.answer: Callable[[Asked], Say] = lambda asked: Say(b"ok")
        self.arrived = threading.Condition()
        self.stopping = threading.Event()

    def says(self, *answers: Say | bytes) -> None:
        """These answers one after the other; the last one for good."""
        left = [Say(one) if isinstance(one, bytes) else one for one in answers]
        self.answer = lambda asked: left.pop(0) if len(left) > 1 else left[0]

    def wait_for(self, count: int, seconds: float = 20) -> list[Asked]:
        """The requests once there are that many."""
        with self.arrived:
            assert self.arrived.wait_for(lambda: len(self.asked) >= count, seconds), (
                f"{len(self.asked)} of {count} requests came within {seconds} s"
            )
            return list(self.asked)


class _Handler(BaseHTTPRequestHandler):
    receiver: Receiver

    def _any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        asked = Asked(self.command, self.path, dict(self.headers), body, self.client_address[0])
        with self.receiver.arrived:
            self.receiver.asked.append(asked)
            say = self.receiver.answer(asked)
            self.receiver.arrived.notify_all()
        if say.hang:
            self.receiver.stopping.wait(60)
        if say.hang or say.drop:
            self.close_connection = True
            return
        with contextlib.suppress(OSError):
            self._send(say)

    def _send(self, say: Say) -> None:
        self.send_response(say.status)
        for name, value in say.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(say.body)))
        self.end_headers()
        if not say.drip_seconds:
            self.wfile.write(say.body)
            return
        for index in range(len(say.body)):
            self.wfile.write(say.body[index : index + 1])
            self.wfile.flush()
            if self.receiver.stopping.wait(say.drip_seconds):
                return

    do_GET = do_POST = do_PUT = _any  # noqa: N815 — the base class's names

    def log_message(self, *_: Any) -> None:
        """Nothing: the tests print what matters."""


class _Server6(ThreadingHTTPServer):
    address_family = socket.AF_INET6


@contextlib.contextmanager
def http_receiver(host: str = "127.0.0.1") -> Iterator[Receiver]:
    """A running receiver on a free port of this loopback address."""

    class Handler(_Handler):
        pass

    server = (_Server6 if ":" in host else ThreadingHTTPServer)((host, 0), Handler)
    server.daemon_threads = False
    receiver = Receiver(server, host)
    Handler.receiver = receiver
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), name="test-http")
    thread.start()
    try:
        yield receiver
    finally:
        receiver.stopping.set()
        server.shutdown()
        server.server_close()  # joins the handlers
        thread.join()
