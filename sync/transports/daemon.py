"""Reaches a node's rsync daemon: rsync://[user@]host:port/module/. The password is in the environment."""

from __future__ import annotations

import math

from sync.core.args import Remote, RsyncOptions
from sync.core.model import Destination
from sync.transports import address


def remote(destination: Destination, options: RsyncOptions) -> Remote:
    """The daemon as rsync is told it. Raises DestinationError.

    RSYNC_PASSWORD is always set, if only to nothing: without it rsync asks, and where it has no terminal it
    would take the file list on stdin for the answer.
    """
    node = destination.node
    user = address.checked(node, "user", destination.user, without="@:/%") + "@" if destination.user else ""
    module = address.checked(node, "module", destination.module.strip("/"), without=":@%")
    if not 0 < destination.port < 65536:
        raise address.DestinationError(node, "port", str(destination.port), "write a number from 1 to 65535")
    return Remote(
        destination=f"rsync://{user}{address.host(node, destination.host)}:{destination.port}/{module}/",
        options=_options(destination, options),
        environment={"RSYNC_PASSWORD": destination.password or ""},
        prefix=module.partition("/")[2].encode(),
    )


def _options(destination: Destination, options: RsyncOptions) -> tuple[str, ...]:
    """TCP_NODELAY: without it one small file takes 95 ms instead of 5, for delayed acknowledgements."""
    result = ["--sockopts=TCP_NODELAY"]
    if options.connect_seconds:
        result.append(f"--contimeout={math.ceil(options.connect_seconds)}")
    if limit := destination.bwlimit or options.bwlimit:
        result.append(f"--bwlimit={limit}")
    return tuple(result)
