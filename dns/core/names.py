"""The one spelling of names and values, so that two spellings of one record are never two records.
Asks nobody.
"""

from __future__ import annotations

import ipaddress
from functools import lru_cache


def canonical_name(name: str) -> str:
    """The name in lower case, in its ASCII form, without the final dot."""
    bare = name.strip().rstrip(".").lower()
    if bare.isascii():
        return bare
    return ".".join(label.encode("idna").decode("ascii") for label in bare.split("."))


def qualified_name(record: str, zone: str) -> str:
    """The full name of a record as configured: ``@`` (or nothing) is the zone itself, ``*`` stays a
    wildcard.
    """
    relative = canonical_name(record)
    apex = canonical_name(zone)
    return apex if relative in ("@", "") else f"{relative}.{apex}"


def relative_name(name: str, zone: str) -> str:
    """The name inside its zone, ``@`` for the zone itself (AliDNS calls it RR). Raises ValueError when
    outside.
    """
    full, apex = canonical_name(name), canonical_name(zone)
    if full == apex:
        return "@"
    if not full.endswith(f".{apex}"):
        raise ValueError(f"{full} is not in the zone {apex}")
    return full[: -len(apex) - 1]


def address_type(value: str) -> str:
    """``A`` or ``AAAA``. Raises ValueError when it is no address."""
    return "AAAA" if ipaddress.ip_address(value).version == 6 else "A"


@lru_cache(maxsize=8192)
def canonical_value(record_type: str, value: str) -> str:
    """The one spelling of a value, so that two spellings of one address are never two records.

    Raises ValueError for an A or AAAA value that is no such address.
    """
    if record_type == "A":
        return str(ipaddress.IPv4Address(value.strip()))
    if record_type == "AAAA":
        return str(ipaddress.IPv6Address(value.strip()))
    if record_type in ("CNAME", "NS", "PTR"):
        return canonical_name(value)
    return value
