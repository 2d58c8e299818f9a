"""A real SMTP server on loopback (aiosmtpd) that refuses, hangs and asks for TLS and logins as a test
wants.
"""

from __future__ import annotations

import asyncio
import contextlib
import email
import email.policy
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword

USER, PASSWORD = "lockstep", "correct horse"


@dataclass
class Mailbox:
    """What arrived, and what the server says to it: a fixed reply by recipient or to the mail, or never
    one.
    """

    mails: list[EmailMessage] = field(default_factory=list)
    recipients: list[list[str]] = field(default_factory=list)
    refuse: dict[str, str] = field(default_factory=dict)
    data_replies: list[str] = field(default_factory=list)
    hang: bool = False
    attempts: int = 0
    logins: list[str] = field(default_factory=list)
    encrypted: list[bool] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    arrived: threading.Condition = field(default_factory=threading.Condition)

    async def handle_RCPT(  # noqa: N802
        self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any
    ) -> str:
        if address in self.refuse:
            return self.refuse[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        with self.arrived:
            self.attempts += 1
            self.arrived.notify_all()
        if self.hang:
            await asyncio.sleep(3600)
        if self.data_replies:
            reply = self.data_replies.pop(0)
            if not reply.startswith("2"):
                return reply
        with self.arrived:
            self.encrypted.append(session.ssl is not None)
            self.times.append(time.time())
            self.mails.append(email.message_from_bytes(envelope.content, policy=email.policy.default))
            self.recipients.append(list(envelope.rcpt_tos))
            self.arrived.notify_all()
        return "250 2.0.0 queued as 42"

    def authenticate(
        self, _server: Any, _session: Any, _envelope: Any, _mechanism: str, data: Any
    ) -> AuthResult:
        assert isinstance(data, LoginPassword)
        self.logins.append(data.login.decode())
        good = (data.login.decode(), data.password.decode()) == (USER, PASSWORD)
        return AuthResult(success=good, handled=good)

    def wait_for(self, count: int, seconds: float = 20) -> list[EmailMessage]:
        """The mails once there are that many."""
        with self.arrived:
            assert self.arrived.wait_for(lambda: len(self.mails) >= count, seconds), (
                f"{len(self.mails)} mails came"
            )
            return list(self.mails)


@dataclass(frozen=True)
class Certificate:
    """A certificate for 127.0.0.1 signed by itself, and its key."""

    cert: Path
    key: Path

    @property
    def context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.cert, self.key)
        return context


def make_certificate(folder: Path) -> Certificate:
    """A fresh certificate made by openssl."""
    made = Certificate(folder / "cert.pem", folder / "key.pem")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1",
         "-keyout", str(made.key), "-out", str(made.cert)],
        check=True,
        capture_output=True,
        timeout=60,
    )  # fmt: skip
    return made


def free_port() -> int:
    """A port nobody listens on at this moment."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@contextlib.contextmanager
def smtp_server(
    box: Mailbox,
    *,
    starttls: ssl.SSLContext | None = None,
    tls: ssl.SSLContext | None = None,
    login: bool = False,
) -> Iterator[int]:
    """A running server; yields its port."""
    for attempt in range(5):
        port = free_port()
        controller = Controller(
            box,
            hostname="127.0.0.1",
            port=port,
            ready_timeout=20,
            ssl_context=tls,
            tls_context=starttls,
            require_starttls=starttls is not None,
            authenticator=box.authenticate if login else None,
            auth_required=login,
            auth_require_tls=starttls is not None,
        )
        try:
            controller.start()
        except OSError:  # somebody took the port meanwhile
            if attempt == 4:
                raise
            continue
        break
    try:
        yield port
    finally:
        controller.stop()


class MailServer:
    """A plain server that goes away and comes back on the same port. One thread holds it."""

    def __init__(self, box: Mailbox) -> None:
        self.box = box
        self.port = free_port()
        self._controller: Controller | None = None

    @property
    def is_up(self) -> bool:
        return self._controller is not None

    def start(self) -> None:
        """Is back; waits for the port when a client happens to have it."""
        deadline = time.monotonic() + 20
        while self._controller is None:
            controller = Controller(self.box, hostname="127.0.0.1", port=self.port, ready_timeout=20)
            try:
                controller.start()
                self._controller = controller
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def stop(self) -> None:
        """Goes away, in the middle of whatever it does."""
        if self._controller is not None:
            self._controller.stop()
            self._controller = None


@contextlib.contextmanager
def silent_server() -> Iterator[int]:
    """A port where connections are accepted by the system and nobody ever says a word."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen(16)
        yield int(sock.getsockname()[1])


@contextlib.contextmanager
def dripping_server(begin: bytes = b"220-") -> Iterator[int]:
    """A port where a greeting (or whatever begins so) never ends, a byte every 20 ms."""
    stop = threading.Event()

    def drip(listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            connection, _ = listener.accept()
            with connection:
                connection.sendall(begin)
                while not stop.wait(0.02):
                    connection.sendall(b"2")

    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen(1)
        thread = threading.Thread(target=drip, args=(sock,), name="test-drip")
        thread.start()
        try:
            yield int(sock.getsockname()[1])
        finally:
            stop.set()
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            thread.join()
