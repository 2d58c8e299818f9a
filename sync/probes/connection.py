"""Opens a TCP connection within a time limit and says in words why it could not; it never reads or writes.

A host name is resolved by getaddrinfo, in the caller's thread (one of the probing pool). That call cannot be
given a time limit: resolv.conf's `timeout` and `attempts` bound it (5 s × 2 a server by default), so a name
server that is silent costs a thread of that pool a while and nobody else anything. Addresses never block.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from dataclasses import dataclass

from sync.probes.probe import CannotObserve

OURS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})
"""Errors that say something of this machine and nothing of the node."""
OURS_RESOLVING = frozenset({socket.EAI_MEMORY, socket.EAI_SYSTEM})
"""The same of getaddrinfo, whose numbers are others. A name server that does not answer is not among them:
rsync cannot reach the node by that name either."""

Timer = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Deadline:
    """A moment by which something must be over, by a monotonic clock."""

    at: float
    timer: Timer

    @classmethod
    def after(cls, seconds: float, timer: Timer) -> Deadline:
        return cls(timer() + seconds, timer)

    def left(self) -> float:
        """The seconds that are left; raises TimeoutError when none are."""
        seconds = self.at - self.timer()
        if seconds <= 0:
            raise TimeoutError
        return seconds


def resolve(host: str, port: int = 0) -> list[str]:
    """The host's addresses in the system's order, each once; raises OSError when there is none."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError as error:  # a label of no or more than 63 characters
        raise socket.gaierror(socket.EAI_NONAME, "not a host name") from error
    addresses = (socket.getnameinfo(entry[4], socket.NI_NUMERICHOST)[0] for entry in found)
    return list(dict.fromkeys(addresses))


def connect(host: str, port: int, deadline: Deadline) -> socket.socket:
    """A connected socket; several addresses share the time that is left. Raises the last one's OSError."""
    addresses = resolve(host, port)
    last: OSError = TimeoutError()
    for i, address in enumerate(addresses):
        try:
            return socket.create_connection((address, port), deadline.left() / (len(addresses) - i))
        except OSError as error:
            last = error
    raise last


def describe(error: OSError, where: str, timeout_seconds: float) -> str:
    """Why there was no connection, for a person; raises CannotObserve where the fault is this machine's."""
    if error.errno in (OURS_RESOLVING if isinstance(error, socket.gaierror) else OURS):
        raise CannotObserve(f"{where} could not be asked: {error.strerror} on this machine") from error
    if isinstance(error, TimeoutError):
        return f"no answer in {timeout_seconds:g} s ({where})"
    if isinstance(error, ConnectionRefusedError):
        return f"connection refused ({where})"
    if isinstance(error, ConnectionResetError | BrokenPipeError):
        return f"connection closed by the other end ({where})"
    if isinstance(error, socket.gaierror):
        return f"name not resolved: {error.strerror or error} ({where})"
    reason = error.strerror or str(error) or type(error).__name__
    return f"{reason[:1].lower()}{reason[1:]} ({where})"


def endpoint(host: str, port: int) -> str:
    """host:port, with an IPv6 address in brackets."""
    return f"{bracketed(host)}:{port}"


def bracketed(host: str) -> str:
    """The host as it stands in a URL."""
    return f"[{host}]" if ":" in host else host
