"""AliDNS as a provider: settings, capabilities, listing and request budget; it decides no record."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, ClassVar

from dns.core.model import Capabilities, Observed, Operation
from dns.errors import ProviderError, RefusedError, SettingsError
from dns.providers.aliyun_client import AliyunClient, Endpoint
from dns.providers.aliyun_operations import AliyunRequests
from dns.providers.aliyun_records import id_of, page_of, record_of
from dns.providers.backoff import with_backoff
from dns.providers.budget import Budget
from dns.providers.paging import Listing, Page, read_pages
from dns.providers.port import Answer, Wiring
from dns.providers.record_by_record import RecordByRecord
from dns.providers.rows import record_sets

ZONE_PAGE_SIZE = 500
MAX_TTL_SECONDS = 86400


@dataclass(frozen=True, slots=True)
class AliyunSettings:
    """A provider of kind aliyun: one entry, one account, one request budget.

    `endpoint` None: AliDNS over HTTPS. What the zone's edition allows can be said, so that it is known before
    AliDNS refuses it: `ttl_min` in seconds (600 on the free edition; 120, 60, 10 or 1 on paid ones) and
    `records_per_set` (10 on the free edition, 90 on paid ones). Time-outs are seconds.
    """

    access_key_id: str = field(repr=False, metadata={"secret": True})
    access_key_secret: str = field(repr=False, metadata={"secret": True})
    endpoint: str | None = None
    requests_per_second: float = 20
    ttl_min: int = 1
    records_per_set: int = 10
    timeout: float = 5
    connect_timeout: float = 2

    def __post_init__(self) -> None:
        for key in ("access_key_id", "access_key_secret"):
            if not getattr(self, key).strip():
                raise SettingsError(key, f"{key} is empty")
        for key in (
            "requests_per_second",
            "ttl_min",
            "records_per_set",
            "timeout",
            "connect_timeout",
        ):
            if getattr(self, key) <= 0:
                raise SettingsError(key, f"{key} must be above 0")
        Endpoint(self.endpoint)


class Aliyun:
    """AliDNS; see the contract in `dns.providers.port`."""

    kind: ClassVar[str] = "aliyun"
    Settings: ClassVar[type[AliyunSettings]] = AliyunSettings

    def __init__(self, name: str, settings: AliyunSettings, wiring: Wiring) -> None:
        self.name = name
        self._settings = settings
        self._wiring = wiring
        self._budget = Budget(settings.requests_per_second, wiring.monotonic, wiring.sleep)
        self._operations = RecordByRecord(AliyunRequests(self))
        self._client = AliyunClient(
            settings.access_key_id,
            settings.access_key_secret,
            Endpoint(settings.endpoint),
            settings.timeout,
            settings.connect_timeout,
        )

    def capabilities(self, zone: str) -> Capabilities:
        """What AliDNS can express; the edition's limits come from the settings."""
        return Capabilities(
            lines=None,
            line_fallback_to_default=True,
            weights=True,
            max_weight=100,
            ttl_min=self._settings.ttl_min,
            ttl_max=MAX_TTL_SECONDS,
            remarks=True,
            max_answers=self._settings.records_per_set,
        )

    def observe(self, zone: str, names: frozenset[str]) -> Observed:
        """Every record at these names, from one listing of the whole zone.

        The whole zone: RRKeyWord also finds names that merely contain the word, and one listing for each name
        would be many. Raises `ProviderError`.
        """
        who = f"{self.name}: reading {zone}"
        listing = self.listing("DescribeDomainRecords", {"DomainName": zone}, ZONE_PAGE_SIZE, who)
        sets = record_sets(listing.rows, lambda row: record_of(row, zone), names, who)
        return Observed(sets, listing.complete, listing.why)

    def apply(self, operation: Operation) -> Answer:
        """Carries out one operation; `record_by_record` says what happens after a lost answer."""
        return self._operations.perform(operation)

    def check(self, zone: str) -> tuple[str, ...]:
        """What is missing: credentials, rights or the zone. Rights to write show only in writing."""
        try:
            self.call(
                "DescribeDomainRecords", {"DomainName": zone, "PageSize": 1}, f"{self.name}: reading {zone}"
            )
        except RefusedError as refused:
            return (str(refused) + (self._zones_there_are() if refused.code == "zone" else ""),)
        return ()

    def close(self) -> None:
        """Closes the connections."""
        self._client.close()

    def call(self, action: str, parameters: Mapping[str, object], what: str) -> dict[str, Any]:
        """The answer to one request within the budget; sent again only where it had no effect."""

        def once() -> dict[str, Any]:
            self._budget.take(action)
            return self._client.call(action, parameters, what)

        return with_backoff(once, self._wiring)

    def listing(self, action: str, asked: Mapping[str, object], size: int, what: str) -> Listing:
        """All pages of a listing, each of `size` rows."""

        def fetch(number: int) -> Page:
            return page_of(self.call(action, {**asked, "PageNumber": number, "PageSize": size}, what), what)

        return read_pages(fetch, id_of)

    def _zones_there_are(self) -> str:
        with suppress(ProviderError):
            answer = self.call(
                "DescribeDomains", {"PageSize": 20}, f"{self.name}: listing the account's zones"
            )
            names = [str(zone.get("DomainName")) for zone in answer.get("Domains", {}).get("Domain", [])]
            return f"; the account has {', '.join(names) or 'no zone at all'}"
        return ""
