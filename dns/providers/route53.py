"""Route 53 as a provider, through boto3: whole record sets in one atomic batch, no lines, no weights.

A set with a routing policy (weighted, latency, geolocation …) or an alias is somebody else's arrangement: it
is shown and left alone. A replacement deletes the exact old set and puts the new one in its place in one
batch, so it fails as a whole when the old one is not what the plan was made from. Source: Route 53 API 2013-04-01.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar
from urllib.parse import urlsplit

import boto3
from botocore.config import Config

from dns.core.model import (
    DEFAULT,
    Action,
    Capabilities,
    Observed,
    Operation,
    Record,
    RecordKey,
    RecordSet,
    canonical_name,
)
from dns.errors import (
    ProviderError,
    RefusedError,
    SettingsError,
    StaleError,
    UnknownOutcomeError,
)
from dns.providers.backoff import with_backoff
from dns.providers.budget import Budget
from dns.providers.port import Answer, Wiring
from dns.providers.record_by_record import must_be_values, what
from dns.providers.route53_errors import failure_of, quieten_sdk
from dns.providers.rows import value_of

T = TypeVar("T")

PAGE_SIZE = 300
MAX_PAGES = 1000
TTL_MAX = 2**31 - 1
MAX_VALUES = 400  # values in one set; more than 8 answers do not fit into every UDP packet


_OCTAL = re.compile(r"\\([0-7]{3})")
_POLICIES = ("SetIdentifier", "AliasTarget", "TrafficPolicyInstanceId")


@dataclass(frozen=True, slots=True)
class Route53Settings:
    """A provider of kind route53. Without keys boto3 finds the machine's own (environment, profile, role)."""

    access_key_id: str | None = field(default=None, repr=False, metadata={"secret": True})
    access_key_secret: str | None = field(default=None, repr=False, metadata={"secret": True})
    region: str = "us-east-1"
    endpoint: str | None = None
    requests_per_second: float = 5  # five for an account
    timeout: float = 5
    connect_timeout: float = 2

    def __post_init__(self) -> None:
        if (self.access_key_id is None) != (self.access_key_secret is None):
            raise SettingsError("access_key_secret", "access_key_id and access_key_secret go together")
        for key in ("timeout", "connect_timeout"):
            if getattr(self, key) <= 0:
                raise SettingsError(key, f"{key} must be above 0")


class Route53:
    """Route 53; see the contract in `dns.providers.port`."""

    kind: ClassVar[str] = "route53"
    Settings: ClassVar[type[Route53Settings]] = Route53Settings

    def __init__(self, name: str, settings: Route53Settings, wiring: Wiring) -> None:
        quieten_sdk()  # again: whoever set up logging since the import may have woken the SDK's loggers
        self.name = name
        self._wiring = wiring
        self._budget = Budget(settings.requests_per_second, wiring.monotonic, wiring.sleep)
        host = urlsplit(settings.endpoint or "").hostname or ""
        direct = host == "localhost" or host.startswith("127.")  # no proxy of the environment for loopback
        self._sdk: Any = boto3.session.Session().client(
            "route53",
            region_name=settings.region,
            endpoint_url=settings.endpoint,
            aws_access_key_id=settings.access_key_id,
            aws_secret_access_key=settings.access_key_secret,
            config=Config(
                connect_timeout=settings.connect_timeout,
                read_timeout=settings.timeout,
                retries={"total_max_attempts": 1},
                proxies={"http": "", "https": ""} if direct else None,
            ),
        )
        self._zone_ids: dict[str, str] = {}

    def capabilities(self, zone: str) -> Capabilities:
        """Whole sets at once; one set a name and type."""
        return Capabilities(
            lines=frozenset(), ttl_min=0, ttl_max=TTL_MAX, atomic_sets=True, max_answers=MAX_VALUES
        )

    def observe(self, zone: str, names: frozenset[str]) -> Observed:
        """Every set at these names, from one listing of the zone. Raises `ProviderError`."""
        who = f"{self.name}: reading {zone}"
        rows, why = self._list(zone, who)
        sets: dict[RecordKey, RecordSet] = {}
        for row in rows:
            key, records = RecordKey(_name_of(row), str(row["Type"]), DEFAULT), _records(row)
            if key.name in names:
                before = sets[key].records if key in sets else ()
                sets[key] = RecordSet(key, before + records)
        return Observed(sets, not why, why)

    def apply(self, operation: Operation) -> Answer:
        """One change batch: all of it happens or nothing. After a lost answer the set is read."""
        must_be_values(operation)
        who = what(operation)
        changes = _changes(operation)
        try:
            zone_id = self._zone_id(operation.zone.zone, who)
            answer = self._call(
                lambda: self._sdk.change_resource_record_sets(
                    HostedZoneId=zone_id, ChangeBatch={"Changes": changes}
                ),
                who,
                writes=True,
            )
            return Answer(f"change {str(answer['ChangeInfo']['Id']).rpartition('/')[2]}")
        except (StaleError, UnknownOutcomeError) as doubt:
            if not self._stands(operation, doubt):
                raise
            return Answer(f"found done after “{doubt.code}”")

    def check(self, zone: str) -> tuple[str, ...]:
        """What is missing: credentials, rights or the zone. Rights to write show only in writing."""
        try:
            self._list(zone, f"{self.name}: reading {zone}", pages=1)
        except RefusedError as refused:
            return (str(refused),)
        return ()

    def close(self) -> None:
        """Closes the connections."""
        self._sdk.close()

    def _stands(self, operation: Operation, doubt: ProviderError) -> bool:
        """Whether the set is as the operation wants it, read anew. Raises `doubt` when it cannot be read."""
        key = operation.key
        try:
            found = self.observe(operation.zone.zone, frozenset({key.name}))
        except ProviderError:
            raise doubt from None
        standing = {(r.value, r.ttl, r.foreign) for r in found.records(key)}
        return found.complete and standing == {(r.value, r.ttl, False) for r in operation.new}

    def _zone_id(self, zone: str, who: str) -> str:
        if zone not in self._zone_ids:
            answer = self._call(
                lambda: self._sdk.list_hosted_zones_by_name(DNSName=zone, MaxItems="10"), who, writes=False
            )
            found = [
                z
                for z in answer.get("HostedZones", [])
                if canonical_name(z["Name"]) == zone and not z.get("Config", {}).get("PrivateZone")
            ]
            if len(found) != 1:
                many = "several public hosted zones" if found else "no public hosted zone"
                raise RefusedError("zone", f"{who}: the account has {many} named {zone}; check the zone")
            self._zone_ids[zone] = str(found[0]["Id"]).rpartition("/")[2]
        return self._zone_ids[zone]

    def _list(self, zone: str, who: str, pages: int = MAX_PAGES) -> tuple[list[Mapping[str, Any]], str]:
        """All sets of the zone, and why they are not all (empty when they are)."""
        zone_id = self._zone_id(zone, who)
        rows: list[Mapping[str, Any]] = []
        asked: dict[str, Any] = {"HostedZoneId": zone_id, "MaxItems": str(PAGE_SIZE)}
        seen: set[tuple[str, ...]] = set()
        for _ in range(pages):
            page = self._page(asked, zone, who)
            rows += page["ResourceRecordSets"]
            if not page["IsTruncated"]:
                return rows, ""
            starts = {
                "Name": "NextRecordName",
                "Type": "NextRecordType",
                "Identifier": "NextRecordIdentifier",
            }
            asked |= {f"StartRecord{part}": page[n] for part, n in starts.items() if page.get(n)}
            where = tuple(str(page.get(n, "")) for n in starts.values())
            if where in seen or not page["ResourceRecordSets"]:
                break
            seen.add(where)
        return rows, f"the listing is not whole: it stopped after {len(rows)} sets and said there were more"

    def _page(self, asked: Mapping[str, Any], zone: str, who: str) -> Any:
        try:
            return self._call(lambda: self._sdk.list_resource_record_sets(**asked), who, writes=False)
        except StaleError:
            self._zone_ids.pop(zone, None)  # removed and perhaps made again, with another id
            text = f"{who}: Route 53 does not know {zone} any more; check the zone"
            raise RefusedError("zone", text) from None

    def _call(self, send: Callable[[], T], who: str, writes: bool) -> T:
        def once() -> T:
            self._budget.take("request")
            failure: ProviderError
            try:
                return send()
            except Exception as trouble:  # noqa: BLE001 - garbage in an answer surfaces as anything
                failure = failure_of(trouble, writes, who)
            raise failure  # outside the except block: nothing of the SDK's errors is chained

        return with_backoff(once, self._wiring)


def _changes(operation: Operation) -> list[dict[str, Any]]:
    key = operation.key
    if operation.action is Action.ADD:
        return [_change("CREATE", key, operation.new)]
    removal = _change("DELETE", key, operation.old)
    return (
        [removal] if operation.action is Action.REMOVE else [removal, _change("UPSERT", key, operation.new)]
    )


def _change(action: str, key: RecordKey, records: tuple[Record, ...]) -> dict[str, Any]:
    return {
        "Action": action,
        "ResourceRecordSet": {
            "Name": key.name + ".",
            "Type": key.type,
            "TTL": records[0].ttl,
            "ResourceRecords": [{"Value": record.value} for record in records],
        },
    }


def _name_of(row: Mapping[str, Any]) -> str:
    return canonical_name(_OCTAL.sub(lambda found: chr(int(found[1], 8)), str(row["Name"])))


def _records(row: Mapping[str, Any]) -> tuple[Record, ...]:
    foreign = any(row.get(key) is not None for key in _POLICIES)
    if alias := row.get("AliasTarget"):
        return (Record(canonical_name(str(alias["DNSName"])), 0, foreign=True),)
    values = [value_of(str(row["Type"]), str(r["Value"])) for r in row.get("ResourceRecords", [])]
    return tuple(Record(value, int(row.get("TTL", 0)), foreign=foreign) for value in values)
