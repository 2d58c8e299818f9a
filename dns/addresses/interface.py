"""Learns addresses from a network interface of this machine. Never of another, and needs no package for it.

Tried in this order: iproute2's ``ip -j``; where it is missing, the kernel itself (an ioctl for the first
IPv4 address, ``/proc/net/if_inet6``); where that is missing too (macOS, BSD), ``ifconfig``.
"""

from __future__ import annotations

import re
import socket
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dns.addresses.contract import SourceError, SourceSpec
from dns.addresses.reported import Reports
from dns.core.address import Resolution
from dns.core.interfaces import Found, choose, from_if_inet6, from_ifconfig, from_ip_json
from dns.process import Finished, run_program

_SIOCGIFADDR = 0x8915  # linux/sockios.h
_IF_INET6 = Path("/proc/net/if_inet6")


def _run(argv: Sequence[str], timeout_seconds: float) -> Finished:
    return run_program(argv, timeout_seconds=timeout_seconds, output_bytes=262144)


@dataclass(frozen=True, slots=True)
class InterfaceSource:
    """The lasting addresses of one interface, cut down by family and a regular expression."""

    interface: str
    family: int | None = None
    match: str | None = None
    timeout_seconds: float = 5.0
    run: Callable[[Sequence[str], float], Finished] = field(default=_run, repr=False)
    kind: str = "interface"

    @classmethod
    def from_spec(cls, spec: SourceSpec, _reports: Reports) -> InterfaceSource:
        """Raises SourceError for what can be no interface's name, or no regular expression."""
        interface = spec.one()
        if not re.fullmatch(r"[A-Za-z0-9_.:@-]{1,31}", interface) or interface.startswith("-"):
            raise SourceError(f"interface of node {spec.node}: {interface[:40]!r} is no interface's name")
        try:
            re.compile(spec.match or "")
        except re.error as error:
            raise SourceError(
                f"interface of node {spec.node}: match is no regular expression: {error}"
            ) from None
        return cls(interface, spec.family, spec.match, spec.timeout_seconds)

    @property
    def label(self) -> str:
        """The interface's name."""
        return f"interface {self.interface}"

    def resolve(self) -> Resolution:
        """The interface's addresses as of now; a failure when it is missing or has none that fits."""
        try:
            present = {name for _, name in socket.if_nameindex()}
        except OSError as error:
            return Resolution.failed(f"the interfaces of this machine could not be listed: {error}")
        if self.interface not in present:
            return Resolution.failed(
                f"there is no interface {self.interface}; there are: {', '.join(sorted(present))}"
            )
        found = self._found()
        if found is None:
            return Resolution.failed(
                f"{self.interface} could not be read: neither ip nor /proc nor ifconfig works here"
            )
        addresses = choose(found, self.family, self.match)
        if not addresses:
            wanted = f"IPv{self.family} " if self.family else ""
            matching = f" matching {self.match!r}" if self.match else ""
            return Resolution.failed(f"{self.interface} has no lasting {wanted}address{matching}")
        return Resolution.found(addresses)

    def _found(self) -> tuple[Found, ...] | None:
        for read in (self._from_ip, self._from_kernel, self._from_ifconfig):
            found = read()
            if found is not None:
                return found
        return None

    def _from_ip(self) -> tuple[Found, ...] | None:
        ended = self.run(("ip", "-j", "address", "show", "dev", self.interface), self.timeout_seconds)
        try:
            return from_ip_json(ended.output.decode("utf-8", "replace")) if ended.ok else None
        except ValueError:  # busybox's ip knows no -j
            return None

    def _from_kernel(self) -> tuple[Found, ...] | None:
        try:
            lines = _IF_INET6.read_text("ascii") if _IF_INET6.exists() else ""
            first = _first_ipv4(self.interface)
        except (OSError, ImportError):
            return None
        return (*((Found(first),) if first else ()), *from_if_inet6(lines, self.interface))

    def _from_ifconfig(self) -> tuple[Found, ...] | None:
        ended = self.run(("ifconfig", self.interface), self.timeout_seconds)
        return from_ifconfig(ended.output.decode("utf-8", "replace")) if ended.ok else None


def _first_ipv4(interface: str) -> str | None:
    """The interface's first IPv4 address by SIOCGIFADDR (netdevice(7)); None when it has none. Linux only:
    else OSError.
    """
    import fcntl  # not on every system, and needed here alone

    if not Path("/proc/net/dev").exists():
        raise OSError("the ioctl's number is Linux's")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            answer = fcntl.ioctl(sock.fileno(), _SIOCGIFADDR, struct.pack("256s", interface.encode()[:15]))
        except OSError:
            return None
    return socket.inet_ntoa(answer[20:24])
