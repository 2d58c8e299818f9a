"""Says how rsync reaches a node, one file per transport; connects to nothing itself.

A transport is a function from (Destination, RsyncOptions) to Remote that raises DestinationError for what
it does not take. A new one is one file and one line in TRANSPORTS.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from sync.core.args import Remote, RsyncOptions
from sync.core.model import Destination
from sync.transports import daemon, ssh
from sync.transports.address import DestinationError

TRANSPORTS: dict[str, Callable[[Destination, RsyncOptions], Remote]] = {
    "daemon": daemon.remote,
    "ssh": ssh.remote,
}


@lru_cache(maxsize=1024)
def reach(destination: Destination, options: RsyncOptions) -> Remote:
    """How rsync is told to reach the node. Raises DestinationError, which names value and remedy."""
    transport = TRANSPORTS.get(destination.transport)
    if transport is None:
        known = " or ".join(TRANSPORTS)
        raise DestinationError(destination.node, "transport", destination.transport, f"write {known}")
    return transport(destination, options)


__all__ = ["TRANSPORTS", "DestinationError", "reach"]
