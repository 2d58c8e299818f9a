"""Decides what counts as an address, which ones may be published, and how long a silent source's stay.
Asks nobody.

An address is text in its canonical form everywhere: IPv4 dotted, IPv6 compressed and lower-case (RFC 5952),
an IPv4 address that came mapped into IPv6 (``::ffff:a.b.c.d``) as IPv4, never with a zone or a mask.

What a ``Keeper`` does with each address, per resolution:

    source says                      an address it had               a new address
    found, this family settled       stays if named, else goes       comes
    found, this family unsure        stays until keep_seconds        –
    failed                           stays until keep_seconds        –
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from types import MappingProxyType

FAMILIES = frozenset({4, 6})

_NEVER = (
    ("0.0.0.0/8", "means “this host”, nobody can go there"),
    ("224.0.0.0/4", "is a multicast address"),
    ("255.255.255.255/32", "is the broadcast address"),
    ("::/128", "means “this host”, nobody can go there"),
    ("fe80::/10", "is link-local: without its interface nobody can go there"),
    ("ff00::/8", "is a multicast address"),
)

# IANA's IPv4 and IPv6 Special-Purpose Address Registries: what is not globally reachable. Spelled out,
# because ipaddress.is_global changed its mind between patch releases of Python 3.11 and does not know all
# of them.
_LOCAL = (
    ("10.0.0.0/8", "is private (RFC 1918)"),
    ("172.16.0.0/12", "is private (RFC 1918)"),
    ("192.168.0.0/16", "is private (RFC 1918)"),
    ("100.64.0.0/10", "is behind a carrier's NAT (RFC 6598)"),
    ("127.0.0.0/8", "is loopback"),
    ("169.254.0.0/16", "is link-local"),
    ("192.0.2.0/24", "is for documentation (RFC 5737)"),
    ("198.51.100.0/24", "is for documentation (RFC 5737)"),
    ("203.0.113.0/24", "is for documentation (RFC 5737)"),
    ("198.18.0.0/15", "is for benchmarks (RFC 2544)"),
    ("192.0.0.0/24", "is reserved for protocols (RFC 6890)"),
    ("192.88.99.0/24", "is a retired relay address (RFC 7526)"),
    ("240.0.0.0/4", "is reserved (RFC 1112)"),
    ("::1/128", "is loopback"),
    ("fc00::/7", "is private (RFC 4193)"),
    ("fec0::/10", "is private (site-local, retired)"),
    ("2001:db8::/32", "is for documentation (RFC 3849)"),
    ("3fff::/20", "is for documentation (RFC 9637)"),
    ("100::/64", "discards everything (RFC 6666)"),
    ("64:ff9b:1::/48", "is for local translation (RFC 8215)"),
    ("2002::/16", "is a retired 6to4 address (RFC 7526)"),
    ("2001::/23", "is reserved for protocols (RFC 2928)"),
    ("5f00::/16", "is for segment routing (RFC 9602)"),
)

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def _networks(table: Iterable[tuple[str, str]]) -> tuple[tuple[_Network, str], ...]:
    return tuple((ipaddress.ip_network(text), why) for text, why in table)


_NEVER_NETWORKS = _networks(_NEVER)
_LOCAL_NETWORKS = _networks(_LOCAL)


class AddressError(ValueError):
    """A text that is no IPv4 or IPv6 address; the message quotes its beginning."""


def canonical(text: str) -> str:
    """The one spelling of an address; surrounding white space is ignored.

    Raises AddressError for anything else: names, masks, zones (``fe80::1%eth0``), ports, leading zeros.
    """
    stripped = text.strip()
    try:
        address = ipaddress.ip_address(stripped)
    except ValueError:
        raise AddressError(f"{stripped[:60]!r} is no IPv4 or IPv6 address") from None
    if isinstance(address, ipaddress.IPv6Address):
        if address.scope_id is not None:
            raise AddressError(f"{stripped[:60]!r} names an interface; an address without it is needed")
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
    return str(address)


def canonicals(texts: Iterable[str]) -> tuple[str, ...]:
    """The canonical forms, each once, in a stable order: IPv4 before IPv6, then by value. Raises
    AddressError.
    """
    return tuple(sorted({canonical(text) for text in texts}, key=order))


@lru_cache(maxsize=8192)  # every page and every pass sorts the addresses of all nodes
def order(address: str) -> tuple[int, int]:
    """A sort key: IPv4 before IPv6, then by number."""
    parsed = ipaddress.ip_address(address)
    return parsed.version, int(parsed)


def family_of(address: str) -> int:
    """4 or 6."""
    return ipaddress.ip_address(address).version


def why_unpublishable(address: str, allow_private: bool = False) -> str | None:
    """Why a record must not point to this (canonical) address, as the rest of a sentence; None when it may.

    ``allow_private`` lets private, reserved and documentation addresses through; multicast, unspecified,
    broadcast and IPv6 link-local stay refused, since no asker could use them.
    """
    parsed = ipaddress.ip_address(address)
    for network, why in _NEVER_NETWORKS:
        if parsed.version == network.version and parsed in network:
            return f"{address} {why}"
    if allow_private:
        return None
    for network, why in _LOCAL_NETWORKS:
        if parsed.version == network.version and parsed in network:
            return f"{address} {why}; allow_private: true on the service would publish it"
    if not parsed.is_global:
        return f"{address} is reserved; allow_private: true on the service would publish it"
    return None


@dataclass(frozen=True, slots=True)
class Resolution:
    """What a source answered once: canonical addresses, or why there are none.

    ``unsure`` holds the families (4, 6) about which this answer says nothing, because asking for them failed.
    A resolution without addresses is a failure and unsure about every family.
    """

    addresses: tuple[str, ...] = ()
    reason: str | None = None
    unsure: frozenset[int] = frozenset()

    @property
    def ok(self) -> bool:
        """Whether the source named at least one address."""
        return bool(self.addresses)

    @classmethod
    def found(
        cls, addresses: Iterable[str], unsure: Iterable[int] = (), reason: str | None = None
    ) -> Resolution:
        """A resolution with these addresses. Raises AddressError for what is none, ValueError for an empty
        list.
        """
        settled = canonicals(addresses)
        if not settled:
            raise ValueError("a resolution without addresses is a failure and needs its reason")
        return cls(settled, reason, frozenset(unsure) - {family_of(address) for address in settled})

    @classmethod
    def failed(cls, reason: str) -> Resolution:
        """A resolution that says nothing about any family; ``reason`` is one sentence for people."""
        return cls((), reason, FAMILIES)


def only(resolution: Resolution, family: int | None, source: str) -> Resolution:
    """The resolution cut down to one family (None: both); a failure when nothing of that family is left."""
    if family is None or not resolution.ok:
        return resolution
    kept = tuple(address for address in resolution.addresses if family_of(address) == family)
    if kept:
        return Resolution(kept, resolution.reason, frozenset())
    why = (
        resolution.reason
        if family in resolution.unsure and resolution.reason
        else f"has no IPv{family} address"
    )
    return Resolution.failed(f"{source}: {why}" if not why.startswith(source) else why)


@dataclass(frozen=True, slots=True)
class AddressChange:
    """What one resolution changed: addresses before and after, and the sentence for the Events page.

    ``failing`` is True when the sentence reports a source in trouble (it began to fail, or its addresses
    lapsed).
    """

    at: float
    old: tuple[str, ...]
    new: tuple[str, ...]
    reason: str
    failing: bool = False

    @property
    def moved(self) -> bool:
        """Whether the addresses themselves differ: what DNS cares about."""
        return self.old != self.new


@dataclass(frozen=True, slots=True)
class Keeper:
    """The addresses a source stands for, with the time each was last confirmed (seconds since the epoch).

    A fresh keeper is unknown (``known`` False): that is no evidence against anything published. Restore
    one after a restart from the stored addresses and times: ``Keeper(keep_seconds, confirmed={…})``.

    Invariant: after ``observe`` no address is older than ``keep_seconds``.
    """

    keep_seconds: float = 3600.0
    confirmed: Mapping[str, float] = field(default_factory=dict)
    failing_since: float | None = None
    reason: str | None = None
    known: bool = False

    @property
    def addresses(self) -> tuple[str, ...]:
        """The addresses as of the last resolution, in their stable order."""
        return tuple(sorted(self.confirmed, key=order))

    def status(self, now: float) -> str | None:
        """None while the source answers in full; else what is wrong and for how long its addresses still
        stand.
        """
        if self.failing_since is None:
            return None
        if not self.confirmed:
            return f"no address: {self.reason}"
        left = max(0.0, min(at + self.keep_seconds for at in self.confirmed.values()) - now)
        return f"keeping {', '.join(self.addresses)} for up to {left:.0f} s more: {self.reason}"

    def observe(self, resolution: Resolution, now: float) -> tuple[Keeper, AddressChange | None]:
        """The keeper after this resolution, and what to report: None when nothing is new."""
        confirmed = self._confirmed_after(resolution, now)
        trouble = not resolution.ok or any(family_of(address) in resolution.unsure for address in confirmed)
        after = replace(
            self,
            confirmed=MappingProxyType(confirmed),
            failing_since=(now if self.failing_since is None else self.failing_since) if trouble else None,
            reason=resolution.reason if trouble else None,
            known=self.known or resolution.ok or bool(self.confirmed),
        )
        return after, _change(self, after, now)

    def _confirmed_after(self, resolution: Resolution, now: float) -> dict[str, float]:
        kept = {
            address: at
            for address, at in self.confirmed.items()
            if family_of(address) in resolution.unsure and now - at < self.keep_seconds
        }
        return kept | dict.fromkeys(resolution.addresses, now)


def _change(before: Keeper, after: Keeper, now: float) -> AddressChange | None:
    old, new = before.addresses, after.addresses
    if after.failing_since is not None:
        if old != new and not new:
            lapsed = f"{', '.join(old)} given up after {before.keep_seconds:.0f} s without an answer"
            return AddressChange(now, old, new, f"{lapsed}: {after.reason}", failing=True)
        if before.failing_since is None:
            return AddressChange(now, old, new, after.status(now) or "", failing=True)
    elif before.failing_since is not None and old == new:
        return AddressChange(now, old, new, "the source answers again")
    if old != new:
        return AddressChange(
            now, old, new, f"{', '.join(old) or 'nothing'} became {', '.join(new) or 'nothing'}"
        )
    return None
