"""Tests of promise 2's "in step": who falls out, who does not, and the quick way says the same."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sync.core.dustbin import failed, lacking
from sync.core.instep import SLOTS, Cursors, NodeStanding, field_cursor, judge, out_of_step
from sync.core.model import State

LAG = 30.0
NOW = 1000.0
LONG_AGO = NOW - 10 * LAG


def ring(*samples: tuple[float, int]) -> Cursors:
    cursors = Cursors()
    for at, cursor in samples:
        cursors = cursors.with_sample(at, cursor, 2 * LAG)
    return cursors


def node(
    name: str,
    *samples: tuple[float, int],
    state: State = State.READY,
    drained: bool = False,
    lacks: dict[bytes, int] | None = None,
    cleared: dict[bytes, float] | None = None,
) -> NodeStanding:
    cursor = samples[-1][1] if samples else 0
    return NodeStanding(name, state, drained, cursor, ring(*samples), lacks or {}, cleared or {})


def out(field: Sequence[NodeStanding], now: float = NOW) -> set[str]:
    verdicts = judge(field, now, LAG)
    for n in field:
        assert (verdicts[n.name] is None) == (out_of_step(n, field, now, LAG) is None)
    return {name for name, reason in verdicts.items() if reason}


# ── the ring ─────────────────────────────────────────────────────────────────────────────────────────────

histories = st.lists(st.tuples(st.floats(0, 20), st.integers(0, 50)), max_size=200)


def test_the_ring_answers_what_was_reached_at_a_time() -> None:
    r = ring((10.0, 5), (20.0, 7))
    assert [r.reached(t) for t in (9.9, 10.0, 19.9, 20.0, 99.0)] == [0, 5, 5, 7, 7]


@settings(deadline=None)
@given(histories)
def test_the_ring_never_claims_more_than_was_reached_and_stays_small(steps: list[tuple[float, int]]) -> None:
    at, cursor, r, history = 0.0, 0, Cursors(), [(-1.0, 0)]
    for pause, more in steps:
        at, cursor = at + pause, cursor + more
        r = r.with_sample(at, cursor, LAG)
        history.append((at, cursor))
        assert r.reached(at) == cursor
        then = at - LAG
        truth = max(c for t, c in history if t <= max(then, -1.0))
        early = max(c for t, c in history if t <= max(then - LAG / SLOTS, -1.0))
        assert early <= r.reached(then) <= truth
    assert len(r.times) <= 2 * SLOTS + 3


def test_a_thousand_samples_a_second_do_not_make_the_ring_grow() -> None:
    r = Cursors()
    for i in range(20_000):
        r = r.with_sample(i / 1000, i, LAG)
    assert len(r.times) <= 2 * SLOTS + 3


def test_a_cursor_that_goes_back_voids_the_past_and_a_clock_that_goes_back_is_held() -> None:
    r = ring((10.0, 50), (20.0, 60)).with_sample(30.0, 4, LAG)
    assert (r.reached(29.0), r.reached(30.0)) == (0, 4)
    held = ring((10.0, 5)).with_sample(3.0, 6, LAG)
    assert held.reached(10.0) == 6
    assert held.reached(9.0) == 0


# ── rule (b): falling behind the field ───────────────────────────────────────────────────────────────────


@settings(deadline=None)
@given(st.lists(st.integers(0, 100), min_size=1, max_size=30))
def test_half_of_the_field_counts_exactly(reached: list[int]) -> None:
    due = field_cursor(reached)
    assert 2 * sum(r >= due for r in reached) >= len(reached)
    assert 2 * sum(r > due for r in reached) < len(reached)


@pytest.mark.parametrize(
    ("done", "of", "behind_go"),
    [(0, 1, 0), (1, 1, 0), (0, 2, 0), (1, 2, 1), (1, 3, 0), (2, 3, 1), (1, 4, 0), (2, 4, 2), (3, 4, 1)],
)
def test_those_behind_go_once_half_of_the_nodes_have_it(done: int, of: int, behind_go: int) -> None:
    field = [node(str(i), (LONG_AGO, 100 if i < done else 10)) for i in range(of)]
    assert len(out(field)) == behind_go
    assert not out(field) & {str(i) for i in range(done)}


def test_a_single_node_is_never_out_by_its_cursor() -> None:
    assert out([node("a", (LONG_AGO, 0))]) == set()
    assert out([node("a", (LONG_AGO, 0)), node("b", (LONG_AGO, 9), state=State.DEAD)]) == set()
    assert out([node("a", (LONG_AGO, 0)), node("b", (LONG_AGO, 9), drained=True)]) == set()


def test_a_drained_node_is_judged_by_the_others_and_does_not_count_itself() -> None:
    field = [node("a", (LONG_AGO, 100)), node("b", (LONG_AGO, 10), drained=True)]
    assert out(field) == {"b"}


@settings(deadline=None)
@given(st.integers(3, 40), st.data())
def test_a_large_publish_most_nodes_are_still_receiving_takes_nobody_out(n: int, data: st.DataObject) -> None:
    done = data.draw(st.integers(0, (n - 1) // 2))
    field = [node(str(i), (LONG_AGO, 10_000 if i < done else i)) for i in range(n)]
    # all stood at 50 before the publish; those that are done were done long ago, the others are at it
    field = [replace(f, cursor=max(f.cursor, 50), ring=ring((0.0, 50), (LONG_AGO, f.cursor))) for f in field]
    assert out(field) == set()


def test_a_node_that_falls_behind_the_field_goes_after_the_lag_and_not_before() -> None:
    field = [node("a", (0.0, 5), (500.0, 9)), node("b", (0.0, 5), (500.0, 9)), node("c", (0.0, 5))]
    assert out(field, 500.0 + LAG - 0.1) == set()
    assert out(field, 500.0 + LAG) == {"c"}
    caught_up = replace(field[2], cursor=9, ring=field[2].ring.with_sample(531.0, 9, LAG))
    assert out([*field[:2], caught_up], 531.0) == set()


def test_being_behind_what_came_just_now_takes_nobody_out_however_much_it_is() -> None:
    field = [
        node("a", (0.0, 5), (NOW, 1_000_000)),
        node("b", (0.0, 5), (NOW, 1_000_000)),
        node("c", (0.0, 5)),
    ]
    assert out(field) == set()


# ── rule (a): failing to take what others took ───────────────────────────────────────────────────────────


def test_a_node_that_fails_what_another_took_goes_after_the_lag() -> None:
    field = [node("a", (0.0, 5), (500.0, 9)), node("b", (0.0, 5), (500.0, 9), lacks={b"x": 7})]
    assert out(field, 500.0 + LAG - 0.1) == set()
    assert out(field, 500.0 + LAG) == {"b"}
    reason = out_of_step(field[1], field, 500.0 + LAG, LAG)
    assert reason == "lacks x, which a has had for 30 s"


@settings(deadline=None)
@given(st.integers(1, 20), st.sets(st.binary(min_size=1, max_size=4), min_size=1, max_size=10))
def test_a_file_no_node_can_take_takes_nobody_out(n: int, paths: set[bytes]) -> None:
    field = [node(str(i), (LONG_AGO, 100), lacks=dict.fromkeys(paths, 7)) for i in range(n)]
    assert out(field) == set()


@pytest.mark.parametrize("state", [State.UNHEALTH, State.DEAD, State.RECOVERY])
def test_only_a_ready_node_is_a_witness(state: State) -> None:
    witness = node("a", (LONG_AGO, 100))
    field = [witness, node("b", (LONG_AGO, 100), lacks={b"x": 7})]
    assert out(field) == {"b"}
    assert out([replace(witness, drained=True), field[1]]) == {"b"}
    assert out([replace(witness, state=state), field[1]]) == set()


def test_a_path_that_the_others_took_only_now_is_no_evidence_yet() -> None:
    """All failed at it, and then the first of them took it: the rest has max_lag_seconds to follow."""
    took = node("a", (LONG_AGO, 100), cleared={b"x": NOW - 1})
    field = [took, node("b", (LONG_AGO, 100), lacks={b"x": 7})]
    assert out(field) == set()
    assert out(field, NOW - 1 + LAG) == {"b"}


def test_rewriting_a_path_resets_nothing() -> None:
    entry = None
    for i, seq in enumerate((7, 50, 90)):
        entry = failed(entry, node="b", path=b"x", seq=seq, error="e", code=23, now=500.0 + i, base_seconds=5)
    assert entry is not None
    field = [node("a", (0.0, 5), (500.0, 9)), node("b", (0.0, 5), (500.0, 9), lacks=lacking([entry]))]
    assert out(field, 500.0 + LAG) == {"b"}


# ── the quick way and the rules ──────────────────────────────────────────────────────────────────────────

standings = st.builds(
    lambda state, drained, samples, lacks, cleared: node(
        "?", *sorted(samples), state=state, drained=drained, lacks=lacks, cleared=cleared
    ),
    st.sampled_from([State.READY, State.READY, State.READY, *State]),
    st.booleans(),
    st.lists(st.tuples(st.sampled_from([900.0, 969.0, 970.0, 971.0]), st.integers(0, 9)), max_size=4),
    st.dictionaries(st.sampled_from([b"x", b"y", b"z"]), st.integers(0, 9)),
    st.dictionaries(st.sampled_from([b"x", b"y", b"z"]), st.sampled_from([900.0, 970.0, 980.0])),
)


@settings(deadline=None)
@given(st.lists(standings, max_size=8))
def test_judging_all_at_once_says_the_same_as_the_rules_one_by_one(found: list[NodeStanding]) -> None:
    field = [replace(n, name=str(i)) for i, n in enumerate(found)]
    assert set(judge(field, NOW, LAG)) == {n.name for n in field}
    out(field)


def test_three_hundred_nodes_are_judged_well_within_the_time_between_two_looks() -> None:
    nobody_takes = {f"f{i}".encode(): 5 for i in range(20)}
    field = [node(str(i), (LONG_AGO, 100), (NOW - 1, 200), lacks=nobody_takes) for i in range(300)]
    began = time.perf_counter()
    assert set(judge(field, NOW, LAG).values()) == {None}
    assert time.perf_counter() - began < 0.1
