"""Cloudflare through its own SDK: proxied records, zones, its codes, and what its loggers may not say."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from dns.core.model import Action, Operation, Record, RecordKey, ZoneKey
from dns.errors import ProviderError, RefusedError, StaleError, UnavailableError, UnknownOutcomeError
from dns.providers.cloudflare import Cloudflare, CloudflareSettings
from dns.providers.port import Wiring
from tests.dns.alidns_stand import Clock
from tests.servers_cloudflare import CloudflareAccount, cloudflare_server
from tests.servers_http import HttpServer, Request, Response

ZONE = ZoneKey("cf", "example.com")
KEY = RecordKey("www.example.com", "A")
A, B = "203.0.113.10", "203.0.113.20"


@dataclass
class Stand:
    server: HttpServer
    account: CloudflareAccount
    provider: Cloudflare
    clock: Clock

    def add(self, value: str = A, ttl: int = 600, remark: str = "") -> str:
        new = Record(value, ttl, remark=remark)
        return self.provider.apply(Operation(Action.ADD, "svc", ZONE, KEY, (new,))).text

    def replace(self, old: Record, value: str) -> str:
        new = Record(value, old.ttl, old.id)
        return self.provider.apply(Operation(Action.REPLACE, "svc", ZONE, KEY, (new,), (old,))).text

    def read(self) -> tuple[Record, ...]:
        return self.provider.observe("example.com", frozenset({KEY.name})).records(KEY)

    def sent(self, method: str) -> int:
        return sum(request.method == method for request in self.server.requests)


@pytest.fixture
def cf() -> Iterator[Stand]:
    with cloudflare_server() as (server, account):
        clock = Clock()
        settings = CloudflareSettings(account.token, server.url, requests_per_second=0, timeout=0.5)
        provider = Cloudflare("cf", settings, Wiring(sleep=clock.sleep, random=lambda: 0.5))
        yield Stand(server, account, provider, clock)
        provider.close()


def _reads(request: Request) -> bool:
    return request.method == "GET"


def _writes(request: Request) -> bool:
    return request.method != "GET"


def test_a_proxied_record_is_somebody_elses(cf: Stand) -> None:
    cf.account.put(KEY.name, "A", A, ttl=1, proxied=True)
    assert [(r.value, r.foreign) for r in cf.read()] == [(A, True)]


def test_what_we_add_is_not_proxied_and_carries_our_comment(cf: Stand) -> None:
    cf.add(A, remark="lockstep-x")
    (record,) = cf.account.records.values()
    assert (record["proxied"], record["comment"], record["ttl"]) == (False, "lockstep-x", 600)


def test_the_zone_is_looked_up_once_and_listed_once_a_reading(cf: Stand) -> None:
    cf.read()
    cf.read()
    paths = [request.path for request in cf.server.requests]
    assert paths[0] == "/zones"
    assert len(paths) == 3


def test_a_zone_that_went_is_refused_and_never_empty(cf: Stand) -> None:
    cf.read()
    gone = Response(404, {"errors": [{"code": 7003, "message": "x"}]})
    with cf.server.misbehaving("answer", response=gone), pytest.raises(RefusedError) as refusal:
        cf.read()
    assert refusal.value.code == "zone"
    assert cf.read() == ()


def test_lines_and_weights_are_declared_away(cf: Stand) -> None:
    able = cf.provider.capabilities("example.com")
    assert (able.weights, able.takes_line("telecom"), able.takes_line("default")) == (False, False, True)


@pytest.mark.parametrize(
    ("status", "code", "expected", "kind"),
    [
        (400, 81058, StaleError, "duplicate"),
        (400, 81057, StaleError, "duplicate"),
        (404, 81044, StaleError, "gone"),
        (400, 81054, RefusedError, "conflict"),
        (400, 9021, RefusedError, "plan"),
        (400, 6003, RefusedError, "credentials"),
        (401, 1000, RefusedError, "credentials"),
        (403, 10000, RefusedError, "credentials"),
        (429, 0, UnavailableError, "throttled"),
        (500, 0, UnknownOutcomeError, "server"),
        (502, 0, UnknownOutcomeError, "server"),
    ],
)
def test_a_refused_write_says_what_it_was(
    cf: Stand, status: int, code: int, expected: type[ProviderError], kind: str
) -> None:
    cf.account.put(KEY.name, "A", A)
    (old,) = cf.read()
    answer = Response(
        status, {"success": False, "errors": [{"code": code, "message": f"x {cf.account.token}"}]}
    )
    with cf.server.misbehaving("answer", _writes, response=answer), pytest.raises(ProviderError) as failure:
        cf.replace(old, B)
    assert (type(failure.value), failure.value.code) == (expected, kind)


def test_a_conflict_and_a_short_ttl_are_refused_by_the_api_itself(cf: Stand) -> None:
    with pytest.raises(RefusedError) as refusal:
        cf.add(A, ttl=30)
    assert refusal.value.code == "plan"
    cf.account.put(KEY.name, "CNAME", "cdn.example.net")
    with pytest.raises(RefusedError) as refusal:
        cf.add(A)
    assert refusal.value.code == "conflict"


def test_being_throttled_is_waited_out_as_long_as_is_asked(cf: Stand) -> None:
    slow = Response(429, {"errors": []}, headers={"Retry-After": "2"})
    with cf.server.misbehaving("answer", _writes, times=1, response=slow):
        cf.add(A)
    assert cf.clock.slept == [2.0]


@pytest.mark.parametrize("kind", ["lost", "lost-silent"])
def test_a_write_that_happened_although_its_answer_was_lost_is_found(cf: Stand, kind: str) -> None:
    with cf.server.misbehaving(kind, _writes):
        assert "found standing" in cf.add(A)
        cf.replace(cf.read()[0], B)
        assert [r.value for r in cf.read()] == [B]
        removal = Operation(Action.REMOVE, "svc", ZONE, KEY, (), cf.read())
        assert "found gone" in cf.provider.apply(removal).text
    assert (cf.sent("POST"), cf.sent("PATCH"), cf.sent("DELETE")) == (1, 1, 1)


@pytest.mark.parametrize("kind", ["html", "reset", "silence"])
def test_a_write_whose_answer_is_none_is_never_sent_again(cf: Stand, kind: str) -> None:
    with cf.server.misbehaving(kind, _writes), pytest.raises(UnknownOutcomeError):
        cf.add(A)
    assert cf.sent("POST") == 1


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b"<html>", b'{"result": [{"id": 1}], "result_info": {}}']
)
def test_a_listing_that_is_none_is_never_empty(cf: Stand, body: bytes) -> None:
    cf.read()
    with cf.server.misbehaving("answer", response=Response(200, body)), pytest.raises(UnavailableError):
        cf.read()


def test_the_token_is_in_no_log_error_or_repr(cf: Stand, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    shown = [repr(cf.provider), repr(CloudflareSettings(cf.account.token))]
    for kind in ("html", "reset", "lost"):
        with cf.server.misbehaving(kind), pytest.raises(ProviderError) as failure:
            cf.add(A)
        shown += [str(failure.value), repr(failure.value.__cause__), repr(failure.value.__context__)]
    assert cf.account.token not in "\n".join([*shown, caplog.text])
