"""Says what a probe is: a quick question to a node, answered good, failed or absent; it decides no state.

A node that is down is a result, never an exception. The one exception is `CannotObserve`: the question could
not be asked for a reason of our own, so that nothing is known of the node.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from sync.core.model import ProbeResult


@dataclass(frozen=True, slots=True)
class ProbeSpec:
    """One probe as configured. Raises ValueError for numbers nothing can be asked with.

    ``timeout_seconds`` bounds one attempt; resolving a host name comes on top, bounded by resolv.conf alone.
    ``port`` None: the port of the target's transport. ``url`` may hold ``{host}`` and ``{address}``.
    """

    kind: str
    timeout_seconds: float = 3.0
    attempts: int = 2
    port: int | None = None
    url: str | None = None
    status: tuple[int, ...] = (200,)
    contains: str | None = None

    def __post_init__(self) -> None:
        if self.timeout_seconds <= 0:
            raise ValueError(f"probe {self.kind}: timeout must be more than 0 seconds")
        if self.attempts < 1:
            raise ValueError(f"probe {self.kind}: attempts must be at least 1")
        if self.port is not None and not 0 < self.port < 65536:
            raise ValueError(f"probe {self.kind}: port must be from 1 to 65535")


@dataclass(frozen=True, slots=True)
class ProbeTarget:
    """Whom to ask. Probes go to ``host``; ``address`` is only what ``{address}`` in a url stands for.

    ``port`` is the port of the node's ``transport``: the rsync daemon's, or with ``ssh`` that of sshd. To
    ask one address of a node alone, give that address as both host and address.
    """

    node: str
    host: str
    address: str | None = None
    port: int = 873
    transport: str = "daemon"


class Probe(Protocol):
    """One kind of question. Thread-safe; blocks for its spec's timeout at most, once the name is resolved."""

    kind: str

    def probe(self, target: ProbeTarget) -> ProbeResult:
        """One attempt's result; raises `CannotObserve` and nothing else."""


class CannotObserve(Exception):  # noqa: N818 - not an error of the node, nor one to mend in code
    """No observation came about: this machine is out of files or memory, or stopping. Change no state."""
