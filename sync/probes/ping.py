"""Asks whether a host answers ICMP echo, with ping3; never blames a node for what this machine may not send.

Facts of ping3 5.1.6: it answers None (silence), False (an ICMP error) or the seconds, which may be tiny; it
resolves names to IPv4 only, so names are resolved here. Without CAP_NET_RAW it falls back to the kernel's
ping sockets (net.ipv4.ping_group_range), which do not work for IPv6. Its ICMP id is 16 bits of a hash of the
thread, and it takes an answer of any sender: a sequence number of our own for every ping keeps answers
apart.
"""

from __future__ import annotations

import itertools
import socket
import struct
from collections.abc import Callable

import ping3

from sync.core.model import ProbeResult
from sync.probes.connection import describe, resolve
from sync.probes.probe import ProbeSpec, ProbeTarget

NOT_PERMITTED_4 = (
    "not permitted on this machine; to permit it: sysctl -w 'net.ipv4.ping_group_range=0 2147483647', "
    "or give the service CAP_NET_RAW (systemd: AmbientCapabilities=CAP_NET_RAW)"
)
NOT_PERMITTED_6 = (
    "IPv6 is not permitted on this machine; to permit it give the service CAP_NET_RAW "
    "(systemd: AmbientCapabilities=CAP_NET_RAW)"
)
_numbers = itertools.count()

Send = Callable[..., float | bool | None]


def may_open_raw(family: socket.AddressFamily) -> bool:
    """Whether this process may send ICMP by raw sockets. Raises OSError for any other trouble."""
    protocol = socket.IPPROTO_ICMPV6 if family is socket.AF_INET6 else socket.IPPROTO_ICMP
    try:
        socket.socket(family, socket.SOCK_RAW, protocol).close()
    except PermissionError:
        return False
    return True


class Ping:
    """Good when an answer came in time; absent where sending is not permitted."""

    kind = "ping"

    def __init__(
        self,
        spec: ProbeSpec,
        send: Send = ping3.ping,
        may_raw: Callable[[socket.AddressFamily], bool] = may_open_raw,
    ) -> None:
        self._spec = spec
        self._send = send
        self._may_raw = may_raw

    def probe(self, target: ProbeTarget) -> ProbeResult:
        timeout = self._spec.timeout_seconds
        try:
            address = self._address(target.host)
            if address is None:
                return ProbeResult(self.kind, None, detail=NOT_PERMITTED_6)
            version = 6 if ":" in address else 4
            answer = self._send(address, timeout=timeout, seq=next(_numbers) % 65536, version=version)
        except PermissionError:
            return ProbeResult(self.kind, None, detail=NOT_PERMITTED_4)
        except OSError as error:
            return ProbeResult(self.kind, False, detail=describe(error, target.host, timeout))
        except struct.error:  # a raw socket sees every ICMP packet of the machine, cut ones too
            return ProbeResult(self.kind, False, detail=f"a malformed ICMP packet came ({target.host})")
        if answer is None:
            return ProbeResult(self.kind, False, detail=f"no answer in {timeout:g} s ({target.host})")
        if answer is False:
            return ProbeResult(self.kind, False, detail=f"destination unreachable ({target.host})")
        return ProbeResult(self.kind, True, max(float(answer), 0.0))

    def _address(self, host: str) -> str | None:
        """The first address that can be pinged; None when all are IPv6 and that is not permitted."""
        addresses = resolve(host)
        if all(":" not in a for a in addresses) or self._may_raw(socket.AF_INET6):
            return addresses[0]
        return next((a for a in addresses if ":" not in a), None)
