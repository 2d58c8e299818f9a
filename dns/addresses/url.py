"""Learns this machine's public address from services that echo it. Believes one alone only when no other
was given.

Services are asked in their order. What errs, is late or answers anything but an address is passed over,
and the next is asked. When several are given, two must agree; which two does not matter.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from ssl import SSLContext
from urllib.parse import urlsplit

from dns.addresses.contract import SourceError, SourceSpec
from dns.addresses.reported import Reports
from dns.core.address import AddressError, Resolution, canonical, family_of
from dns.fetch import FetchError, fetch, origin

_BODY_BYTES = 4096


@dataclass(frozen=True, slots=True)
class UrlSource:
    """One address per family, as seen by the services. With ``family`` None both ways out are tried.

    ``timeout_seconds`` bounds each question, so a resolution takes at most that times services times
    families.
    """

    urls: tuple[str, ...]
    family: int | None = None
    timeout_seconds: float = 5.0
    trust: SSLContext | None = field(default=None, repr=False)
    kind: str = "url"

    @classmethod
    def from_spec(cls, spec: SourceSpec, _reports: Reports) -> UrlSource:
        """Raises SourceError for what is no http or https URL, and for the same URL twice: it would agree
        with itself.
        """
        if not spec.values:
            raise SourceError(f"url of node {spec.node} needs at least one service")
        for url in spec.values:
            parts = urlsplit(url)
            if parts.scheme not in ("http", "https") or not parts.hostname:
                raise SourceError(f"url of node {spec.node}: {origin(url)} is no http:// or https:// URL")
        if len(set(spec.values)) != len(spec.values):
            raise SourceError(f"url of node {spec.node} names a service twice")
        return cls(spec.values, spec.family, spec.timeout_seconds)

    @property
    def label(self) -> str:
        """The services' origins; what follows may hold a token."""
        return f"url {', '.join(origin(url) for url in self.urls)}"

    def resolve(self) -> Resolution:
        """The agreed address of each asked family."""
        families = (4, 6) if self.family is None else (self.family,)
        found: list[str] = []
        troubles: dict[int, str] = {}
        for family in families:
            answer = self._agreed(family)
            if answer.address is None:
                troubles[family] = f"IPv{family}: {answer.trouble}"
            else:
                found.append(answer.address)
        reason = "; ".join(troubles.values()) or None
        if not found:
            return Resolution.failed(reason or "no service given")
        return Resolution.found(found, unsure=troubles, reason=reason)

    def _agreed(self, family: int) -> _Agreed:
        needed = min(2, len(self.urls))
        votes: dict[str, int] = {}
        troubles: list[str] = []
        for url in self.urls:
            try:
                address = self._ask(url, family)
            except (FetchError, AddressError) as error:
                troubles.append(str(error))
                continue
            votes[address] = votes.get(address, 0) + 1
            if votes[address] == needed:
                return _Agreed(address)
        if len(votes) > 1:
            troubles.insert(0, f"the services disagree ({', '.join(votes)}) and no two say the same")
        elif votes:
            troubles.insert(0, f"only one service answered ({next(iter(votes))}), two must agree")
        return _Agreed(None, "; ".join(troubles))

    def _ask(self, url: str, family: int) -> str:
        """The address one service answers. Raises FetchError or AddressError, both with a sentence."""
        answer = fetch(
            url,
            timeout_seconds=self.timeout_seconds,
            body_bytes=_BODY_BYTES,
            family=family,
            redirects=3,
            trust=self.trust,
        )
        if not answer.ok:
            raise FetchError(f"{origin(url)} answered with status {answer.status}", sent=True)
        try:
            address = canonical("" if answer.cut else answer.body.decode("ascii", "replace"))
        except AddressError:
            raise AddressError(f"{origin(url)} answered something else than an address") from None
        if family_of(address) != family:
            raise AddressError(f"{origin(url)} answered with the wrong family ({address})")
        return address


@dataclass(frozen=True, slots=True)
class _Agreed:
    address: str | None
    trouble: str = ""
