"""One contract for every channel, against real receivers; then what is particular to each."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import stat
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from pydantic import SecretStr

from app.alerts.channels import CHANNELS, Channel, ChannelError, make_channel
from app.alerts.channels.dingtalk import DingTalkChannel
from app.alerts.channels.feishu import FeishuChannel
from app.alerts.channels.robot import cut_to_bytes
from app.alerts.channels.variables import fill, in_json, in_url, variables
from app.alerts.channels.webhook import WebhookChannel, signature
from app.alerts.model import Condition, Delivery, Item, Notice, NoticeKind, Severity
from tests.servers_receiver import Receiver, Say, http_receiver
from tests.servers_smtp import Mailbox, silent_server, smtp_server

SECRET = "s3cr3t/token+x"
LIMIT = 0.5


def item(name: str = "a", summary: str = 'said "no" \\ <at user_id="all">', **facts: str) -> Item:
    return Item(Condition.DEAD, name, Severity.CRITICAL, summary, "Look at it.", 1000.0, None, 1, facts)


def notice(*items: Item, kind: NoticeKind = NoticeKind.FIRING) -> Notice:
    return Notice(
        "n1", kind, Condition.DEAD, Severity.CRITICAL, 1240.0, items or (item(),), "n1", (), "Mirrors"
    )


@pytest.fixture(scope="module", autouse=True)
def apprise_keeps_its_threads() -> None:
    """Makes Apprise start the pool that it keeps for the life of the process, before a test is blamed for
    it.
    """
    asked = make_channel("warm", {"kind": "apprise", "urls": ["json://127.0.0.1:1"], "timeout": 5})
    assert not asked.send(notice()).ok


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with http_receiver() as running:
        yield running


# --- one contract for all -------------------------------------------------------------------------


@dataclass(frozen=True)
class World:
    """A channel with its world: how it is well, how it refuses for now, how it hangs."""

    channel: Channel
    count: Callable[[], int]


OK_ANSWERS = {
    "webhook": b"thanks",
    "dingtalk": b'{"errcode":0,"errmsg":"ok"}',
    "wecom": b'{"errcode":0,"errmsg":"ok"}',
    "feishu": b'{"code":0,"msg":"success","data":{}}',
    "apprise": b"{}",
}


def script(folder: Path, body: str) -> str:
    path = folder / "notify.sh"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def world(kind: str, mood: str, receiver: Receiver, folder: Path, box: Mailbox, smtp_port: int) -> World:
    """``mood``: well, busy (refuses for now), hangs, away (nobody listens)."""
    bodies = {"well": "cat > said.json", "busy": "exit 75", "hangs": "sleep 600", "away": ""}
    if kind == "command":
        argv = [script(folder, f"cd {folder}; {bodies[mood]}"), SECRET]
        argv = ["/nonexistent/notify"] if mood == "away" else argv
        return World(
            make_channel("c", {"kind": kind, "argv": argv, "timeout": LIMIT if mood == "hangs" else 20}),
            lambda: len(list(folder.glob("said.json"))),
        )
    if kind == "email":
        box.data_replies = ["451 busy"] if mood == "busy" else []
        box.hang = mood == "hangs"
        options = {
            "kind": kind, "to": ["ops@example.com"], "from": "l@example.com", "host": "127.0.0.1",
            "port": 1 if mood == "away" else smtp_port, "security": "none", "password": SECRET,
            "timeout": LIMIT if mood == "hangs" else 20,
        }  # fmt: skip
        return World(make_channel("c", options), lambda: len(box.mails))
    says = {"well": Say(OK_ANSWERS[kind]), "busy": Say(b"later", 503), "hangs": Say(hang=True), "away": Say()}
    receiver.answer = lambda asked: says[mood]
    url = f"{receiver.url}/hook?access_token={SECRET}"
    url = f"http://127.0.0.1:1/?access_token={SECRET}" if mood == "away" else url
    options = {"kind": kind, "url": SecretStr(url), "timeout": LIMIT if mood == "hangs" else 20}
    if kind == "apprise":
        pytest.importorskip("apprise")
        # rto: what Apprise gives up waits for its thread, so that none outlives the test
        limit = "&rto=2" if mood == "hangs" else ""
        options |= {"urls": [SecretStr(url.replace("http://", "json://") + limit)]}
    return World(make_channel("c", options), lambda: len(receiver.asked))


@pytest.fixture
def mailbox() -> Mailbox:
    return Mailbox()


@pytest.fixture
def smtp_port(mailbox: Mailbox) -> Iterator[int]:
    with smtp_server(mailbox) as port:
        yield port


@pytest.mark.parametrize("mood", ["well", "busy", "hangs", "away"])
@pytest.mark.parametrize("kind", sorted(CHANNELS))
def test_every_channel_tells_once_or_says_in_full_why_not(
    kind: str, mood: str, receiver: Receiver, tmp_path: Path, mailbox: Mailbox, smtp_port: int,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    placed = world(kind, mood, receiver, tmp_path, mailbox, smtp_port)
    began = time.monotonic()
    with caplog.at_level("DEBUG"):
        delivery = placed.channel.send(notice())
    assert time.monotonic() - began < 10
    assert delivery.ok == (mood == "well"), delivery.detail
    assert not delivery.permanent
    assert delivery.detail
    if mood == "well":
        assert placed.count() == 1
    for text in (delivery.detail, repr(placed.channel), caplog.text if kind != "apprise" else ""):
        assert SECRET not in text
        assert "s3cr3t" not in text
    assert placed.channel.name == "c"


@pytest.mark.parametrize("kind", [*sorted(CHANNELS), "pigeon"])
def test_options_with_nothing_in_them_are_refused_by_the_channels_name(kind: str) -> None:
    with pytest.raises(ChannelError, match="channel nightly"):
        make_channel("nightly", {"kind": kind})


@pytest.mark.parametrize("kind", ["webhook", "dingtalk", "wecom", "feishu"])
def test_a_url_that_is_none_is_refused_without_repeating_it(kind: str) -> None:
    with pytest.raises(ChannelError) as caught:
        make_channel("c", {"kind": kind, "url": f"oapi.dingtalk.com/{SECRET}"})
    assert SECRET not in str(caught.value)


# --- webhook --------------------------------------------------------------------------------------


def hook(receiver: Receiver, **options: object) -> WebhookChannel:
    made = make_channel("c", {"kind": "webhook", "url": f"{receiver.url}/hook", **options})
    assert isinstance(made, WebhookChannel)
    return made


def test_a_webhook_without_a_body_posts_the_notice_as_json(receiver: Receiver) -> None:
    assert hook(receiver, headers={"Authorization": SecretStr("Bearer x")}).send(notice()).ok
    asked = receiver.asked[0]
    said = json.loads(asked.body)
    assert (asked.method, asked.headers["Authorization"]) == ("POST", "Bearer x")
    assert asked.headers["X-Lockstep-Delivery"] == "n1"
    assert (said["title"], said["condition"], said["items"][0]["object"]) == ("node a dead", "dead", "a")


def test_a_signature_covers_time_and_body_and_a_receiver_can_check_it(receiver: Receiver) -> None:
    signed = replace(hook(receiver, secret=SECRET), clock=lambda: 1700000000.4)
    assert signed.send(notice()).ok
    asked = receiver.asked[0]
    assert asked.headers["X-Lockstep-Timestamp"] == "1700000000"
    expected = hmac.new(SECRET.encode(), b"1700000000." + asked.body, hashlib.sha256).hexdigest()
    assert asked.headers["X-Lockstep-Signature"] == f"sha256={expected}"
    assert signature(SECRET, "1700000001", asked.body) != expected


def test_a_body_of_ddns_go_is_understood_and_stays_json(receiver: Receiver) -> None:
    body = '{"text": "#{ipv4Addr} #{ipv6Addr} #{ipv4Domains} #{ipv4Result} #{text} #{unknown}"}'
    crafted = item("a", 'quo"te\nline', addresses="192.0.2.1,2001:db8::1", service="www.example.com")
    assert hook(receiver, body=body).send(notice(crafted)).ok
    asked = receiver.asked[0]
    said = json.loads(asked.body)["text"]
    assert said.startswith("192.0.2.1 2001:db8::1 www.example.com 失败 node a dead")
    assert 'quo"te line' in said
    assert said.endswith("#{unknown}")
    assert asked.headers["Content-Type"].startswith("application/json")


def test_a_get_carries_its_variables_in_the_url_and_no_body(receiver: Receiver) -> None:
    made = make_channel(
        "c", {"kind": "webhook", "method": "GET", "url": f"{receiver.url}/push?t=#{{title}}&k=#{{kind}}"}
    )
    assert made.send(notice(item("a&b=c"))).ok
    asked = receiver.asked[0]
    assert (asked.method, asked.body) == ("GET", b"")
    assert parse_qs(urlsplit(asked.path).query) == {"t": ["node a&b=c dead"], "k": ["firing"]}


def test_a_body_that_is_no_json_goes_as_a_form(receiver: Receiver) -> None:
    assert hook(receiver, body="title=#{title}&desp=#{text}", method="PUT").send(notice()).ok
    asked = receiver.asked[0]
    assert asked.method == "PUT"
    assert parse_qs(asked.body.decode())["title"] == ["node a dead"]
    assert asked.headers["Content-Type"] == "application/x-www-form-urlencoded"


@pytest.mark.parametrize(
    ("status", "permanent"),
    [
        (400, True),
        (401, True),
        (404, True),
        (410, True),
        (408, False),
        (429, False),
        (500, False),
        (302, True),
    ],
)
def test_a_status_says_whether_trying_again_helps(receiver: Receiver, status: int, permanent: bool) -> None:
    receiver.says(Say(b"why", status, {"Retry-After": "120", "Location": "http://127.0.0.1:1/"}))
    delivery = hook(receiver).send(notice())
    assert (delivery.ok, delivery.permanent) == (False, permanent)
    assert f"status {status}: why" in delivery.detail
    if status == 429:
        assert delivery.retry_after_seconds == 120


def test_an_answer_that_was_lost_may_have_arrived_and_says_so(receiver: Receiver) -> None:
    receiver.says(Say(drop=True))
    delivery = hook(receiver).send(notice())
    assert not delivery.ok
    assert "may have arrived" in delivery.detail


def test_a_server_that_repeats_path_or_query_gives_no_token_away() -> None:
    with http_receiver() as echo:
        echo.answer = lambda asked: Say(f"Cannot POST {asked.path}".encode(), 404)
        url = f"{echo.url}/open-apis/bot/v2/hook/0a1b2c3d-token?key=abcd1234"
        delivery = make_channel("c", {"kind": "webhook", "url": url}).send(notice())
    assert "Cannot POST" in delivery.detail
    assert "0a1b2c3d" not in delivery.detail
    assert "abcd1234" not in delivery.detail


def test_headers_of_ones_own_go_over_ours_in_any_spelling(receiver: Receiver) -> None:
    assert hook(receiver, headers={"content-type": "text/x-mine"}).send(notice()).ok
    assert [v for k, v in receiver.asked[0].headers.items() if k.lower() == "content-type"] == ["text/x-mine"]


def test_variables_are_escaped_for_where_they_stand() -> None:
    values = {"x": 'a"b&c\n'}
    assert fill("#{x} #{y} #{}", values) == 'a"b&c\n #{y} #{}'
    assert fill("#{x}", values, in_json) == 'a\\"b&c\\n'
    assert fill("#{x}", values, in_url) == "a%22b%26c%0A"


def test_ddns_gos_results_are_failed_and_success() -> None:
    assert variables(notice())["ipv4Result"] == "失败"
    assert variables(notice(kind=NoticeKind.RESOLVED))["ipv6Result"] == "成功"


# --- robots ---------------------------------------------------------------------------------------


def robot(kind: str, receiver: Receiver, **options: object) -> Channel:
    return make_channel("c", {"kind": kind, "url": f"{receiver.url}/send?access_token=t", **options})


def test_dingtalk_signs_its_url_as_the_robot_checks_it(receiver: Receiver) -> None:
    receiver.says(OK_ANSWERS["dingtalk"])
    made = robot("dingtalk", receiver, secret="SECabc")
    assert isinstance(made, DingTalkChannel)
    assert replace(made, clock=lambda: 1700000000.123).send(notice()).ok
    query = parse_qs(urlsplit(receiver.asked[0].path).query)
    digest = hmac.new(b"SECabc", b"1700000000123\nSECabc", hashlib.sha256).digest()
    assert query == {
        "access_token": ["t"],
        "timestamp": ["1700000000123"],
        "sign": [base64.b64encode(digest).decode()],
    }
    said = json.loads(receiver.asked[0].body)
    assert said["msgtype"] == "text"
    assert said["text"]["content"].startswith("[Mirrors] node a dead")


def test_feishu_signs_in_the_body_and_nobody_is_called_by_a_crafted_summary(receiver: Receiver) -> None:
    receiver.says(OK_ANSWERS["feishu"])
    made = robot("feishu", receiver, secret="abc")
    assert isinstance(made, FeishuChannel)
    assert replace(made, clock=lambda: 1700000000.4).send(notice()).ok
    said = json.loads(receiver.asked[0].body)
    digest = hmac.new(b"1700000000\nabc", b"", hashlib.sha256).digest()
    assert (said["timestamp"], said["sign"]) == ("1700000000", base64.b64encode(digest).decode())
    assert said["msg_type"] == "text"
    assert "<at" not in said["content"]["text"]


@pytest.mark.parametrize(
    ("kind", "answer", "permanent", "pause", "hint"),
    [
        ("dingtalk", {"errcode": 130101, "errmsg": "send too fast"}, False, 600, "pause"),
        ("dingtalk", {"errcode": 310000, "errmsg": "sign not match"}, True, None, "security settings"),
        ("dingtalk", {"errcode": -1, "errmsg": "busy"}, False, None, "busy"),
        ("wecom", {"errcode": 45009, "errmsg": "api freq out of limit"}, False, 60, "pause"),
        ("wecom", {"errcode": 93000, "errmsg": "invalid webhook url"}, True, None, "copy its URL"),
        ("feishu", {"code": 19021, "msg": "sign match fail"}, True, None, "clock"),
        ("feishu", {"code": 11232, "msg": "frequency limited"}, False, 60, "pause"),
        ("feishu", {"StatusCode": 0, "StatusMessage": "success"}, None, None, "success"),
        ("feishu", ["not", "an", "object"], False, None, "check the URL"),
        ("wecom", {"hello": "captive portal"}, False, None, "check the URL"),
    ],
)
def test_a_robots_own_code_counts_though_the_status_is_200(
    receiver: Receiver, kind: str, answer: object, permanent: bool | None, pause: float | None, hint: str
) -> None:
    receiver.says(json.dumps(answer).encode())
    delivery = robot(kind, receiver).send(notice())
    assert (delivery.ok, delivery.permanent) == (permanent is None, bool(permanent))
    assert delivery.retry_after_seconds == pause
    assert hint in delivery.detail


def test_robots_say_how_much_they_take() -> None:
    rates = {
        kind: make_channel("c", {"kind": kind, "url": "https://x.example/"}).rate
        for kind in ("dingtalk", "wecom")
    }
    assert all(rate is not None and (rate.count, rate.seconds) == (20, 60) for rate in rates.values())


def test_a_long_text_is_cut_between_characters(receiver: Receiver) -> None:
    receiver.says(OK_ANSWERS["wecom"])
    crowd = notice(*(item(f"节点{index}", "没有回答") for index in range(100)))
    assert robot("wecom", receiver).send(crowd).ok
    content = json.loads(receiver.asked[0].body)["text"]["content"]
    assert len(content.encode()) <= 2048
    assert content.endswith("…")
    assert cut_to_bytes("短", 3) == "短"


def test_a_text_full_of_marks_stays_below_what_feishu_takes(receiver: Receiver) -> None:
    receiver.says(OK_ANSWERS["feishu"])
    assert robot("feishu", receiver).send(notice(*(item(f"{n}", "<" * 490) for n in range(50)))).ok
    assert len(receiver.asked[0].body) <= 20_000


# --- command --------------------------------------------------------------------------------------


def python(code: str) -> list[str]:
    return [sys.executable, "-I", "-S", "-c", code]


def run(code: str, asked: Notice | None = None) -> Delivery:
    return make_channel("c", {"kind": "command", "argv": python(code)}).send(asked or notice())


def test_a_program_finds_the_facts_in_its_environment_and_the_notice_on_its_input() -> None:
    code = (
        "import os, sys, json; n = json.load(sys.stdin); e = os.environ;"
        "print(e['LOCKSTEP_TITLE'], e['LOCKSTEP_CONDITION'], e['LOCKSTEP_OBJECTS'], n['items'][0]['object'])"
    )
    delivery = run(code)
    assert delivery.ok
    assert "it printed: node a dead dead a a" in delivery.detail


def test_a_program_does_not_get_the_services_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCESS_KEY_SECRET", "hidden")
    monkeypatch.setenv("LOCKSTEP__WEB__METRICS_TOKEN", "hidden")
    assert "hidden" not in run("import os; print(dict(os.environ))").detail


def test_names_never_reach_a_shell(tmp_path: Path) -> None:
    crafted = notice(item(f"$(touch {tmp_path}/evil)", "`id`\0; rm"))
    assert run("pass", crafted).ok
    assert list(tmp_path.iterdir()) == []


def test_a_program_that_fails_is_tried_again_with_what_it_said() -> None:
    delivery = run("import sys; sys.exit('no modem')")
    assert (delivery.ok, delivery.permanent) == (False, False)
    assert "status 1" in delivery.detail
    assert "no modem" in delivery.detail


# --- apprise --------------------------------------------------------------------------------------


def test_apprise_tells_only_those_again_that_were_not_told(receiver: Receiver) -> None:
    pytest.importorskip("apprise")
    with http_receiver() as other:
        other.says(Say(b"no", 500), Say(b"{}"))
        urls = [receiver.url.replace("http", "json"), other.url.replace("http", "json")]
        made = make_channel("c", {"kind": "apprise", "urls": urls})
        first = made.send(notice())
        assert (first.ok, first.permanent) == (False, False)
        assert "URL 2 of 2: json failed" in first.detail
        assert made.send(notice()).ok
        assert (len(receiver.asked), len(other.asked)) == (1, 2)
        assert json.loads(receiver.asked[0].body)["title"] == "[Mirrors] node a dead"


def test_a_url_apprise_does_not_know_is_refused_for_good() -> None:
    pytest.importorskip("apprise")
    delivery = make_channel("c", {"kind": "apprise", "urls": [f"pigeon://{SECRET}"]}).send(notice())
    assert (delivery.ok, delivery.permanent) == (False, True)
    assert SECRET not in delivery.detail


def test_without_apprise_the_channel_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    delivery = make_channel("c", {"kind": "apprise", "urls": ["json://x"]}).send(notice())
    assert (delivery.ok, delivery.permanent) == (False, False)
    assert "requirements-apprise.txt" in delivery.detail


def test_the_registry_makes_each_kind_from_what_the_configuration_holds() -> None:
    values: Mapping[str, Mapping[str, object]] = {
        "email": {
            "to": "ops@example.com",
            "from_": "l@example.com",
            "host": "smtp.example.com",
            "ca_file": None,
        },
        "webhook": {"url": SecretStr("https://x.example"), "method": None, "body": None, "headers": {}},
        "command": {"argv": ("./notify.sh",), "timeout": 30.0},
        "apprise": {"urls": (SecretStr("json://x"),)},
        "dingtalk": {"url": SecretStr("https://x.example"), "secret": None},
        "wecom": {"url": SecretStr("https://x.example"), "secret": None},
        "feishu": {"url": SecretStr("https://x.example"), "secret": None},
    }
    assert set(values) == set(CHANNELS)
    for kind, options in values.items():
        assert make_channel("c", {"kind": kind, **options}).name == "c"


def test_a_silent_smtp_port_is_no_reason_to_wait() -> None:
    with silent_server() as port:
        options = {
            "kind": "email",
            "to": "a@b.example",
            "from": "l@b.example",
            "host": "127.0.0.1",
            "port": port,
        }
        delivery = make_channel("c", {**options, "security": "tls", "timeout": 0.3}).send(notice())
    assert not delivery.ok
