"""What stands in config.yml arrives in alerting, hooks and address sources, secrets and all."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.addresses import sources_of
from app.alerts.channels import CHANNELS
from app.alerts.channels.email import EmailChannel
from app.alerts.channels.webhook import WebhookChannel
from app.alerts.configured import channels_of, hooks_of, routes_of, rules_of
from app.alerts.model import Condition, NoticeKind, Severity
from app.alerts.routes import WORDS
from app.config import Config, ConfigError, load
from app.happening import Trigger
from dns.addresses import ADDRESS_SOURCES, Reports

TEXT = """
name: Mirrors
publish: {root: publish}
nodes:
  - name: a
    host: 127.0.0.1
    addresses:
      - {static: 192.0.2.1}
      - {hostname: dns1.example.com}
      - {reported: true}
      - {url: ["https://one.example/", "https://two.example/"], family: 4}
      - {interface: eth0, family: 6, match: "^2"}
      - {command: [./whereami, "-4"]}
  - {name: b, host: 127.0.0.2}
alerts:
  strategies: {90: 30, 5m: 5}
  group_seconds: 10
  channels:
    ops:
      {kind: email, to: [ops@example.com], from: l@example.com, host: m.example.com, user: u, password: p4ss}
    hook: {kind: webhook, url: "https://x.example/?t=s3cr3t", secret: k3y, headers: {Authorization: Bearer b}}
    script: {kind: command, argv: [./notify.sh]}
    any: {kind: apprise, urls: ["json://x.example"]}
    ding: {kind: dingtalk, url: "https://oapi.dingtalk.com/robot/send?access_token=t", secret: SEC1}
    wx: {kind: wecom, url: "https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=k"}
    fs: {kind: feishu, url: "https://open.feishu.cn/open-apis/bot/v2/hook/h"}
  routes: {default: [ops], critical: [ops, ding], recovered: [hook]}
hooks:
  - {state: dead, argv: [./on-dead.sh], timeout: 5}
  - {on: batch, url: "https://cdn.example/purge?t=s3cr3t"}
  - {state: unhealth, channel: ops}
"""


def read(folder: Path, text: str) -> Config:
    path = folder / "config.yml"
    path.write_text(text)
    (folder / "publish").mkdir(exist_ok=True)
    return load(path, environ={})


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return read(tmp_path, TEXT)


def test_every_kind_of_channel_is_made_with_its_secrets(config: Config) -> None:
    channels = channels_of(config.alerts)
    assert {section.kind for section in config.alerts.channels.values()} == set(CHANNELS)
    ops, hook = channels["ops"], channels["hook"]
    assert isinstance(ops, EmailChannel)
    assert (ops.password, ops.sender, ops.to, ops.security) == (
        "p4ss",
        "l@example.com",
        ("ops@example.com",),
        "starttls",
    )
    assert isinstance(hook, WebhookChannel)
    assert (hook.secret, hook.method, hook.headers) == ("k3y", "POST", {"Authorization": "Bearer b"})
    shown = repr(list(channels.values()))
    assert not [secret for secret in ("p4ss", "s3cr3t", "k3y", "SEC1", "Bearer b") if secret in shown]


def test_rules_and_routes_are_those_of_the_file(config: Config) -> None:
    rules, routes = rules_of(config), routes_of(config.alerts)
    assert (dict(rules.strategies), rules.group_seconds, rules.name) == (
        {90.0: 30, 300.0: 5},
        10.0,
        "Mirrors",
    )
    assert routes.channels(Condition.DEAD, Severity.CRITICAL, NoticeKind.FIRING) == ("ops", "ding")
    assert routes.channels(Condition.DRIFT, Severity.WARNING, NoticeKind.FIRING) == ("ops",)
    assert routes.channels(Condition.DEAD, Severity.CRITICAL, NoticeKind.RESOLVED) == ("hook",)


def test_without_channels_nobody_is_told_and_nothing_is_wrong(tmp_path: Path) -> None:
    bare = read(tmp_path, "nodes: []\n")
    assert channels_of(bare.alerts) == {}
    assert routes_of(bare.alerts).channels(Condition.DEAD, Severity.CRITICAL, NoticeKind.FIRING) == ()


@pytest.mark.parametrize("word", sorted(WORDS))
def test_every_word_of_the_routes_may_stand_in_the_file(tmp_path: Path, word: str) -> None:
    text = f"""
alerts:
  channels: {{c: {{kind: command, argv: [./x]}}}}
  routes: {{default: [c], {word}: [c]}}
""".replace("default: [c], default: [c]", "default: [c]")
    assert word in read(tmp_path, text).alerts.routes


def test_a_word_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="deaf"):
        read(tmp_path, "alerts: {channels: {c: {kind: command, argv: [./x]}}, routes: {deaf: [c]}}\n")


def test_hooks_are_those_of_the_file(config: Config, tmp_path: Path) -> None:
    dead, batch, unhealth = hooks_of(config)
    assert (dead.trigger, dead.argv, dead.timeout_seconds) == (
        Trigger.DEAD,
        (str(tmp_path / "on-dead.sh"),),
        5.0,
    )
    assert (batch.trigger, batch.url) == (Trigger.BATCH, "https://cdn.example/purge?t=s3cr3t")
    assert (unhealth.trigger, unhealth.channel) == (Trigger.UNHEALTH, "ops")
    assert "s3cr3t" not in repr(batch) + batch.label


def test_address_entries_become_sources_in_their_order(config: Config, tmp_path: Path) -> None:
    made = sources_of(config.nodes[0], Reports())
    assert [source.kind for _, source in made] == [
        "static",
        "hostname",
        "reported",
        "url",
        "interface",
        "command",
    ]
    assert {source.kind for _, source in made} == set(ADDRESS_SOURCES)
    assert made[5][1].label == f"command {tmp_path}/whereami"
    assert made[0][0].keep_seconds == 3600
    (only,) = sources_of(config.nodes[1], Reports())
    assert only[1].resolve().addresses == ("127.0.0.2",)
