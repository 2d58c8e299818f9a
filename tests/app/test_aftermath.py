"""Which nodes are looked at anew after the supervisor was cut off; time is an argument."""

from __future__ import annotations

import itertools

import pytest

from app.aftermath import Aftermath
from sync.core.model import Flip, State

DEAD, UNHEALTH, RECOVERY, READY = State.DEAD, State.UNHEALTH, State.RECOVERY, State.READY


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def aftermath(clock: Clock) -> Aftermath:
    made = Aftermath(clock)
    made.begin(["a", "b"], 30)
    return made


def go(aftermath: Aftermath, *states: State) -> None:
    for old, new in itertools.pairwise(states):
        aftermath.flipped(Flip("a", 0.0, old, new, "why"))


def test_a_node_on_its_way_back_is_spared_until_it_is_ready(aftermath: Aftermath, clock: Clock) -> None:
    assert aftermath.spares("a", DEAD)
    go(aftermath, DEAD, UNHEALTH, RECOVERY)
    clock.now += 500
    assert aftermath.spares("a", RECOVERY), "a full resync takes as long as it takes"
    go(aftermath, RECOVERY, READY)
    assert not aftermath.spares("a", UNHEALTH), "from now on what is seen counts"
    assert aftermath.spares("b", UNHEALTH)


def test_a_node_that_is_still_dead_after_a_while_is_believed_to_be(
    aftermath: Aftermath, clock: Clock
) -> None:
    go(aftermath, UNHEALTH, DEAD)  # the last of its tries were made while the supervisor was cut off
    assert aftermath.spares("a", DEAD)
    assert aftermath.ends_in_seconds == 30
    clock.now += 30
    assert aftermath.ends_in_seconds is None
    assert not aftermath.spares("a", DEAD)
    go(aftermath, DEAD, UNHEALTH)
    assert not aftermath.spares("a", UNHEALTH), "it was believed once"


def test_a_resync_that_fails_is_evidence_since(aftermath: Aftermath) -> None:
    go(aftermath, DEAD, UNHEALTH, RECOVERY, UNHEALTH)
    assert not aftermath.spares("a", UNHEALTH)


def test_nobody_else_is_spared_and_the_next_cut_begins_anew(aftermath: Aftermath) -> None:
    assert not aftermath.spares("c", DEAD)
    assert not aftermath.spares("a", READY)
    aftermath.begin([], 30)
    assert not aftermath.spares("a", DEAD)
    assert aftermath.ends_in_seconds is None


def test_a_node_that_never_left_ready_is_not_spared_hours_later(aftermath: Aftermath, clock: Clock) -> None:
    clock.now += 5 * 3600
    go(aftermath, READY, RECOVERY)
    assert not aftermath.spares("a", RECOVERY), "its content differs, and that is seen today"
    aftermath.flipped(Flip("b", 0.0, READY, UNHEALTH, "silent today"))
    assert not aftermath.spares("b", UNHEALTH)


def test_silence_never_sends_a_ready_node_into_recovery_so_that_counts_at_once(aftermath: Aftermath) -> None:
    go(aftermath, READY, RECOVERY)
    assert not aftermath.spares("a", RECOVERY)
    aftermath.flipped(Flip("b", 0.0, READY, UNHEALTH, "its last try was made while we were cut off"))
    assert aftermath.spares("b", UNHEALTH)
