"""A small DNSPod (Tencent Cloud API 3.0) on loopback: it checks TC3 signatures and keeps DNSPod's rules."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from tests.servers_http import HttpServer, Request, Response

LINES = {"默认", "电信", "联通", "移动", "教育网", "境外", "百度"}


class Refused(Exception):  # noqa: N818 - the API says so
    """What the API refuses; its HTTP status is 200 all the same."""

    def __init__(self, code: str, message: str = "refused") -> None:
        super().__init__(code)
        self.document = {"Response": {"Error": {"Code": code, "Message": message}, "RequestId": "r-1"}}


class DnspodAccount:
    """One zone, example.com, on a plan that takes TTLs from 600 on."""

    def __init__(self) -> None:
        self.secret_id, self.secret_key = "AKIDtestid", "dnspod-s3cret-never-shown"
        self.records: dict[int, dict[str, Any]] = {}
        self.drop_rows = 0
        self.min_ttl = 600
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self._ids = itertools.count(700_000_001)

    def put(self, name: str, type_: str, value: str, line: str = "默认", ttl: int = 600, **more: Any) -> int:
        """A record made by hand; returns its id."""
        record_id = next(self._ids)
        record = {
            "RecordId": record_id,
            "Name": name,
            "Type": type_,
            "Value": value,
            "Line": line,
            "TTL": ttl,
        }
        self.records[record_id] = record | {"Status": "ENABLE", "Weight": None, "Remark": "", **more}
        return record_id

    def __call__(self, request: Request) -> Response:
        try:
            self._signed(request)
            action = request.headers["x-tc-action"]
            self.calls.append((action, request.json))
            answer = self._actions()[action](request.json)
            return Response(200, {"Response": {"RequestId": "r-1", **answer}})
        except Refused as refused:
            return Response(200, refused.document)

    def _signed(self, request: Request) -> None:
        """Tencent Cloud API 3.0, signature method v3 (TC3-HMAC-SHA256)."""
        headers = request.headers
        stamp = int(headers["x-tc-timestamp"])
        if abs(time.time() - stamp) > 300:
            raise Refused("AuthFailure.SignatureExpire")
        if headers["x-tc-version"] != "2021-03-23":
            raise Refused("NoSuchVersion")
        signed = f"content-type:{headers['content-type']}\nhost:{headers['host']}\n"
        hashed = hashlib.sha256(request.body).hexdigest()
        canonical = f"POST\n/\n\n{signed}\ncontent-type;host\n{hashed}"
        date = datetime.fromtimestamp(stamp, UTC).strftime("%Y-%m-%d")
        scope = f"{date}/dnspod/tc3_request"
        to_sign = f"TC3-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        key = f"TC3{self.secret_key}".encode()
        for part in (date, "dnspod", "tc3_request"):
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        signature = hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest()
        expected = (
            f"TC3-HMAC-SHA256 Credential={self.secret_id}/{scope}, "
            f"SignedHeaders=content-type;host, Signature={signature}"
        )
        if not hmac.compare_digest(expected, headers["authorization"]):
            raise Refused("AuthFailure.SignatureFailure")

    def _actions(self) -> dict[str, Callable[[dict[str, Any]], dict[str, Any]]]:
        return {
            "DescribeRecordList": self._list,
            "CreateRecord": self._create,
            "ModifyRecord": self._modify,
            "DeleteRecord": self._delete,
        }

    def _zone(self, p: dict[str, Any]) -> None:
        if p["Domain"] != "example.com":
            raise Refused("InvalidParameterValue.DomainNotExists")

    def _list(self, p: dict[str, Any]) -> dict[str, Any]:
        self._zone(p)
        rows = [
            r
            for r in self.records.values()
            if p.get("Subdomain", r["Name"]) == r["Name"]
            and p.get("RecordType", r["Type"]) == r["Type"]
            and p.get("RecordLine", r["Line"]) == r["Line"]
        ]
        if not rows and p.get("ErrorOnEmpty") != "no":
            raise Refused("ResourceNotFound.NoDataOfRecord")
        size, offset = p.get("Limit", 100), p.get("Offset", 0)
        if not 1 <= size <= 3000:
            raise Refused("InvalidParameterValue.LimitInvalid")
        shown = rows[offset : offset + size]
        count = {"SubdomainCount": 1, "ListCount": len(shown), "TotalCount": len(rows)}
        return {"RecordCountInfo": count, "RecordList": shown[: max(0, len(shown) - self.drop_rows)]}

    def _checked(self, p: dict[str, Any], keep: int | None) -> dict[str, Any]:
        self._zone(p)
        if p["RecordLine"] not in LINES:
            raise Refused("InvalidParameter.RecordLineInvalid")
        if p.get("TTL", 600) < self.min_ttl:
            raise Refused("LimitExceeded.RecordTtlLimit")
        try:
            version = ipaddress.ip_address(p["Value"]).version
        except ValueError:
            version = 0
        if version != {"A": 4, "AAAA": 6}[p["RecordType"]]:
            raise Refused("InvalidParameter.RecordValueInvalid")
        found = (p.get("SubDomain", "@"), p["RecordType"], p["RecordLine"], p["Value"])
        for record_id, r in self.records.items():
            if record_id != keep and (r["Name"], r["Type"], r["Line"], r["Value"]) == found:
                raise Refused("InvalidParameter.DomainRecordExist")
        return {
            "name": found[0],
            "type_": found[1],
            "line": found[2],
            "value": found[3],
            "ttl": p.get("TTL", 600),
            "Weight": p.get("Weight") or None,
            "Status": p.get("Status", "ENABLE"),
            "Remark": p.get("Remark", ""),
        }

    def _create(self, p: dict[str, Any]) -> dict[str, Any]:
        return {"RecordId": self.put(**self._checked(p, None))}

    def _modify(self, p: dict[str, Any]) -> dict[str, Any]:
        old = self._record(p)
        self.records.pop(self.put(**(wanted := self._checked(p, old))))
        names = {"name": "Name", "type_": "Type", "value": "Value", "line": "Line", "ttl": "TTL"}
        self.records[old].update({names.get(key, key): value for key, value in wanted.items()})
        return {"RecordId": old}

    def _delete(self, p: dict[str, Any]) -> dict[str, Any]:
        del self.records[self._record(p)]
        return {}

    def _record(self, p: dict[str, Any]) -> int:
        self._zone(p)
        if p["RecordId"] not in self.records:
            raise Refused("InvalidParameter.RecordIdInvalid")
        return int(p["RecordId"])


@contextmanager
def dnspod_server() -> Iterator[tuple[HttpServer, DnspodAccount]]:
    """The server and its account."""
    account = DnspodAccount()
    with HttpServer(account) as server:
        yield server, account
