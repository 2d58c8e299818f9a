"""Checks a destination's words, the one argument that could be taken for another; looks nothing up."""

from __future__ import annotations

import ipaddress
import re

# A shell, rsync's own argument splitting and the daemon's globbing are kept out by taking nothing they know.
_UNSAFE = re.compile(r"[\s\x00-\x1f\x7f*?\[\]{}\\'\"`$;&|<>()!#]")


class DestinationError(ValueError):
    """A destination that cannot be used. Somebody must mend the configuration; trying again does not help."""

    def __init__(self, node: str, key: str, value: str | None, remedy: str) -> None:
        super().__init__(f"node {node}: {key} {value!r} cannot be used; {remedy}")
        self.node, self.key, self.remedy = node, key, remedy


def checked(node: str, key: str, value: str | None, *, without: str = "") -> str:
    """The value when it is safe in a destination, else DestinationError; ``without``: more that is not."""
    if not value:
        raise DestinationError(node, key, value, "it must not be empty")
    if value.startswith("-"):
        raise DestinationError(node, key, value, "it must not begin with '-'")
    if _UNSAFE.search(value) or any(c in value for c in without):
        raise DestinationError(node, key, value, "leave out blanks, quotes, wildcards and control characters")
    return value


def host(node: str, value: str) -> str:
    """A host name or IPv4 address as it is, an IPv6 address in brackets (a zone like %eth0 stays)."""
    bare = value[1:-1] if value.startswith("[") and value.endswith("]") else value
    if ":" not in bare:
        return checked(node, "host", value, without="/@%,")
    try:
        ipaddress.IPv6Address(bare)
    except ValueError:
        raise DestinationError(
            node, "host", value, "it is neither a host name nor an address; the port has a key of its own"
        ) from None
    return f"[{checked(node, 'host', bare)}]"
