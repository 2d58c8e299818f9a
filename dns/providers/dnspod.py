"""DNSPod as a provider, through Tencent Cloud's SDK: lines by their Chinese names, weights, remarks.

Source: Tencent Cloud API 3.0, dnspod 2021-03-23; tencentcloud-sdk-python 3.1, read and run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from dns.core.model import Capabilities, Observed, Operation, Record, RecordKey, relative_name
from dns.errors import RefusedError, SettingsError, StaleError, UnavailableError, UnknownOutcomeError
from dns.providers.backoff import with_backoff
from dns.providers.budget import Budget
from dns.providers.dnspod_client import DnspodClient
from dns.providers.paging import Listing, Page, read_pages
from dns.providers.port import Answer, Wiring
from dns.providers.record_by_record import RecordByRecord, what
from dns.providers.rows import Row, Spelling, name_in_zone, record_sets, records_at, value_of

PAGE_SIZE = 3000
TTL_MIN, TTL_MAX = 1, 604800  # the free plan from 600 on; the API says so itself
LINES = Spelling(
    {
        "default": "默认",
        "telecom": "电信",
        "unicom": "联通",
        "mobile": "移动",
        "edu": "教育网",
        "oversea": "境外",
    }
)


@dataclass(frozen=True, slots=True)
class DnspodSettings:
    """A provider of kind dnspod: a Tencent Cloud key pair. `endpoint` None is its public API over HTTPS."""

    secret_id: str = field(repr=False, metadata={"secret": True})
    secret_key: str = field(repr=False, metadata={"secret": True})
    endpoint: str | None = None
    requests_per_second: float = 20
    timeout: float = 5
    connect_timeout: float = 2

    def __post_init__(self) -> None:
        for key in ("secret_id", "secret_key"):
            if not getattr(self, key).strip():
                raise SettingsError(key, f"{key} is empty")
        for key in ("timeout", "connect_timeout"):
            if getattr(self, key) <= 0:
                raise SettingsError(key, f"{key} must be above 0")


class Dnspod:
    """DNSPod; see the contract in `dns.providers.port`."""

    kind: ClassVar[str] = "dnspod"
    Settings: ClassVar[type[DnspodSettings]] = DnspodSettings

    def __init__(self, name: str, settings: DnspodSettings, wiring: Wiring) -> None:
        self.name = name
        self._wiring = wiring
        self._budget = Budget(settings.requests_per_second, wiring.monotonic, wiring.sleep)
        self._client = DnspodClient(
            settings.secret_id,
            settings.secret_key,
            settings.endpoint,
            (settings.connect_timeout, settings.timeout),
        )
        self._operations = RecordByRecord(self)

    def capabilities(self, zone: str) -> Capabilities:
        """Any line (unknown ones go by their DNSPod name), weights to 100, remarks."""
        return Capabilities(
            lines=None,
            line_fallback_to_default=True,
            weights=True,
            max_weight=100,
            ttl_min=TTL_MIN,
            ttl_max=TTL_MAX,
            remarks=True,
        )

    def observe(self, zone: str, names: frozenset[str]) -> Observed:
        """Every record at these names, from one listing of the zone. Raises `ProviderError`."""
        who = f"{self.name}: reading {zone}"
        listing = self._list(zone, who)
        sets = record_sets(listing.rows, lambda row: _record(row, zone), names, who)
        return Observed(sets, listing.complete, listing.why)

    def apply(self, operation: Operation) -> Answer:
        """Carries out one operation; `record_by_record` says what happens after a lost answer."""
        return self._operations.perform(operation)

    def check(self, zone: str) -> tuple[str, ...]:
        """What is missing: the key pair, its rights or the zone. Rights to write show only in writing."""
        try:
            self._call(
                "DescribeRecordList",
                {"Domain": zone, "Limit": 1, "ErrorOnEmpty": "no"},
                f"{self.name}: reading {zone}",
            )
        except RefusedError as refused:
            return (str(refused),)
        return ()

    def close(self) -> None:
        """Closes the connections."""
        self._client.close()

    # The steps of `record_by_record.Requests`

    def create(self, operation: Operation, new: Record) -> str:
        """Adds the record with weight and remark; returns its id."""
        answer = self._call("CreateRecord", _content(operation, new), what(operation))
        if not answer.get("RecordId"):
            raise UnknownOutcomeError("garbage", f"{what(operation)}: DNSPod answered without a record id")
        return str(answer["RecordId"])

    def update(self, operation: Operation, record_id: str, old: Record, new: Record) -> None:
        """Replaces everything: what a ModifyRecord leaves out becomes its default, so all of it is sent."""
        kept = {"Remark": new.remark or old.remark}
        wanted = _content(operation, new) | {"RecordId": int(record_id)} | (kept if kept["Remark"] else {})
        self._call("ModifyRecord", wanted, what(operation))

    def delete(self, operation: Operation, record_id: str) -> None:
        """Removes the record."""
        wanted = {"Domain": operation.zone.zone, "RecordId": int(record_id)}
        self._call("DeleteRecord", wanted, what(operation))

    def finish(self, operation: Operation, record_id: str, old: Record | None, new: Record) -> Sequence[str]:
        """Nothing is left: one request carries everything."""
        return ()

    def standing(self, operation: Operation) -> Sequence[Record]:
        """The records of the set. Raises UnavailableError when the listing is not whole."""
        key, zone = operation.key, operation.zone.zone
        asked: dict[str, Any] = {
            "Subdomain": relative_name(key.name, zone),
            "RecordType": key.type,
            "RecordLine": LINES.theirs(key.line),
        }
        asked |= {"Domain": zone, "Limit": PAGE_SIZE, "ErrorOnEmpty": "no"}
        try:
            answer = self._call("DescribeRecordList", asked, what(operation))
        except StaleError:  # "no data", where ErrorOnEmpty did not keep it from saying so
            return []
        rows = list(answer.get("RecordList") or ())
        # In a narrowed listing TotalCount may be the zone's; ListCount is what was sent.
        if len(rows) != (answer.get("RecordCountInfo") or {}).get("ListCount") or len(rows) == PAGE_SIZE:
            raise UnavailableError("cut_short", f"{what(operation)}: the listing of the set is not whole")
        return records_at(rows, lambda row: _record(row, zone), key, what(operation))

    # Requests

    def _list(self, zone: str, who: str) -> Listing:
        def fetch(number: int) -> Page:
            page = {"Limit": PAGE_SIZE, "Offset": (number - 1) * PAGE_SIZE, "ErrorOnEmpty": "no"}
            try:
                answer = self._call("DescribeRecordList", {"Domain": zone, **page}, who)
            except StaleError:  # "no data": whole on the first page, a total that changed on any other
                return Page([], 0)
            return _page_of(answer, who)

        return read_pages(fetch, lambda row: str(row["RecordId"]))

    def _call(self, action: str, parameters: Mapping[str, Any], who: str) -> dict[str, Any]:
        def once() -> dict[str, Any]:
            self._budget.take(action)
            return self._client.call(action, parameters, who)

        return with_backoff(once, self._wiring)


def _content(operation: Operation, new: Record) -> dict[str, Any]:
    zone = operation.zone.zone
    wanted = {
        "Domain": zone,
        "SubDomain": relative_name(operation.key.name, zone),
        "RecordType": operation.key.type,
        "RecordLine": LINES.theirs(operation.key.line),
        "Value": new.value,
        "TTL": new.ttl,
        "Status": "ENABLE" if new.enabled else "DISABLE",
    }
    weight = {} if new.weight is None else {"Weight": new.weight}
    return wanted | weight | ({"Remark": new.remark} if new.remark else {})


def _page_of(answer: Mapping[str, Any], who: str) -> Page:
    try:
        return Page(list(answer.get("RecordList") or ()), int(answer["RecordCountInfo"]["TotalCount"]))
    except (KeyError, TypeError, ValueError):
        raise UnavailableError("garbage", f"{who}: DNSPod answered a listing without a total") from None


def _record(row: Row, zone: str) -> tuple[RecordKey, Record]:
    name = name_in_zone(str(row["Name"]), zone)
    key = RecordKey(name, str(row["Type"]), LINES.ours(str(row.get("Line", "默认"))))
    return key, Record(
        value_of(key.type, str(row["Value"])),
        int(row["TTL"]),
        id=str(row["RecordId"]),
        weight=int(row["Weight"]) if row.get("Weight") else None,  # 0 is its word for none
        enabled=str(row.get("Status", "ENABLE")).upper() == "ENABLE",
        remark=str(row.get("Remark") or ""),
        foreign=bool(row.get("DefaultNS")),
    )
