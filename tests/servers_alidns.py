"""A strict AliDNS on loopback: checks signature, nonce, time stamp and form of a request, asks the account.

It can be told to misbehave as the real one does: throttle, answer 5xx or an HTML page, stay silent, close the
connection, speak in messages without a colon, cut a listing short, or write and then lose the answer.
Source: AliDNS API 2015-01-09, signature page; nothing of the SDK is used to check what the SDK sends.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import socket
import ssl
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

from tests.servers_alidns_account import Account, AliError

SYSTEM = (  # every request carries these; SignatureType is empty and signed all the same
    *("Version", "Action", "Format", "RegionId", "Timestamp", "SignatureMethod", "SignatureType"),
    *("SignatureVersion", "SignatureNonce", "AccessKeyId", "Signature"),
)
STAMP_SECONDS = 15 * 60


@dataclass
class Fault:
    """What goes wrong with the next ``times`` requests of ``action`` (None: any).

    kind: error (``http``, ``code``, ``message``) · html (a 502 page) · silence (no answer until the server
    stops) · reset (closed, nothing done) · lost (done, then closed) · lost-silent (done, then silence) ·
    body (200 and `body`) · cut (a listing without its last ``drop`` records, the total unchanged).
    """

    kind: str
    action: str | None = None
    times: int = 1
    http: int = 400
    code: str = "Throttling.User"
    message: str = "Request was denied due to user flow control."
    drop: int = 1
    body: bytes = b""


class AliDns:
    """The server, a context manager. ``account`` is what it serves, ``faults`` what it does wrong next."""

    def __init__(self, account: Account | None = None, tls: ssl.SSLContext | None = None) -> None:
        self.account = account or Account()
        self.faults: list[Fault] = []
        self.requests: list[str] = []  # actions in the order they came, whatever became of them
        self.refused: list[str] = []  # codes of requests whose form was wrong
        self.limits: dict[str, int] = {}  # action -> requests in one second of `clock`
        self.clock: Callable[[], float] = time.time
        self.stopping = threading.Event()
        self._nonces: set[str] = set()
        self._recent: list[tuple[float, str]] = []
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._http.daemon_threads = False
        self._http.alidns = self  # type: ignore[attr-defined]
        self.tls = tls is not None
        if tls is not None:
            self._http.socket = tls.wrap_socket(self._http.socket, server_side=True)
        self._thread = self._listener()

    @property
    def port(self) -> int:
        return int(self._http.server_address[1])

    @property
    def endpoint(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    def _listener(self) -> threading.Thread:
        return threading.Thread(target=self._http.serve_forever, args=(0.02,), name="alidns-server")

    def __enter__(self) -> AliDns:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self._http.shutdown()
        self._thread.join()
        with self._lock:
            still_open = list(self._open)
        for connection in still_open:  # a kept-alive connection would hold its thread for ever
            shut(connection)
        self._http.server_close()

    @contextmanager
    def deaf(self) -> Iterator[None]:
        """Nobody listens on the port for a while, and kept connections are gone."""
        address = self._http.server_address
        self._http.shutdown()
        self._thread.join()
        self._http.socket.close()
        with self._lock:
            for connection in self._open:
                shut(connection)
        try:
            yield
        finally:
            self._http.socket = socket.create_server(address, backlog=128)
            self._thread = self._listener()
            self._thread.start()

    def fail(self, kind: str, action: str | None = None, times: int = 1, **more: Any) -> None:
        """Makes the next matching requests go wrong."""
        with self._lock:
            self.faults.append(Fault(kind, action, times, **more))

    def next_fault(self, action: str) -> Fault | None:
        with self._lock:
            for fault in self.faults:
                if fault.action in (None, action):
                    fault.times -= 1
                    if fault.times <= 0:
                        self.faults.remove(fault)
                    return fault
        return None

    # What every request must have

    def admit(self, method: str, query: str, body: bytes) -> tuple[str, dict[str, str]]:
        """Action and its own parameters of a request in good form; raises `AliError`."""
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=True, encoding="utf-8")
        p = dict(pairs)
        if method != "POST":
            raise AliError(405, "UnsupportedHTTPMethod", "This HTTP method is not supported.")
        if body or len(p) != len(pairs):
            raise AliError(400, "InvalidParameter", "A body or a repeated parameter is not expected.")
        for name in SYSTEM:
            if name not in p:
                code = "IncompleteSignature" if name == "Signature" else f"Missing{name}"
                raise AliError(400, code, f"{name} is mandatory.")
        fixed = {
            "Version": "2015-01-09",
            "Format": "JSON",
            "SignatureMethod": "HMAC-SHA1",
            "SignatureVersion": "1.0",
        }
        for name, value in fixed.items():
            if p[name] != value:
                raise AliError(400, f"Invalid{name}", f"{name} must be {value}.")
        self._credentials(method, p)
        return p["Action"], {k: v for k, v in p.items() if k not in SYSTEM}

    def _credentials(self, method: str, p: dict[str, str]) -> None:
        if p["AccessKeyId"] != self.account.key_id:
            raise AliError(404, "InvalidAccessKeyId.NotFound", "Specified access key is not found.")
        if self.account.inactive:
            raise AliError(400, "InvalidAccessKeyId.Inactive", "Specified access key is disabled.")
        self._stamp(p["Timestamp"])
        to_sign = string_to_sign(method, p)
        if not hmac.compare_digest(signature(self.account.secret, to_sign), p["Signature"]):
            message = (
                f"Specified signature is not matched with our calculation. server string to sign is:{to_sign}"
            )
            raise AliError(400, "SignatureDoesNotMatch", message)
        with self._lock:
            if p["SignatureNonce"] in self._nonces:
                raise AliError(400, "SignatureNonceUsed", "Specified signature nonce was used already.")
            self._nonces.add(p["SignatureNonce"])

    def _stamp(self, text: str) -> None:
        try:
            at = datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp()
        except ValueError:
            raise AliError(
                400, "InvalidTimeStamp.Format", "Specified time stamp is not well formatted."
            ) from None
        if abs(at - self.clock()) > STAMP_SECONDS:
            raise AliError(400, "InvalidTimeStamp.Expired", "Specified time stamp or date value is expired.")

    def count(self, action: str) -> None:
        """Notes the request and throttles what is above the limit of one second."""
        now = self.clock()
        with self._lock:
            self.requests.append(action)
            self._recent = [(at, a) for at, a in self._recent if at > now - 1]
            if sum(a == action for _, a in self._recent) >= self.limits.get(action, 10**9):
                raise AliError(400, "Throttling.User", "Request was denied due to user flow control.")
            self._recent.append((now, action))

    @contextmanager
    def tracked(self, connection: socket.socket) -> Iterator[None]:
        with self._lock:
            self._open.add(connection)
        try:
            yield
        finally:
            with self._lock:
                self._open.discard(connection)


def shut(connection: socket.socket) -> None:
    """Ends a connection both ways; one the other side closed already is fine."""
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


def encode(text: str) -> str:
    """RFC 3986: everything but the unreserved characters."""
    return quote(text, safe="-_.~", encoding="utf-8")


def string_to_sign(method: str, parameters: dict[str, str]) -> str:
    pairs = sorted((k, v) for k, v in parameters.items() if k != "Signature")
    return f"{method}&%2F&" + encode("&".join(f"{encode(k)}={encode(v)}" for k, v in pairs))


def signature(secret: str, to_sign: str) -> str:
    return base64.b64encode(
        hmac.new((secret + "&").encode(), to_sign.encode(), hashlib.sha1).digest()
    ).decode()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def handle(self) -> None:
        with self.alidns.tracked(self.connection):
            try:
                super().handle()
            except OSError:
                self.close_connection = True

    @property
    def alidns(self) -> AliDns:
        return self.server.alidns  # type: ignore[attr-defined, no-any-return]

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            action, parameters = self.alidns.admit(self.command, urlsplit(self.path).query, body)
        except AliError as error:
            self.alidns.refused.append(error.code)
            self._error(error)
            return
        try:
            self.alidns.count(action)
            self._act(action, parameters)
        except AliError as error:
            self._error(error)

    def _act(self, action: str, parameters: dict[str, str]) -> None:
        fault = self.alidns.next_fault(action)
        kind = fault.kind if fault else ""
        if fault and kind == "error":
            raise AliError(fault.http, fault.code, fault.message)
        if kind == "html":
            self._send(
                502,
                b"<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>",
                "text/html",
            )
        elif fault and kind == "body":
            self._send(200, fault.body, "application/json")
        elif kind in {"reset", "silence"}:
            self._lose(kind == "silence")
        else:
            answer = self.alidns.account.act(action, parameters)
            if kind.startswith("lost"):
                self._lose(kind == "lost-silent")
                return
            if fault and kind == "cut":
                rows = answer["DomainRecords"]["Record"]
                del rows[max(0, len(rows) - fault.drop) :]
            self._json(200, {"RequestId": str(uuid.uuid4()).upper(), **answer})

    def _lose(self, silent: bool) -> None:
        if silent:
            self.alidns.stopping.wait(30)
        self.close_connection = True
        shut(self.connection)

    def _error(self, error: AliError) -> None:
        document = {
            "HostId": "alidns.aliyuncs.com",
            "Code": error.code,
            "Message": error.message,
            "Recommend": "",
        }
        self._json(error.http, {"RequestId": str(uuid.uuid4()).upper(), **document})

    def _json(self, status: int, document: dict[str, Any]) -> None:
        self._send(
            status, json.dumps(document, ensure_ascii=False).encode(), "application/json;charset=utf-8"
        )

    def _send(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it
        """Quiet: a test reads `requests` and `refused` instead."""
