"""Mails and chat messages in Chinese where web.language says so; what is stored stays English."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from app.alerts.channels.contract import TEMPLATES
from app.alerts.channels.mail import make_mail
from app.alerts.channels.robot import message
from app.alerts.configured import language_of, rules_of
from app.alerts.entry import Entry
from app.alerts.model import AlertRules, Condition, Delivery, Item, Notice, NoticeKind, Severity
from app.alerts.model import test_notice as notice_of_a_test
from app.alerts.routes import Routes
from app.alerts.service import Alerts
from app.alerts.signals import of_flip
from app.alerts.wording import body, duration, subject_of, title
from app.config import load
from sync.core.model import Flip, State
from tests.stand import wait_until

CHINESE = re.compile(r"[\u4e00-\u9fff]")
REASON = (
    "5 of 5 observations failed; the last said: 1 of 1 probe failed: rsync: connection refused (10.0.0.1:873)"
)
(RAISED,) = of_flip(Flip("new", 1000.0, State.UNHEALTH, State.DEAD, REASON), at_start=True)


def item(name: str = "new", ended: float | None = None, times: int = 1, **more: object) -> Item:
    values = {"condition": Condition.DEAD, "summary": RAISED.summary, "advice": RAISED.advice, **more}
    return Item(
        values["condition"],
        name,
        Severity.CRITICAL,
        values["summary"],
        values["advice"],
        1000.0,
        ended,
        times,
    )  # type: ignore[arg-type]


def notice(kind: NoticeKind = NoticeKind.FIRING, *items: Item) -> Notice:
    return Notice(
        "n1", kind, Condition.DEAD, Severity.CRITICAL, 1240.0, items or (item(),), "n1", language="zh"
    )


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (notice(), "节点 new 失效"),
        (notice(NoticeKind.RESOLVED, item(ended=1060.0)), "持续 1 分钟 后结束：节点 new 失效"),
        (notice(NoticeKind.REPEAT), "4 分钟 后仍未结束：节点 new 失效"),
        (notice(NoticeKind.FLAPPING, item(times=5)), "反复发生：节点 new 失效（5 次）"),
        (
            notice(NoticeKind.FIRING, *(item(f"n{k}") for k in range(12))),
            "12 个节点失效：n0, n1, n2 … 及另外 9 个",
        ),
    ],
)
def test_a_title_is_chinese_and_a_node_keeps_its_name(told: Notice, words: str) -> None:
    assert title(told) == words
    assert not CHINESE.search(title(told, "en"))


@pytest.mark.parametrize("condition", Condition)
def test_every_condition_has_chinese_words_for_one_and_for_many(condition: Condition) -> None:
    for names in (("x1",), ("x1", "x2")):
        said = subject_of(condition, tuple(item(name, condition=condition) for name in names), "zh")
        assert CHINESE.search(said) or condition in (Condition.ERROR, Condition.DNS), said


def test_a_mail_is_chinese_from_subject_to_footer() -> None:
    mail = make_mail(notice(NoticeKind.FIRING, item(times=3)), "l@example.com", ("o@example.com",), TEMPLATES)
    assert mail["Subject"] == "[Lockstep] 节点 new 失效"
    for part in ("plain", "html"):
        text = mail.get_body((part,)).get_content()  # type: ignore[union-attr]
        assert (
            "5 次观测中有 5 次失败；最后一次：1 个探测中有 1 个失败：rsync：连接被拒绝（10.0.0.1:873）"
            in text
        )
        assert "请检查该机器、其网络与 rsync 守护进程" in text
        assert "已持续 4 分钟" in text
        assert "近期 3 次" in text
        assert "Lockstep, 严重 失效," in text
        plain = re.sub(r"<[^>]*>|[\w.:/+-]*\d[\w.:/+-]*", " ", text.partition("</h1>")[2] or text)
        assert set(re.findall(r"[A-Za-z]{2,}", plain)) <= {"Lockstep", "new", "rsync"}
    assert 'lang="zh-CN"' in mail.get_body(("html",)).get_content()  # type: ignore[union-attr]


def test_a_chat_message_and_a_test_are_chinese() -> None:
    assert message(notice()).startswith(
        "[Lockstep] 节点 new 失效\n\n- new："
    ) or "- new: 5 次观测" in message(notice())
    tried = notice_of_a_test("t", "ops", 1.0, "Lockstep")
    assert body(tried) == "A test of the channel ops: nothing is wrong."
    assert body(Notice.from_json({**tried.to_json(), "language": "zh"})) == "渠道 ops 的测试消息：一切正常。"


def test_what_is_stored_stays_english() -> None:
    stored = notice().to_json()
    assert not CHINESE.search(str(stored))
    assert Notice.from_json(stored) == notice()
    del stored["language"]  # a notice of an older version
    assert Notice.from_json(stored).language == "en"


def test_the_running_service_tells_in_its_language() -> None:
    channel = Recorder("ops")
    rules = AlertRules(group_seconds=0.0, language="zh")
    alerts = Alerts(rules, Routes({"default": ("ops",)}), {"ops": channel}, Nowhere(), lambda *_: None)
    alerts.start()
    try:
        alerts.feed(RAISED)
        alerts.tell("node a went from ready to dead: new node", ["ops"])
        wait_until(lambda: len(channel.said) == 2, 10, "both notices")
        assert alerts.test("ops").ok
    finally:
        alerts.stop()
    assert {said.splitlines()[0] for said in channel.said} == {
        "节点 new 失效",
        "节点 a 从就绪转为失效：新节点",
        "渠道 ops 的测试消息：一切正常。",
    }


@dataclass
class Recorder:
    """A channel that keeps what a person would read."""

    name: str
    rate: None = None
    said: list[str] = field(default_factory=list)

    def send(self, notice: Notice) -> Delivery:
        self.said.append(body(notice))
        return Delivery(True, detail="ok")


class Nowhere:
    """A store that keeps nothing."""

    def load(self) -> tuple[None, Sequence[Entry]]:
        return None, ()

    def save(self, state: Mapping[str, Any] | None, entries: Sequence[Entry]) -> None:
        pass


def test_durations_have_chinese_units() -> None:
    assert [duration(s, "zh") for s in (42, 240, 7500, 100_000)] == [
        "42 秒",
        "4 分钟",
        "2 小时 5 分钟",
        "1 天 3 小时",
    ]


@pytest.mark.parametrize(("language", "spoken"), [("zh", "zh"), ("en", "en"), ("auto", "en")])
def test_the_installation_says_the_language(tmp_path: Path, language: str, spoken: str) -> None:
    (tmp_path / "config.yml").write_text(f"web: {{language: {language}}}\n")
    config = load(tmp_path / "config.yml", environ={})
    assert language_of(config) == rules_of(config).language == spoken
