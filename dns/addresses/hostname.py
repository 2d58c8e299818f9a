"""Learns addresses by resolving another name with the system's resolver. Never waits longer than its limit.

IPv4 and IPv6 are asked apart: one answer that is missing must not look like "there is none" because the
other came.
"""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from dns.addresses.contract import SourceError, SourceSpec
from dns.addresses.reported import Reports
from dns.core.address import AddressError, Resolution, canonical

Lookup = Callable[..., list[tuple[Any, ...]]]
_SOCKET_FAMILY = {4: socket.AF_INET, 6: socket.AF_INET6}
_NONE_SUCH = {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}
_LABEL = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\Z")


@dataclass(slots=True)
class _Asking:
    """One look-up of one family in its own thread; ``answer`` is set before the thread ends.

    getaddrinfo cannot be interrupted. A thread that is late is left to end by itself (the resolver gives
    up in the end), and the next resolution waits for the same one, so that never more than two are on
    their way.
    """

    thread: threading.Thread
    answer: list[tuple[str, ...] | str | None]


@dataclass(slots=True)
class HostnameSource:
    """All addresses of a host name, of one family or both."""

    name: str
    family: int | None = None
    timeout_seconds: float = 5.0
    lookup: Lookup = field(default=socket.getaddrinfo, repr=False)
    kind: str = "hostname"
    _asking: dict[int, _Asking] = field(default_factory=dict, init=False, repr=False)

    @classmethod
    def from_spec(cls, spec: SourceSpec, _reports: Reports) -> HostnameSource:
        """Raises SourceError for what is no host name."""
        name = spec.one()
        try:
            ascii_name = name.encode("idna").decode("ascii") if not name.isascii() else name
        except UnicodeError:
            ascii_name = ""
        if not _is_host_name(ascii_name):
            raise SourceError(f"hostname of node {spec.node}: {name[:80]!r} is no host name")
        return cls(ascii_name, spec.family, spec.timeout_seconds)

    @property
    def label(self) -> str:
        """The name asked for."""
        return f"hostname {self.name}"

    def resolve(self) -> Resolution:
        """Every address of the name. A family whose question failed is unsure; no address at all is a
        failure.
        """
        families = (4, 6) if self.family is None else (self.family,)
        deadline = time.monotonic() + self.timeout_seconds
        for family in families:
            self._ask(family)
        found: list[str] = []
        troubles: dict[int, str] = {}
        for family in families:
            answer = self._await(family, max(0.0, deadline - time.monotonic()))
            if isinstance(answer, str):
                troubles[family] = answer
            else:
                found += answer
        return self._resolution(found, troubles)

    def _resolution(self, found: Iterable[str], troubles: dict[int, str]) -> Resolution:
        addresses = tuple(found)
        reason = "; ".join(dict.fromkeys(troubles.values())) or None
        if addresses:
            return Resolution.found(addresses, unsure=troubles, reason=reason)
        kind = "" if self.family is None else f"IPv{self.family} "
        return Resolution.failed(
            reason or f"{self.name} has no {kind}address; check the name and who keeps it"
        )

    def _ask(self, family: int) -> None:
        running = self._asking.get(family)
        if running is not None and running.thread.is_alive():
            return
        answer: list[tuple[str, ...] | str | None] = [None]
        thread = threading.Thread(
            target=self._look_up, args=(family, answer), name=f"lookup-{self.name}-{family}", daemon=True
        )
        self._asking[family] = _Asking(thread, answer)
        thread.start()

    def _await(self, family: int, seconds: float) -> tuple[str, ...] | str:
        asking = self._asking[family]
        asking.thread.join(seconds)
        answer = asking.answer[0]
        if answer is None:
            return f"the resolver did not answer for {self.name} within {self.timeout_seconds:g} s"
        del self._asking[family]
        return answer

    def _look_up(self, family: int, answer: list[tuple[str, ...] | str | None]) -> None:
        try:
            rows = self.lookup(self.name, None, family=_SOCKET_FAMILY[family], type=socket.SOCK_STREAM)
            answer[0] = tuple(_addresses(rows))
        except socket.gaierror as error:
            answer[0] = (
                () if error.errno in _NONE_SUCH else f"{self.name} could not be resolved: {error.strerror}"
            )
        except (OSError, UnicodeError) as error:
            answer[0] = f"{self.name} could not be resolved: {error}"


def _addresses(rows: Iterable[tuple[Any, ...]]) -> Iterable[str]:
    for row in rows:
        try:
            yield canonical(str(row[4][0]))
        except AddressError:  # a link-local address with its interface: no use to anybody else
            continue


def _is_host_name(name: str) -> bool:
    labels = name.removesuffix(".").split(".")
    return len(name) <= 254 and all(_LABEL.match(label) for label in labels)
