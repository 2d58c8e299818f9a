"""Alerting as the service has it: real configuration, database, channel and hook, fed as the engine feeds
it.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from pydantic import SecretStr

from app.alerting import Alerting
from app.alerts.channels import ChannelError
from app.config import Config, load
from app.refused import Refused
from app.stores.alerts import make_alert_store
from sync.core.model import Flip, State
from sync.ports import Event
from tests.servers_db import sqlite  # noqa: F401 - a fixture
from tests.servers_receiver import Receiver, Say, http_receiver


@dataclass
class Timeline:
    """What was emitted, by kind."""

    lines: list[tuple[str, str, str | None, str, dict[str, Any]]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(
        self, kind: str, message: str, *, node: str | None = None, severity: str = "info", **facts: Any
    ) -> None:
        with self.lock:
            self.lines.append((kind, message, node, severity, facts))

    def of(self, kind: str) -> list[tuple[str, str, str | None, str, dict[str, Any]]]:
        with self.lock:
            return [line for line in self.lines if line[0] == kind]


def until(what: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not what():
        assert time.monotonic() < deadline, "it did not happen within 20 s"
        time.sleep(0.01)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with http_receiver() as running:
        yield running


def configured(folder: Path, url: str, more: str = "") -> Config:
    path = folder / "config.yml"
    path.write_text(
        f"""
name: Mirrors
alerts:
  group_seconds: 0
  channels: {{hook: {{kind: webhook, url: "{url}/?token=s3cr3t"}}}}
  routes: {{default: [hook]}}
hooks:
  - {{state: dead, argv: [/bin/sh, -c, 'echo "$LOCKSTEP_NODE at $LOCKSTEP_HOST"']}}
  - {{on: batch, argv: [/bin/sh, -c, 'exit 0']}}
{more}
"""
    )
    return load(path, environ={})


def dead(at: float) -> Flip:
    return Flip("a", at, State.UNHEALTH, State.DEAD, "no answer")


def test_a_dead_node_is_told_run_for_and_written_down_and_its_end_too(
    sqlite: Flask,  # noqa: F811
    receiver: Receiver,
    tmp_path: Path,
) -> None:
    timeline = Timeline()
    alerting = Alerting(sqlite, configured(tmp_path, receiver.url), timeline, lambda node: "192.0.2.1")
    alerting.start()
    alerting.listener.flip(dead(time.time()))
    until(lambda: timeline.of("alert"))
    until(lambda: timeline.of("hook"))
    alerting.listener.flip(Flip("a", time.time(), State.RECOVERY, State.READY, ""))
    alerting.wake()
    until(lambda: len(receiver.asked) == 2)
    until(lambda: len(timeline.of("alert")) == 2)
    assert alerting.stop() == []
    (_, message, _, severity, facts), second = timeline.of("alert")
    assert message.startswith("hook: sent: node a dead (POST http://127.0.0.1")
    assert "status 200" in message
    assert (severity, facts["channel"], facts["attempts"]) == ("info", "hook", 1)
    assert "Over after" in second[1]
    ((_, ran, node, _, printed),) = timeline.of("hook")
    assert (node, printed["output"]) == ("a", "a at 192.0.2.1\n")
    assert ran == "dead: /bin/sh: /bin/sh ended with status 0"
    assert alerting.deliveries == {("hook", "sent"): 2}
    assert "s3cr3t" not in str(timeline.lines)
    assert [entry.state.value for entry in make_alert_store(sqlite).latest()] == ["sent", "sent"]


def test_a_channel_that_is_away_is_retried_loudly_and_a_quiet_batch_hook_is_not_written_down(
    sqlite: Flask,  # noqa: F811
    receiver: Receiver,
    tmp_path: Path,
) -> None:
    receiver.says(Say(b"later", 503))
    timeline = Timeline()
    alerting = Alerting(sqlite, configured(tmp_path, receiver.url), timeline, lambda node: "")
    alerting.start()
    alerting.listener.batch("a", [b"x"])
    alerting.listener.event(Event(time.time(), "held", "would delete 30 paths", "a", "error"))
    until(lambda: timeline.of("alert"))
    assert alerting.stop() == []
    assert timeline.of("hook") == []
    ((_, message, _, severity, _),) = timeline.of("alert")
    assert message.startswith("hook: retry: held: full resync of a")
    assert severity == "warning"
    assert alerting.deliveries == {("hook", "retry"): 1}
    assert [entry.attempts for entry in make_alert_store(sqlite).load()[1]] == [1]


def test_a_channel_that_hangs_is_tested_by_one_at_a_time(
    sqlite: Flask,  # noqa: F811
    receiver: Receiver,
    tmp_path: Path,
) -> None:
    receiver.says(Say(b"ok", drip_seconds=60), b"ok")
    alerting = Alerting(sqlite, configured(tmp_path, receiver.url), Timeline(), lambda node: "")
    first = threading.Thread(target=lambda: alerting.test("hook"), name="first test")
    first.start()
    receiver.wait_for(1)
    with pytest.raises(Refused, match="on its way already") as refusal:
        alerting.test("hook")
    assert refusal.value.code == "busy"
    receiver.stopping.set()  # it lets go
    first.join(20)
    assert alerting.test("hook")[1].ok, "it may be tested again"


def test_a_reload_moves_to_the_new_channel_and_a_bad_one_changes_nothing(
    sqlite: Flask,  # noqa: F811
    receiver: Receiver,
    tmp_path: Path,
) -> None:
    with http_receiver() as other:
        timeline = Timeline()
        alerting = Alerting(sqlite, configured(tmp_path, receiver.url), timeline, lambda node: "")
        alerting.start()
        alerting.reload(configured(tmp_path, other.url))
        alerting.listener.flip(dead(time.time()))
        other.wait_for(1)
        broken = configured(tmp_path, other.url)
        channel = broken.alerts.channels["hook"].model_copy(update={"kind": "pigeon"})
        broken = broken.model_copy(
            update={"alerts": broken.alerts.model_copy(update={"channels": {"hook": channel}})}
        )
        with pytest.raises(ChannelError):
            alerting.reload(broken)
        assert alerting.alerts.test("hook").ok
        assert alerting.stop() == []
    assert receiver.asked == []


def test_a_channel_that_comes_later_hears_of_what_holds_by_reload_and_by_restart(
    sqlite: Flask,  # noqa: F811
    receiver: Receiver,
    tmp_path: Path,
) -> None:
    nobody = without_channels(tmp_path)
    alerting = Alerting(sqlite, nobody, Timeline(), lambda node: "")
    alerting.start()
    alerting.listener.flip(dead(time.time() - 3600))
    until(lambda: [alert.told_at for alert in alerting.alerts.alerts if alert.told_at])
    assert alerting.stop() == []

    alerting = Alerting(sqlite, configured(tmp_path, receiver.url), Timeline(), lambda node: "")
    alerting.start()
    alerting.wake()
    alerting.listener.flip(dead(time.time()))  # it is seen to hold still
    receiver.wait_for(1)
    assert json.loads(receiver.asked[0].body)["title"] == "Still after 1 h: node a dead"
    with http_receiver() as other:
        both = configured(tmp_path, receiver.url)
        more = both.alerts.channels["hook"].model_copy(update={"url": SecretStr(other.url)})
        channels = {**both.alerts.channels, "other": more}
        routes = {"default": ("hook", "other")}
        section = both.alerts.model_copy(update={"channels": channels, "routes": routes})
        alerting.reload(both.model_copy(update={"alerts": section}))
        alerting.wake()
        other.wait_for(1)
        assert json.loads(other.asked[0].body)["kind"] == "repeat"
    assert alerting.stop() == []
    assert len(receiver.asked) == 1


def without_channels(folder: Path) -> Config:
    path = folder / "config.yml"
    path.write_text("name: Mirrors\nalerts: {group_seconds: 0}\n")
    return load(path, environ={})
