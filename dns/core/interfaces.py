"""Reads what the system's tools print about a network interface. Runs nothing.

Three forms: ``ip -j address`` (iproute2), ``/proc/net/if_inet6`` (Linux, proc(5)) and ``ifconfig`` (macOS,
BSD, net-tools).
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass

from dns.core.address import AddressError, canonical, family_of

# include/uapi/linux/if_addr.h
_TEMPORARY, _DAD_FAILED, _DEPRECATED, _TENTATIVE = 0x01, 0x08, 0x20, 0x40


@dataclass(frozen=True, slots=True)
class Found:
    """One address on an interface. ``usable`` is False while others must not be told of it (tentative,
    deprecated).
    """

    address: str
    usable: bool = True
    temporary: bool = False


def from_ip_json(text: str) -> tuple[Found, ...]:
    """The addresses in the output of ``ip -j address show dev X``. Raises ValueError for anything else."""
    document = json.loads(text or "null")
    if not isinstance(document, list):
        raise ValueError("ip printed no list")
    found: list[Found] = []
    for link in document:
        for row in link.get("addr_info", []) if isinstance(link, dict) else []:
            bad = any(row.get(word) for word in ("tentative", "dadfailed", "deprecated"))
            found += _one(str(row.get("local", "")), not bad, bool(row.get("temporary")))
    return tuple(found)


def from_if_inet6(text: str, interface: str) -> tuple[Found, ...]:
    """The IPv6 addresses of one interface in ``/proc/net/if_inet6``."""
    found: list[Found] = []
    for line in text.splitlines():
        fields = line.split()
        if len(fields) == 6 and fields[5] == interface and len(fields[0]) == 32:
            flags = int(fields[4], 16)
            address = str(ipaddress.IPv6Address(int(fields[0], 16)))
            found += _one(
                address, not flags & (_DAD_FAILED | _DEPRECATED | _TENTATIVE), bool(flags & _TEMPORARY)
            )
    return tuple(found)


def from_ifconfig(text: str) -> tuple[Found, ...]:
    """The addresses in the output of ``ifconfig X``."""
    found: list[Found] = []
    for line in text.splitlines():
        matched = re.match(r"\s*inet6? (?:addr:)?([0-9A-Fa-f.:]+)(?:%\S+)?\s?(.*)", line)
        if matched:
            bad = re.search(r"\b(tentative|duplicated|deprecated|detached)\b", matched[2])
            found += _one(matched[1], bad is None, re.search(r"\btemporary\b", matched[2]) is not None)
    return tuple(found)


def choose(found: Iterable[Found], family: int | None, match: str | None) -> tuple[str, ...]:
    """The addresses to tell others of: of the family, matching the regular expression anywhere, never
    link-local.

    Temporary (privacy) addresses count only where there is no lasting one of their family: they change daily.
    """
    fit = [
        one
        for one in found
        if one.usable
        and family in (None, family_of(one.address))
        and not ipaddress.ip_address(one.address).is_link_local
        and (match is None or re.search(match, one.address))
    ]
    lasting = {family_of(one.address) for one in fit if not one.temporary}
    return tuple(one.address for one in fit if not one.temporary or family_of(one.address) not in lasting)


def _one(text: str, usable: bool, temporary: bool) -> tuple[Found, ...]:
    try:
        return (Found(canonical(text), usable, temporary),)
    except AddressError:
        return ()
