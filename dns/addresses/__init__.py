"""Ways to learn a node's addresses, one file each, and the registry of them. Decides nothing about records.

spec ──make_source──► AddressSource ──resolve()──► Resolution ──► Keeper (dns/core/address.py)
"""

from __future__ import annotations

from collections.abc import Callable

from dns.addresses.command import CommandSource
from dns.addresses.contract import AddressSource, SourceError, SourceSpec
from dns.addresses.hostname import HostnameSource
from dns.addresses.interface import InterfaceSource
from dns.addresses.reported import Reported, ReportedSource, Reports
from dns.addresses.static import StaticSource
from dns.addresses.url import UrlSource

ADDRESS_SOURCES: dict[str, Callable[[SourceSpec, Reports], AddressSource]] = {
    "static": StaticSource.from_spec,
    "hostname": HostnameSource.from_spec,
    "reported": ReportedSource.from_spec,
    "url": UrlSource.from_spec,
    "interface": InterfaceSource.from_spec,
    "command": CommandSource.from_spec,
}


def make_source(spec: SourceSpec, reports: Reports | None = None) -> AddressSource:
    """The source a spec asks for. Raises SourceError for an unknown kind or a value that kind cannot use.

    ``reports`` is the one book of reports of the process; only ``reported`` reads it.
    """
    factory = ADDRESS_SOURCES.get(spec.kind)
    if factory is None:
        raise SourceError(
            f"unknown address source {spec.kind!r}; one of: {', '.join(sorted(ADDRESS_SOURCES))}"
        )
    return factory(spec, reports if reports is not None else Reports())


__all__ = [
    "ADDRESS_SOURCES",
    "AddressSource",
    "Reported",
    "Reports",
    "SourceError",
    "SourceSpec",
    "make_source",
]
