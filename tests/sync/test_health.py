"""Property and example tests of the state machine of a node's health."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sync.core.health import (
    LONGEST_PAUSE_SECONDS,
    Health,
    HealthRules,
    SleepTimes,
    Step,
    jitter,
    new_node,
    next_observation_seconds,
    observe,
    recovered,
    recovery_failed,
    recovery_pause_seconds,
    relapsed,
)
from sync.core.model import Flip, Observation, ProbeResult, State

RULES = HealthRules()
REFUSED = ProbeResult("rsync", False, None, "connection refused")

EVENTS = ("good", "bad", "recovered", "recovery_failed", "relapsed")
ALLOWED = {
    (State.READY, State.UNHEALTH),
    (State.READY, State.RECOVERY),
    (State.UNHEALTH, State.DEAD),
    (State.UNHEALTH, State.RECOVERY),
    (State.DEAD, State.UNHEALTH),
    (State.RECOVERY, State.READY),
    (State.RECOVERY, State.UNHEALTH),
}
rule_sets = st.builds(HealthRules, unhealth_tries=st.integers(1, 7), unhealth_fatal=st.integers(0, 7))
event_lists = st.lists(st.sampled_from(EVENTS), max_size=60)


def good(at: float = 0.0) -> Observation:
    return Observation(at, True, (ProbeResult("rsync", True, 0.001),))


def bad(at: float = 0.0) -> Observation:
    return Observation(at, False, (REFUSED,))


def step(health: Health, event: str, at: float, rules: HealthRules = RULES) -> Step:
    if event in ("good", "bad"):
        return observe(health, good(at) if event == "good" else bad(at), rules)
    if event == "recovered":
        return recovered(health, at)
    return (recovery_failed if event == "recovery_failed" else relapsed)(health, at, "because")


def replay(
    health: Health, events: Sequence[str], rules: HealthRules = RULES, start: int = 0
) -> tuple[Health, list[Flip]]:
    flips = []
    for at, event in enumerate(events, start):
        health, flip = step(health, event, float(at), rules)
        health.check(rules)
        flips += [flip] if flip else []
    return health, flips


def reach(state: State, rules: HealthRules = RULES) -> Health:
    """A node in that state, by the shortest way."""
    ways = {
        State.RECOVERY: [],
        State.READY: ["recovered"],
        State.UNHEALTH: ["bad"],
        State.DEAD: ["bad"] + ["bad"] * rules.unhealth_tries,
    }
    return replay(new_node(0.0, "a"), ways[state], rules)[0]


@pytest.mark.parametrize(
    ("state", "event", "then"),
    [
        (State.READY, "good", State.READY),
        (State.READY, "bad", State.UNHEALTH),
        (State.READY, "recovered", State.READY),
        (State.READY, "recovery_failed", State.READY),
        (State.READY, "relapsed", State.RECOVERY),
        (State.UNHEALTH, "good", State.UNHEALTH),
        (State.UNHEALTH, "bad", State.UNHEALTH),
        (State.UNHEALTH, "recovered", State.UNHEALTH),
        (State.UNHEALTH, "recovery_failed", State.UNHEALTH),
        (State.UNHEALTH, "relapsed", State.UNHEALTH),
        (State.DEAD, "good", State.UNHEALTH),
        (State.DEAD, "bad", State.DEAD),
        (State.DEAD, "recovered", State.DEAD),
        (State.DEAD, "recovery_failed", State.DEAD),
        (State.DEAD, "relapsed", State.DEAD),
        (State.RECOVERY, "good", State.RECOVERY),
        (State.RECOVERY, "bad", State.UNHEALTH),
        (State.RECOVERY, "recovered", State.READY),
        (State.RECOVERY, "recovery_failed", State.UNHEALTH),
        (State.RECOVERY, "relapsed", State.RECOVERY),
    ],
)
def test_every_state_meets_every_event_as_the_table_says(state: State, event: str, then: State) -> None:
    before = reach(state)
    after, flip = step(before, event, 9.0)
    assert after.state is then
    assert (flip is None) == (state is then)
    if flip:
        assert (flip.node, flip.at, flip.old, flip.new) == ("a", 9.0, state, then)
        assert after.since == 9.0
        assert flip.reason == after.reason != ""
    else:
        assert after.since == before.since
        assert after.reason == before.reason


@settings(deadline=None)
@given(rule_sets, st.data())
def test_unhealth_decides_once_when_all_its_tries_are_in(rules: HealthRules, data: st.DataObject) -> None:
    results = data.draw(st.lists(st.booleans(), min_size=rules.unhealth_tries, max_size=rules.unhealth_tries))
    health = reach(State.UNHEALTH, rules)
    for i, result in enumerate(results):
        assert health.state is State.UNHEALTH
        health, flip = observe(health, good() if result else bad(), rules)
        assert (flip is not None) == (i + 1 == rules.unhealth_tries)
    dead = results.count(False) > rules.unhealth_fatal
    assert health.state is (State.DEAD if dead else State.RECOVERY)


def test_three_failures_of_five_recover_and_four_are_fatal_by_default() -> None:
    assert replay(reach(State.UNHEALTH), ["bad", "bad", "good", "bad", "good"])[0].state is State.RECOVERY
    assert replay(reach(State.UNHEALTH), ["bad", "bad", "good", "bad", "bad"])[0].state is State.DEAD


@settings(deadline=None)
@given(event_lists, rule_sets)
def test_only_the_flips_of_the_table_happen_and_the_invariants_hold(
    events: list[str], rules: HealthRules
) -> None:
    health, flips = replay(new_node(0.0), events, rules)
    assert {(f.old, f.new) for f in flips} <= ALLOWED
    states = [State.RECOVERY, *(f.new for f in flips)]
    assert [f.old for f in flips] == states[:-1]
    assert health.state is states[-1]


@settings(deadline=None)
@given(event_lists, rule_sets, st.integers(0, 60))
def test_a_sequence_cut_anywhere_and_taken_up_again_gives_the_same(
    events: list[str], rules: HealthRules, cut: int
) -> None:
    cut = min(cut, len(events))
    middle, first = replay(new_node(0.0), events[:cut], rules)
    stored = Health(**{name: getattr(middle, name) for name in Health.__slots__})
    end, second = replay(stored, events[cut:], rules, start=cut)
    assert (end, first + second) == replay(new_node(0.0), events, rules)


@settings(deadline=None)
@given(event_lists)
def test_recoveries_count_the_failed_attempts_since_the_last_ready(events: list[str]) -> None:
    health, expected = new_node(0.0), 0
    for at, event in enumerate(events):
        before = health.state
        health, _ = step(health, event, float(at))
        if before is State.RECOVERY and event == "recovery_failed":
            expected += 1
        if health.state is State.READY:
            expected = 0
        assert health.recoveries == expected


def test_a_broken_invariant_is_noticed() -> None:
    for wrong in (
        Health(State.READY, 0.0, "x", tries=1),
        Health(State.READY, 0.0, "x", recoveries=1),
        Health(State.UNHEALTH, 0.0, "x", tries=1, failures=2),
        Health(State.DEAD, 0.0, ""),
    ):
        with pytest.raises(AssertionError):
            wrong.check()
    with pytest.raises(AssertionError):
        Health(State.UNHEALTH, 0.0, "x", tries=5).check(RULES)


def test_a_ready_node_has_forgotten_what_failed_before() -> None:
    health = replay(new_node(0.0), ["recovery_failed", *["good"] * 5, "recovered"])[0]
    assert (health.state, health.recoveries, health.last_failure) == (State.READY, 0, "")


def test_the_pause_before_an_attempt_doubles_up_to_ten_minutes() -> None:
    pauses = [
        recovery_pause_seconds(Health(State.RECOVERY, 0.0, "x", recoveries=n), RULES) for n in range(12)
    ]
    assert pauses == [0.0, 3.0, 6.0, 12.0, 24.0, 48.0, 96.0, 192.0, 384.0, 600.0, 600.0, 600.0]
    many = Health(State.RECOVERY, 0.0, "x", recoveries=100_000)
    assert recovery_pause_seconds(many, RULES) == LONGEST_PAUSE_SECONDS


def test_each_state_is_observed_at_its_own_interval() -> None:
    rules = HealthRules(sleep=SleepTimes(ready=5, dead=4, unhealth=3, recovery=2))
    seconds = {s: next_observation_seconds(reach(s, rules), rules) for s in State}
    assert seconds == {State.READY: 5, State.DEAD: 4, State.UNHEALTH: 3, State.RECOVERY: 2}


@settings(deadline=None)
@given(st.text(max_size=20), st.integers(0, 10**9))
def test_jitter_is_the_same_for_the_same_node_and_number_and_moves_a_timer_by_a_tenth(
    node: str, n: int
) -> None:
    health = new_node(0.0, node)
    assert -1.0 <= jitter(node, n) < 1.0
    assert jitter(node, n) == jitter(node, n)
    assert 2.7 <= next_observation_seconds(health, RULES, n) <= 3.3


def test_jitter_spreads_nodes_that_were_added_together() -> None:
    spread = sorted(jitter(f"node-{i}", 0) for i in range(50))
    assert spread[0] < -0.8
    assert spread[-1] > 0.8
    assert len(set(spread)) == 50


def test_reasons_are_sentences_for_people() -> None:
    both = Observation(1.0, False, (ProbeResult("ping", False, None, "no answer in 1 s"), REFUSED))
    health, flip = observe(reach(State.READY), both, RULES)
    assert flip is not None
    assert flip.reason == "2 of 2 probes failed: ping: no answer in 1 s; rsync: connection refused"
    absent = Observation(1.0, False, (ProbeResult("ping", None, None, "filtered"), REFUSED))
    assert observe(reach(State.READY), absent, RULES)[0].reason == (
        "1 of 1 probe failed: rsync: connection refused"
    )
    bare = observe(reach(State.READY), Observation(1.0, False), RULES)[0]
    assert bare.reason == "the observation failed"
    dead = replay(health, ["bad"] * 5)[0]
    assert dead.reason == (
        "5 of 5 observations failed; the last said: 1 of 1 probe failed: rsync: connection refused"
    )
    back = replay(dead, ["good"])[0]
    assert back.reason == "answers again"
    again = replay(back, ["good"] * 5)[0]
    assert again.reason == "5 of 5 observations were good, a full resync is due"
    assert recovery_failed(again, 3.0, "no space")[0].reason == "recovery failed: no space"


def test_impossible_numbers_are_refused() -> None:
    for wrong in (
        {"unhealth_tries": 0},
        {"unhealth_fatal": -1},
        {"sleep": SleepTimes(ready=0)},
    ):
        with pytest.raises(ValueError, match="must"):
            HealthRules(**wrong)  # type: ignore[arg-type]
