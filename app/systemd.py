"""Tells systemd how the service is (sd_notify(3)): ready, reloading, stopping, alive. It decides nothing.

Without systemd it says nothing. Alive means that the engine's thread has answered since the last time, not that
this thread runs.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Mapping


class Notifier:
    """Sends datagrams to ``NOTIFY_SOCKET``; one that cannot be sent is dropped, as libsystemd does."""

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        environ = os.environ if environ is None else environ
        self._address = environ.get("NOTIFY_SOCKET", "")
        ours = environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        usec = environ.get("WATCHDOG_USEC", "")
        self.watchdog_seconds = int(usec) / 1e6 if ours and usec.isdigit() and int(usec) > 0 else None

    def ready(self, status: str) -> None:
        """The service has started, or taken up a new configuration."""
        self._send(f"READY=1\nSTATUS={status}")

    def reloading(self) -> None:
        """A new configuration is being taken up; ``ready`` follows."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """The end has begun."""
        self._send("STOPPING=1")

    def alive(self) -> None:
        """The watchdog's keep-alive."""
        self._send("WATCHDOG=1")

    def _send(self, text: str) -> None:
        if not self._address:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | getattr(socket, "SOCK_CLOEXEC", 0)) as s:
            try:
                s.sendto(text.encode(), address)
            except OSError:
                return


class Heart:
    """Passes the engine's answers on to systemd's watchdog. ``tick`` is called about once a second, by one thread."""

    def __init__(
        self,
        notifier: Notifier,
        post: Callable[[Callable[[], object]], object],
        mono: Callable[[], float] = time.monotonic,
    ) -> None:
        self._notifier = notifier
        self._post = post
        self._mono = mono
        self._answered = threading.Event()
        self._answered.set()
        self._next = 0.0

    def tick(self) -> None:
        """Tells systemd when the engine has answered and it is time; then asks the engine again."""
        seconds = self._notifier.watchdog_seconds
        if seconds is None or not self._answered.is_set() or self._mono() < self._next:
            return
        self._next = self._mono() + seconds / 3
        self._notifier.alive()
        self._answered.clear()
        self._post(self._answered.set)
