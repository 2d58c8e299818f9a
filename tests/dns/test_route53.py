"""Route 53 through boto3 against moto: whole sets, foreign arrangements, its codes, and what may not be logged."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import pytest

from dns.core.model import Action, Observed, Operation, Record, RecordKey, ZoneKey
from dns.errors import (
    ProviderError,
    RefusedError,
    SettingsError,
    StaleError,
    UnavailableError,
    UnknownOutcomeError,
)
from dns.providers.port import Wiring
from dns.providers.route53 import Route53, Route53Settings
from tests.servers_http import HttpServer, Request, Response
from tests.servers_route53 import KEYS, refusal, route53_server

ZONE = ZoneKey("r53", "example.com")
KEY = RecordKey("www.example.com", "A")
A, B = Record("203.0.113.10", 300), Record("203.0.113.20", 300)


@dataclass
class Stand:
    server: HttpServer
    client: Any
    zone_id: str
    provider: Route53

    def apply(
        self, action: Action, new: tuple[Record, ...] = (), old: tuple[Record, ...] = (), key: RecordKey = KEY
    ) -> str:
        return self.provider.apply(Operation(action, "svc", ZONE, key, new, old)).text

    def seen(self, key: RecordKey = KEY) -> Observed:
        return self.provider.observe("example.com", frozenset({key.name}))

    def values(self, key: RecordKey = KEY) -> list[str]:
        return [record.value for record in self.seen(key).records(key)]

    def place(self, **rows: Any) -> None:
        wanted = {"Name": KEY.name, "Type": "A", **rows}
        change = {"Changes": [{"Action": "UPSERT", "ResourceRecordSet": wanted}]}
        self.client.change_resource_record_sets(HostedZoneId=self.zone_id, ChangeBatch=change)


def _provider(url: str) -> Route53:
    keys = {"access_key_id": KEYS["aws_access_key_id"], "access_key_secret": KEYS["aws_secret_access_key"]}
    settings = Route53Settings(**keys, endpoint=url, requests_per_second=0, timeout=1)
    return Route53("r53", settings, Wiring(sleep=lambda seconds: None))


@pytest.fixture
def r53() -> Iterator[Stand]:
    with route53_server() as (server, client, zone_id):
        provider = _provider(server.url)
        yield Stand(server, cast(Any, client), zone_id, provider)
        provider.close()


def _writes(request: Request) -> bool:
    return request.method == "POST"


def test_a_set_is_replaced_whole_in_one_batch(r53: Stand) -> None:
    r53.apply(Action.ADD, (A,))
    r53.apply(Action.REPLACE, (A, B), (A,))
    assert r53.values() == [A.value, B.value]
    r53.apply(Action.REPLACE, (B,), (A, B))
    assert r53.values() == [B.value]
    batch = [r.body.decode() for r in r53.server.requests if _writes(r)][-1]
    assert batch.index("<Action>DELETE</Action>") < batch.index("<Action>UPSERT</Action>")


def test_a_weighted_set_and_an_alias_are_somebody_elses(r53: Stand) -> None:
    r53.place(TTL=60, ResourceRecords=[{"Value": A.value}], SetIdentifier="one", Weight=1)
    r53.place(TTL=60, ResourceRecords=[{"Value": B.value}], SetIdentifier="two", Weight=1)
    target = {"HostedZoneId": "Z2FDTNDATAQYW2", "DNSName": "d1.cloudfront.net", "EvaluateTargetHealth": False}
    r53.place(Name="alias.example.com", AliasTarget=target)
    assert {(r.value, r.foreign) for r in r53.seen().records(KEY)} == {(A.value, True), (B.value, True)}
    alias = KEY._replace(name="alias.example.com")
    assert [r.foreign for r in r53.seen(alias).records(alias)] == [True]


def test_a_wildcard_is_read_by_its_own_name(r53: Stand) -> None:
    key = KEY._replace(name="*.example.com")
    r53.apply(Action.ADD, (A,), key=key)
    assert r53.values(key) == [A.value]


def test_a_set_that_is_not_what_the_plan_was_made_from_is_left_alone(r53: Stand) -> None:
    changed = (
        "[Tried to delete resource record set [name='www.example.com.', type='A'] but the values provided do "
        "not match the current values]"
    )
    body = refusal(400, "InvalidChangeBatch").encoded().replace(b"refused", changed.encode())
    r53.apply(Action.ADD, (A,))
    answer = Response(400, body, "text/xml")
    with r53.server.misbehaving("answer", _writes, response=answer), pytest.raises(StaleError) as stale:
        r53.apply(Action.REPLACE, (B,), (Record("203.0.113.99", 300),))
    assert stale.value.code == "changed"
    assert r53.values() == [A.value]


@pytest.mark.parametrize(
    ("status", "code", "expected", "kind"),
    [
        (403, "InvalidClientTokenId", RefusedError, "credentials"),
        (403, "SignatureDoesNotMatch", RefusedError, "credentials"),
        (403, "ExpiredToken", RefusedError, "credentials"),
        (403, "AccessDenied", RefusedError, "rights"),
        (400, "Throttling", UnavailableError, "throttled"),
        (400, "PriorRequestNotComplete", UnavailableError, "busy"),
        (400, "InvalidChangeBatch", RefusedError, "plan"),
        (400, "InvalidInput", RefusedError, "plan"),
        (500, "InternalError", UnknownOutcomeError, "server"),
        (503, "ServiceUnavailable", UnknownOutcomeError, "server"),
    ],
)
def test_a_refused_write_says_what_it_was(
    r53: Stand, status: int, code: str, expected: type[ProviderError], kind: str
) -> None:
    answer = refusal(status, code)
    with r53.server.misbehaving("answer", _writes, response=answer), pytest.raises(ProviderError) as failure:
        r53.apply(Action.ADD, (A,))
    assert (type(failure.value), failure.value.code) == (expected, kind)
    assert code in str(failure.value)


@pytest.mark.parametrize("kind", ["lost", "lost-silent"])
def test_a_write_that_happened_although_its_answer_was_lost_is_found(r53: Stand, kind: str) -> None:
    with r53.server.misbehaving(kind, _writes):
        assert "found done" in r53.apply(Action.ADD, (A,))
        assert "found done" in r53.apply(Action.REPLACE, (A, B), (A,))
        assert "found done" in r53.apply(Action.REMOVE, old=(A, B))
    assert sum(map(_writes, r53.server.requests)) == 3


@pytest.mark.parametrize("kind", ["html", "reset", "silence"])
def test_a_write_whose_answer_is_none_is_never_sent_again(r53: Stand, kind: str) -> None:
    with r53.server.misbehaving(kind, _writes), pytest.raises(UnknownOutcomeError):
        r53.apply(Action.ADD, (A,))
    assert sum(map(_writes, r53.server.requests)) == 1


def test_two_public_zones_of_one_name_are_not_guessed_between(r53: Stand) -> None:
    r53.client.create_hosted_zone(Name="example.com", CallerReference="again")
    with pytest.raises(RefusedError) as found:
        r53.seen()
    assert "several public hosted zones" in str(found.value)


def test_without_lines_and_weights_it_says_so(r53: Stand) -> None:
    able = r53.provider.capabilities("example.com")
    assert (able.atomic_sets, able.weights, able.takes_line("telecom")) == (True, False, False)


def test_half_a_key_pair_is_known_beforehand() -> None:
    with pytest.raises(SettingsError):
        Route53Settings(access_key_id="AKIA")


def test_no_credentials_anywhere_are_named(r53: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    provider = Route53("r53", Route53Settings(endpoint=r53.server.url), Wiring())
    with pytest.raises(RefusedError) as found:
        provider.observe("example.com", frozenset())
    assert found.value.code == "credentials"
    provider.close()


def test_no_key_is_in_any_log_error_or_repr(r53: Stand, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for name in ("boto3", "botocore"):
        logging.getLogger(name).setLevel(logging.NOTSET)  # somebody set up logging since the import
    provider = _provider(r53.server.url)
    shown = [repr(provider), repr(Route53Settings("AKIATESTKEY", KEYS["aws_secret_access_key"]))]
    r53.apply(Action.ADD, (A,))
    for kind in ("html", "reset", "lost"):
        with r53.server.misbehaving(kind), pytest.raises(ProviderError) as failure:
            r53.apply(Action.REPLACE, (B,), (A,))
        shown += [str(failure.value), repr(failure.value.__cause__), repr(failure.value.__context__)]
    provider.close()
    text = "\n".join([*shown, caplog.text])
    for secret in KEYS.values():
        assert secret not in text
