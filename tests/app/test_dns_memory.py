"""What the DNS half remembers over restarts: who left and returned when, and which nodes there were."""

from __future__ import annotations

import json
import threading

from hypothesis import given
from hypothesis import strategies as st

from app.holddowns import HoldDowns
from app.noderail import NodeRail
from dns.ledger import LedgerUnavailableError


class Memory:
    """Facts as the database keeps them: as JSON."""

    def __init__(self) -> None:
        self.kept: dict[str, str] = {}
        self.away = False

    def fact(self, name: str, default: object = None) -> object:
        if self.away:
            raise LedgerUnavailableError("the database is away")
        return json.loads(self.kept[name]) if name in self.kept else default

    def save_fact(self, name: str, value: object) -> None:
        self.kept[name] = json.dumps(value)


class Clock:
    now = 10_000.0

    def __call__(self) -> float:
        return self.now


def test_what_was_never_fit_has_not_left_and_its_first_coming_waits_for_nothing() -> None:
    holds = HoldDowns(Memory(), Clock())
    holds.note("a", False)
    holds.note("a", True)
    assert holds.waits("a", 10) is None
    assert not holds.has_left("a")


def test_each_leaving_doubles_the_wait_and_an_hour_of_calm_forgets_them() -> None:
    clock = Clock()
    holds = HoldDowns(Memory(), clock)
    holds.note("a", True)
    for wait in (10, 20, 40, 80, 160, 320, 600, 600):
        holds.note("a", False)
        holds.note("a", True)
        assert holds.waits("a", 10) == (clock.now, wait, wait)
    clock.now += 3601
    assert holds.waits("a", 10) is None
    holds.note("a", False)
    holds.note("a", True)
    assert holds.waits("a", 10) == (clock.now, 10, 10)


def test_a_clock_that_is_set_back_makes_no_wait_longer() -> None:
    clock = Clock()
    holds = HoldDowns(Memory(), clock)
    for fit in (True, False, True):
        holds.note("a", fit)
    clock.now -= 5000
    assert holds.waits("a", 10) == (clock.now, 10, 10)


def test_hold_downs_are_kept_over_a_restart() -> None:
    memory, clock = Memory(), Clock()
    holds = HoldDowns(memory, clock)
    holds.start()
    for fit in (True, False, True, False):
        holds.note("a", fit)
    holds.stop()
    again = HoldDowns(memory, clock)
    again.start()
    assert again.has_left("a")
    again.note("a", True)
    assert again.waits("a", 10) == (clock.now, 20, 20)
    assert again.next_return_seconds(10) == 20
    again.stop()


def test_noting_never_waits_for_the_database() -> None:
    entered, go = threading.Event(), threading.Event()

    class Slow(Memory):
        def save_fact(self, name: str, value: object) -> None:
            entered.set()
            go.wait(10)
            super().save_fact(name, value)

    holds = HoldDowns(Slow(), Clock())
    holds.start()
    holds.note("a", True)
    assert entered.wait(5)
    holds.note("a", False)  # would hang here
    go.set()
    holds.stop()


names = st.frozensets(st.sampled_from("abcdefgh"), max_size=8)


@given(names, names)
def test_over_half_gone_at_once_is_held_and_half_is_not(
    before: frozenset[str], after: frozenset[str]
) -> None:
    rail = NodeRail(Memory(), lambda sentence, missing: None)
    rail.take(before)
    rail.take(after)
    missing = before - after
    assert rail.gone == (missing if 2 * len(missing) > len(before) else frozenset())


def test_a_list_that_cannot_be_read_at_the_start_is_neither_forgotten_nor_overwritten() -> None:
    memory, told = Memory(), []
    NodeRail(memory, lambda sentence, missing: None).take("abc")
    memory.away = True
    clock = Clock()
    rail = NodeRail(memory, lambda sentence, missing: told.append(missing), clock)
    rail.load()
    rail.take("a")
    assert not rail.gone, "who is missing is not known"
    assert "could not be read" in rail.sentence, "and so nothing is withdrawn"
    memory.away = False
    clock.now += 5
    rail.load()
    assert rail.gone == frozenset("bc")
    assert told == [True]
    rail.take("abc")
    assert (rail.gone, told) == (frozenset(), [True, False])


def test_a_database_that_is_away_is_asked_every_five_seconds_and_by_one_at_a_time() -> None:
    asked, asks, go_on = 0, threading.Event(), threading.Event()

    class Slow(Memory):
        def fact(self, name: str, default: object = None) -> object:
            nonlocal asked
            asked += 1
            asks.set()
            assert go_on.wait(20)
            raise LedgerUnavailableError("the database is away")

    clock = Clock()
    rail = NodeRail(Slow(), lambda sentence, missing: None, clock)
    first = threading.Thread(target=rail.load, name="first")
    first.start()
    try:
        assert asks.wait(10)
        others = [threading.Thread(target=call, name="other", daemon=True) for call in (rail.load, rail.load)]
        others.append(threading.Thread(target=rail.take, args=("abc",), name="taker", daemon=True))
        for other in others:
            other.start()
        for other in others:
            other.join(5)
            assert not other.is_alive(), "who asks for facts never waits"
        assert asked == 1
    finally:
        go_on.set()
        first.join()
    clock.now += 4
    rail.load()
    assert asked == 1
    assert rail.asks_in_seconds == 1
    clock.now += 1
    rail.load()
    assert asked == 2


def test_gone_nodes_are_remembered_over_a_restart_until_a_person_agrees_or_they_are_back() -> None:
    memory, told = Memory(), []
    rail = NodeRail(memory, lambda sentence, missing: told.append(missing))
    rail.take("abc")
    rail.take("a")
    again = NodeRail(memory, lambda sentence, missing: told.append(missing))
    again.load()
    again.take("a")
    assert again.gone == frozenset("bc")
    assert "2 of 3 nodes are gone at once (b, c)" in again.sentence
    again.take("ab")
    assert not again.gone, "one of three is no fault"
    rail.accept()
    assert not rail.gone
    assert told == [True, True, False, False]
