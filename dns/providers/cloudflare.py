"""Cloudflare as a provider, through its own SDK: no lines and no weights; records it proxies are left alone.

A proxied record answers with Cloudflare's own addresses and a TTL of its choosing; changing one would show
the origin to everybody. So it counts as managed by somebody else. Source: Cloudflare API v4, DNS records.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar
from urllib.parse import urlsplit

import cloudflare as sdk

from dns.core.model import DEFAULT, Capabilities, Observed, Operation, Record, RecordKey, canonical_name
from dns.errors import (
    ProviderError,
    RefusedError,
    SettingsError,
    StaleError,
    UnavailableError,
    UnknownOutcomeError,
)
from dns.providers.backoff import with_backoff
from dns.providers.budget import Budget
from dns.providers.cloudflare_errors import lost, quieten_sdk, refusal_of, trouble_of
from dns.providers.paging import Listing, Page, read_pages
from dns.providers.port import Answer, Wiring
from dns.providers.record_by_record import RecordByRecord, what
from dns.providers.rows import Row, record_sets, records_at, value_of

T = TypeVar("T")

PAGE_SIZE = 500
TTL_MIN, TTL_MAX = 30, 86400  # below 60 for Enterprise zones only; the API says so itself


@dataclass(frozen=True, slots=True)
class CloudflareSettings:
    """A provider of kind cloudflare: an API token that may read the zone and edit its DNS."""

    token: str = field(repr=False, metadata={"secret": True})
    endpoint: str | None = None
    requests_per_second: float = 4  # 1,200 in five minutes for a user
    timeout: float = 5

    def __post_init__(self) -> None:
        if not self.token.strip():
            raise SettingsError("token", "token is empty")
        if self.timeout <= 0:
            raise SettingsError("timeout", "timeout must be above 0")


class Cloudflare:
    """Cloudflare; see the contract in `dns.providers.port`."""

    kind: ClassVar[str] = "cloudflare"
    Settings: ClassVar[type[CloudflareSettings]] = CloudflareSettings

    def __init__(self, name: str, settings: CloudflareSettings, wiring: Wiring) -> None:
        quieten_sdk()  # again: whoever set up logging since the import may have woken the SDK's logger
        self.name = name
        self._wiring = wiring
        self._budget = Budget(settings.requests_per_second, wiring.monotonic, wiring.sleep)
        host = urlsplit(settings.endpoint or "").hostname or ""
        direct = host == "localhost" or host.startswith("127.")  # no proxy of the environment for loopback
        self._sdk = sdk.Cloudflare(
            api_token=settings.token,
            base_url=settings.endpoint,
            timeout=settings.timeout,
            max_retries=0,
            http_client=sdk.DefaultHttpxClient(trust_env=not direct),
        )
        self._zone_ids: dict[str, str] = {}
        self._operations = RecordByRecord(self)

    def capabilities(self, zone: str) -> Capabilities:
        """No lines, no weights; comments are the remarks."""
        return Capabilities(lines=frozenset(), ttl_min=TTL_MIN, ttl_max=TTL_MAX, remarks=True)

    def observe(self, zone: str, names: frozenset[str]) -> Observed:
        """Every record at these names, from one listing of the zone. Raises `ProviderError`."""
        who = f"{self.name}: reading {zone}"
        listing = self._list(zone, {}, who)
        return Observed(record_sets(listing.rows, _record, names, who), listing.complete, listing.why)

    def apply(self, operation: Operation) -> Answer:
        """Carries out one operation; `record_by_record` says what happens after a lost answer."""
        return self._operations.perform(operation)

    def check(self, zone: str) -> tuple[str, ...]:
        """What is missing: the token, its rights or the zone. The right to edit shows only in writing."""
        try:
            self._list(zone, {"per_page": 5}, f"{self.name}: reading {zone}", pages=1)
        except RefusedError as refused:
            return (str(refused),)
        return ()

    def close(self) -> None:
        """Closes the connections."""
        self._sdk.close()

    # The steps of `record_by_record.Requests`

    def create(self, operation: Operation, new: Record) -> str:
        """Adds the record, not proxied; returns its id."""
        zone_id = self._zone_id(operation.zone.zone, what(operation))
        made = self._call(
            lambda: self._sdk.dns.records.create(zone_id=zone_id, **_content(operation, new)),
            what(operation),
            writes=True,
        )
        return _id_in(made, what(operation))

    def update(self, operation: Operation, record_id: str, old: Record, new: Record) -> None:
        """Replaces value, TTL and comment in place."""
        zone_id = self._zone_id(operation.zone.zone, what(operation))
        changed = self._call(
            lambda: self._sdk.dns.records.edit(record_id, zone_id=zone_id, **_content(operation, new)),
            what(operation),
            writes=True,
        )
        _id_in(changed, what(operation))

    def delete(self, operation: Operation, record_id: str) -> None:
        """Removes the record."""
        zone_id = self._zone_id(operation.zone.zone, what(operation))
        self._call(
            lambda: self._sdk.dns.records.delete(record_id, zone_id=zone_id), what(operation), writes=True
        )

    def finish(self, operation: Operation, record_id: str, old: Record | None, new: Record) -> Sequence[str]:
        """Nothing is left: one request carries everything."""
        return ()

    def standing(self, operation: Operation) -> Sequence[Record]:
        """The records of the set. Raises UnavailableError when the listing is not whole."""
        key = operation.key
        narrowed = {"name": {"exact": key.name}, "type": key.type}
        found = self._list(operation.zone.zone, narrowed, what(operation))
        if not found.complete:
            raise UnavailableError("cut_short", f"{what(operation)}: {found.why}")
        return records_at(found.rows, _record, key, what(operation))

    # Requests

    def _zone_id(self, zone: str, who: str) -> str:
        if zone not in self._zone_ids:
            page = self._call(lambda: self._sdk.zones.list(name=zone), who, writes=False)
            found = [z for z in page.result or [] if canonical_name(str(z.name)) == zone]
            if not found:
                text = (
                    f"{who}: {zone} is no zone that this token may see; check the zone and the token's rights"
                )
                raise RefusedError("zone", text)
            self._zone_ids[zone] = str(found[0].id)
        return self._zone_ids[zone]

    def _list(self, zone: str, asked: Mapping[str, Any], who: str, pages: int = 0) -> Listing:
        zone_id = self._zone_id(zone, who)

        def fetch(number: int) -> Page:
            wanted: dict[str, Any] = {"per_page": PAGE_SIZE, **asked, "page": number}
            page = self._call(
                lambda: self._sdk.dns.records.list(zone_id=zone_id, **wanted), who, writes=False
            )
            return _page_of(page, who)

        try:
            if pages:
                return Listing(tuple(fetch(1).rows))
            return read_pages(fetch, lambda row: str(row["id"]))
        except StaleError:
            self._zone_ids.pop(zone, None)  # the zone was removed and perhaps made again, with another id
            raise RefusedError(
                "zone", f"{who}: Cloudflare does not know {zone} any more; check the zone"
            ) from None

    def _call(self, send: Callable[[], T], who: str, writes: bool) -> T:
        def once() -> T:
            self._budget.take("request")
            failure: ProviderError
            try:
                return send()
            except sdk.APIStatusError as refused:
                failure = refusal_of(refused, writes, who)
            except sdk.APIConnectionError as trouble:
                failure = trouble_of(trouble, writes, who)
            except Exception as surprise:  # noqa: BLE001 - garbage in an answer surfaces as anything
                failure = lost(f"an answer that makes no sense ({type(surprise).__name__})", writes, who)
            raise failure  # outside the except blocks: the SDK's errors carry the request with its token

        return with_backoff(once, self._wiring)


def _content(operation: Operation, new: Record) -> dict[str, Any]:
    wanted = {
        "name": operation.key.name,
        "type": operation.key.type,
        "content": new.value,
        "ttl": new.ttl,
        "proxied": False,
    }
    return wanted | ({"comment": new.remark} if new.remark else {})


def _record(row: Row) -> tuple[RecordKey, Record]:
    key = RecordKey(canonical_name(str(row["name"])), str(row["type"]), DEFAULT)
    return key, Record(
        value_of(key.type, str(row.get("content") or "")),
        int(row["ttl"]),
        id=str(row["id"]),
        remark=str(row.get("comment") or ""),
        foreign=bool(row.get("proxied")) or bool((row.get("meta") or {}).get("read_only")),
    )


def _page_of(page: Any, who: str) -> Page:
    """A page of the listing with its total. Raises UnavailableError for an answer that is none."""
    try:
        info = page.result_info.to_dict()
        return Page([record.to_dict() for record in page.result], int(info["total_count"]))
    except (AttributeError, KeyError, TypeError, ValueError):
        raise UnavailableError("garbage", f"{who}: Cloudflare answered a listing without a total") from None


def _id_in(answer: Any, who: str) -> str:
    if not getattr(answer, "id", None):
        raise UnknownOutcomeError("garbage", f"{who}: Cloudflare answered without a record id")
    return str(answer.id)
