"""The strict AliDNS itself: what it must refuse, asked by a client of our own that signs by the documentation."""

from __future__ import annotations

import http.client
import json
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.servers_alidns import AliDns, encode, signature, string_to_sign


@pytest.fixture
def server() -> Iterator[AliDns]:
    with AliDns() as found:
        yield found


def _parameters(server: AliDns, action: str, **more: str) -> dict[str, str]:
    stamp = datetime.fromtimestamp(time.time(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "Action": action, "Version": "2015-01-09", "Format": "JSON", "RegionId": "cn-hangzhou",
        "Timestamp": stamp, "SignatureMethod": "HMAC-SHA1", "SignatureType": "", "SignatureVersion": "1.0",
        "SignatureNonce": str(uuid.uuid4()), "AccessKeyId": server.account.key_id, **more,
    }  # fmt: skip


def _send(
    server: AliDns, p: dict[str, str], secret: str | None = None, method: str = "POST"
) -> tuple[int, dict[str, Any]]:
    signed = p | {"Signature": signature(secret or server.account.secret, string_to_sign(method, p))}
    query = "&".join(f"{encode(name)}={encode(value)}" for name, value in signed.items())
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
    try:
        connection.request(method, f"/?{query}")
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def test_a_request_in_good_form_is_answered(server: AliDns) -> None:
    asked = _parameters(server, "DescribeDomainRecords", DomainName="example.com", RRKeyWord="a*b ~ü&=%")
    status, answer = _send(server, asked)
    assert (status, answer["TotalCount"], answer["PageSize"]) == (200, 0, 20)


@pytest.mark.parametrize(
    ("change", "http_status", "code"),
    [
        ({"AccessKeyId": "other"}, 404, "InvalidAccessKeyId.NotFound"),
        ({"Timestamp": "2001-01-01T00:00:00Z"}, 400, "InvalidTimeStamp.Expired"),
        ({"Timestamp": "yesterday"}, 400, "InvalidTimeStamp.Format"),
        ({"Version": "2014-01-01"}, 400, "InvalidVersion"),
        ({"Action": "DeleteEverything"}, 404, "InvalidAction.NotFound"),
        ({"DomainName": ""}, 400, "MissingDomainName"),
        ({"Remark": "x"}, 400, "InvalidParameter"),
        ({"PageSize": "501"}, 400, "InvalidParameter"),
        ({"DomainName": "not-ours.test"}, 400, "InvalidDomainName.NoExist"),
    ],
)
def test_a_request_in_bad_form_is_refused(
    server: AliDns, change: dict[str, str], http_status: int, code: str
) -> None:
    asked = _parameters(server, "DescribeDomainRecords", DomainName="example.com") | change
    status, answer = _send(server, asked)
    assert (status, answer["Code"]) == (http_status, code)


def test_a_signature_by_another_secret_or_method_is_refused(server: AliDns) -> None:
    asked = _parameters(server, "DescribeDomains")
    assert _send(server, asked, secret="another")[1]["Code"] == "SignatureDoesNotMatch"
    assert _send(server, asked, method="GET")[1]["Code"] == "UnsupportedHTTPMethod"


@pytest.mark.parametrize("missing", ["SignatureNonce", "Timestamp", "SignatureType", "RegionId"])
def test_a_system_parameter_left_out_is_refused(server: AliDns, missing: str) -> None:
    asked = _parameters(server, "DescribeDomains")
    del asked[missing]
    assert _send(server, asked)[1]["Code"] == f"Missing{missing}"


def test_a_request_sent_twice_is_a_replay(server: AliDns) -> None:
    asked = _parameters(server, "DescribeDomains")
    assert _send(server, asked)[0] == 200
    assert _send(server, asked)[1]["Code"] == "SignatureNonceUsed"


def test_a_word_in_a_name_is_found_anywhere_in_it(server: AliDns) -> None:
    for rr in ("www", "www2", "mail"):
        server.account.put(rr, "A", "203.0.113.1")
    asked = _parameters(server, "DescribeDomainRecords", DomainName="example.com", RRKeyWord="WWW")
    rows = _send(server, asked)[1]["DomainRecords"]["Record"]
    assert [row["RR"] for row in rows] == ["www", "www2"]
