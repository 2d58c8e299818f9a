"""The rails before deletion: the fault table, the ten-minute peak, mass deletions."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.core.rails import (
    BUSY_SECONDS,
    MASS,
    MASS_SECONDS,
    PEAK_SECONDS,
    SHRINK_FLOOR,
    STILL_SECONDS,
    Identity,
    MassDeletion,
    Peak,
    Source,
    fault,
)

HERE = Identity(1, 2)
SOUND = Source(root=HERE, expected=HERE, lacks=3, files=97, peak=100)


def changed(**fields: object) -> Source:
    return replace(SOUND, **fields)  # type: ignore[arg-type]


def test_a_sound_source_that_lost_a_few_paths_may_delete() -> None:
    assert fault(SOUND, 50) is None


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (changed(root=None), "missing"),
        (changed(is_empty=True, files=0), "is empty"),
        (changed(root=Identity(1, 3)), "replaced"),
        (changed(mounts={b"cdn": False}), "nothing is mounted any more at cdn"),
        (changed(missing_paths=(b"www",)), "publish.paths names folders"),
        (changed(peak=1000, files=400, lacks=600), "shrank from 1000 to 400"),
    ],
)
def test_each_fault_is_named_and_says_what_to_do(source: Source, words: str) -> None:
    said = fault(source, 50)
    assert said is not None
    assert words in said
    assert "mount" in said or "flask nodes resync --accept-deletions" in said


def test_a_replaced_root_that_lacks_nothing_is_no_fault() -> None:
    assert fault(changed(root=Identity(1, 3), lacks=0, files=100), 50) is None


def test_an_empty_source_that_never_held_anything_is_no_fault() -> None:
    assert fault(Source(root=HERE, expected=HERE, is_empty=True), 50) is None


@given(st.integers(0, 3000), st.integers(0, 3000), st.floats(0, 100))
def test_shrinking_is_a_fault_only_beyond_both_the_share_and_the_floor(
    peak: int, lost: int, percent: float
) -> None:
    lost = min(lost, peak)
    said = fault(changed(peak=peak, files=peak - lost, lacks=lost), percent)
    assert (said is not None) == (lost > SHRINK_FLOOR and lost * 100 > percent * peak)


@given(st.lists(st.tuples(st.floats(0, 120), st.integers(0, 1000)), min_size=1, max_size=60))
def test_the_peak_is_the_largest_number_of_the_last_ten_minutes(steps: list[tuple[float, int]]) -> None:
    peak, seen, now = Peak(), list[tuple[float, int]](), 0.0
    for wait, files in steps:
        now += wait
        peak.add(now, files)
        seen.append((now, files))
        window = [n for at, n in seen if at >= now - PEAK_SECONDS]
        assert peak.value(now) >= max(window)
        assert peak.value(now) <= max(n for _, n in seen)
    peak.reset(now, 5)
    assert peak.value(now) == 5


def test_a_peak_is_not_forgotten_while_nothing_is_added() -> None:
    peak = Peak()
    peak.add(0, 1000)
    assert peak.value(10 * PEAK_SECONDS) == 1000


def test_few_deletions_do_not_wait() -> None:
    mass = MassDeletion()
    mass.note(0, MASS)
    assert not mass.holds(0)


def test_many_deletions_wait_until_the_tree_was_still() -> None:
    mass = MassDeletion()
    mass.moved(0)
    mass.note(0, MASS + 1)
    assert mass.holds(0)
    mass.moved(1.5)
    assert mass.holds(STILL_SECONDS)
    assert mass.is_waiting(STILL_SECONDS)
    assert mass.next_at() == 1.5 + STILL_SECONDS
    assert not mass.holds(1.5 + STILL_SECONDS)
    assert mass.next_at() is None


def test_a_tree_that_never_rests_holds_deletions_for_a_while_only() -> None:
    mass = MassDeletion()
    mass.note(0, MASS + 1)
    now = 0.0
    while mass.holds(now):
        mass.moved(now)
        now += 0.5
    assert now == BUSY_SECONDS


def test_deletions_spread_over_a_long_time_do_not_wait() -> None:
    mass = MassDeletion()
    for second in range(100):
        mass.note(second * MASS_SECONDS / 10, 9)
        assert not mass.holds(second * MASS_SECONDS / 10)


@given(st.lists(st.tuples(st.floats(0, 5), st.integers(0, 80), st.booleans()), max_size=60))
def test_a_hold_always_ends(steps: list[tuple[float, int, bool]]) -> None:
    mass, now = MassDeletion(), 0.0
    for wait, deletions, moved in steps:
        now += wait
        if moved:
            mass.moved(now)
        mass.note(now, deletions)
        if mass.holds(now):
            at = mass.next_at()
            assert at is not None
            assert now < at <= now + BUSY_SECONDS
    assert not mass.holds(now + BUSY_SECONDS)
