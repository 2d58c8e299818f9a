"""Knows an address because it is written down. Asks nobody and never fails."""

from __future__ import annotations

from dataclasses import dataclass

from dns.addresses.contract import SourceError, SourceSpec
from dns.addresses.reported import Reports
from dns.core.address import AddressError, Resolution, canonicals, only


@dataclass(frozen=True, slots=True)
class StaticSource:
    """The addresses of the configuration."""

    addresses: tuple[str, ...]
    kind: str = "static"

    @classmethod
    def from_spec(cls, spec: SourceSpec, _reports: Reports) -> StaticSource:
        """Raises SourceError for what is no address, or none of the asked family."""
        if not spec.values:
            raise SourceError(f"static of node {spec.node} needs an address")
        try:
            resolution = only(Resolution.found(spec.values), spec.family, f"node {spec.node}")
        except AddressError as error:
            raise SourceError(f"node {spec.node}: {error}; a name goes under hostname") from None
        if not resolution.ok:
            raise SourceError(str(resolution.reason))
        return cls(resolution.addresses)

    @property
    def label(self) -> str:
        """The addresses themselves."""
        return f"static {', '.join(self.addresses)}"

    def resolve(self) -> Resolution:
        """Always the same answer."""
        return Resolution.found(canonicals(self.addresses))
