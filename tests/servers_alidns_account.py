"""An AliDNS account in memory with AliDNS's own rules; it knows no HTTP and no signatures.

Strict on purpose: what the documented API refuses is refused here with the documented code, and a parameter
that an action does not have is refused too, so that a provider cannot lean on something the real API ignores.
Source: AliDNS API 2015-01-09, action and error pages; what those leave open is an attribute of `Account`.
"""

from __future__ import annotations

import ipaddress
import itertools
import re
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Params = Mapping[str, str]
Answer = dict[str, Any]

LINES = {
    *("default", "telecom", "unicom", "mobile", "edu", "drpeng", "btvn", "cstnet", "wexchange", "founder"),
    *("topway_video", "wasu", "ocn", "cnix", "bgctv", "aliyun", "search", "oversea", "internal"),
    *("cn_telecom_anhui", "cn_unicom_beijing"),
}
REMARK = re.compile(r"[-_,.A-Za-z0-9\u4e00-\u9fff]*")
LABEL = re.compile(r"[a-z0-9_]([-a-z0-9_]*[a-z0-9_])?", re.IGNORECASE)


class AliError(Exception):
    """What the API refuses: HTTP status, code and message."""

    def __init__(self, http: int, code: str, message: str = "The request was refused.") -> None:
        super().__init__(code)
        self.http, self.code, self.message = http, code, message


@dataclass
class Row:
    """One record as the account holds it."""

    domain: str
    id: str
    rr: str
    type: str
    value: str
    line: str
    ttl: int
    status: str = "ENABLE"
    locked: bool = False
    weight: int = 1
    remark: str | None = None

    @property
    def set(self) -> tuple[str, str, str, str]:
        return (self.domain, self.rr.lower(), self.type, self.line)

    def shown(self) -> Answer:
        answer: Answer = {
            "DomainName": self.domain, "RecordId": self.id, "RR": self.rr, "Type": self.type,
            "Value": self.value, "Line": self.line, "TTL": self.ttl, "Status": self.status,
            "Locked": self.locked, "Weight": self.weight,
        }  # fmt: skip
        return answer | ({"Remark": self.remark} if self.remark else {})


@dataclass
class Account:
    """One account: its zones, records, limits of its edition, its rights. A test may set any attribute."""

    key_id: str = "LTAItestkeyid"
    secret: str = "s3cretNeverShown/+="
    domains: set[str] = field(default_factory=lambda: {"example.com"})
    min_ttl: int = 600
    max_per_set: int = 10
    inactive: bool = False
    denied: set[str] = field(default_factory=set)
    forbidden_domains: set[str] = field(default_factory=set)
    rows: dict[str, Row] = field(default_factory=dict)
    slb: set[tuple[str, str, str, str]] = field(default_factory=set)
    calls: Counter[str] = field(default_factory=Counter)
    seen: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    before: Callable[[str, Params], None] | None = None
    after_write: Callable[[], None] | None = None

    def __post_init__(self) -> None:
        self._ids = itertools.count(9_000_001)
        self.lock = threading.RLock()

    def put(self, rr: str, type_: str, value: str, line: str = "default", ttl: int = 600, **more: Any) -> Row:
        """A record made by hand, past all rules; the row stays changeable."""
        row = Row(
            more.pop("domain", "example.com"), str(next(self._ids)), rr, type_, value, line, ttl, **more
        )
        self.rows[row.id] = row
        return row

    def values(self, rr: str, type_: str = "A", line: str = "default") -> set[str]:
        """What a reader on that line is answered from this set: enabled records only."""
        return {
            r.value
            for r in self.rows.values()
            if (r.rr, r.type, r.line) == (rr, type_, line) and r.status.upper() == "ENABLE"
        }

    def act(self, action: str, p: Params) -> Answer:
        """The answer of one action; raises `AliError`."""
        if action not in ACTIONS:
            raise AliError(404, "InvalidAction.NotFound", "Specified api is not found.")
        needed, optional, function = ACTIONS[action]
        for name in needed:
            if not p.get(name):
                raise AliError(400, f"Missing{name}", f"{name} is mandatory for this action.")
        if unknown := set(p) - set(needed) - set(optional):
            raise AliError(400, "InvalidParameter", f"Not a parameter of {action}: {sorted(unknown)}")
        if action in self.denied:
            raise AliError(403, "Forbidden.RAM", "User not authorized to operate on the specified resource.")
        self.calls[action] += 1
        self.seen.append((action, dict(p)))
        if self.before is not None:
            self.before(action, p)
        with self.lock:
            answer = function(self, p)
            if self.after_write is not None and not action.startswith("Describe"):
                self.after_write()
            return answer

    # Checks

    def domain(self, name: str) -> str:
        name = name.lower()
        if name not in self.domains:
            raise AliError(400, "InvalidDomainName.NoExist", "The specified domain name does not exist.")
        return name

    def row(self, record_id: str) -> Row:
        row = self.rows.get(record_id)
        if row is None:
            raise AliError(
                400, "DomainRecordNotBelongToUser", "The domain record does not belong to this user."
            )
        if row.locked:
            raise AliError(400, "DomainRecordLocked", "The domain record has been locked.")
        self.writable(row.domain)
        return row

    def writable(self, domain: str) -> None:
        if domain in self.forbidden_domains:
            raise AliError(400, "DomainForbidden", "The domain has been forbidden.")

    def ttl(self, text: str | None) -> int:
        if text is None:
            return 600
        if not text.isdigit() or not 1 <= int(text) <= 86400:
            raise AliError(400, "SubDomainInvalid.TTL", "The TTL value is invalid.")
        if int(text) < self.min_ttl:
            raise AliError(
                400, "QuotaExceeded.TTL", f"The TTL must be at least {self.min_ttl} in this edition."
            )
        return int(text)

    def candidate(self, p: Params, domain: str, keep: Row | None) -> Row:
        """The record the parameters describe, checked against all others but ``keep``."""
        rr, type_, value, line = p["RR"], p["Type"], p["Value"], p.get("Line", "default")
        if rr != "@" and not all(LABEL.fullmatch(part) or part == "*" for part in rr.split(".")):
            raise AliError(400, "InvalidRR.Format", "The specified RR is not valid.")
        if type_ not in {"A", "AAAA", "CNAME", "TXT", "MX", "NS", "SRV", "CAA"}:
            raise AliError(400, "SubDomainInvalid.Type", "The type is invalid.")
        if line not in LINES:
            raise AliError(400, "SubDomainInvalid.Line", "The line is invalid.")
        if type_ in {"A", "AAAA"}:
            self._address(value, 4 if type_ == "A" else 6)
        row = Row(domain, "", rr, type_, value, line, self.ttl(p.get("TTL")))
        others = [r for r in self.rows.values() if r is not keep]
        if keep is not None and (keep.set, keep.value, keep.ttl) == (row.set, value, row.ttl):
            raise AliError(400, "DomainRecordDuplicate", "The domain record is duplicated.")
        same = [r for r in others if r.set == row.set]
        if any(r.value == value for r in same):
            raise AliError(400, "DomainRecordDuplicate", "The domain record is duplicated.")
        neighbours = [r for r in others if (r.domain, r.rr.lower(), r.line) == (domain, rr.lower(), line)]
        if any((r.type == "CNAME") != (type_ == "CNAME") for r in neighbours):
            raise AliError(400, "DomainRecordConflict", "The domain record conflicts with other records.")
        if len(same) + 1 > self.max_per_set:
            code = "QuotaExceeded.ARecord" if type_ in {"A", "AAAA"} else "QuotaExceeded.Record"
            raise AliError(400, code, f"More than {self.max_per_set} records of one RR, type and line.")
        return row

    def _address(self, value: str, version: int) -> None:
        try:
            good = ipaddress.ip_address(value).version == version
        except ValueError:
            good = False
        if not good:
            raise AliError(400, "SubDomainInvalid.Value", "The value is invalid.")

    # Actions

    def add(self, p: Params) -> Answer:
        domain = self.domain(p["DomainName"])
        self.writable(domain)
        row = self.candidate(p, domain, None)
        row.id = str(next(self._ids))
        self.rows[row.id] = row
        return {"RecordId": row.id}

    def update(self, p: Params) -> Answer:
        old = self.row(p["RecordId"])
        new = self.candidate(p, old.domain, old)
        # Everything is replaced: a Line or TTL left out has become its default in `candidate`.
        old.rr, old.type, old.value, old.line, old.ttl = new.rr, new.type, new.value, new.line, new.ttl
        return {"RecordId": old.id}

    def delete(self, p: Params) -> Answer:
        del self.rows[self.row(p["RecordId"]).id]
        return {"RecordId": p["RecordId"]}

    def set_status(self, p: Params) -> Answer:
        row = self.row(p["RecordId"])
        if p["Status"].upper() not in {"ENABLE", "DISABLE"}:
            raise AliError(400, "InvalidStatus", "The status is invalid.")
        row.status = p["Status"].upper()
        return {"RecordId": row.id, "Status": p["Status"]}

    def set_remark(self, p: Params) -> Answer:
        row, remark = self.row(p["RecordId"]), p.get("Remark", "")
        if len(remark) > 50 or not REMARK.fullmatch(remark):
            raise AliError(
                400, "InvalidRemark", "The remark is too long or has characters that are not allowed."
            )
        row.remark = remark or None
        return {}

    def describe_zone(self, p: Params) -> Answer:
        domain = self.domain(p["DomainName"])
        rows = [r for r in self.rows.values() if r.domain == domain]
        if word := p.get("RRKeyWord", "").lower():
            rows = [r for r in rows if word in r.rr.lower()]  # fuzzy: anywhere in the name
        return self.page(self.filtered(rows, p), p, 500)

    def describe_name(self, p: Params) -> Answer:
        name = p["SubDomain"].lower()
        domain = self.domain(p["DomainName"]) if "DomainName" in p else self.domain_of(name)
        rows = [r for r in self.rows.values() if r.domain == domain and f"{r.rr}.{domain}".lower() == name]
        return self.page(self.filtered(rows, p), p, 100)

    def domain_of(self, name: str) -> str:
        for domain in self.domains:
            if name.endswith("." + domain):
                return domain
        raise AliError(400, "InvalidDomainName.NoExist", "The specified domain name does not exist.")

    def filtered(self, rows: list[Row], p: Params) -> list[Row]:
        rows = [r for r in rows if p.get("Type", r.type) == r.type and p.get("Line", r.line) == r.line]
        return [r for r in rows if p.get("Status", r.status).upper() == r.status.upper()]

    def page(self, rows: list[Row], p: Params, largest: int) -> Answer:
        number, size = p.get("PageNumber", "1"), p.get("PageSize", "20")
        if not number.isdigit() or int(number) < 1 or not size.isdigit() or not 1 <= int(size) <= largest:
            raise AliError(400, "InvalidParameter", f"PageSize must be 1 to {largest}.")
        start = (int(number) - 1) * int(size)
        return {
            "TotalCount": len(rows),
            "PageNumber": int(number),
            "PageSize": int(size),
            "DomainRecords": {"Record": [r.shown() for r in rows[start : start + int(size)]]},
        }

    def describe_domains(self, p: Params) -> Answer:
        names = sorted(d for d in self.domains if p.get("KeyWord", "").lower() in d)
        number, size = int(p.get("PageNumber", "1")), int(p.get("PageSize", "20"))
        if not 1 <= size <= 100:
            raise AliError(400, "InvalidParameter", "PageSize must be 1 to 100.")
        start = (number - 1) * size
        shown = [{"DomainName": n, "DomainId": n} for n in names[start : start + size]]
        return {
            "TotalCount": len(names),
            "PageNumber": number,
            "PageSize": size,
            "Domains": {"Domain": shown},
        }

    def describe_lines(self, p: Params) -> Answer:
        if "DomainName" in p:
            self.domain(p["DomainName"])
        lines = [{"LineCode": c, "LineName": c, "LineDisplayName": c} for c in sorted(LINES)]
        return {"RecordLines": {"RecordLine": lines}}

    def set_slb(self, p: Params) -> Answer:
        name = p["SubDomain"].lower()
        domain = self.domain(p["DomainName"]) if "DomainName" in p else self.domain_of(name)
        if not name.endswith("." + domain):  # the apex is @.example.com
            raise AliError(400, "SubDomainInvalid.SubDomain", "The subdomain is invalid.")
        key = (domain, name.removesuffix("." + domain), p.get("Type", "A"), p.get("Line", "default"))
        opened = p.get("Open", "true").lower() == "true"
        (self.slb.add if opened else self.slb.discard)(key)
        return {"Open": opened, "RecordCount": sum(r.set == key for r in self.rows.values())}

    def set_weight(self, p: Params) -> Answer:
        row = self.row(p["RecordId"])
        if not p["Weight"].isdigit() or not 1 <= int(p["Weight"]) <= 100:
            raise AliError(400, "InvalidWeigth", "The weight is invalid.")
        if row.set not in self.slb:
            raise AliError(400, "DisableDNSSLB", "The subdomain's DNS SLB status is closed.")
        if row.status.upper() != "ENABLE":
            raise AliError(400, "DomainRecordDisable", "The domain record is disabled.")
        row.weight = int(p["Weight"])
        return {"RecordId": row.id, "Weight": row.weight}


Function = Callable[[Account, Params], Answer]
_PAGES = ("PageNumber", "PageSize")
ACTIONS: dict[str, tuple[tuple[str, ...], tuple[str, ...], Function]] = {
    "AddDomainRecord": (("DomainName", "RR", "Type", "Value"), ("TTL", "Line", "Priority"), Account.add),
    "UpdateDomainRecord": (("RecordId", "RR", "Type", "Value"), ("TTL", "Line", "Priority"), Account.update),
    "DeleteDomainRecord": (("RecordId",), (), Account.delete),
    "SetDomainRecordStatus": (("RecordId", "Status"), (), Account.set_status),
    "UpdateDomainRecordRemark": (("RecordId",), ("Remark",), Account.set_remark),
    "DescribeDomainRecords": (
        ("DomainName",),
        ("RRKeyWord", "Type", "Line", "Status", "SearchMode", *_PAGES),
        Account.describe_zone,
    ),
    "DescribeSubDomainRecords": (
        ("SubDomain",),
        ("DomainName", "Type", "Line", *_PAGES),
        Account.describe_name,
    ),
    "DescribeDomains": ((), ("KeyWord", *_PAGES), Account.describe_domains),
    "DescribeSupportLines": ((), ("DomainName",), Account.describe_lines),
    "SetDNSSLBStatus": (("SubDomain",), ("Open", "Type", "Line", "DomainName"), Account.set_slb),
    "UpdateDNSSLBWeight": (("RecordId", "Weight"), (), Account.set_weight),
}
