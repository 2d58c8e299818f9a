"""What AliDNS and its SDK do to their users, and that it is not done to ours."""

from __future__ import annotations

import logging
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from aliyunsdkcore.http import protocol_type

from dns.core.model import Record
from dns.errors import ProviderError, RefusedError, SettingsError, UnavailableError, UnknownOutcomeError
from dns.providers.aliyun import AliyunSettings
from dns.providers.aliyun_client import PUBLIC_ENDPOINT, Endpoint
from tests.dns.alidns_stand import WWW, A, B, Stand, stand
from tests.servers_alidns import AliDns


@pytest.fixture
def ali() -> Iterator[Stand]:
    with stand() as found:
        yield found


# HTTPS and the way there


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for 127.0.0.1, with its key in one file."""
    path = tmp_path_factory.mktemp("tls") / "cert.pem"
    request = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=loopback"
    names = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(path), "-out", f"{path}.crt"]
    subprocess.run(["openssl", *request.split(), *names], check=True, capture_output=True)
    with path.open("a") as both:
        both.write(Path(f"{path}.crt").read_text())
    return path


def _tls_server(certificate: Path) -> AliDns:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return AliDns(tls=context)


def test_an_https_endpoint_is_really_spoken_to_over_tls(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALIBABA_CLOUD_CA_BUNDLE", str(certificate))
    with stand(_tls_server(certificate)) as ali:
        ali.add(A)
        assert [r.value for r in ali.read()] == [A]


def test_a_certificate_nobody_trusts_is_not_spoken_to(certificate: Path) -> None:
    with stand(_tls_server(certificate)) as ali:
        with pytest.raises(UnavailableError) as failure:
            ali.read()
        assert ali.server.requests == []
        assert "certificate" in str(failure.value)


def test_the_public_endpoint_is_https_by_the_sdks_own_constant() -> None:
    endpoint = Endpoint(None)
    assert PUBLIC_ENDPOINT.startswith("https://")
    assert endpoint.host == "alidns.aliyuncs.com"
    assert endpoint.protocol is protocol_type.HTTPS


def test_an_https_endpoint_built_at_run_time_still_gives_the_constant() -> None:
    assert Endpoint("".join(["ht", "tps", "://dns.example.net"])).protocol is protocol_type.HTTPS


def test_plain_http_is_for_loopback_only() -> None:
    with pytest.raises(SettingsError) as refusal:
        AliyunSettings("id", "secret", endpoint="http://alidns.aliyuncs.com")
    assert refusal.value.key == "endpoint"
    assert "https://alidns.aliyuncs.com" in str(refusal.value)


@pytest.mark.parametrize(
    "url", ["alidns.aliyuncs.com", "ftp://x", "https://", "https://u:p@x", "https://x/path"]
)
def test_an_endpoint_that_is_none_is_known_beforehand(url: str) -> None:
    with pytest.raises(SettingsError):
        AliyunSettings("id", "secret", endpoint=url)


def test_a_proxy_of_the_environment_is_not_asked_for_loopback(
    ali: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    ali.add(A)
    assert ali.account.values("www", line="telecom") == {A}


def test_no_proxy_is_heeded_although_the_sdk_does_not_know_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    assert Endpoint("https://dns.example.net").proxy is None
    monkeypatch.setenv("no_proxy", "example.net")
    assert Endpoint("https://dns.example.net").proxy == {"http": None, "https": None}


# Answers that are none


def test_a_refused_signature_is_a_matter_of_credentials_under_the_sdks_name_for_it(ali: Stand) -> None:
    ali.account.secret = "another"
    with pytest.raises(RefusedError) as refusal:
        ali.read()
    assert refusal.value.code == "credentials"
    assert ali.server.refused == ["SignatureDoesNotMatch"]


def test_a_message_without_a_colon_raises_an_index_error_in_the_sdk_and_none_here(ali: Stand) -> None:
    ali.server.fail("error", http=400, code="SignatureDoesNotMatch", message="Bare message.")
    with pytest.raises(RefusedError) as refusal:
        ali.read()
    assert refusal.value.code == "credentials"


@pytest.mark.parametrize("message", [None, 7, ["a"], {"a": "b"}])
def test_a_message_that_is_no_text_is_no_surprise(ali: Stand, message: object) -> None:
    ali.server.fail("error", http=400, code="SignatureDoesNotMatch", message=message)
    with pytest.raises(ProviderError):
        ali.read()


def test_an_html_page_in_answer_to_a_read_is_tried_again_and_then_unavailable(ali: Stand) -> None:
    ali.server.fail("html", times=2)
    assert ali.read() == ()
    ali.server.fail("html", times=9)
    with pytest.raises(UnavailableError) as failure:
        ali.read()
    assert failure.value.code == "server"


@pytest.mark.parametrize("kind", ["html", "body", "reset", "silence"])
def test_a_write_whose_answer_is_none_is_never_sent_again(ali: Stand, kind: str) -> None:
    ali.server.fail(kind, "AddDomainRecord")
    with pytest.raises(UnknownOutcomeError) as doubt:
        ali.add(A)
    assert not doubt.value.permanent
    assert ali.server.requests.count("AddDomainRecord") == 1
    assert ali.account.rows == {}


@pytest.mark.parametrize("kind", ["lost", "lost-silent"])
def test_a_write_that_happened_although_its_answer_was_lost_is_found_and_not_repeated(
    ali: Stand, kind: str
) -> None:
    ali.server.fail(kind, "AddDomainRecord")
    answer = ali.add(A, remark="lockstep-x")
    assert ali.server.requests.count("AddDomainRecord") == 1
    (row,) = ali.account.rows.values()
    assert answer.ids == {A: row.id}
    assert row.remark == "lockstep-x"

    ali.server.fail(kind, "UpdateDomainRecord")
    ali.replace(ali.read()[0], value=B)
    assert ali.server.requests.count("UpdateDomainRecord") == 1
    assert ali.account.values("www", line="telecom") == {B}

    ali.server.fail(kind, "DeleteDomainRecord")
    ali.remove(ali.read()[0])
    assert ali.server.requests.count("DeleteDomainRecord") == 1
    assert ali.account.rows == {}


def test_a_lost_answer_and_a_set_that_cannot_be_read_stay_unknown(ali: Stand) -> None:
    ali.server.fail("lost", "AddDomainRecord")
    ali.server.fail("cut", "DescribeSubDomainRecords", times=9)
    with pytest.raises(UnknownOutcomeError):
        ali.add(A)
    assert ali.account.values("www", line="telecom") == {A}


def test_an_internal_error_of_a_write_is_looked_up_and_not_repeated(ali: Stand) -> None:
    ali.server.fail("error", "UpdateDomainRecord", http=500, code="InternalError", message="oops")
    ali.add(A)
    with pytest.raises(UnknownOutcomeError):
        ali.replace(ali.read()[0], value=B)
    assert ali.server.requests.count("UpdateDomainRecord") == 1
    assert ali.server.requests.count("DescribeSubDomainRecords") == 1


def test_nobody_listening_is_certainly_no_effect(ali: Stand) -> None:
    with ali.server.deaf(), pytest.raises(UnavailableError) as failure:
        ali.add(A)
    assert failure.value.code == "unreachable"


def test_a_host_that_takes_no_connection_is_certainly_no_effect() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        port = full.getsockname()[1]
        crowd = []
        for _ in range(4):  # a full backlog drops what comes next without a word
            one = socket.socket()
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", port))
            crowd.append(one)
        try:
            with (
                stand(endpoint=f"http://127.0.0.1:{port}", connect_timeout=0.2) as ali,
                pytest.raises(UnavailableError) as failure,
            ):
                ali.add(A)
            assert failure.value.code == "unreachable"
        finally:
            for one in crowd:
                one.close()


def test_a_kept_connection_that_the_server_closed_is_no_lost_write(ali: Stand) -> None:
    ali.add(A)
    with ali.server.deaf():
        pass
    ali.replace(ali.read()[0], value=B)
    assert ali.account.values("www", line="telecom") == {B}


# Throttling and the budget


def test_a_throttled_write_waits_longer_each_time_and_goes_again(ali: Stand) -> None:
    ali.server.fail("error", "AddDomainRecord", times=2)
    ali.add(A)
    assert ali.server.requests.count("AddDomainRecord") == 3
    assert ali.clock.slept == [pytest.approx(0.2), pytest.approx(0.4)]


def test_throttling_without_end_is_reported_and_is_not_permanent(ali: Stand) -> None:
    ali.server.fail("error", "AddDomainRecord", times=99, code="Throttling.Api")
    with pytest.raises(UnavailableError) as failure:
        ali.add(A)
    assert failure.value.code == "throttled"
    assert sum(ali.clock.slept) < 5


def test_the_budget_keeps_below_what_the_account_may_do() -> None:
    with stand(requests_per_second=5) as ali:
        real, started = ali.server.clock(), ali.clock.now
        ali.server.clock = lambda: real + ali.clock.now - started
        ali.server.limits["AddDomainRecord"] = 5
        for number in range(20):
            ali.add(f"203.0.113.{number + 1}", WWW._replace(name=f"n{number}.example.com"))
        assert ali.clock.now - started == pytest.approx(3.0)  # five at once, every second


# The clock


def test_a_clock_that_is_wrong_is_named(ali: Stand) -> None:
    real = ali.server.clock
    ali.server.clock = lambda: real() + 16 * 60
    with pytest.raises(RefusedError) as refusal:
        ali.read()
    assert refusal.value.code == "clock"
    assert "clock" in str(refusal.value)


def test_every_attempt_is_signed_anew_with_a_nonce_of_its_own(ali: Stand) -> None:
    ali.server.fail("error", times=1, code="SignatureNonceUsed", message="used: x")
    assert ali.read() == ()
    assert ali.server.refused == []


# Secrets


def _everything_goes_wrong(ali: Stand) -> list[str]:
    """Each kind of trouble once; the texts of the errors."""
    texts = []
    ali.account.put("www", "A", B, "telecom")
    for kind, more in (
        ("error", {"http": 404, "code": "InvalidAccessKeyId.NotFound", "message": ali.account.key_id}),
        ("error", {"http": 400, "code": f"Weird {ali.account.secret}", "message": f"x:{ali.account.secret}"}),
        ("error", {"http": 400, "code": "SignatureDoesNotMatch", "message": "bare"}),
        ("html", {}), ("body", {}), ("reset", {}), ("silence", {}), ("lost", {}),
    ):  # fmt: skip
        ali.server.fail(kind, times=1, **more)
        try:
            ali.add(A)
        except ProviderError as error:
            texts += [str(error), repr(error), repr(error.__context__), repr(error.__cause__)]
    real, ali.account.secret = ali.account.secret, "another"
    with pytest.raises(RefusedError) as refusal:
        ali.add(A)
    ali.account.secret = real
    with ali.server.deaf(), pytest.raises(UnavailableError) as failure:
        ali.add(A)
    return [*texts, str(refusal.value), str(failure.value), repr(failure.value.__context__)]


def test_no_key_secret_or_signature_is_in_any_log_error_or_repr(
    ali: Stand,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DEBUG", "sdk")  # makes the SDK write whole requests
    caplog.set_level(logging.DEBUG)
    texts = _everything_goes_wrong(ali)
    out, err = capfd.readouterr()
    shown = "\n".join([*texts, caplog.text, out, err, repr(ali.provider), repr(ali.provider._settings)])
    for secret in (ali.account.key_id, ali.account.secret, "Signature="):
        assert secret not in shown


def test_importing_the_provider_leaves_no_handler_that_writes_to_stderr() -> None:
    program = (
        "import logging, dns.providers.aliyun\n"
        "logging.basicConfig(level=logging.DEBUG)\n"
        "for name in ('aliyunsdkcore.client', 'aliyunsdkcore.http.http_response'):\n"
        "    logging.getLogger(name).error('AccessKeyId=secret')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout + done.stderr == ""


@pytest.mark.parametrize("key", ["access_key_id", "access_key_secret"])
def test_an_empty_credential_is_known_beforehand(key: str) -> None:
    values = {"access_key_id": "id", "access_key_secret": "secret", key: "  "}
    with pytest.raises(SettingsError) as refusal:
        AliyunSettings(**values)
    assert refusal.value.key == key


def test_a_record_without_an_id_is_looked_up_before_it_is_replaced(ali: Stand) -> None:
    ali.account.put("www", "A", A, "telecom")
    ali.replace(Record(A, 600), value=B)
    assert ali.account.values("www", line="telecom") == {B}


GARBAGE = [
    "",
    "[]",
    "null",
    "7",
    '"x"',
    "{}",
    '{"RequestId": "r"}',
    '{"RequestId": "r", "TotalCount": 0}',
    '{"RequestId": "r", "TotalCount": "many", "DomainRecords": {"Record": []}}',
    '{"RequestId": "r", "TotalCount": 0, "DomainRecords": {"Record": null}}',
    '{"RequestId": "r", "TotalCount": 1, "DomainRecords": {"Record": [{"RecordId": "1"}]}}',
    '{"RequestId": "r", "TotalCount": 1, "DomainRecords": {"Record": [{"RecordId": "1", "RR": "www", "Type": "A"}]}}',
]


@pytest.mark.parametrize("body", [*(text.encode() for text in GARBAGE), b"\xff\xfe", b"{" * 5000])
def test_a_listing_that_is_none_is_never_empty(ali: Stand, body: bytes) -> None:
    ali.server.fail("body", times=9, body=body)
    with pytest.raises(UnavailableError):
        ali.read()


@pytest.mark.parametrize(
    "record", ["null", "7", '{"RR": "www"}', '{"RecordId": null, "RR": "www", "Type": "A", "TTL": "x"}']
)
def test_a_listing_with_a_record_that_is_none_is_never_complete(ali: Stand, record: str) -> None:
    body = f'{{"RequestId": "r", "TotalCount": 1, "DomainRecords": {{"Record": [{record}]}}}}'
    ali.server.fail("body", times=9, body=body.encode())
    try:
        complete = ali.provider.observe("example.com", frozenset({WWW.name})).complete
    except UnavailableError:
        complete = False
    assert not complete


def test_a_name_that_is_no_name_does_not_break_the_reading(ali: Stand) -> None:
    ali.account.put("a..b", "A", A, "telecom")
    ali.account.put("ü" * 70, "A", A, "telecom")
    ali.account.put("www", "A", B, "telecom")
    assert [r.value for r in ali.read()] == [B]
