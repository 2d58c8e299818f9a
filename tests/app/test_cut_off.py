"""Who is ill, the nodes or our own way out: the question, over silent daemons and a fake clock."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from app.canaries import Roll
from app.cutoff import CutOff
from dns.core.isolation import Asked
from sync.core.model import Destination
from sync.probes import ProbeSeries, ProbeSpec
from tests.dns_stand import DnsStand, dns_stand, until

DEAD_CANARY = "127.255.255.255"
"""The broadcast address of loopback: nothing leaves the machine and nobody answers."""


class Silence:
    """A roll in which these answer and nobody else."""

    def __init__(self) -> None:
        self.answer: set[str] = set()
        self.asked: list[frozenset[str]] = []

    def call(self, nodes: Mapping[str, Any], canaries: Collection[str], enough: Collection[str]) -> Asked:
        everybody = frozenset(nodes) | frozenset(canaries)
        self.asked.append(everybody)
        return Asked(frozenset(nodes), frozenset(canaries), everybody & self.answer)


@pytest.fixture
def roll() -> Silence:
    return Silence()


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def told() -> list[tuple[str, bool]]:
    return []


@pytest.fixture
def cutoff(roll: Silence, clock: Clock, told: list[tuple[str, bool]]) -> CutOff:
    return CutOff(roll, lambda sentence, on: told.append((sentence, on)), clock)  # type: ignore[arg-type]


NODES: Any = dict.fromkeys("abc")


def test_a_suspect_is_believed_when_another_published_node_answers(cutoff: CutOff, roll: Silence) -> None:
    roll.answer = {"c"}
    assert cutoff.ask(NODES, {"a"}, [], 60) == ""
    assert roll.asked == [frozenset("bc")], "the suspect itself is no witness"


def test_the_only_published_node_has_no_witness_and_the_evidence_stands(cutoff: CutOff) -> None:
    assert cutoff.ask({"a": NODES["a"]}, {"a"}, [], 60) == ""


def test_a_supervisor_that_loses_its_nodes_one_after_another_stays_cut_off(
    cutoff: CutOff, clock: Clock, told: list[tuple[str, bool]]
) -> None:
    assert "cut off" in cutoff.ask(NODES, {"a"}, [], 60)
    for suspects in ({"a", "b"}, {"a", "b", "c"}):
        clock.now += 5
        assert "cut off" in cutoff.ask(NODES, suspects, [], 60)
    assert [on for _, on in told] == [True], "told once"


def test_all_at_once_is_cut_off_too(cutoff: CutOff) -> None:
    assert "cut off" in cutoff.ask(NODES, set("abc"), [], 60)


def test_without_canaries_the_evidence_stands_after_a_while(
    cutoff: CutOff, clock: Clock, told: list[tuple[str, bool]]
) -> None:
    cutoff.ask(NODES, set("abc"), [], 60)
    clock.now += 59
    assert cutoff.recheck()
    clock.now += 2
    assert cutoff.recheck() == ""
    assert cutoff.ask(NODES, set("abc"), [], 60) == ""
    assert [on for _, on in told] == [True, False]


def test_with_canaries_it_stays_until_one_answers(cutoff: CutOff, roll: Silence, clock: Clock) -> None:
    assert "canar" in cutoff.ask(NODES, {"a"}, ["k"], 60)
    clock.now += 100_000
    assert cutoff.recheck()
    roll.answer = {"b"}
    assert cutoff.recheck(), "a node that answers is not enough"
    roll.answer = {"k"}
    assert cutoff.recheck() == ""


def test_a_node_that_answers_ends_it_without_canaries(cutoff: CutOff, roll: Silence) -> None:
    cutoff.ask(NODES, {"a"}, [], 60)
    roll.answer = {"b"}
    assert cutoff.recheck() == ""


# ── over real daemons ────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[DnsStand]:
    with dns_stand(tmp_path) as made:
        yield made


def test_the_question_takes_a_second_at_most_and_ends_with_the_first_answer(stand: DnsStand) -> None:
    series = ProbeSeries([ProbeSpec("rsync", timeout_seconds=3, attempts=2)])
    nodes = {
        name: (Destination(name, daemon.host, module="content", port=daemon.port), series)
        for name, daemon in stand.daemons.items()
    }
    roll = Roll()
    try:
        stand.daemons["a"].sigstop()
        began = time.monotonic()
        assert roll.call(nodes, [], "abc").answered & set("bc")
        assert time.monotonic() - began < 0.5
        for name in "bc":
            stand.daemons[name].sigstop()
        began = time.monotonic()
        for _ in range(3):
            assert not roll.call(nodes, [], "abc").answered
        assert 2.9 < time.monotonic() - began < 4.5
        for name in "abc":
            stand.daemons[name].sigcont()
        assert roll.call(nodes, [], "abc").answered
    finally:
        for name in "abc":
            stand.daemons[name].sigcont()
        roll.close()


def all_silent(stand: DnsStand) -> None:
    for daemon in stand.daemons.values():
        daemon.sigstop()


def all_back(stand: DnsStand) -> None:
    for daemon in stand.daemons.values():
        daemon.sigcont()


def everybody(stand: DnsStand) -> list[str]:
    return sorted(daemon.host for daemon in stand.daemons.values())


def test_cut_off_nothing_changes_until_somebody_answers(stand: DnsStand) -> None:
    stand.start()
    stand.await_published("a", "b", "c")
    all_silent(stand)
    until(lambda: stand.frozen() and "cut off" in str(stand.frozen()), "frozen")
    nodes = stand.supervisor.engine.field.nodes
    until(lambda: all(n.state.value in ("dead", "unhealth") for n in nodes.values()), "all seem away")
    assert stand.zone_values() == everybody(stand)
    assert "cut off" in str(stand.plan()["held"])
    assert stand.events("cut off"), "there is an event"
    before = len(stand.history())
    all_back(stand)
    until(lambda: stand.frozen() is None, "thawed by itself")
    until(lambda: all(n.state.value == "ready" for n in nodes.values()), "all are back", 60)
    stand.await_published("a", "b", "c", seconds=30)
    assert len(stand.history()) == before, "what was seen meanwhile was no evidence against anybody"


def test_cut_off_without_canaries_the_evidence_stands_in_the_end(stand: DnsStand) -> None:
    stand.options = {"isolation": 2}
    stand.start()
    stand.await_published("a", "b", "c")
    all_silent(stand)
    until(lambda: stand.frozen(), "frozen")
    began = time.monotonic()
    until(lambda: stand.zone_values() == [], "withdrawn")
    assert time.monotonic() - began > 1
    all_back(stand)
    stand.await_published("a", "b", "c", seconds=30)


def test_cut_off_with_a_silent_canary_it_stays_so(stand: DnsStand) -> None:
    stand.options = {"isolation": "500ms", "canaries": f"[{DEAD_CANARY}]"}
    stand.start()
    stand.await_published("a", "b", "c")
    all_silent(stand)
    until(lambda: "until a canary answers" in str(stand.frozen()), "frozen")
    nodes = stand.supervisor.engine.field.nodes
    until(lambda: all(n.state.value == "dead" for n in nodes.values()), "all seem dead")
    assert "until a canary answers" in str(stand.frozen())
    assert stand.zone_values() == everybody(stand)
    all_back(stand)


def test_with_a_canary_that_answers_all_nodes_may_die_at_once(stand: DnsStand) -> None:
    stand.options = {"canaries": "[127.0.0.1]"}
    stand.start()
    stand.await_published("a", "b", "c")
    all_silent(stand)
    until(lambda: stand.zone_values() == [], "withdrawn")
    assert stand.frozen() is None
    all_back(stand)
