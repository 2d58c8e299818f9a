"""The contract of a way to learn addresses. Only types live here.

A source keeps these rules, and one test suite checks them for all:
- ``resolve`` never raises for what the world does: trouble is a failed Resolution whose reason says what
  to do.
- It ends within its ``timeout_seconds``, plus a second for ending what hangs.
- Addresses come back canonical, each once, in the stable order, and only of the asked family.
- It keeps no addresses itself: what stays when a source fails is the Keeper's business.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from dns.core.address import Resolution


class SourceError(ValueError):
    """A spec that can never work: to be told when the configuration is checked."""


@dataclass(frozen=True, slots=True)
class SourceSpec:
    """One entry under a node's ``addresses``, without Flask, YAML or pydantic.

    ``values`` holds what stands behind the kind: the address, the host name, the URLs, the interface's
    name or the argv; nothing for ``reported``. ``node`` is whose address it is. ``family`` is 4, 6 or None
    for both.
    """

    kind: str
    node: str
    values: tuple[str, ...] = ()
    family: int | None = None
    match: str | None = None
    timeout_seconds: float = 5.0
    max_age_seconds: float | None = None

    def one(self) -> str:
        """The only value. Raises SourceError when there is none or several."""
        if len(self.values) != 1 or not self.values[0].strip():
            raise SourceError(f"{self.kind} of node {self.node} needs exactly one value")
        return self.values[0].strip()


class AddressSource(Protocol):
    """One way to learn the addresses of one node."""

    @property
    def kind(self) -> str:
        """The registry's word for it."""
        ...

    @property
    def label(self) -> str:
        """What it asks, for pages and reasons: ``interface eth0``; never a secret."""
        ...

    def resolve(self) -> Resolution:
        """The addresses as of now, or why there are none."""
        ...
