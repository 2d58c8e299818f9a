"""DNSPod through Tencent Cloud's SDK: lines, weights, remarks, its codes, and what its logger may not say."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from dns.core.model import Action, Operation, Record, RecordKey, ZoneKey
from dns.errors import ProviderError, RefusedError, StaleError, UnavailableError, UnknownOutcomeError
from dns.providers.dnspod import Dnspod, DnspodSettings
from dns.providers.dnspod_client import error_of
from dns.providers.port import Wiring
from tests.servers_dnspod import DnspodAccount, dnspod_server
from tests.servers_http import HttpServer, Request, Response

ZONE = ZoneKey("pod", "example.com")
KEY = RecordKey("www.example.com", "A", "telecom")
A, B = "203.0.113.10", "203.0.113.20"


@dataclass
class Stand:
    server: HttpServer
    account: DnspodAccount
    provider: Dnspod

    def add(self, value: str = A, key: RecordKey = KEY, **more: object) -> str:
        new = Record(value, 600, **more)  # type: ignore[arg-type]
        return self.provider.apply(Operation(Action.ADD, "svc", ZONE, key, (new,))).text

    def replace(self, old: Record, **changed: object) -> str:
        fields = {"value": old.value, "ttl": old.ttl, "id": old.id, "weight": old.weight} | changed
        new = Record(**fields)  # type: ignore[arg-type]
        return self.provider.apply(Operation(Action.REPLACE, "svc", ZONE, KEY, (new,), (old,))).text

    def read(self, key: RecordKey = KEY) -> tuple[Record, ...]:
        return self.provider.observe("example.com", frozenset({key.name})).records(key)


@pytest.fixture
def pod() -> Iterator[Stand]:
    with dnspod_server() as (server, account):
        settings = DnspodSettings(account.secret_id, account.secret_key, server.url, 0, timeout=0.5)
        provider = Dnspod("pod", settings, Wiring(sleep=lambda seconds: None))
        yield Stand(server, account, provider)
        provider.close()


def _reads(request: Request) -> bool:
    return request.headers["x-tc-action"].startswith("Describe")


def _writes(request: Request) -> bool:
    return not _reads(request)


def _refusal(code: str) -> Response:
    return Response(200, {"Response": {"Error": {"Code": code, "Message": "m"}, "RequestId": "r"}})


@pytest.mark.parametrize(
    ("line", "theirs"),
    [
        ("default", "默认"),
        ("telecom", "电信"),
        ("unicom", "联通"),
        ("mobile", "移动"),
        ("edu", "教育网"),
        ("oversea", "境外"),
        ("百度", "百度"),
    ],
)
def test_lines_go_by_their_chinese_names_and_come_back_as_ours(pod: Stand, line: str, theirs: str) -> None:
    key = KEY._replace(line=line)
    pod.add(A, key)
    assert [r["Line"] for r in pod.account.records.values()] == [theirs]
    assert [r.value for r in pod.read(key)] == [A]


def test_a_change_sends_everything_since_what_is_left_out_becomes_its_default(pod: Stand) -> None:
    pod.add(A, weight=3, remark="lockstep-x")
    pod.replace(pod.read()[0], value=B)
    (record,) = pod.account.records.values()
    assert (record["Value"], record["Line"], record["TTL"]) == (B, "电信", 600)
    assert (record["Weight"], record["Remark"]) == (3, "lockstep-x")


def test_a_disabled_record_is_observed_and_switched_on_by_a_replacement(pod: Stand) -> None:
    pod.account.put("www", "A", A, "电信", Status="DISABLE")
    (seen,) = pod.read()
    assert not seen.enabled
    pod.replace(seen)
    assert [r["Status"] for r in pod.account.records.values()] == ["ENABLE"]


def test_default_name_servers_are_foreign(pod: Stand) -> None:
    pod.account.put("@", "NS", "f1g1ns1.dnspod.net.", DefaultNS=True)
    (seen,) = pod.read(RecordKey("example.com", "NS"))
    assert (seen.value, seen.foreign) == ("f1g1ns1.dnspod.net", True)


def test_a_ttl_below_the_plans_is_refused_with_what_to_do(pod: Stand) -> None:
    pod.account.min_ttl = 700
    with pytest.raises(RefusedError) as refusal:
        pod.add(A)
    assert refusal.value.code == "quota"
    assert "raise the service's ttl" in str(refusal.value)


@pytest.mark.parametrize(
    ("code", "expected", "kind"),
    [
        ("AuthFailure.SignatureFailure", RefusedError, "credentials"),
        ("AuthFailure.SecretIdNotFound", RefusedError, "credentials"),
        ("AuthFailure.UnauthorizedOperation", RefusedError, "rights"),
        ("UnauthorizedOperation", RefusedError, "rights"),
        ("OperationDenied.NoPermissionToOperateDomain", RefusedError, "rights"),
        ("FailedOperation.NotDomainOwner", RefusedError, "zone"),
        ("FailedOperation.MustAddDefaultLineFirst", RefusedError, "plan"),
        ("FailedOperation.DomainIsLocked", RefusedError, "blocked"),
        ("FailedOperation.SomethingNew", RefusedError, "blocked"),
        ("InvalidParameter.RecordLineInvalid", RefusedError, "plan"),
        ("InvalidParameter.SomethingNew", RefusedError, "plan"),
        ("LimitExceeded.AAAACountLimit", RefusedError, "quota"),
        ("InvalidParameter.DomainRecordExist", StaleError, "duplicate"),
        ("InvalidParameter.RecordIdInvalid", StaleError, "gone"),
        ("RequestLimitExceeded", UnavailableError, "throttled"),
        ("RequestLimitExceeded.RequestLimitExceeded", UnavailableError, "throttled"),
        ("FailedOperation.FrequencyLimit", UnavailableError, "throttled"),
        ("FailedOperation.TemporaryError", UnavailableError, "busy"),
        ("InternalError", UnknownOutcomeError, "server"),
        ("Brand.New", RefusedError, "refused"),
    ],
)
def test_each_code_has_a_kind(code: str, expected: type[ProviderError], kind: str) -> None:
    error = error_of(code, "message", writes=True, who="pod: add")
    assert (type(error), error.code) == (expected, kind)
    assert code in str(error)


def test_nothing_there_is_an_empty_reading_even_when_it_is_said_as_an_error(pod: Stand) -> None:
    assert pod.read() == ()
    with pod.server.misbehaving("answer", response=_refusal("ResourceNotFound.NoDataOfRecord")):
        assert pod.read() == ()


def test_no_data_on_a_later_page_is_a_listing_cut_short(pod: Stand) -> None:
    for number in range(3001):
        pod.account.put(f"n{number}", "A", A)
    gone = _refusal("ResourceNotFound.NoDataOfRecord")
    with pod.server.misbehaving("answer", lambda r: r.json.get("Offset", 0) > 0, response=gone):
        seen = pod.provider.observe("example.com", frozenset({"n1.example.com"}))
    assert not seen.complete


@pytest.mark.parametrize("kind", ["lost", "lost-silent"])
def test_a_write_that_happened_although_its_answer_was_lost_is_found(pod: Stand, kind: str) -> None:
    with pod.server.misbehaving(kind, _writes):
        assert "found standing" in pod.add(A)
        pod.replace(pod.read()[0], value=B)
        removal = Operation(Action.REMOVE, "svc", ZONE, KEY, (), pod.read())
        assert "found gone" in pod.provider.apply(removal).text
    writes = [action for action, _ in pod.account.calls if not action.startswith("Describe")]
    assert writes == ["CreateRecord", "ModifyRecord", "DeleteRecord"]


@pytest.mark.parametrize("kind", ["html", "reset", "silence"])
def test_a_write_whose_answer_is_none_is_never_sent_again(pod: Stand, kind: str) -> None:
    with pod.server.misbehaving(kind, _writes), pytest.raises(UnknownOutcomeError):
        pod.add(A)
    assert sum(map(_writes, pod.server.requests)) == 1


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"<html>", b'{"Response": {"RequestId": "r"}}'])
def test_a_listing_that_is_none_is_never_empty(pod: Stand, body: bytes) -> None:
    with pod.server.misbehaving("answer", response=Response(200, body)), pytest.raises(UnavailableError):
        pod.read()


def test_no_key_is_in_any_log_error_or_repr(pod: Stand, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    shown = [repr(pod.provider), repr(pod.provider._client), repr(DnspodSettings("AKIDx", "secretx"))]
    for kind in ("html", "reset", "lost"):
        with pod.server.misbehaving(kind), pytest.raises(ProviderError) as failure:
            pod.add(A)
        shown += [str(failure.value), repr(failure.value.__cause__), repr(failure.value.__context__)]
    pod.add(B)
    text = "\n".join([*shown, caplog.text])
    for secret in (pod.account.secret_id, pod.account.secret_key, "Signature=", "AKIDx", "secretx"):
        assert secret not in text
