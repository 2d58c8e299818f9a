"""A small Cloudflare API v4 on loopback: zones and DNS records with its codes, limits and paging."""

from __future__ import annotations

import ipaddress
import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.servers_http import HttpServer, Request, Response

TOKEN = "cf-tok3n-never-shown"
ZONE_ID = "023e105f4ecef8ad9ca31a8372d0c353"


class Refused(Exception):  # noqa: N818 - the API says so
    """What the API refuses."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(code)
        self.response = Response(
            status,
            {
                "success": False,
                "errors": [{"code": code, "message": message}],
                "messages": [],
                "result": None,
            },
        )


class CloudflareAccount:
    """One zone, example.com, and its records."""

    def __init__(self) -> None:
        self.token = TOKEN
        self.records: dict[str, dict[str, Any]] = {}
        self.drop_rows = 0
        self._ids = itertools.count(1)

    def put(self, name: str, type_: str, content: str, ttl: int = 600, **more: Any) -> dict[str, Any]:
        """A record made by hand."""
        record = {
            "id": f"{next(self._ids):032x}",
            "name": name,
            "type": type_,
            "content": content,
            "ttl": ttl,
        }
        self.records[record["id"]] = {"proxied": False, "comment": None, "meta": {}, **record, **more}
        return self.records[record["id"]]

    def __call__(self, request: Request) -> Response:
        try:
            if request.headers.get("authorization") != f"Bearer {self.token}":
                raise Refused(403, 10000, "Authentication error")
            return self._route(request)
        except Refused as refused:
            return refused.response

    def _route(self, request: Request) -> Response:
        match request.method, request.path.strip("/").split("/"):
            case "GET", ["zones"]:
                zones = [{"id": ZONE_ID, "name": "example.com"}]
                return self._page(
                    [z for z in zones if request.query.get("name", z["name"]) == z["name"]], request
                )
            case "GET", ["zones", zone_id, "dns_records"] if zone_id == ZONE_ID:
                return self._page([r for r in self.records.values() if _matches(r, request.query)], request)
            case "POST", ["zones", zone_id, "dns_records"] if zone_id == ZONE_ID:
                wanted = self._checked(request.json, None)
                return _result(self.put(**wanted))
            case "PATCH", ["zones", zone_id, "dns_records", record_id] if zone_id == ZONE_ID:
                record = self._record(record_id)
                wanted = self._checked({**record, **request.json}, record)
                record.update(content=wanted["content"], ttl=wanted["ttl"], comment=wanted.get("comment"))
                record.update(proxied=wanted["proxied"])
                return _result(record)
            case "DELETE", ["zones", zone_id, "dns_records", record_id] if zone_id == ZONE_ID:
                del self.records[self._record(record_id)["id"]]
                return _result({"id": record_id})
        raise Refused(404, 7003, "Could not route to the path, perhaps your object identifier is invalid?")

    def _record(self, record_id: str) -> dict[str, Any]:
        if record_id not in self.records:
            raise Refused(404, 81044, "Record does not exist.")
        return self.records[record_id]

    def _checked(self, wanted: dict[str, Any], keep: dict[str, Any] | None) -> dict[str, Any]:
        if not wanted["name"].endswith("example.com"):
            raise Refused(400, 9000, "DNS name is invalid.")
        if wanted["ttl"] != 1 and not 60 <= wanted["ttl"] <= 86400:
            raise Refused(400, 9021, "Invalid TTL. Must be between 60 and 86400 seconds, or 1 for Automatic.")
        try:
            version = ipaddress.ip_address(wanted["content"]).version
        except ValueError:
            version = 0
        if version != {"A": 4, "AAAA": 6}[wanted["type"]]:
            raise Refused(400, 9005, "Content for A record must be a valid IPv4 address.")
        others = [r for r in self.records.values() if r is not keep and r["name"] == wanted["name"]]
        if any((r["type"], r["content"]) == (wanted["type"], wanted["content"]) for r in others):
            raise Refused(400, 81058, "An identical record already exists.")
        if any(r["type"] == "CNAME" for r in others):
            raise Refused(400, 81054, "A CNAME record with that host already exists.")
        if len(wanted.get("comment") or "") > 100:
            raise Refused(400, 9204, "DNS record comment exceeds the maximum length.")
        keys = ("name", "content", "ttl", "proxied", "comment")
        return {k: wanted[k] for k in keys if k in wanted} | {
            "type_" if keep is None else "type": wanted["type"]
        }

    def _page(self, rows: list[dict[str, Any]], request: Request) -> Response:
        number, size = int(request.query.get("page", "1")), int(request.query.get("per_page", "100"))
        shown = rows[(number - 1) * size : number * size]
        info = {"page": number, "per_page": size, "count": len(shown), "total_count": len(rows)}
        shown = shown[: max(0, len(shown) - self.drop_rows)]
        return Response(
            200, {"success": True, "errors": [], "messages": [], "result": shown, "result_info": info}
        )


def _matches(record: dict[str, Any], query: dict[str, str]) -> bool:
    name = query.get("name.exact", query.get("name[exact]", record["name"]))
    return bool(name == record["name"] and query.get("type", record["type"]) == record["type"])


def _result(record: dict[str, Any]) -> Response:
    return Response(200, {"success": True, "errors": [], "messages": [], "result": record})


@contextmanager
def cloudflare_server() -> Iterator[tuple[HttpServer, CloudflareAccount]]:
    """The server and its account."""
    account = CloudflareAccount()
    with HttpServer(account) as server:
        yield server, account
