"""Tells by mail over SMTP with STARTTLS, TLS or neither. Never sends a password over a connection that is
not encrypted unless ``security: none`` says so, and never longer than its limit.
"""

from __future__ import annotations

import contextlib
import os
import smtplib
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.utils import parseaddr
from pathlib import Path

from app.alerts.channels.contract import TEMPLATES, ChannelError, Options, Rate, hide
from app.alerts.channels.mail import make_mail
from app.alerts.model import Delivery, Notice

_SECURITY = ("starttls", "tls", "none")


@dataclass(frozen=True, slots=True)
class EmailChannel:
    """An SMTP server, whom the mails come from and whom they go to. ``ca_file``: what the server's
    certificate must come from, instead of the system's authorities.
    """

    name: str
    to: tuple[str, ...]
    sender: str
    host: str
    port: int = 587
    security: str = "starttls"
    user: str = ""
    password: str = field(default="", repr=False)
    ca_file: str = ""
    timeout_seconds: float = 20.0
    templates: Path = field(default=TEMPLATES, repr=False)
    rate: Rate | None = None

    @classmethod
    def from_options(cls, options: Options) -> EmailChannel:
        """Raises ChannelError for what is missing, an address that is none, or an unknown security."""
        security = options.text("security", "starttls")
        if security not in _SECURITY:
            raise ChannelError(f"channel {options.channel}: security must be one of {', '.join(_SECURITY)}")
        sender = options.text("from_") or options.needed("from")
        for address in (sender, *options.texts("to")):
            if "@" not in parseaddr(address)[1]:
                raise ChannelError(f"channel {options.channel}: {address!r} is no mail address")
        return cls(
            options.channel,
            options.texts("to"),
            sender,
            options.needed("host"),
            int(options.number("port", 587)),
            security,
            options.text("user"),
            options.text("password"),
            options.text("ca_file"),
            options.number("timeout", 20),
            options.templates,
        )

    def send(self, notice: Notice) -> Delivery:
        """One mail to all recipients."""
        mail = make_mail(notice, self.sender, self.to, self.templates)
        where = f"{self.host}:{self.port}"
        client = _Client(timeout=self.timeout_seconds)
        try:
            with _limit(client, self.timeout_seconds) as limit:
                delivery = self._converse(client, mail, where)
        except (smtplib.SMTPException, OSError, ValueError) as error:
            if limit.passed or isinstance(error, TimeoutError):
                delivery = Delivery(False, detail=f"{where} did not finish within {self.timeout_seconds:g} s")
            else:
                delivery = _trouble(where, error)
            if client.sending and not isinstance(error, smtplib.SMTPResponseException):
                detail = f"{delivery.detail}; the answer to the mail was lost, so it may have arrived"
                delivery = Delivery(False, detail=detail)
        return Delivery(delivery.ok, delivery.permanent, hide(delivery.detail, self.password))

    def _converse(self, client: _Client, mail: EmailMessage, where: str) -> Delivery:
        trust = None
        if self.security != "none":
            trust = ssl.create_default_context(cafile=self.ca_file or None)
        client.open(self.host, self.port, trust if self.security == "tls" else None)
        client.ehlo_or_helo_if_needed()
        if self.security == "starttls":
            client.starttls(context=trust)
        if self.user:
            client.login(self.user, self.password)
        refused = client.send_message(mail, parseaddr(self.sender)[1], [parseaddr(one)[1] for one in self.to])
        with contextlib.suppress(smtplib.SMTPException, OSError):
            client.quit()
        taken = [one for one in self.to if parseaddr(one)[1] not in refused]
        detail = f"{where} took it for {', '.join(taken)}: {client.answer}"
        for address, (code, said) in refused.items():
            detail += f"; refused for {address}: {_reply(code, said)}"
        return Delivery(True, detail=detail)


class _Client(smtplib.SMTP):
    """smtplib's client that connects when told, keeps the answer to the mail, and knows whether one is
    outstanding.
    """

    def __init__(self, timeout: float) -> None:
        # getfqdn(), the default, may ask the network for seconds
        name = socket.gethostname()
        super().__init__(local_hostname=name if "." in name else "[127.0.0.1]", timeout=timeout)
        self.answer = ""
        self.sending = False
        self.wire: socket.socket | None = None  # a duplicate, which outlives the wrapping in TLS
        self._trust: ssl.SSLContext | None = None

    def open(self, host: str, port: int, trust: ssl.SSLContext | None) -> None:
        """Connects; with ``trust`` in TLS from the first byte. Raises what smtplib raises for a bad
        greeting.
        """
        self._trust = trust
        self._host = host
        code, said = self.connect(host, port)
        if code != 220:
            raise smtplib.SMTPConnectError(code, said)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        plain = socket.create_connection((host, port), timeout)
        self.wire = socket.socket(fileno=os.dup(plain.fileno()))
        return self._trust.wrap_socket(plain, server_hostname=host) if self._trust else plain

    def data(self, msg: str | bytes) -> tuple[int, bytes]:  # type: ignore[override]
        """Sends the mail itself; smtplib throws the good answer away, people want to see it."""
        self.sending = True
        code, said = super().data(msg)
        self.sending = False
        self.answer = _reply(code, said)
        return code, said


class _Limit:
    """Whether the time of one conversation is over."""

    def __init__(self) -> None:
        self.passed = False


@contextlib.contextmanager
def _limit(client: _Client, seconds: float) -> Iterator[_Limit]:
    """Cuts the connection at the limit: smtplib's own is per read, and a server may say a line a second
    for ever.
    """
    limit = _Limit()

    def cut() -> None:
        limit.passed = True
        if client.wire is not None:
            with contextlib.suppress(OSError):
                client.wire.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(seconds, cut)
    timer.name = "mail-deadline"
    timer.daemon = True
    timer.start()
    try:
        yield limit
    finally:
        timer.cancel()
        timer.join()
        client.close()
        if client.wire is not None:
            client.wire.close()


def _trouble(where: str, error: Exception) -> Delivery:
    """What an exception of the conversation means; refusals with 5xx of sender, recipients or mail are
    permanent.
    """
    match error:
        case smtplib.SMTPRecipientsRefused():
            refusals = error.recipients.items()
            said = "; ".join(f"{address}: {_reply(code, text)}" for address, (code, text) in refusals)
            permanent = all(code >= 500 for code, _ in error.recipients.values())
            return Delivery(False, permanent, f"{where} refused every recipient: {said}")
        case smtplib.SMTPSenderRefused():
            reply = _reply(error.smtp_code, error.smtp_error)
            return Delivery(
                False, error.smtp_code >= 500, f"{where} refused the sender {error.sender}: {reply}"
            )
        case smtplib.SMTPDataError():
            reply = _reply(error.smtp_code, error.smtp_error)
            return Delivery(False, error.smtp_code >= 500, f"{where} refused the mail: {reply}")
        case smtplib.SMTPAuthenticationError():
            reply = _reply(error.smtp_code, error.smtp_error)
            return Delivery(False, detail=f"{where} refused the login: {reply}; check user and password")
        case smtplib.SMTPResponseException():
            return Delivery(False, detail=f"{where} answered {_reply(error.smtp_code, error.smtp_error)}")
        case smtplib.SMTPNotSupportedError():
            return Delivery(False, detail=f"{where}: {error}; check port and security")
        case smtplib.SMTPServerDisconnected():
            return Delivery(False, detail=f"{where} closed the connection: {error}")
        case ssl.SSLCertVerificationError():
            return Delivery(
                False, detail=f"{where} shows a certificate that is not trusted: {error.verify_message}"
            )
        case ssl.SSLError():
            return Delivery(
                False, detail=f"{where} speaks no TLS here: {error.reason}; check port and security"
            )
        case _:
            return Delivery(False, detail=f"{where}: no connection: {error}")


def _reply(code: int, said: bytes | str) -> str:
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
    return f"{code} {' '.join(text.split())}"[:300]
