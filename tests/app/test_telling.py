"""From the engine's events and flips to alerts and hooks."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest

from app.alerts.entry import Entry
from app.alerts.events import MOST_MISTAKES, signals_of, signals_of_flip
from app.alerts.model import (
    AlertRules,
    Cleared,
    Condition,
    Delivery,
    Gone,
    Mistake,
    Notice,
    Raised,
    Severity,
    Signal,
)
from app.alerts.routes import Routes
from app.alerts.service import Alerts
from app.happening import Happening, Trigger
from app.hook_run import HookResult, HookSpec
from app.hooks import Hooks
from app.telling import Telling, records_of
from sync.core.model import Flip, State
from sync.ports import Event


def event(
    kind: str, message: str = "it is so", severity: str = "info", node: str | None = None, **facts: Any
) -> Event:
    return Event(5.0, kind, message, node, severity, facts)


def short(signals: Sequence[Signal]) -> list[tuple[object, object, object]]:
    """Type, condition and object (or what) of each signal."""
    return [
        (type(one), getattr(one, "condition", None), getattr(one, "object", None) or getattr(one, "what", ""))
        for one in signals
    ]


PAIRS = [
    (event("source", severity="error", held=False), event("source"), Condition.SOURCE, "publish directory"),
    (event("source", severity="error", held=True), event("source"), Condition.HELD, "deletions"),
    (event("watch", severity="warning"), event("watch"), Condition.SOURCE, "watcher"),
    (event("cut_off", severity="error"), event("cut_off"), Condition.CUT_OFF, "supervisor"),
    (event("inventory", severity="error"), event("inventory"), Condition.INVENTORY, "node source"),
    (event("held", severity="error", node="a"), event("resync", node="a"),
     Condition.HELD, "full resync of a"),
    (event("address", severity="warning", node="a"), event("address", node="a"),
     Condition.INVENTORY, "address of a"),
    (event("out_of_step", severity="warning", node="a"), event("out_of_step", node="a", back=True),
     Condition.OUT_OF_STEP, "a"),
    (event("dns", severity="error", about="z at p"), event("dns", about="z at p"), Condition.DNS, "z at p"),
]  # fmt: skip


@pytest.mark.parametrize(("bad", "good", "condition", "name"), PAIRS)
def test_what_an_event_raises_its_counterpart_clears(
    bad: Event, good: Event, condition: Condition, name: str
) -> None:
    assert short(signals_of(bad)) == [(Raised, condition, name)]
    assert (Cleared, condition, name) in short(signals_of(good))
    assert not [one for one in signals_of(good) if isinstance(one, Raised | Mistake)]


def test_a_node_that_is_ready_again_has_no_drift_and_nothing_held() -> None:
    assert short(signals_of(event("drift", severity="warning", node="a", paths=3))) == [
        (Raised, Condition.DRIFT, "a")
    ]
    ready = signals_of_flip(Flip("a", 5.0, State.RECOVERY, State.READY, ""), at_start=False)
    assert {(condition, name) for _, condition, name in short(ready)} == {
        (Condition.DEAD, "a"),
        (Condition.DRIFT, "a"),
        (Condition.HELD, "full resync of a"),
    }


def test_failed_paths_resyncs_and_operations_are_counted_as_errors() -> None:
    assert len(signals_of(event("dustbin", severity="warning", node="a", paths=7))) == 7
    assert len(signals_of(event("dustbin", severity="warning", node="a", paths=10**6))) == MOST_MISTAKES
    for counted in (
        event("resync", severity="error", node="a"),
        event("dns", severity="error", service="www", provider="p"),
        event("source", severity="warning"),
    ):
        assert [type(one) for one in signals_of(counted)] == [Mistake]


def test_a_removed_node_is_gone_and_so_is_what_was_told_of_it() -> None:
    gone = signals_of(event("inventory", "removed from the configuration", node="a"))
    assert short(gone) == [
        (Gone, None, "a"),
        (Cleared, Condition.HELD, "full resync of a"),
        (Cleared, Condition.INVENTORY, "address of a"),
        (Cleared, Condition.SYSTEM, "sending to a"),
    ]


def test_nodes_gone_at_once_are_another_alert_than_a_node_source_in_trouble() -> None:
    (rail,) = signals_of(event("inventory", "2 of 3", severity="error", about="nodes gone at once"))
    (source,) = signals_of(event("inventory", "it failed", severity="error"))
    assert short((rail, source)) == [
        (Raised, Condition.INVENTORY, "list of nodes"),
        (Raised, Condition.INVENTORY, "node source"),
    ]


def test_an_added_node_is_no_news() -> None:
    assert signals_of(event("inventory", "added", node="a")) == ()


@pytest.mark.parametrize(
    "kind", ["start", "stop", "config", "access", "alert", "audit", "probe", "nodes", "novelty"]
)
def test_events_that_say_nothing_wrong_feed_nothing(kind: str) -> None:
    assert signals_of(event(kind)) == signals_of(event(kind, node="a")) == ()


def test_an_operation_publishes_what_is_new_and_withdraws_what_is_not_there_any_more() -> None:
    done = event(
        "dns", service="www", name="www.example.com", type="A", line="telecom", reason="a is ready",
        values=["192.0.2.1", "192.0.2.2"], old_values=["192.0.2.2", "192.0.2.3"],
    )  # fmt: skip
    happenings = list(records_of(done))
    assert [(one.trigger, one.facts["address"]) for one in happenings] == [
        (Trigger.PUBLISHED, "192.0.2.1"),
        (Trigger.WITHDRAWN, "192.0.2.3"),
    ]
    assert happenings[0].facts["type"] == "A"
    failed = Event(done.at, done.kind, done.message, None, "error", done.facts)
    assert list(records_of(failed)) == []


# --- the listener ---------------------------------------------------------------------------------


class Nowhere:
    def load(self) -> tuple[Mapping[str, Any] | None, Sequence[Entry]]:
        return None, []

    def save(self, state: Mapping[str, Any] | None, entries: Sequence[Entry]) -> None:
        """Keeps nothing."""


class Remembering:
    name, rate = "ops", None

    def __init__(self) -> None:
        self.notices: list[Notice] = []

    def send(self, notice: Notice) -> Delivery:
        self.notices.append(notice)
        return Delivery(True)


class Stage:
    """A listener with alerts and hooks behind it; ``ran`` is what the hooks were told, once they are
    stopped.
    """

    def __init__(self) -> None:
        self.now = 100.0
        rules = AlertRules(strategies={60: 2}, group_seconds=0)
        routes = Routes({"default": ("ops",)})
        self.alerts = Alerts(
            rules, routes, {"ops": Remembering()}, Nowhere(), lambda *_: None, clock=lambda: self.now
        )
        self.results: list[HookResult] = []
        specs = [HookSpec(trigger, channel="ops") for trigger in Trigger]
        self.hooks = Hooks(specs, lambda *_: None, self.results.append)
        hosts = {"a": "192.0.2.1"}
        self.telling = Telling(self.alerts, self.hooks, lambda node: hosts.get(node, ""), lambda: self.now)

    def ran(self, count: int) -> list[Happening]:
        deadline = time.monotonic() + 20
        while len(self.results) < count and time.monotonic() < deadline:
            time.sleep(0.005)
        return [result.happening for result in self.results]


@pytest.fixture
def stage() -> Iterator[Stage]:
    stage = Stage()
    yield stage
    assert stage.hooks.stop() == []
    assert stage.alerts.stop() == []


def flip(old: State, new: State) -> Flip:
    return Flip("a", 100.0, old, new, "why")


def test_a_flip_raises_its_alert_and_runs_its_hook(stage: Stage) -> None:
    stage.telling.flip(flip(State.UNHEALTH, State.DEAD))
    stage.telling.event(event("flip", "unhealth → dead", "error", "a"))
    stage.alerts.step()
    assert [(alert.condition, alert.object) for alert in stage.alerts.alerts] == [(Condition.DEAD, "a")]
    (happening,) = stage.ran(1)
    assert (happening.trigger, happening.facts["host"]) == (Trigger.DEAD, "192.0.2.1")


def test_the_way_into_service_after_a_start_is_no_mistake_and_the_next_fall_is(stage: Stage) -> None:
    stage.telling.flip(flip(State.RECOVERY, State.UNHEALTH))
    stage.telling.flip(flip(State.UNHEALTH, State.RECOVERY))
    stage.telling.flip(flip(State.RECOVERY, State.READY))
    stage.alerts.step()
    assert not stage.alerts.alerts
    stage.telling.flip(flip(State.READY, State.UNHEALTH))
    stage.telling.flip(flip(State.UNHEALTH, State.RECOVERY))
    stage.alerts.step()
    assert [(alert.condition, alert.severity) for alert in stage.alerts.alerts] == [
        (Condition.ERROR, Severity.WARNING)
    ]


def test_batches_and_full_resyncs_run_the_batch_hook(stage: Stage) -> None:
    stage.telling.batch("a", [b"x", b"y"])
    assert stage.ran(1)[0].paths == (b"x", b"y")
    stage.telling.event(event("resync", "full resync done", node="a"))
    assert stage.ran(2)[1].facts["paths"] == "all"
