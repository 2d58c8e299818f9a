"""Spells records in AliDNS's parameters and reads them from its answers; it sends nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dns.core.model import Operation, Record, RecordKey, relative_name
from dns.errors import UnavailableError
from dns.providers.paging import Page
from dns.providers.rows import Row, Spelling, name_in_zone, value_of

# AliDNS's codes happen to be Lockstep's words; any other code passes as it is, for the set is open.
LINES = Spelling({word: word for word in ("default", "telecom", "unicom", "mobile", "edu", "oversea")})


def content(operation: Operation, new: Record) -> dict[str, object]:
    """What an Add or Update sends. Update replaces everything: what is left out becomes a default."""
    return {
        "RR": relative_name(operation.key.name, operation.zone.zone),
        "Type": operation.key.type,
        "Value": new.value,
        "TTL": new.ttl,
        "Line": LINES.theirs(operation.key.line),
    }


def set_of(operation: Operation) -> dict[str, object]:
    """What names the record set where an action takes a SubDomain (the apex is ``@.example.com``)."""
    zone = operation.zone.zone
    return {
        "SubDomain": f"{relative_name(operation.key.name, zone)}.{zone}",
        "DomainName": zone,
        "Type": operation.key.type,
        "Line": LINES.theirs(operation.key.line),
    }


def page_of(answer: Mapping[str, Any], what: str) -> Page:
    """A page of a listing. Raises UnavailableError for an answer that is none."""
    try:
        return Page(list(answer["DomainRecords"]["Record"]), int(answer["TotalCount"]))
    except (KeyError, TypeError, ValueError):
        raise UnavailableError(
            "garbage", f"{what}: AliDNS answered a listing without records or total"
        ) from None


def id_of(row: Row) -> str:
    """The record's id."""
    return str(row["RecordId"])


def record_of(row: Row, zone: str) -> tuple[RecordKey, Record]:
    """A listed record. Status is compared without its case, which varies; locked is not ours to change."""
    name = name_in_zone(str(row["RR"]), zone)
    key = RecordKey(name, str(row["Type"]), LINES.ours(str(row.get("Line", "default"))))
    return key, Record(
        value_of(key.type, str(row["Value"])),
        int(row["TTL"]),
        id=id_of(row),
        weight=int(row["Weight"]) if row.get("Weight") is not None else None,
        enabled=str(row.get("Status", "ENABLE")).upper() == "ENABLE",
        remark=str(row.get("Remark") or ""),
        foreign=bool(row.get("Locked", False)),
    )
