"""Records follow the nodes over real daemons and zone files: freezes, removals, restarts, the source's and the
configuration's mistakes, and what a pass costs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import app.reconcile
import dns.providers
from dns.core.model import Observed, Operation
from dns.errors import RefusedError, UnavailableError
from dns.providers.port import Answer, Provider
from tests.dns_stand import WWW, DnsStand, dns_stand, until


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[DnsStand]:
    with dns_stand(tmp_path) as made:
        yield made


@pytest.fixture
def running(stand: DnsStand) -> DnsStand:
    stand.start()
    stand.await_published("a", "b", "c")
    return stand


def all_addresses(stand: DnsStand, names: str = "abc") -> list[str]:
    return sorted(stand.address(name) for name in names)


class Counting:
    """A provider around the real one: counts what is asked, and fails when told to."""

    def __init__(self, inner: Provider) -> None:
        self._inner, self.name, self.kind = inner, inner.name, inner.kind
        self.listings: list[str] = []
        self.writes: list[Operation] = []
        self.fail_listing: Callable[[], None] = lambda: None
        self.fail_write: Callable[[Operation], None] = lambda operation: None
        self.cut: Callable[[Observed], Observed] = lambda observed: observed

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def observe(self, zone: str, names: frozenset[str]) -> Observed:
        self.listings.append(zone)
        self.fail_listing()
        return self.cut(self._inner.observe(zone, names))

    def apply(self, operation: Operation) -> Answer:
        self.fail_write(operation)
        self.writes.append(operation)
        return self._inner.apply(operation)


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> Callable[[], Counting]:
    """The provider of the latest start or reload."""
    made: list[Counting] = []
    real = dns.providers.make_provider

    def make(*args: Any) -> Any:
        made.append(Counting(real(*args)))
        return made[-1]

    monkeypatch.setattr(app.reconcile, "make_provider", make)
    return lambda: made[-1]


# ── what a pass costs ────────────────────────────────────────────────────────────────────────────────────


def test_a_pass_in_which_nothing_changed_sends_no_write_and_one_listing_a_zone(
    stand: DnsStand, counting: Callable[[], Counting]
) -> None:
    stand.services = [WWW % "example.test", (WWW % "example.org").replace("name: www", "name: org")]
    stand.start()
    stand.await_published("a", "b", "c")
    until(lambda: stand.plan()["operations"] == [], "nothing is due")
    provider = counting()
    provider.listings.clear()
    provider.writes.clear()
    done = stand.supervisor.operations.dns_apply()
    assert (done["applied"], done["held"], provider.writes) == (0, None, [])
    assert sorted(provider.listings) == ["example.org", "example.test"]


def test_the_engine_s_thread_never_waits_for_a_provider_that_hangs(
    stand: DnsStand, counting: Callable[[], Counting]
) -> None:
    import threading

    stand.start()
    stand.await_published("a", "b", "c")
    hang, hangs = threading.Event(), threading.Event()

    def hanging(operation: Operation) -> None:
        hangs.set()
        hang.wait(20)

    counting().fail_write = hanging
    try:
        stand.daemons["a"].kill()
        assert hangs.wait(10)
        (stand.root / "new.html").write_text("new")
        until(lambda: (stand.daemons["b"].module_path / "new.html").exists(), "content goes on", 5)
        assert stand.supervisor.engine.call(lambda: True, 1)
    finally:
        hang.set()


# ── freezing ─────────────────────────────────────────────────────────────────────────────────────────────


def test_frozen_by_a_person_nothing_is_written_over_a_restart_too(running: DnsStand) -> None:
    running.supervisor.operations.freeze("a test")
    running.daemons["a"].kill()
    until(lambda: running.plan()["operations"], "a withdrawal is due")
    assert "frozen by a person: a test" in str(running.plan()["held"])
    assert running.zone_values() == all_addresses(running)
    running.stop()
    running.start()
    until(lambda: running.supervisor.engine.field.nodes["a"].state.value == "dead", "a is known to be dead")
    until(lambda: running.plan()["operations"], "a withdrawal is due")
    assert running.frozen() == "frozen by a person: a test"
    assert running.zone_values() == all_addresses(running)
    running.supervisor.operations.unfreeze()
    until(lambda: running.zone_values() == all_addresses(running, "bc"), "a goes")
    until(lambda: running.zone_values("telecom") == all_addresses(running, "bc"), "on its line too")


# ── the configuration ────────────────────────────────────────────────────────────────────────────────────


def test_a_removed_service_s_records_wait_for_a_person(running: DnsStand) -> None:
    kept = running.services
    running.services = []
    running.reload()
    until(lambda: "no service of the configuration" in str(running.plan()["held"]), "held")
    assert running.supervisor.operations.dns_apply()["applied"] == 0
    assert running.zone_values() == all_addresses(running)
    until(lambda: running.events("no service of the configuration"), "there is an event")
    running.services = kept
    running.reload()
    until(lambda: running.plan() == {"operations": [], "held": None}, "added again, it is kept")
    running.services = []
    running.reload()
    until(lambda: running.plan()["held"], "held")
    assert running.supervisor.operations.dns_apply(confirmed=True)["applied"] > 0
    assert running.zone_values() == []


def test_a_removed_node_s_records_go(running: DnsStand) -> None:
    del running.nodes["c"]
    running.reload()
    until(lambda: running.zone_values() == all_addresses(running, "ab"), "c goes")
    assert running.plan() == {"operations": [], "held": None}


def test_over_half_of_the_nodes_gone_at_once_keep_their_records_over_a_restart_until_a_person_agrees(
    stand: DnsStand,
) -> None:
    stand.services = [
        "{name: www, provider: p, zone: example.test, record: www, ttl: 5, types: [A], allow_private: true}"
    ]
    stand.start()
    until(lambda: stand.zone_values() == all_addresses(stand), "all answer")
    del stand.nodes["b"], stand.nodes["c"]
    stand.reload()
    until(lambda: "gone at once" in str(stand.plan()["held"]), "held")
    stand.stop()
    stand.start()
    stand.await_published("a")
    assert "2 of 3 nodes are gone at once" in str(stand.plan()["held"])
    assert stand.supervisor.operations.dns_apply()["applied"] == 0
    assert stand.zone_values() == all_addresses(stand)
    stand.daemons["a"].kill()
    until(lambda: stand.zone_values() == all_addresses(stand, "bc"), "evidence against a still counts")
    stand.daemons["a"].start()
    until(lambda: stand.zone_values() == all_addresses(stand), "a is back")
    assert stand.supervisor.operations.dns_apply(confirmed=True)["applied"] == 1
    assert stand.zone_values() == all_addresses(stand, "a")
    assert stand.plan() == {"operations": [], "held": None}


def test_a_provider_gone_from_the_configuration_is_told_of_and_its_records_stay(running: DnsStand) -> None:
    path = running.folder / "config.yml"
    running.services = []
    text = (
        running.write()
        .read_text()
        .replace("    p: {kind: zonefile, path: zones}", "    q: {kind: zonefile, path: other}")
    )
    path.write_text(text)
    running.supervisor.reload()
    until(lambda: "provider p is gone from the configuration" in str(running.plan()["held"]), "held")
    assert running.zone_values() == all_addresses(running)
    until(lambda: running.events("provider p is gone"), "there is an event")


def test_dns_switched_off_writes_nothing_and_says_so(stand: DnsStand) -> None:
    path = stand.write()
    text = path.read_text().replace("dns:\n", "dns:\n  enabled: false\n")
    stand.write = lambda: (path.write_text(text), path)[1]  # type: ignore[method-assign]
    stand.start()
    until(lambda: all(n["in_sync"] for n in stand.supervisor.operations.nodes()["nodes"]), "in sync")
    assert stand.plan() == {"operations": [], "held": None}
    assert not (stand.folder / "zones").exists()
    said = stand.supervisor.operations.publications()["a"].reason
    assert said == "DNS is switched off (dns.enabled)"


def test_a_reload_while_a_pass_runs_lets_the_operation_end_and_no_two_write_at_once(
    stand: DnsStand, counting: Callable[[], Counting]
) -> None:
    import threading

    stand.start()
    stand.await_published("a", "b", "c")
    go, hangs = threading.Event(), threading.Event()
    first = counting()

    def slow(operation: Operation) -> None:
        hangs.set()
        go.wait(20)

    first.fail_write = slow
    stand.daemons["a"].kill()
    assert hangs.wait(10)
    stand.reload()
    second = counting()
    assert second is not first
    assert second.listings == []
    go.set()
    until(lambda: stand.zone_values() == all_addresses(stand, "bc"), "the withdrawal is finished")
    until(lambda: stand.zone_values("telecom") == all_addresses(stand, "bc"), "by the new thread")


# ── drains, restarts ─────────────────────────────────────────────────────────────────────────────────────


def test_a_drained_node_goes_at_once_and_an_undrained_one_comes_back_at_once(running: DnsStand) -> None:
    running.supervisor.operations.drain("a", True)
    until(lambda: running.zone_values() == all_addresses(running, "bc"), "a is drained", 2)
    until(lambda: running.supervisor.operations.publications()["a"].reason == "drained", "and it is shown")
    running.supervisor.operations.drain("a", False)
    until(lambda: running.zone_values() == all_addresses(running), "a is undrained", 2)


def test_published_nodes_that_are_unproven_after_a_restart_stay(
    running: DnsStand, counting: Callable[[], Counting]
) -> None:
    running.stop()
    running.start()
    until(lambda: counting().listings, "the first pass")
    running.await_published("a", "b", "c")
    until(lambda: all(n["proven"] for n in running.supervisor.operations.nodes()["nodes"]), "proven again")
    running.supervisor.operations.dns_apply()
    assert counting().writes == []


def test_nodes_that_lost_their_cursors_stay_published_through_their_resync(
    running: DnsStand, counting: Callable[[], Counting]
) -> None:
    import sqlite3

    running.stop()
    with sqlite3.connect(next((running.folder / "var").glob("*.db"))) as database:
        database.execute("UPDATE node SET cursor = NULL, proof_seq = NULL, proof_at = NULL")
    database.close()
    running.start()
    until(lambda: all(n["in_sync"] for n in running.supervisor.operations.nodes()["nodes"]), "in sync again")
    running.supervisor.operations.dns_apply()
    assert counting().writes == []
    assert running.zone_values() == all_addresses(running)


def test_nothing_is_written_before_every_node_is_known(stand: DnsStand) -> None:
    stand.daemons["c"].sigstop()
    stand.start()
    until(lambda: stand.supervisor.engine.field.nodes["a"].in_sync, "a is in sync")
    if stand.supervisor.engine.field.nodes["c"].state.value == "recovery":
        assert stand.zone_values() == []
        assert "just started" in str(stand.plan()["held"])
    until(lambda: stand.zone_values() == all_addresses(stand, "ab"), "c is known to be away", 30)
    stand.daemons["c"].sigcont()
    stand.await_published("a", "b", "c")


def test_after_the_start_s_hold_only_known_nodes_are_acted_on(stand: DnsStand) -> None:
    stand.options = {"startup": "500ms"}
    stand.daemons["c"].sigstop()
    stand.start()
    until(lambda: stand.zone_values() == all_addresses(stand, "ab"), "a and b are published", 10)
    stand.daemons["c"].sigcont()


# ── hold-downs ───────────────────────────────────────────────────────────────────────────────────────────


def test_a_node_that_flaps_waits_longer_each_time_over_a_restart_too(stand: DnsStand) -> None:
    stand.options = {"hold_down": "1s"}
    stand.start()
    stand.await_published("a", "b", "c")
    holds = stand.supervisor.reconciler._holddowns

    def flap() -> float:
        stand.daemons["a"].kill()
        until(lambda: holds.has_left("a"), "a has left")
        stand.daemons["a"].start()
        return float(until(lambda: holds.waits("a", 1.0), "a waits", 20)[1])

    assert flap() == 1.0
    assert "is published again after 1 s" in str(stand.supervisor.operations.publications()["a"].reason)
    stand.await_published("a", "b", "c")
    assert flap() == 2.0
    assert flap() == 4.0
    stand.stop()
    stand.start()
    holds = stand.supervisor.reconciler._holddowns
    assert until(lambda: holds.waits("a", 1.0), "a still waits", 5)[1] == 4.0
    assert stand.published() <= {"b", "c"}
    stand.await_published("a", "b", "c")


# ── the provider's faults ────────────────────────────────────────────────────────────────────────────────


def test_a_listing_cut_short_changes_nothing_and_is_told_of(
    running: DnsStand, counting: Callable[[], Counting]
) -> None:
    running.reload()
    provider = counting()
    until(lambda: provider.listings, "the new thread has read")
    provider.cut = lambda observed: Observed({}, False, "page 2 of 3 is missing")
    running.daemons["a"].kill()
    until(lambda: running.events("page 2 of 3 is missing"), "there is an event")
    assert provider.writes == []
    provider.cut = lambda observed: observed
    running.supervisor.reconciler.wake()
    until(lambda: running.zone_values() == all_addresses(running, "bc"), "a goes")


def test_a_provider_that_fails_is_tried_again_after_growing_pauses(
    stand: DnsStand, counting: Callable[[], Counting]
) -> None:
    stand.start()
    stand.await_published("a", "b", "c")
    provider, times = counting(), 2

    def fail() -> None:
        nonlocal times
        times -= 1
        if times >= 0:
            raise UnavailableError("busy", "p is busy; it is tried again")

    provider.fail_listing = fail
    stand.daemons["a"].kill()
    until(lambda: stand.events("p is busy"), "there is an event")
    assert stand.supervisor.reconciler.status()["services"][0]["error"] == "p is busy; it is tried again"
    assert stand.published() >= {"b", "c"}, "what stood last is still shown"
    until(lambda: stand.zone_values() == all_addresses(stand, "bc"), "a goes", 10)
    until(lambda: stand.events("all right again"), "and its end is told")


def test_an_operation_that_fails_is_tried_again_within_seconds(
    stand: DnsStand, counting: Callable[[], Counting]
) -> None:
    stand.start()
    stand.await_published("a", "b", "c")
    provider, left = counting(), [1]

    def fail(operation: Operation) -> None:
        if left and operation.key.line == "default":
            left.pop()
            raise UnavailableError("busy", "p is busy")

    provider.fail_write = fail
    stand.daemons["a"].kill()
    until(lambda: stand.zone_values("telecom") == all_addresses(stand, "bc"), "the other set goes on")
    until(lambda: stand.zone_values() == all_addresses(stand, "bc"), "a goes", 5)
    failed = [row for row in stand.history() if not row["ok"]]
    assert [(row["line"], row["code"]) for row in failed] == [("default", "busy")]


def test_credentials_that_do_not_work_are_held_with_a_reason_and_an_event(
    stand: DnsStand, counting: Callable[[], Counting], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        Counting,
        "observe",
        lambda self, zone, names: (_ for _ in ()).throw(
            RefusedError("credentials", f"p: {zone}: key unknown")
        ),
    )
    stand.start()
    until(lambda: stand.events("key unknown"), "there is an event")
    until(lambda: all(n["in_sync"] for n in stand.supervisor.operations.nodes()["nodes"]), "in sync")
    assert "key unknown" in str(stand.plan()["held"])
    assert stand.supervisor.operations.dns_apply()["applied"] == 0
    assert len(stand.events("key unknown")) == 1


# ── the database away, the lease lost ────────────────────────────────────────────────────────────────────


def test_with_the_ledger_away_withdrawals_go_and_nothing_is_added(
    running: DnsStand, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dns.ledger import LedgerUnavailableError

    records = running.supervisor.records

    def away(*_: Any, **__: Any) -> Any:
        raise LedgerUnavailableError("the database is away")

    with monkeypatch.context() as patched:
        for name in ("entries", "intend", "settle", "save_fact", "write_waiting"):
            patched.setattr(records, name, away if name != "write_waiting" else lambda: None)
        running.daemons["a"].kill()
        until(lambda: running.zone_values() == all_addresses(running, "bc"), "a goes")
        running.daemons["a"].start()
        until(lambda: running.supervisor.engine.field.nodes["a"].in_sync, "a is in sync again")
        running.supervisor.operations.dns_apply()
        assert running.zone_values() == all_addresses(running, "bc")
    until(lambda: running.zone_values() == all_addresses(running), "a is published when it is back", 70)
    until(lambda: len(running.history()) == 5, "the history is written when it is back")


def test_a_supervisor_that_lost_its_lease_writes_nothing(
    running: DnsStand, counting: Callable[[], Counting]
) -> None:
    running.reload()
    until(lambda: counting().listings, "the first pass")
    running.supervisor.reconciler.lost.set()
    running.daemons["a"].kill()
    until(lambda: running.supervisor.engine.field.nodes["a"].state.value == "dead", "a is dead")
    running.supervisor.operations.dns_apply()
    assert counting().writes == []


# ── the provider behind the same cable ───────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("isolation", [60, 1], ids=["shortly", "until the evidence stands"])
def test_cut_off_together_with_the_provider_is_noticed_and_withdraws_nobody_afterwards(
    stand: DnsStand, counting: Callable[[], Counting], isolation: int
) -> None:
    def away() -> None:
        raise UnavailableError("no route", "p cannot be reached")

    stand.options = {"isolation": isolation}
    stand.start()
    stand.await_published("a", "b", "c")
    before = len(stand.history())
    provider = counting()
    provider.fail_listing = away
    for daemon in stand.daemons.values():
        daemon.sigstop()
    nodes = stand.supervisor.engine.field.nodes
    until(lambda: all(node.state.value == "dead" for node in nodes.values()), "all seem dead")
    until(lambda: stand.events("cut off: "), "it is told of")
    if isolation > 1:
        assert "cut off" in str(stand.frozen())
    else:
        until(lambda: stand.events("the evidence stands"), "the evidence stands")
    provider.fail_listing = lambda: None
    for daemon in stand.daemons.values():
        daemon.sigcont()
    until(lambda: all(node.state.value == "ready" for node in nodes.values()), "all are back", 60)
    stand.await_published("a", "b", "c", seconds=30)
    assert len(stand.history()) == before, "nobody was withdrawn"
