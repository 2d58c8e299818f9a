"""Who is told what and when; time is an argument, so that nothing here waits."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from app.alerts.alert import Phase
from app.alerts.core import SETTLE_SECONDS, AlertBook, Told
from app.alerts.model import (
    AlertRules,
    Cleared,
    Condition,
    Gone,
    Mistake,
    Notice,
    NoticeKind,
    Raised,
    Severity,
    Signal,
    Silence,
)
from app.alerts.routes import Routes
from app.alerts.signals import of_flip
from app.alerts.windows import ErrorWindows
from app.alerts.wording import body, duration, title
from sync.core.model import Flip, State

GROUP = 30.0
REPEAT = 3600.0
FLAP = 900.0


def make_book(routes: Mapping[str, tuple[str, ...]] | None = None, **rules: object) -> AlertBook:
    numbers = itertools.count(1)
    settled = AlertRules(
        **{"strategies": {}, "group_seconds": GROUP, "repeat_seconds": REPEAT, "flap_seconds": FLAP, **rules}  # type: ignore[arg-type]
    )
    return AlertBook(settled, Routes(routes or {"default": ("ops",)}), lambda: f"n{next(numbers)}")


def dead(at: float, node: str, severity: Severity = Severity.CRITICAL) -> Raised:
    return Raised(at, Condition.DEAD, node, severity, "no answer", "look at it")


def alive(at: float, node: str) -> Cleared:
    return Cleared(at, Condition.DEAD, node)


def run(book: AlertBook, signals: list[Signal], until: float, step: float = 1.0) -> list[Notice]:
    """Feeds each signal at its time and asks every second, as the service does."""
    notices: list[Notice] = []
    queue = sorted(signals, key=lambda signal: signal.at)
    now = 0.0
    while now <= until:
        while queue and queue[0].at <= now:
            book.feed(queue.pop(0))
        notices += [notice for notice, _ in book.advance(now)]
        now += step
    return notices


def names(notice: Notice) -> list[str]:
    return [item.object for item in notice.items]


# --- grouping, resolving, repeating ---------------------------------------------------------------


def test_twelve_nodes_that_die_within_the_window_are_one_mail_and_its_title_says_it_all() -> None:
    notices = run(make_book(), [dead(index, chr(97 + index)) for index in range(12)], 60)
    assert [notice.kind for notice in notices] == [NoticeKind.FIRING]
    assert title(notices[0]) == "12 nodes dead: a, b, c … and 9 more"
    assert notices[0].at == GROUP
    assert "look at it" in body(notices[0])


def test_one_alert_per_condition_and_object_however_often_it_is_raised() -> None:
    notices = run(make_book(), [dead(at, "a") for at in range(0, 500, 7)], 600)
    assert len(notices) == 1
    assert title(notices[0]) == "node a dead"


def test_what_is_over_is_told_with_how_long_it_took_and_in_the_same_thread() -> None:
    firing, resolved = run(make_book(), [dead(0, "a"), alive(240, "a")], 400)
    assert resolved.kind is NoticeKind.RESOLVED
    assert title(resolved) == "Over after 4 min: node a dead"
    assert resolved.incident == firing.incident == firing.id
    assert resolved.follows == (firing.incident,)


def test_an_incident_over_before_its_window_closed_is_told_once_as_over() -> None:
    notices = run(make_book(), [dead(0, "a"), alive(12, "a")], 200)
    assert [title(notice) for notice in notices] == ["node a dead, over after 12 s"]


def test_what_comes_back_before_its_end_was_told_is_the_same_incident() -> None:
    notices = run(
        make_book(flap_count=9), [dead(0, "a"), alive(100, "a"), dead(110, "a"), alive(300, "a")], 400
    )
    assert [title(notice) for notice in notices] == ["node a dead", "Over after 5 min: node a dead"]


def test_what_still_holds_is_repeated_all_together() -> None:
    notices = run(make_book(), [dead(0, "a"), dead(600, "b")], REPEAT + 100)
    assert [notice.kind for notice in notices] == [NoticeKind.FIRING, NoticeKind.FIRING, NoticeKind.REPEAT]
    assert names(notices[2]) == ["a", "b"]
    assert title(notices[2]) == "Still after 1 h: 2 nodes dead: a, b"
    assert set(notices[2].follows) == {notices[0].incident, notices[1].incident}


def test_repeating_can_be_turned_off() -> None:
    assert len(run(make_book(repeat_seconds=0), [dead(0, "a")], 20000, step=50)) == 1


def test_what_got_worse_is_told_again_in_its_thread() -> None:
    notices = run(make_book(), [dead(0, "a", Severity.WARNING), dead(100, "a", Severity.CRITICAL)], 200)
    assert [notice.severity for notice in notices] == [Severity.WARNING, Severity.CRITICAL]
    assert notices[1].incident == notices[0].incident


def test_a_node_gone_from_the_configuration_has_its_incidents_ended() -> None:
    notices = run(make_book(), [dead(0, "a"), dead(0, "b"), Gone(100, "a")], 200)
    assert [names(notice) for notice in notices] == [["a", "b"], ["a"]]
    assert notices[1].kind is NoticeKind.RESOLVED


def test_clearing_what_was_never_raised_tells_nobody() -> None:
    assert run(make_book(), [alive(1, "a"), Gone(2, "b")], 100) == []


# --- flapping, being cut off, silences ------------------------------------------------------------


def test_a_node_that_flaps_is_one_notice_and_one_more_when_it_is_still() -> None:
    signals: list[Signal] = []
    for at in range(0, 1200, 60):
        signals += [dead(at, "a"), alive(at + 35, "a")]
    notices = run(make_book(), signals, 4000)
    kinds = [notice.kind for notice in notices]
    assert kinds.count(NoticeKind.FLAPPING) == 1
    assert kinds[-1] is NoticeKind.RESOLVED
    assert len(notices) <= 4
    flapping = next(notice for notice in notices if notice.kind is NoticeKind.FLAPPING)
    assert title(flapping) == "Flapping: node a dead (3 times)"


def test_a_flapping_node_that_stays_dead_becomes_an_ordinary_incident() -> None:
    signals: list[Signal] = [dead(0, "a"), alive(5, "a"), dead(10, "a"), alive(15, "a"), dead(20, "a")]
    notices = run(make_book(), signals, FLAP + 100)
    assert [notice.kind for notice in notices] == [NoticeKind.FLAPPING, NoticeKind.FIRING]
    assert notices[1].incident == notices[0].incident


def test_nodes_are_not_told_of_while_the_supervisor_is_cut_off() -> None:
    cut = Raised(
        10, Condition.CUT_OFF, "supervisor", Severity.CRITICAL, "nobody answers", "look at the network"
    )
    signals: list[Signal] = [dead(5, "a"), dead(6, "b"), cut, alive(200, "a"), alive(201, "b")]
    signals += [Cleared(195, Condition.CUT_OFF, "supervisor")]
    notices = run(make_book(), signals, 600)
    told = [(notice.condition, notice.kind) for notice in notices if notice.condition is Condition.CUT_OFF]
    assert told == [(Condition.CUT_OFF, NoticeKind.FIRING), (Condition.CUT_OFF, NoticeKind.RESOLVED)]
    assert all(
        item.ended_at is not None for n in notices if n.condition is Condition.DEAD for item in n.items
    )


def test_a_node_still_dead_after_the_cut_is_told_once_it_had_time_to_answer() -> None:
    cut = Raised(
        1, Condition.CUT_OFF, "supervisor", Severity.CRITICAL, "nobody answers", "look at the network"
    )
    signals: list[Signal] = [cut, dead(5, "a"), dead(6, "b"), alive(50, "b")]
    signals += [Cleared(100, Condition.CUT_OFF, "supervisor")]
    of_nodes = [notice for notice in run(make_book(), signals, 600) if notice.condition is Condition.DEAD]
    assert [names(notice) for notice in of_nodes] == [["a"]]
    assert of_nodes[0].at == 100 + max(GROUP, SETTLE_SECONDS)


def test_a_silence_keeps_quiet_and_what_still_holds_at_its_end_is_told_then() -> None:
    book = make_book()
    book.silences.begin(Silence("s", 500, Condition.DEAD, "a*"))
    notices = run(book, [dead(0, "a1"), dead(0, "a2"), alive(100, "a2"), dead(0, "b")], 600)
    assert [(names(notice), notice.at) for notice in notices] == [(["b"], 30.0), (["a1"], 500.0)]


def test_the_end_of_a_told_incident_waits_for_the_silence_and_is_not_lost() -> None:
    book = make_book()
    notices = run(book, [dead(0, "a")], 60)
    book.silences.begin(Silence("s", 500))
    book.feed(alive(100, "a"))
    assert book.advance(499) == []
    assert [notice.kind for notice, _ in book.advance(500)] == [NoticeKind.RESOLVED]
    assert len(notices) == 1


def test_a_silence_can_be_ended_early() -> None:
    book = make_book()
    book.silences.begin(Silence("s", 500))
    assert book.silences.end("s")
    assert not book.silences.end("s")
    assert len(run(book, [dead(0, "a")], 60)) == 1


def test_after_a_restart_what_is_not_raised_again_is_over() -> None:
    book = make_book(strategies={10_000: 1})
    run(book, [dead(0, "a"), dead(0, "b"), dead(0, "c"), Mistake(0, "x")], 60)
    again = make_book(strategies={10_000: 1})
    again.restore(json.loads(json.dumps(book.to_json())))
    again.doubt(1000)
    again.feed(dead(500, "a"))
    again.feed(alive(600, "c"))
    assert [names(notice) for notice, _ in again.advance(700)] == [["c"]]
    assert again.next_due() == 1000
    assert again.advance(1000) == []
    (notice, _), *rest = again.advance(1000 + GROUP)
    assert (notice.kind, names(notice), rest) == (NoticeKind.RESOLVED, ["b"], [])
    assert {alert.object for alert in again.alerts} == {"a", "1 errors within 10000 s"}


def test_a_clock_that_is_set_back_keeps_nobody_waiting_for_long() -> None:
    book = make_book()
    book.feed(dead(1_000_000, "a"))
    assert book.advance(1000) == []
    assert [title(notice) for notice, _ in book.advance(1000 + SETTLE_SECONDS)] == ["node a dead"]


# --- routes ---------------------------------------------------------------------------------------


def told(routes: Mapping[str, tuple[str, ...]], signals: list[Signal]) -> list[Told]:
    book = make_book(routes)
    for signal in signals:
        book.feed(signal)
    return [*book.advance(0), *book.advance(100), *book.advance(200)]


def test_a_condition_has_its_own_route_over_its_severity_over_default() -> None:
    routes = {"default": ("ops",), "critical": ("sms",), "drift": ("chat",)}
    drift = Raised(0, Condition.DRIFT, "a", Severity.CRITICAL, "s", "a")
    held = Raised(0, Condition.HELD, "x", Severity.CRITICAL, "s", "a")
    inventory = Raised(0, Condition.INVENTORY, "x", Severity.WARNING, "s", "a")
    assert {notice.condition: channels for notice, channels in told(routes, [drift, held, inventory])} == {
        Condition.DRIFT: ("chat",),
        Condition.HELD: ("sms",),
        Condition.INVENTORY: ("ops",),
    }


def test_what_is_over_goes_where_its_beginning_went_or_where_recovered_says() -> None:
    book = make_book({"default": ("ops",), "recovered": ("chat",)})
    book.feed(dead(0, "a"))
    assert book.advance(30)[0][1] == ("ops",)
    book.feed(alive(40, "a"))
    assert book.advance(70)[0][1] == ("chat",)


def test_a_route_to_nobody_is_no_error() -> None:
    assert told({"dead": ()}, [dead(0, "a")])[0][1] == ()


# --- strategies -----------------------------------------------------------------------------------


def test_several_strategies_fire_at_once_as_one_notice_and_end_by_themselves() -> None:
    book = make_book(strategies={90: 30, 120: 20, 150: 10, 300: 5})
    notices = run(book, [Mistake(float(at), f"path {at % 3}") for at in range(30)], 700)
    assert [notice.kind for notice in notices] == [
        NoticeKind.FIRING,
        *[NoticeKind.RESOLVED] * (len(notices) - 1),
    ]
    assert len(notices[0].items) == 4
    assert "path 1" in notices[0].items[0].summary
    assert book.alerts == ()


def test_one_error_less_than_the_strategy_asks_for_is_no_alert() -> None:
    assert run(make_book(strategies={90: 3}), [Mistake(0, "x"), Mistake(1, "x"), Mistake(92, "x")], 300) == []


@given(
    st.dictionaries(st.integers(1, 60), st.integers(1, 8), min_size=1, max_size=4),
    st.lists(st.integers(0, 120), max_size=60),
    st.integers(0, 200),
)
def test_the_windows_say_what_counting_everything_would_say(
    strategies: dict[int, int], times: list[int], after: int
) -> None:
    windows = ErrorWindows({float(seconds): count for seconds, count in strategies.items()})
    for at in times:
        windows.add(at, "x")
    now = max(times, default=0) + after
    for seconds, count in strategies.items():
        assert windows.holds(seconds, now) == (sum(at > now - seconds for at in times) >= count)
    assert len(windows.times) <= max(strategies.values())


# --- strategies: over, and beginning again ----------------------------------------------------------

error_times = st.lists(st.integers(0, 400), max_size=80).map(sorted)
strategy = st.tuples(st.integers(1, 40), st.integers(1, 9))


def lately(times: list[int], now: float, seconds: int) -> int:
    """How many errors lie within the window that ends now, counted the long way."""
    return sum(now - seconds < at <= now for at in times)


def episodes(times: list[int], strategy: tuple[int, int], until: int) -> list[tuple[int, int | None]]:
    """When the strategy's alert began and ended, asked every second."""
    seconds, count = strategy
    book = make_book(strategies={float(seconds): count}, flap_count=10**6)
    found: list[tuple[int, int | None]] = []
    for now in range(until):
        for _ in range(times.count(now)):
            book.feed(Mistake(now, "x"))
        book.advance(now)
        up = any(alert.up for alert in book.alerts)
        if up and (not found or found[-1][1] is not None):
            found.append((now, None))
        elif not up and found and found[-1][1] is None:
            found[-1] = (found[-1][0], now)
    return found


@settings(max_examples=150, deadline=None)
@given(error_times, strategy)
def test_a_strategy_begins_at_its_count_and_is_over_after_a_window_of_less_than_half(
    times: list[int], strategy: tuple[int, int]
) -> None:
    seconds, count = strategy
    found = episodes(times, strategy, 400 + 2 * seconds + 2)
    calm_since = -seconds
    for began, ended in found:
        assert ended is not None, "it ends by itself"
        assert lately(times, began, seconds) >= count
        assert all(lately(times, t, seconds) < count for t in range(max(0, calm_since), began))
        window = range(ended - seconds, ended + 1)
        assert all(2 * lately(times, t, seconds) < count for t in window), "over only when clearly below"
        before = ended - seconds - 1
        assert 2 * lately(times, before, seconds) >= count, "and not later than that"
        calm_since = ended
    assert all(lately(times, t, seconds) < count for t in range(calm_since + 1, 400)), "none is missed"


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 30), strategy)
def test_errors_that_keep_coming_near_the_threshold_are_one_incident(
    spacing: int, strategy: tuple[int, int]
) -> None:
    """A steady trickle holds a strategy all the time or never, and is never on and off."""
    assume(spacing < 2 * strategy[0] or strategy[1] > 1)  # else each error is an incident of its own
    assert len(episodes(list(range(0, 400, spacing)), strategy, 500)) <= 1


@settings(max_examples=60, deadline=None)
@given(st.integers(20, 600), st.integers(2, 12), st.integers(1, 40))
def test_bursts_that_come_again_and_again_are_one_notice_for_flapping(
    seconds: int, count: int, tenths: int
) -> None:
    """However long the strategy's window: at most two ordinary beginnings in the time that flapping looks at."""
    book = make_book(strategies={float(seconds): count}, repeat_seconds=0)
    pause = max(5, seconds * tenths // 10)
    bursts: list[Signal] = [
        Mistake(float(at), "x") for at in range(0, 12 * pause, pause) for _ in range(count)
    ]
    step = float(max(1, seconds // 10))
    notices = run(book, bursts, 12 * pause + 20 * seconds + 3 * FLAP, step=step)
    kinds = [notice.kind for notice in notices]
    span = max(FLAP, 6 * seconds)
    begun = [notice.at for notice in notices if notice.kind is NoticeKind.FIRING]
    assert all(
        third - first >= span - GROUP - 2 * step for first, third in zip(begun, begun[2:], strict=False)
    )
    if 2 * pause < span:
        assert len(kinds) <= 6, "told, flapping, over, and little else"
    assert book.alerts == ()


def test_the_windows_forget_how_far_a_clock_was_set_back() -> None:
    book = make_book(strategies={90: 2})
    for at in (10_000, 10_001):
        book.feed(Mistake(at, "x"))
    assert len(book.advance(10_040)) == 1
    kinds = [notice.kind for now in range(0, 500, 5) for notice, _ in book.advance(now)]
    assert kinds == [NoticeKind.RESOLVED]


# --- channels that come later ---------------------------------------------------------------------


def test_a_channel_that_is_configured_later_is_told_soon_of_what_holds_already() -> None:
    book = make_book({"default": ()})
    assert [channels for _, channels in run_with_channels(book, [dead(0, "a"), dead(1, "b")], 100)] == [()]
    book.reconfigure(book.rules, Routes({"default": ("ops",)}), 3000)
    assert book.next_due() == 3000 + GROUP
    ((notice, channels),) = book.advance(3000 + GROUP)
    assert (title(notice), channels) == ("Still after 50 min: 2 nodes dead: a, b", ("ops",))
    book.feed(alive(3200, "a"))
    ((over, channels),) = book.advance(3200 + GROUP)
    assert (over.kind, names(over), channels) == (NoticeKind.RESOLVED, ["a"], ("ops",))


def run_with_channels(book: AlertBook, signals: list[Signal], until: int) -> list[Told]:
    for signal in signals:
        book.feed(signal)
    return [told for now in range(until) for told in book.advance(now)]


def test_only_the_new_channel_is_told_and_the_old_ones_repeats_keep_their_time() -> None:
    book = make_book()
    assert [channels for _, channels in run_with_channels(book, [dead(0, "a")], 100)] == [("ops",)]
    book.reconfigure(book.rules, Routes({"default": ("ops", "chat")}), 200)
    assert [channels for _, channels in book.advance(200 + GROUP)] == [("chat",)]
    assert book.advance(1000) == []
    book.reconfigure(book.rules, Routes({"default": ("chat", "ops")}), 1001)
    assert book.advance(1001 + GROUP) == [], "both have heard of it"
    (notice, channels), *rest = book.advance(GROUP + REPEAT)
    assert (notice.kind, channels, rest) == (NoticeKind.REPEAT, ("chat", "ops"), [])


def test_a_channel_that_comes_with_a_restart_is_told_once_what_held_before_is_seen_again() -> None:
    book = make_book({"default": ()})
    run_with_channels(book, [dead(0, "a"), dead(0, "b")], 100)
    again = make_book({"default": ("ops",)})
    again.restore(json.loads(json.dumps(book.to_json())))
    again.doubt(1000)
    again.catch_up(100)
    assert again.advance(500) == [], "whether it still holds is not known yet"
    again.feed(dead(600, "a"))
    ((notice, channels),) = again.advance(601)
    assert (notice.kind, names(notice), channels) == (NoticeKind.REPEAT, ["a"], ("ops",))
    assert [names(notice) for now in (1000, 1000 + GROUP) for notice, _ in again.advance(now)] == [["b"]]


def test_what_was_stored_before_channels_were_noted_is_not_told_again() -> None:
    book = make_book()
    run_with_channels(book, [dead(0, "a")], 100)
    state = json.loads(json.dumps(book.to_json()))
    for alert in state["alerts"]:
        del alert["heard"], alert["late_at"]
    again = make_book()
    again.restore(state)
    again.catch_up(100)
    assert [told for now in range(100, 1000) for told in again.advance(now)] == []
    again.reconfigure(again.rules, Routes({"default": ("ops", "chat")}), 1000)
    assert [channels for _, channels in again.advance(1000 + GROUP)] == [("chat",)]


def test_what_is_silenced_waits_for_a_new_channel_too() -> None:
    book = make_book({"default": ()})
    run_with_channels(book, [dead(0, "a")], 100)
    book.silences.begin(Silence("s", 900, Condition.DEAD))
    book.reconfigure(book.rules, Routes({"default": ("ops",)}), 200)
    assert book.advance(800) == []
    assert [channels for _, channels in book.advance(900)] == [("ops",)]


def test_another_configuration_keeps_what_is_raised_and_ends_what_it_no_longer_asks_for() -> None:
    book = make_book(strategies={90: 2})
    for signal in (dead(0, "a"), Mistake(0, "x"), Mistake(1, "x")):
        book.feed(signal)
    assert len(book.advance(40)) == 2
    book.reconfigure(AlertRules(strategies={60: 99}, group_seconds=5), Routes({"default": ("new",)}), 50)
    (over, *to), (still, *also_to) = book.advance(60)
    assert (over.condition, over.kind, to) == (Condition.ERROR, NoticeKind.RESOLVED, [("new",)])
    assert (still.condition, still.kind, also_to) == (Condition.DEAD, NoticeKind.REPEAT, [("new",)])
    assert [alert.object for alert in book.alerts] == ["a"]


# --- flips ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "at_start", "expected"),
    [
        (State.UNHEALTH, State.DEAD, False, [Raised]),
        (State.READY, State.UNHEALTH, False, [Mistake]),
        (State.DEAD, State.UNHEALTH, False, [Mistake]),
        (State.UNHEALTH, State.RECOVERY, False, [Cleared, Mistake]),
        (State.UNHEALTH, State.RECOVERY, True, [Cleared]),
        (State.RECOVERY, State.READY, False, [Cleared]),
    ],
)
def test_a_flip_says_dead_alive_or_mistaken(
    old: State, new: State, at_start: bool, expected: list[type[Signal]]
) -> None:
    assert [type(signal) for signal in of_flip(Flip("a", 1.0, old, new, "why"), at_start)] == expected


# --- properties -----------------------------------------------------------------------------------

NODES = ["a", "b", "c"]
steps = st.lists(
    st.tuples(
        st.sampled_from(["raise", "clear", "cut", "uncut", "silence", "gone"]),
        st.sampled_from(NODES),
        st.sampled_from([0.0, 1.0, 7.0, 40.0, 400.0]),
    ),
    max_size=40,
)


def play(
    book: AlertBook, script: list[tuple[str, str, float]], restart: bool = False
) -> tuple[list[Notice], float]:
    """Plays a script, asking whenever the book says it has something to do; the end lets everything calm
    down.
    """
    notices: list[Notice] = []
    now = 0.0

    def wait_until(then: float) -> None:
        nonlocal now, book
        for _ in range(10_000):
            due = book.next_due()
            if due is None or due > then:
                break
            now = max(now, due)
            notices.extend(notice for notice, _ in book.advance(now))
            if book.next_due() == due:
                raise AssertionError(f"nothing got on at {due}")
        now = then
        notices.extend(notice for notice, _ in book.advance(now))
        if restart:
            state = json.loads(json.dumps(book.to_json()))
            book.restore(state)
            assert json.loads(json.dumps(book.to_json())) == state

    for what, node, pause in script:
        wait_until(now + pause)
        cut = Raised(now, Condition.CUT_OFF, "supervisor", Severity.CRITICAL, "s", "a")
        match what:
            case "raise":
                book.feed(dead(now, node))
            case "clear":
                book.feed(alive(now, node))
            case "cut":
                book.feed(cut)
            case "uncut":
                book.feed(Cleared(now, Condition.CUT_OFF, "supervisor"))
            case "gone":
                book.feed(Gone(now, node))
            case _:
                book.silences.begin(Silence("s", now + 200, None, node))
    book.feed(Cleared(now, Condition.CUT_OFF, "supervisor"))
    wait_until(now + 3 * FLAP)
    return notices, now


@settings(max_examples=60, deadline=None)
@given(steps)
def test_every_incident_that_was_told_is_resolved_and_everything_raised_at_the_end_was_told(
    script: list[tuple[str, str, float]],
) -> None:
    book = make_book()
    notices, _ = play(book, script)
    standing: set[tuple[Condition, str]] = set()
    for notice in notices:
        for item in notice.items:
            key = item.condition, item.object
            if notice.kind is NoticeKind.RESOLVED:
                assert key in standing, "an end nobody had heard the beginning of"
                standing.discard(key)
            elif notice.kind is NoticeKind.REPEAT:
                assert key in standing
            elif item.ended_at is None or notice.kind is NoticeKind.FLAPPING:
                standing.add(key)
    assert standing == {alert.key for alert in book.alerts if alert.up}
    assert {alert.phase for alert in book.alerts} <= {Phase.FIRING}


@settings(max_examples=60, deadline=None)
@given(steps)
def test_at_most_one_notice_of_a_kind_and_condition_goes_out_per_window_to_a_channel(
    script: list[tuple[str, str, float]],
) -> None:
    notices, _ = play(make_book(repeat_seconds=0), [step for step in script if step[0] in ("raise", "clear")])
    for kind in (NoticeKind.FIRING, NoticeKind.RESOLVED):
        times = [notice.at for notice in notices if notice.kind is kind]
        # a window is open for GROUP seconds; what settles after flapping does so on its own time, at most
        # once a node
        close = sum(later - earlier < GROUP for earlier, later in itertools.pairwise(times))
        assert close <= len(NODES)


@settings(max_examples=40, deadline=None)
@given(steps)
def test_a_restart_at_any_moment_changes_nothing_of_what_is_told(
    script: list[tuple[str, str, float]],
) -> None:
    assert play(make_book(), script) == play(make_book(), script, restart=True)


@given(st.floats(0, 10**7))
def test_a_duration_is_short_and_never_empty(seconds: float) -> None:
    assert 3 <= len(duration(seconds)) <= 12
