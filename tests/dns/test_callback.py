"""The callback provider: what it fills in, what it takes for success, and that it tells nobody its token."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest

from dns.core.model import Action, Operation, Record, RecordKey, ZoneKey
from dns.errors import ProviderError, RefusedError, SettingsError, UnavailableError, UnknownOutcomeError
from dns.providers.callback import Callback, CallbackSettings
from dns.providers.port import Wiring
from tests.servers_http import HttpServer, Response

ZONE = ZoneKey("hook", "example.com")
KEY = RecordKey("www.example.com", "A", "telecom")
A, B = "203.0.113.10", "203.0.113.20"
TOKEN = "t0ken-in-the-url"


@pytest.fixture
def server() -> Iterator[HttpServer]:
    with HttpServer(lambda request: Response(200, b"good 1", "text/plain")) as found:
        yield found


def _callback(server: HttpServer, url: str = "/?ip=#{ip}&token=" + TOKEN, **more: Any) -> Callback:
    withdraw = {"url": f"{server.url}/withdraw?token={TOKEN}&name=#{{domain}}"}
    values = {"url": server.url + url, "withdraw": withdraw, "timeout": 1, "requests_per_second": 0, **more}
    return Callback("hook", CallbackSettings(**values), Wiring())


def _add(*values: str, key: RecordKey = KEY) -> Operation:
    return Operation(Action.ADD, "svc", ZONE, key, tuple(Record(v, 300) for v in values))


REMOVE = Operation(Action.REMOVE, "svc", ZONE, KEY, (), (Record(A, 300),))


def test_ddns_gos_variables_and_ours_are_filled_in_everywhere(server: HttpServer) -> None:
    words = "#{ip}/#{domain}/#{recordType}/#{ttl}/#{action}/#{line}/#{ips}"
    hook = _callback(server, f"/{words}", headers={"X-Words": words}, body=words)
    hook.apply(_add(A, B))
    (request,) = server.requests
    filled = f"{A}/www.example.com/A/300/add/telecom/{A},{B}"
    assert (request.method, request.path) == ("POST", f"/{filled}")
    assert request.headers["x-words"] == filled
    assert request.body.decode() == filled


def test_without_a_body_it_gets_as_ddns_go_does(server: HttpServer) -> None:
    _callback(server).apply(_add(A))
    assert [(r.method, r.query["ip"]) for r in server.requests] == [("GET", A)]


def test_what_would_mean_something_in_a_url_is_encoded_there(server: HttpServer) -> None:
    hook = _callback(server, "/?line=#{line}&end=1")
    hook.apply(_add(A, key=KEY._replace(line="a&end=2 b")))
    assert server.requests[0].query == {"line": "a&end=2 b", "end": "1"}


def test_withdrawing_is_a_request_of_its_own(server: HttpServer) -> None:
    _callback(server).apply(REMOVE)
    assert [(r.path, r.query["name"]) for r in server.requests] == [("/withdraw", "www.example.com")]


def test_one_request_can_do_both_when_it_names_the_action(server: HttpServer) -> None:
    hook = _callback(server, "/#{action}?ip=#{ip}", withdraw=None)
    hook.apply(_add(A))
    hook.apply(REMOVE)
    assert [r.path for r in server.requests] == ["/add", "/remove"]


def test_what_it_cannot_express_is_declared(server: HttpServer) -> None:
    plain = _callback(server).capabilities("example.com")
    assert (plain.reads_back, plain.atomic_sets, plain.max_answers) == (False, True, 1)
    assert not plain.takes_line("telecom")
    able = _callback(server, "/?#{line}&#{ips}").capabilities("example.com")
    assert able.takes_line("telecom")
    assert able.max_answers is None
    with pytest.raises(RefusedError):
        _callback(server).observe("example.com", frozenset({KEY.name}))


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({"url": "example.com/x", "withdraw": {"url": "http://h/"}}, "url"),
        ({"url": "http://h/#{adress}", "withdraw": {"url": "http://h/"}}, "url"),
        ({"url": "http://h/", "method": "BREW", "withdraw": {"url": "http://h/"}}, "url"),
        ({"url": "http://h/"}, "withdraw"),
        ({"url": "http://h/", "withdraw": {"url": "ftp://h/"}}, "withdraw"),
        ({"url": "http://h/", "withdraw": {"url": "http://h/", "bodies": "x"}}, "withdraw"),
        ({"url": "http://h/", "withdraw": {"method": "POST"}}, "withdraw"),
        ({"url": "http://h/#{action}", "timeout": 0}, "timeout"),
    ],
)
def test_what_cannot_work_is_known_beforehand(values: dict[str, Any], key: str) -> None:
    with pytest.raises(SettingsError) as refusal:
        CallbackSettings(**values)
    assert refusal.value.key == key


@pytest.mark.parametrize(
    ("response", "expected", "code"),
    [
        (Response(200, b"bad agent"), RefusedError, "refused"),
        (Response(302, b"good", headers={"Location": "/elsewhere"}), RefusedError, "refused"),
        (Response(401, b"good"), RefusedError, "credentials"),
        (Response(403, b"good"), RefusedError, "credentials"),
        (Response(404, b"good"), RefusedError, "refused"),
        (Response(429, b"good", headers={"Retry-After": "7"}), UnavailableError, "throttled"),
        (Response(502, b"good"), UnknownOutcomeError, "server"),
    ],
)
def test_success_is_a_2xx_with_the_text_and_nothing_else(
    server: HttpServer, response: Response, expected: type[ProviderError], code: str
) -> None:
    hook = _callback(server, contains="good")
    assert "200" in hook.apply(_add(A)).text
    with server.misbehaving("answer", response=response), pytest.raises(ProviderError) as failure:
        hook.apply(_add(A))
    assert (type(failure.value), failure.value.code) == (expected, code)
    assert failure.value.retry_after_seconds == (7.0 if code == "throttled" else None)
    assert len(server.requests) == 2


@pytest.mark.parametrize("kind", ["reset", "silence", "lost", "lost-silent"])
def test_no_answer_leaves_it_open_and_nothing_is_sent_again(server: HttpServer, kind: str) -> None:
    hook = _callback(server, timeout=0.3)
    with server.misbehaving(kind), pytest.raises(UnknownOutcomeError):
        hook.apply(_add(A))
    assert len(server.requests) == 1


def test_nobody_there_is_certainly_no_effect(server: HttpServer) -> None:
    hook = _callback(server)
    with server.deaf(), pytest.raises(UnavailableError) as failure:
        hook.apply(_add(A))
    assert failure.value.code == "unreachable"


def test_a_proxy_of_the_environment_is_not_asked_for_loopback(
    server: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    _callback(server).apply(_add(A))
    assert len(server.requests) == 1


def test_a_proxy_of_the_environment_is_asked_for_others(
    server: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", server.url)
    settings = CallbackSettings("http://dns.example.net/#{ip}/#{action}", timeout=1)
    Callback("hook", settings, Wiring()).apply(_add(A))
    (request,) = server.requests
    assert request.headers["host"] == "dns.example.net"


def test_its_token_is_in_no_log_error_or_repr(server: HttpServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    hook = _callback(server, headers={"X-Token": TOKEN}, body=TOKEN, timeout=0.3, contains="good")
    shown = [repr(hook), repr(hook._settings), repr(hook._set)]
    for kind in ("reset", "silence", "html", "lost"):
        with server.misbehaving(kind), pytest.raises(ProviderError) as failure:
            hook.apply(_add(A))
        shown += [str(failure.value), repr(failure.value.__cause__)]
    echo = Response(400, f"no such token {TOKEN}".encode())
    with server.misbehaving("answer", response=echo), pytest.raises(RefusedError) as refusal:
        hook.apply(_add(A))
    with server.deaf(), pytest.raises(UnavailableError) as down:
        hook.apply(_add(A))
    assert TOKEN not in "\n".join([*shown, str(refusal.value), str(down.value), caplog.text])
