"""The end of a doubt is evidence like any other: it is remembered and wakes the passes. Memory only; time is an
argument.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from app.aftermath import Aftermath
from app.holddowns import HoldDowns
from app.node_facts import ANEW, Knowledge
from app.noderail import NodeRail
from sync.core.model import Flip, State
from sync.field import Fitness

DEAD, UNHEALTH, RECOVERY, READY = State.DEAD, State.UNHEALTH, State.RECOVERY, State.READY


class Nothing:
    def fact(self, name: str, default: object = None) -> object:
        return default

    def save_fact(self, name: str, value: object) -> None:
        pass


class World:
    """One node, published when the cable was cut, and what is known of it; `goes` as the engine says it."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.node = SimpleNamespace(state=DEAD, drained=False)
        self._field = SimpleNamespace(nodes={"a": self.node}, fitness=self._fitness)
        engine: Any = SimpleNamespace(field=self._field)
        book: Any = SimpleNamespace(addresses=lambda name: ((), True))
        self.holds = HoldDowns(Nothing(), lambda: self.now)
        self.knowledge = Knowledge(engine, book, self.holds, NodeRail(Nothing(), lambda *_: None))
        self.knowledge.aftermath = Aftermath(lambda: self.now)
        self.holds.note("a", True)
        self.knowledge.aftermath.begin(["a"], 30)

    def _fitness(self) -> dict[str, Fitness]:
        return {"a": Fitness(self.node.state is READY, f"is in {self.node.state}")}

    def goes(self, new: State) -> bool:
        old, self.node.state = self.node.state, new
        return self.knowledge.flipped(Flip("a", self.now, old, new, "why"))

    def fact(self) -> tuple[bool | None, str]:
        (fact,) = self.knowledge.facts(10)
        return fact.fit, fact.reason


@pytest.fixture
def world() -> World:
    return World()


def test_a_resync_that_fails_wakes_the_passes_and_is_remembered_as_leaving(world: World) -> None:
    assert not world.goes(UNHEALTH)
    assert not world.goes(RECOVERY)
    assert world.fact() == (None, ANEW)
    assert not world.holds.has_left("a")
    assert world.goes(UNHEALTH), "whether the records are due is asked now"
    assert world.holds.has_left("a")
    assert world.fact()[0] is False


def test_being_ready_again_ends_the_doubt_and_nobody_has_left(world: World) -> None:
    for state in (UNHEALTH, RECOVERY, READY):
        assert not world.goes(state)
    assert world.fact()[0] is True
    assert world.holds.waits("a", 10) is None


def test_a_node_that_is_still_dead_is_remembered_as_leaving_by_the_pass_that_waited_for_it(
    world: World,
) -> None:
    assert world.fact() == (None, ANEW)
    assert not world.holds.has_left("a")
    world.now += 31
    assert world.fact()[0] is False
    assert world.holds.has_left("a")


def test_on_its_way_back_it_is_spared_beyond_the_deadline_and_a_fall_counts(world: World) -> None:
    world.goes(UNHEALTH)
    world.now += 31
    assert world.fact() == (None, ANEW)
    assert not world.holds.has_left("a")
    assert world.goes(DEAD)
    assert world.holds.has_left("a")
