"""Quiet times: every touched path comes out once it has settled, and never waits longer than the rules say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.core.quiet import (
    BURST,
    FIRST_DEFERRAL_SECONDS,
    FORGET_FACTOR,
    LONGEST_DEFERRAL_SECONDS,
    Quiet,
    QuietRules,
)

ROUNDING = 1e-9
RULES = QuietRules(quiet_seconds=0.02, max_delay_seconds=0.5)

touches = st.lists(
    st.tuples(st.sampled_from([b"a", b"b", b"c/d"]), st.floats(0.0, 0.3), st.booleans()), max_size=60
)


def test_a_path_is_due_after_its_quiet_time() -> None:
    quiet = Quiet(RULES)
    quiet.touch(b"a", 1.0)
    assert quiet.due(1.019) == []
    assert quiet.next_at() == pytest.approx(1.02)
    assert quiet.due(1.02) == [b"a"]
    assert len(quiet) == 0
    assert quiet.next_at() is None


def test_a_path_that_never_rests_is_due_after_the_maximum_delay() -> None:
    quiet = Quiet(RULES)
    now, out = 0.0, None
    while out is None:
        quiet.touch(b"busy", now)
        if quiet.due(now):
            out = now
        now += 0.01
    assert out == pytest.approx(0.5, abs=0.011)


def test_a_busy_path_holds_back_no_other() -> None:
    quiet = Quiet(RULES)
    quiet.touch(b"busy", 0.0)
    quiet.touch(b"calm", 0.0)
    quiet.touch(b"busy", 0.015)
    assert quiet.due(0.02) == [b"calm"]


def test_a_burst_travels_together() -> None:
    quiet = Quiet(RULES)
    for number in range(BURST + 10):
        quiet.touch(b"%d" % number, number * 0.001)
    last = (BURST + 9) * 0.001
    assert quiet.due(last) == []
    assert len(quiet.due(last + RULES.quiet_seconds + 1e-6)) == BURST + 10


def test_a_burst_that_never_rests_goes_out_in_parts() -> None:
    quiet = Quiet(RULES)
    sent, now = 0, 0.0
    for number in range(3000):
        now = number * 0.001
        quiet.touch(b"%d" % number, now)
        sent += len(quiet.due(now))
    assert sent > 2000
    assert sent + len(quiet.due(now + 1)) == 3000


def test_a_growing_file_waits_longer_each_time_but_not_for_ever() -> None:
    quiet = Quiet(RULES)
    now, waits = 0.0, []
    for _ in range(8):
        quiet.touch(b"grows", now, being_sent=True)
        at = quiet.next_at()
        assert at is not None
        waits.append(at - now)
        now = at
        assert quiet.due(now) == [b"grows"]
    assert waits[:5] == pytest.approx([2, 4, 8, 16, 32])
    assert max(waits) == pytest.approx(LONGEST_DEFERRAL_SECONDS)


def test_a_file_that_is_written_all_the_time_is_sent_now_and_then() -> None:
    quiet = Quiet(RULES)
    quiet.touch(b"log", 0.0, being_sent=True)
    now = 0.0
    while not quiet.due(now):
        now += 0.5
        quiet.touch(b"log", now)
    assert now == pytest.approx(FIRST_DEFERRAL_SECONDS * FORGET_FACTOR, abs=0.6)


def test_a_growing_file_is_known_to_be_pending() -> None:
    quiet = Quiet(RULES)
    quiet.touch(b"grows", 0.0, being_sent=True)
    assert b"grows" in quiet
    assert quiet.deferred == (b"grows",)
    assert quiet.due(FIRST_DEFERRAL_SECONDS) == [b"grows"]
    assert b"grows" not in quiet
    assert quiet.deferred == ()


@given(touches)
def test_every_touch_is_followed_by_a_due_and_none_comes_from_nothing(
    steps: list[tuple[bytes, float, bool]],
) -> None:
    quiet = Quiet(RULES)
    now, open_since = 0.0, dict[bytes, float]()
    for path, wait, being_sent in steps:
        now += wait
        quiet.touch(path, now, being_sent=being_sent)
        open_since.setdefault(path, now)
        for due in quiet.due(now):
            assert due in open_since
            del open_since[due]
        assert {p for p in (b"a", b"b", b"c/d") if p in quiet} == open_since.keys()
        assert len(quiet) == len(open_since)
    while (at := quiet.next_at()) is not None:
        now = max(now, at) + ROUNDING
        out = quiet.due(now)
        assert out, "next_at promised something"
        for due in out:
            del open_since[due]
    assert not open_since


@given(touches)
def test_nothing_comes_out_before_it_has_rested_or_waited_its_maximum(
    steps: list[tuple[bytes, float, bool]],
) -> None:
    quiet = Quiet(RULES)
    now, first, last = 0.0, dict[bytes, float](), dict[bytes, float]()
    for path, wait, _ in steps:
        now += wait
        for due in quiet.due(now):
            rested = now - last[due] >= RULES.quiet_seconds - ROUNDING
            assert rested or now - first[due] >= RULES.max_delay_seconds - ROUNDING
            del first[due]
        quiet.touch(path, now)
        first.setdefault(path, now)
        last[path] = now


def test_a_burst_that_goes_out_in_parts_leaves_out_what_is_being_written_just_then() -> None:
    quiet = Quiet(RULES)
    step = RULES.max_delay_seconds / (3 * BURST)
    for number in range(3 * BURST):
        quiet.touch(b"%d" % number, number * step)
    now = RULES.max_delay_seconds
    due = quiet.due(now)
    assert due[0] == b"0"
    resting = int((now - RULES.quiet_seconds) / step)
    assert abs(len(due) - resting) <= 1
    assert quiet.due(now + RULES.quiet_seconds) == [b"%d" % n for n in range(len(due), 3 * BURST)]
