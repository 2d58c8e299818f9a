"""What people read: titles, lines, durations; and that every question has its condition, severity and
advice.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.alerts import signals
from app.alerts.model import Cleared, Condition, Item, Mistake, Notice, NoticeKind, Raised, Severity, Signal
from app.alerts.wording import LISTED, body, duration, line_of, one_line, subject_of, title


def item(
    name: str, ended: float | None = None, since: float = 0.0, condition: Condition = Condition.DEAD
) -> Item:
    return Item(condition, name, Severity.CRITICAL, "no answer", "Look at it.", since, ended, 4)


def notice(kind: NoticeKind, *items: Item, at: float = 240.0) -> Notice:
    return Notice("n", kind, items[0].condition, Severity.CRITICAL, at, items, "n")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59.4, "59 s"), (60, "1 min"), (95, "1 min 35 s"), (700, "11 min"), (3600, "1 h"),
     (7500, "2 h 5 min"), (86400, "1 d"), (100_000, "1 d 3 h"), (-5, "0 s")],
)  # fmt: skip
def test_a_duration_has_at_most_two_units(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (NoticeKind.FIRING, "node a dead"),
        (NoticeKind.RESOLVED, "Over after 4 min: node a dead"),
        (NoticeKind.REPEAT, "Still after 4 min: node a dead"),
        (NoticeKind.FLAPPING, "Flapping: node a dead (4 times)"),
    ],
)
def test_a_title_says_what_kind_of_notice_it_is(kind: NoticeKind, expected: str) -> None:
    assert title(notice(kind, item("a"))) == expected


@pytest.mark.parametrize("condition", Condition)
def test_every_condition_has_words_for_one_and_for_many(condition: Condition) -> None:
    one = subject_of(condition, (item("thing", condition=condition),))
    many = subject_of(condition, tuple(item(f"t{index}", condition=condition) for index in range(12)))
    assert one
    assert "{" not in one + many
    if condition is not Condition.CUT_OFF:
        assert "thing" in one
        assert many.endswith("t0, t1, t2 … and 9 more")


def test_a_firing_notice_says_which_are_over_already() -> None:
    mixed = notice(NoticeKind.FIRING, item("a", ended=12.0), item("b"))
    assert title(mixed) == "2 nodes dead: a, b"
    assert "over after 12 s" in body(mixed)
    assert "for 4 min" in body(mixed)


def test_what_to_do_is_said_once_and_not_when_it_is_over() -> None:
    assert body(notice(NoticeKind.FIRING, item("a"), item("b"))).count("Look at it.") == 1
    assert "Look at it." not in body(notice(NoticeKind.RESOLVED, item("a", ended=200.0)))


def test_a_long_list_is_cut_and_counted() -> None:
    text = body(notice(NoticeKind.FIRING, *(item(f"n{index}") for index in range(LISTED + 7))))
    assert "… and 7 more" in text
    assert text.count("no answer") == LISTED


@given(st.text(max_size=400), st.integers(1, 60))
def test_one_line_is_one_line_and_never_longer_than_asked(text: str, limit: int) -> None:
    line = one_line(text, limit)
    assert len(line) <= limit
    assert line.isprintable()


@given(st.text(max_size=50))
def test_no_name_breaks_a_title_or_a_line(name: str) -> None:
    for kind in NoticeKind:
        assert title(notice(kind, item(name))).isprintable()
    assert line_of(item(name), 1.0).isprintable()


# --- signals --------------------------------------------------------------------------------------

QUESTIONS: list[tuple[Callable[..., Signal], tuple[object, ...], Condition]] = [
    (signals.of_step, ("a",), Condition.OUT_OF_STEP),
    (signals.of_source, ("root",), Condition.SOURCE),
    (signals.of_watcher, (), Condition.SOURCE),
    (signals.of_held, ("deletions",), Condition.HELD),
    (signals.of_dns, ("ali",), Condition.DNS),
    (signals.of_service, ("www",), Condition.DNS),
    (signals.of_cut_off, (), Condition.CUT_OFF),
    (signals.of_inventory, (), Condition.INVENTORY),
    (signals.of_missing_nodes, (), Condition.INVENTORY),
    (signals.of_address, ("a",), Condition.INVENTORY),
    (signals.of_sending, ("a",), Condition.SYSTEM),
    (signals.of_system, ("disk",), Condition.SYSTEM),
]


@pytest.mark.parametrize(("question", "about", "condition"), QUESTIONS)
def test_a_reason_raises_the_condition_with_advice_and_none_clears_the_same(
    question: Callable[..., Signal], about: tuple[object, ...], condition: Condition
) -> None:
    raised, cleared = question(5.0, *about, "it is so"), question(6.0, *about, None)
    assert isinstance(raised, Raised)
    assert isinstance(cleared, Cleared)
    assert raised.condition is cleared.condition is condition
    assert raised.object == cleared.object
    assert (raised.at, raised.summary) == (5.0, "it is so")
    assert raised.advice.endswith(".")


def test_drift_counts_paths_and_none_is_none() -> None:
    one = signals.of_drift(1.0, "a", 1)
    assert isinstance(one, Raised)
    assert one.summary == "1 path differs from the source"
    assert isinstance(signals.of_drift(1.0, "a", 0), Cleared)


def test_unreadable_paths_are_counted_with_an_example_and_none_is_none() -> None:
    some = signals.of_unreadable(1.0, 2, "a/b: Permission denied")
    assert isinstance(some, Raised)
    assert some.summary == "2 paths cannot be read: a/b: Permission denied"
    assert isinstance(signals.of_unreadable(1.0, 0, ""), Cleared)


def test_mistakes_say_whose_they_are() -> None:
    made = [
        signals.of_failed_path(1.0, "a", "x/y", "No space left"),
        signals.of_failed_recovery(1.0, "a", "stream broke"),
        signals.of_failed_dns(1.0, "ali", "Throttling"),
    ]
    assert all(isinstance(one, Mistake) for one in made)
    assert [one.what for one in made] == [
        "x/y failed on a: No space left",
        "recovery of a failed: stream broke",
        "DNS provider ali: Throttling",
    ]


def test_every_function_of_signals_is_tried_here_or_with_the_core() -> None:
    public = {
        name for name, value in vars(signals).items() if inspect.isfunction(value) and name.startswith("of_")
    }
    tried = {question.__name__ for question, _, _ in QUESTIONS}
    assert public - tried == {
        "of_errors",
        "of_flip",
        "of_drift",
        "of_unreadable",
        "of_failed_path",
        "of_failed_recovery",
        "of_failed_dns",
    }
