"""The way from a signal to a channel: nothing lost, nothing twice, nobody waits for anybody."""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.alerts.channels import Channel, make_channel
from app.alerts.channels.contract import Rate
from app.alerts.entry import (
    MAX_AGE_SECONDS,
    Entry,
    EntryState,
    answered,
    delay_seconds,
    entry_for,
)
from app.alerts.lane import LONGEST_PAUSE_SECONDS, Lane
from app.alerts.model import (
    AlertRules,
    Cleared,
    Condition,
    Delivery,
    Mistake,
    Notice,
    NoticeKind,
    Raised,
    Severity,
)
from app.alerts.outbox import Outbox
from app.alerts.routes import Routes
from app.alerts.service import MOST_UNREAD, Alerts
from app.alerts.wording import title
from tests.servers_receiver import Receiver, Say, http_receiver
from tests.servers_smtp import Mailbox, free_port, smtp_server

OK = Delivery(True, detail="ok")
LATER = Delivery(False, detail="busy")
NEVER = Delivery(False, True, "refused")


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Shelf:
    """A store that keeps JSON texts, as a database does, and fails when told to."""

    def __init__(self) -> None:
        self.state: str | None = None
        self.rows: dict[str, dict[str, Any]] = {}
        self.broken = False

    def load(self) -> tuple[Mapping[str, Any] | None, Sequence[Entry]]:
        self._check()
        entries = [
            Entry(
                **{
                    **row,
                    "notice": Notice.from_json(json.loads(row["notice"])),
                    "state": EntryState(row["state"]),
                }
            )
            for row in self.rows.values()
            if row["state"] == "waiting"
        ]
        return (None if self.state is None else json.loads(self.state)), entries

    def save(self, state: Mapping[str, Any] | None, entries: Sequence[Entry]) -> None:
        self._check()
        if state is not None:
            self.state = json.dumps(state)
        for entry in entries:
            values = {name: getattr(entry, name) for name in Entry.__slots__}
            self.rows[entry.id] = {
                **values,
                "notice": json.dumps(entry.notice.to_json()),
                "state": entry.state.value,
            }

    def _check(self) -> None:
        if self.broken:
            raise OSError("the database is away")


@dataclass
class Told:
    """A channel that remembers, and answers by a script."""

    name: str = "ops"
    rate: Rate | None = None
    script: list[Delivery | Exception] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)
    hold: threading.Event | None = None
    entered: threading.Event = field(default_factory=threading.Event)

    def send(self, notice: Notice) -> Delivery:
        self.notices.append(notice)
        self.entered.set()
        if self.hold is not None:
            assert self.hold.wait(30)
        answer = self.script.pop(0) if self.script else OK
        if isinstance(answer, Exception):
            raise answer
        return answer


class Reports:
    def __init__(self) -> None:
        self.all: list[tuple[Entry, Delivery]] = []
        self._changed = threading.Condition()

    def __call__(self, entry: Entry, delivery: Delivery) -> None:
        with self._changed:
            self.all.append((entry, delivery))
            self._changed.notify_all()

    def wait_for(self, count: int) -> list[Entry]:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.all) >= count, 20), (
                f"{len(self.all)} of {count} reports"
            )
            return [entry for entry, _ in self.all]


def until(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not what():
        assert time.monotonic() < deadline, "it did not happen within 20 s"
        time.sleep(0.005)


def notice(identity: str, kind: NoticeKind = NoticeKind.FIRING, incident: str = "") -> Notice:
    return Notice(identity, kind, Condition.DEAD, Severity.CRITICAL, 1.0, (), incident or identity)


@dataclass
class Desk:
    shelf: Shelf
    clock: Clock
    reports: Reports
    open: Callable[..., Outbox]


@pytest.fixture
def desk() -> Iterator[Desk]:
    shelf, clock, reports = Shelf(), Clock(), Reports()
    opened: list[Outbox] = []

    def start(*channels: Channel) -> Outbox:
        box = Outbox({one.name: one for one in channels}, shelf, reports, clock=clock, jitter=lambda: 0.5)
        opened.append(box)
        box.start(shelf.load()[1])
        return box

    yield Desk(shelf, clock, reports, start)
    for box in opened:
        assert box.stop() == []


# --- one entry, one lane: pure --------------------------------------------------------------------


def test_delays_grow_from_half_a_minute_to_an_hour() -> None:
    assert [delay_seconds(failures, 0.5) for failures in (1, 2, 3, 8, 9, 5000)] == [
        30,
        60,
        120,
        3600,
        3600,
        3600,
    ]
    assert delay_seconds(1, 0) == 27
    assert delay_seconds(1, 1) == 33


@given(st.integers(1, 10**6), st.floats(0, 1))
def test_no_delay_is_longer_than_an_hour_and_a_tenth(failures: int, jitter: float) -> None:
    assert 27 <= delay_seconds(failures, jitter) <= 3960.1


def test_an_entry_ends_as_its_answer_says() -> None:
    entry = entry_for(notice("n"), "ops", 0.0)
    assert answered(entry, OK, 1, 0.5).state is EntryState.SENT
    assert answered(entry, NEVER, 1, 0.5).state is EntryState.FAILED
    later = answered(entry, LATER, 1, 0.5)
    assert (later.state, later.attempts, later.next_try_at, later.last_answer) == (
        EntryState.WAITING,
        1,
        31,
        "busy",
    )
    assert answered(entry, LATER, MAX_AGE_SECONDS, 0.5).state is EntryState.EXPIRED
    asked = Delivery(False, detail="slow down", retry_after_seconds=600)
    assert answered(entry, asked, 1, 0.5).next_try_at == 601


def test_a_lane_keeps_the_order_and_lets_others_pass_one_that_fails_alone() -> None:
    tried: list[str] = []
    lane, now = Lane(), 0.0
    for name in ("bad", "good"):
        lane.add(entry_for(notice(name), "ops", now))
    while lane.waiting and len(tried) < 8:
        now = max(now, lane.next_at() or 0.0)
        entry = lane.pick(now)
        assert entry is not None
        tried.append(entry.notice.id)
        lane.answer(entry, LATER if entry.notice.id == "bad" else OK, now, 0.5)
    assert tried[:4] == ["bad", "bad", "bad", "good"]


def test_a_channel_that_fails_is_left_alone_whatever_waits() -> None:
    lane = Lane()
    for index in range(5):
        lane.add(entry_for(notice(str(index)), "ops", 0.0))
    first = lane.pick(0.0)
    assert first is not None
    lane.answer(first, LATER, 0.0, 0.5)
    assert lane.pick(29.0) is None
    assert lane.next_at() == 30.0


def test_a_rate_holds_the_twenty_first_message_until_the_minute_is_over() -> None:
    lane = Lane(Rate(20, 60))
    for index in range(25):
        lane.add(entry_for(notice(str(index)), "ding", 0.0))
    times = []
    now = 0.0
    while (due := lane.next_at()) is not None:
        now = max(now, due)
        entry = lane.pick(now)
        assert entry is not None
        times.append(now)
        lane.answer(entry, OK, now, 0.5)
        now += 0.1
    assert all(later - earlier >= 60 for earlier, later in zip(times, times[20:], strict=False))
    assert times[19] < 2


def test_a_clock_that_is_set_back_keeps_nothing_waiting_for_longer_than_the_longest_pause() -> None:
    lane = Lane(Rate(1, 60))
    for name in ("a", "b"):
        lane.add(entry_for(notice(name), "ops", 1_000_000.0))
    first = lane.pick(1_000_000.0)
    assert first is not None
    lane.answer(first, LATER, 1_000_000.0, 0.5)
    assert lane.pick(1000.0) is None
    assert lane.next_at() == 1000.0 + LONGEST_PAUSE_SECONDS
    assert lane.pick(1000.0 + LONGEST_PAUSE_SECONDS) is not None


def test_a_repeat_is_dropped_while_an_earlier_notice_of_its_incident_waits() -> None:
    lane = Lane()
    assert lane.add(entry_for(notice("n1"), "ops", 0.0))
    assert not lane.add(entry_for(notice("n1"), "ops", 0.0))
    assert not lane.add(entry_for(notice("n2", NoticeKind.REPEAT, "n1"), "ops", 1.0))
    assert lane.add(entry_for(notice("n3", NoticeKind.RESOLVED, "n1"), "ops", 2.0))
    assert lane.add(entry_for(notice("n4", NoticeKind.REPEAT, "n9"), "ops", 2.0))


# --- the outbox -----------------------------------------------------------------------------------


def test_a_notice_is_stored_before_it_is_tried_and_its_answer_after(desk: Desk) -> None:
    seen: list[str] = []

    class Looking(Told):
        def send(self, notice: Notice) -> Delivery:
            seen.append(desk.shelf.rows[f"{notice.id}:ops"]["state"])
            return super().send(notice)

    desk.open(Looking()).put(notice("n"), ["ops"])
    desk.reports.wait_for(1)
    assert seen == ["waiting"]
    assert desk.shelf.rows["n:ops"]["state"] == "sent"
    assert desk.shelf.rows["n:ops"]["last_answer"] == "ok"


def test_what_fails_is_tried_again_after_a_growing_while_until_it_is_told_once(desk: Desk) -> None:
    channel = Told(script=[LATER, RuntimeError("a bug"), OK])
    box = desk.open(channel)
    box.put(notice("n"), ["ops"])
    for count, pause in ((1, 30), (2, 60)):
        assert desk.reports.wait_for(count)[-1].state is EntryState.WAITING
        desk.clock.now += pause - 1
        box.wake()
        assert len(channel.notices) == count
        desk.clock.now += 1
        box.wake()
    assert desk.reports.wait_for(3)[-1].state is EntryState.SENT
    assert "broke off with RuntimeError" in desk.reports.all[1][1].detail
    desk.clock.now += 10_000
    box.wake()
    assert len(channel.notices) == 3


def test_a_refusal_for_good_is_not_tried_again(desk: Desk) -> None:
    channel = Told(script=[NEVER])
    desk.open(channel).put(notice("n"), ["ops"])
    assert desk.reports.wait_for(1)[0].state is EntryState.FAILED
    assert desk.shelf.rows["n:ops"]["state"] == "failed"


def test_a_channel_that_hangs_delays_no_other(desk: Desk) -> None:
    release = threading.Event()
    hung, well = Told("hung", hold=release), Told("well")
    box = desk.open(hung, well)
    try:
        for index in range(5):
            box.put(notice(str(index)), ["hung", "well"])
        until(lambda: len(well.notices) == 5)
        assert len(hung.notices) == 1
    finally:
        release.set()
    until(lambda: len(hung.notices) == 5)


def test_what_waited_when_the_service_ended_is_told_after_the_start(desk: Desk) -> None:
    first = desk.open(Told(script=[LATER]))
    first.put(notice("n"), ["ops"])
    desk.reports.wait_for(1)
    first.stop()
    desk.clock.now += 3600
    again = Told()
    desk.open(again)
    desk.reports.wait_for(2)
    assert [one.id for one in again.notices] == ["n"]
    assert desk.open(third := Told()).waiting == ()
    assert third.notices == []


def test_a_stop_waits_for_the_try_under_way_and_keeps_the_rest(desk: Desk) -> None:
    release = threading.Event()
    channel = Told(hold=release)
    box = desk.open(channel)
    box.put(notice("a"), ["ops"])
    box.put(notice("b"), ["ops"])
    assert channel.entered.wait(20)
    stopping = threading.Thread(target=box.stop, name="test-stop")
    stopping.start()
    release.set()
    stopping.join(20)
    assert not stopping.is_alive()
    assert [row["state"] for row in desk.shelf.rows.values()] == ["sent", "waiting"]


def test_entries_of_a_channel_that_is_gone_are_dropped_and_said_so(desk: Desk) -> None:
    desk.open(Told()).put(notice("n"), ["gone"])
    assert desk.reports.wait_for(1)[0].state is EntryState.DROPPED
    assert "not in the configuration" in desk.shelf.rows["n:gone"]["last_answer"]


def test_another_configuration_takes_over_what_waits_and_sends_nothing_twice(desk: Desk) -> None:
    release = threading.Event()
    old, new = Told(hold=release, script=[LATER]), Told(script=[OK, OK])
    same = Told("same")
    box = desk.open(old, same)
    box.put(notice("a"), ["ops"])
    assert old.entered.wait(20)
    box.put(notice("b"), ["ops"])
    box.reconfigure({"ops": new, "same": same})
    desk.reports.wait_for(1)
    assert [one.id for one in new.notices] == ["b"]
    release.set()
    desk.reports.wait_for(2)
    desk.clock.now += 100
    box.wake()
    desk.reports.wait_for(3)
    assert [one.id for one in new.notices] == ["b", "a"]
    assert [one.id for one in old.notices] == ["a"]


def test_a_database_that_is_away_stops_no_telling_and_gets_its_rows_later(desk: Desk) -> None:
    channel = Told()
    box = desk.open(channel)
    desk.shelf.broken = True
    box.put(notice("a"), ["ops"])
    desk.reports.wait_for(1)
    assert desk.shelf.rows == {}
    desk.shelf.broken = False
    box.put(notice("b"), ["ops"])
    desk.reports.wait_for(2)
    until(lambda: [row["state"] for row in desk.shelf.rows.values()] == ["sent", "sent"])


def test_a_report_that_breaks_off_breaks_nothing(desk: Desk) -> None:
    channel = Told()
    box = Outbox({"ops": channel}, desk.shelf, lambda *_: 1 / 0, clock=desk.clock)  # type: ignore[arg-type]
    box.start()
    box.put(notice("a"), ["ops"])
    box.put(notice("b"), ["ops"])
    until(lambda: len(channel.notices) == 2)
    assert box.stop() == []


# --- the service ----------------------------------------------------------------------------------


def dead(node: str, at: float = 1000.0) -> Raised:
    return Raised(at, Condition.DEAD, node, Severity.CRITICAL, "no answer", "look at it")


def make_alerts(shelf: Shelf, clock: Clock, *channels: Channel, **rules: Any) -> Alerts:
    numbers = itertools.count(1)
    return Alerts(
        AlertRules(**{"group_seconds": 30.0, **rules}),
        Routes({"default": tuple(one.name for one in channels)}),
        {one.name: one for one in channels},
        shelf,
        Reports(),
        clock=clock,
        new_id=lambda: f"{id(clock)}-{next(numbers)}",
    )


def test_a_signal_becomes_a_notice_at_the_end_of_its_window_and_the_end_follows() -> None:
    shelf, clock, channel = Shelf(), Clock(), Told()
    alerts = make_alerts(shelf, clock, channel)
    alerts.start()
    alerts.feed(dead("a"), dead("b"))
    alerts.step()
    assert channel.notices == []
    clock.now += 30
    alerts.wake()
    until(lambda: len(channel.notices) == 1)
    alerts.feed(Cleared(clock.now, Condition.DEAD, "a"))
    alerts.step()
    clock.now += 30
    alerts.wake()
    until(lambda: len(channel.notices) == 2)
    assert alerts.stop() == []
    assert [one.kind for one in channel.notices] == [NoticeKind.FIRING, NoticeKind.RESOLVED]
    assert [alert.object for alert in alerts.alerts] == ["b"]


def test_a_restart_between_any_two_steps_loses_nothing_and_tells_nothing_twice() -> None:
    shelf, clock, told = Shelf(), Clock(), Told()

    def life(*signals: Raised | Cleared, after: float) -> None:
        alerts = make_alerts(shelf, clock, told)
        alerts.start()
        alerts.feed(*signals)
        alerts.step()
        clock.now += after
        alerts.step()
        until(lambda: not alerts.outbox.waiting)
        assert alerts.stop() == []

    life(dead("a"), after=10)
    life(after=19)
    assert told.notices == []
    life(after=1)
    life(dead("a"), after=100)
    assert [one.kind for one in told.notices] == [NoticeKind.FIRING]
    life(Cleared(clock.now, Condition.DEAD, "a"), after=10)
    life(after=20)
    life(after=20)
    assert [one.kind for one in told.notices] == [NoticeKind.FIRING, NoticeKind.RESOLVED]
    assert told.notices[1].follows == (told.notices[0].incident,)


def test_a_silence_lives_over_a_restart() -> None:
    shelf, clock, told = Shelf(), Clock(), Told()
    first = make_alerts(shelf, clock, told)
    first.start()
    begun = first.silence(clock.now + 600, Condition.DEAD, "a", "moving house")
    first.feed(dead("a"))
    first.stop()
    second = make_alerts(shelf, clock, told)
    second.start()
    assert second.silences == (begun,)
    clock.now += 599
    second.step()
    assert told.notices == []
    assert second.end_silence(begun.id)
    second.step()
    until(lambda: len(told.notices) == 1)
    second.stop()


def test_a_database_that_is_away_is_no_reason_to_say_nothing() -> None:
    shelf, clock, told = Shelf(), Clock(), Told()
    shelf.broken = True
    alerts = make_alerts(shelf, clock, told)
    alerts.start()
    alerts.feed(dead("a"))
    alerts.step()
    clock.now += 30
    alerts.step()
    until(lambda: len(told.notices) == 1)
    shelf.broken = False
    alerts.feed(dead("b", clock.now))
    alerts.step()
    assert alerts.stop() == []
    assert [row["state"] for row in shelf.rows.values()] == ["sent"]
    assert {alert["object"] for alert in json.loads(shelf.state or "{}")["alerts"]} == {"a", "b"}


def test_feeding_never_waits_and_a_flood_of_mistakes_is_bounded() -> None:
    alerts = make_alerts(Shelf(), Clock(), Told(), strategies={90: 30})
    for index in range(MOST_UNREAD + 500):
        alerts.feed(Mistake(1000.0, f"path {index}"))
    alerts.feed(dead("a"))
    alerts.step()
    assert {alert.object for alert in alerts.alerts} == {"30 errors within 90 s", "a"}


def test_a_test_of_a_channel_says_what_happened_and_an_unknown_one_is_an_error() -> None:
    alerts = make_alerts(Shelf(), Clock(), Told(script=[NEVER]))
    assert alerts.test("ops") == NEVER
    with pytest.raises(KeyError):
        alerts.test("nobody")


def test_a_channel_in_trouble_is_told_by_the_others_and_not_by_itself() -> None:
    bad, good = Told("bad", script=[NEVER]), Told("good")
    clock = Clock()
    alerts = make_alerts(Shelf(), clock, bad, good)
    alerts.start()
    alerts.feed(dead("a"))
    for count in (1, 2):
        alerts.step()
        clock.now += 31
        alerts.step()
        until(lambda count=count: len(good.notices) == count)  # type: ignore[misc]
        until(lambda: not alerts.outbox.waiting)
    assert title(good.notices[1]) == "system: alert channel bad"
    assert "refused" in good.notices[1].items[0].summary
    assert len(bad.notices) == 1
    alerts.feed(dead("b", clock.now))
    alerts.step()
    clock.now += 31
    alerts.step()
    until(lambda: len(bad.notices) == 2)
    clock.now += 31
    until(lambda: alerts.step() or len(good.notices) == 4)  # type: ignore[func-returns-value]
    assert title(good.notices[3]).startswith("Over after")
    assert alerts.stop() == []
    assert len(bad.notices) == 2


def test_a_configuration_taken_over_while_running_moves_routes_and_channels() -> None:
    shelf, clock, old, new = Shelf(), Clock(), Told(), Told("new")
    alerts = make_alerts(shelf, clock, old)
    alerts.start()
    alerts.feed(dead("a"))
    alerts.step()
    alerts.reconfigure(AlertRules(group_seconds=1), Routes({"dead": ("new",)}), {"new": new})
    clock.now += 30
    alerts.step()
    until(lambda: len(new.notices) == 1)
    assert alerts.stop() == []
    assert old.notices == []


# --- with everything real -------------------------------------------------------------------------


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with http_receiver() as running:
        yield running


def test_a_storm_is_a_handful_of_mails_and_every_incident_is_told_and_resolved(receiver: Receiver) -> None:
    box, shelf, clock = Mailbox(), Shelf(), Clock()
    receiver.says(Say(b"not now", 503))
    with smtp_server(box) as port:
        mail = {
            "kind": "email",
            "to": "ops@example.com",
            "from": "l@example.com",
            "host": "127.0.0.1",
            "port": port,
        }
        channels = [
            make_channel("mail", {**mail, "security": "none"}),
            make_channel("hook", {"kind": "webhook", "url": receiver.url}),
            make_channel("dead", {**mail, "port": free_port(), "security": "none"}),
        ]
        alerts = make_alerts(shelf, clock, *channels, strategies={90: 30, 300: 5})
        alerts.start()
        nodes = [f"node-{index}" for index in range(50)]
        for second in range(700):
            clock.now += 1
            for index, node in enumerate(nodes):
                if second == index % 10:
                    alerts.feed(dead(node, clock.now))
                if second == 120 + index % 10:
                    alerts.feed(Cleared(clock.now, Condition.DEAD, node))
                if second < 60:
                    alerts.feed(Mistake(clock.now, f"{node} failed"))
            alerts.step()
        until(lambda: not [entry for entry in alerts.outbox.waiting if entry.channel == "mail"])
        assert alerts.stop() == []
    subjects = [str(mail["Subject"]) for mail in box.mails]
    assert len(subjects) <= 8, subjects
    told = {word for kind in ("firing",) for row in _notices(shelf, kind) for word in row}
    over = {word for row in _notices(shelf, "resolved") for word in row}
    assert set(nodes) <= told
    # "dead" and "hook" stay away, and how often they were tried by now is the machine's business
    assert told - {"alert channel dead", "alert channel hook"} == over
    assert {row["state"] for row in shelf.rows.values() if row["channel"] == "dead"} == {"waiting"}


def _notices(shelf: Shelf, kind: str) -> list[list[str]]:
    notices = [json.loads(row["notice"]) for row in shelf.rows.values() if row["channel"] == "mail"]
    return [[item["object"] for item in one["items"]] for one in notices if one["kind"] == kind]
