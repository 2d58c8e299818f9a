"""The executor with a real BIND: a reader that asks all the time, drift, foreign records, views that
differ.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from dns.core.guard import Context
from dns.core.model import Fallback, LinePlan, NodeFacts, RecordKey, Service
from dns.errors import RefusedError, SettingsError, StaleError
from dns.executor import Executor, Pass
from dns.ledger import HistoryEntry, MemoryLedger
from dns.providers import make_provider
from dns.providers.port import Provider
from tests.dns.world import address_of, node
from tests.servers_bind import Bind, bind_server

LINES = ("default", "telecom", "unicom")
A, B, C = (address_of(n) for n in range(3))


@pytest.fixture(scope="module")
def bind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bind]:
    with bind_server(
        tmp_path_factory.mktemp("bind"), [f"reader{number}.test" for number in range(12)]
    ) as server:
        yield server


def provider_of(bind: Bind, **changes: object) -> Provider:
    settings = {
        "server": bind.address,
        "port": bind.port,
        "timeout_seconds": 5,
        "lines": {line: {"key_file": str(bind.key_file(line))} for line in LINES},
    }
    return make_provider("lan", "rfc2136", {**settings, **changes})


class Site:
    """A service on three lines in a fresh zone of a real BIND."""

    def __init__(self, bind: Bind) -> None:
        self.bind, self.zone = bind, bind.fresh_zone()
        self.nodes: list[NodeFacts] = [node(name) for name in "abc"]
        self.history: list[HistoryEntry] = []
        self.service = Service(
            *("www", "lan", self.zone, "www", ("A",), 30),
            lines={
                "default": LinePlan(),
                "telecom": LinePlan((("a",),)),
                "unicom": LinePlan((("b",), ("c",)), Fallback.NONE),
            },
            allow_private=True,
        )
        self.executor = Executor(provider_of(bind), MemoryLedger(), self.history.append)

    def reconcile(self, adopt: tuple[str, ...] = ()) -> Pass:
        return self.executor.reconcile(
            self.zone, [self.service], lambda: self.nodes, lambda planned: Context(), adopt
        )

    def ask(self, line: str) -> list[str]:
        return self.bind.ask(self.service.fqdn, "A", line)

    def key(self, line: str = "default") -> RecordKey:
        return RecordKey(self.service.fqdn, "A", line)


@pytest.fixture
def site(bind: Bind) -> Site:
    return Site(bind)


def test_each_line_is_answered_with_its_own_nodes_and_its_fall_back(site: Site) -> None:
    site.reconcile()
    assert [site.ask(line) for line in LINES] == [[A, B, C], [A], [B]]
    site.nodes = [node("a", False, "is in recovery"), node("b", False), node("c")]
    done = site.reconcile()
    assert [site.ask(line) for line in LINES] == [[C], [C], [C]]
    assert done.planned is not None
    assert done.planned.desired[site.key("telecom")].reason.startswith(
        "telecom → node c: node a is in recovery"
    )
    assert site.reconcile().entries == ()


def test_a_reader_that_asks_all_the_time_never_gets_an_empty_answer(site: Site) -> None:
    site.reconcile()
    ended = threading.Event()
    answers: list[tuple[str, tuple[str, ...]]] = []

    def read() -> None:
        while not ended.is_set():
            for line in LINES:
                with contextlib.suppress(TimeoutError):  # a lost packet is no empty answer
                    answers.append((line, tuple(site.ask(line))))

    reader = threading.Thread(target=read, name="reader")
    reader.start()
    try:
        states = ["abc", "bc", "c", "ac", "ab", "b", "bc", "abc", "c", "abc"]
        for fit in states:
            site.nodes = [node(name, name in fit, "is in recovery") for name in "abc"]
            done = site.reconcile()
            assert all(entry.ok for entry in done.entries)
    finally:
        ended.set()
        reader.join(10)
    assert len(answers) > 100
    empty = [line for line, values in answers if not values]
    # unicom falls back to nobody: it may be empty while neither b nor c is fit, which none of the states is
    assert empty == []
    assert {values for line, values in answers if line == "telecom"} <= {(A,), (B,), (C,), (B, C)}


def test_the_last_node_is_withdrawn_to_the_letter(site: Site) -> None:
    site.reconcile()
    site.nodes = [node(name, False) for name in "abc"]
    site.reconcile()
    assert [site.ask(line) for line in LINES] == [[], [], []]
    site.nodes = [node("a")]
    site.reconcile()
    assert [site.ask(line) for line in LINES] == [[A], [A], []]


def test_an_edit_by_hand_is_put_right_and_other_names_stay(site: Site) -> None:
    site.reconcile()
    name = f"{site.service.fqdn}."
    site.bind.update(
        site.zone,
        "telecom",
        f"update delete {name} A",
        f"update add {name} 30 A 198.18.7.7",
        f"update add other.{site.zone}. 30 A 198.18.7.8",
    )
    done = site.reconcile()
    assert list(done.drift) == [site.key("telecom")]
    assert site.ask("telecom") == [A]
    assert site.bind.ask(f"other.{site.zone}", "A", "telecom") == ["198.18.7.8"]


def test_a_record_that_was_there_before_holds_its_line_alone_until_it_is_handed_over(site: Site) -> None:
    site.bind.update(site.zone, "telecom", f"update add {site.service.fqdn}. 30 A 198.18.7.7")
    done = site.reconcile()
    assert list(done.sets_held) == [site.key("telecom")]
    assert [site.ask(line) for line in LINES] == [[A, B, C], ["198.18.7.7"], [B]]
    assert site.reconcile(adopt=("www",)).adopted == (site.key("telecom"),)
    assert site.ask("telecom") == [A]


def test_a_change_that_somebody_makes_between_reading_and_writing_is_not_overwritten_blindly(
    site: Site,
) -> None:
    site.reconcile()
    site.nodes = [node("a", False), node("b"), node("c")]
    planned = site.executor.plan(site.zone, [site.service], lambda: site.nodes)
    name = f"{site.service.fqdn}."
    site.bind.update(site.zone, "default", f"update add {name} 30 A 198.18.7.7")
    provider = site.executor.provider
    with pytest.raises(StaleError):
        provider.apply(next(o for o in planned.plan.operations if o.key.line == "default"))
    assert "198.18.7.7" in site.ask("default")


def test_a_line_whose_key_is_wrong_is_held_while_the_others_go_on(bind: Bind, tmp_path: Path) -> None:
    site = Site(bind)
    keys = {line: {"key_file": str(bind.key_file(line))} for line in LINES}
    keys["unicom"] = {"key_file": str(tmp_path / "missing.key")}
    site.executor = Executor(provider_of(bind, lines=keys), MemoryLedger(), site.history.append)
    done = site.reconcile()
    assert [site.ask(line) for line in LINES] == [[A, B, C], [A], []]
    assert "missing.key" in done.sets_held[site.key("unicom")]
    assert any("missing.key" in problem for problem in site.executor.provider.check(site.zone))


def test_the_key_of_another_line_is_refused_there(bind: Bind) -> None:
    site = Site(bind)
    site.executor = Executor(
        provider_of(bind, lines={"default": {"key_file": str(bind.directory / "named.conf")}}),
        MemoryLedger(),
        print,
    )
    done = site.reconcile()
    assert isinstance(done.error, RefusedError)


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"server": "", "lines": {"default": {"key_file": "k"}}}, "server"),
        ({"server": "ns", "lines": {}}, "lines"),
        ({"server": "ns", "lines": {"telecom": {"secret": "abc"}}}, "lines.telecom"),
        ({"server": "ns", "lines": {"default": {"key_file": "k"}}, "port": 70000}, "port"),
        ({"server": "ns"}, "lines"),
    ],
)
def test_settings_that_cannot_work_are_named(settings: dict[str, object], key: str) -> None:
    with pytest.raises(SettingsError) as refusal:
        make_provider("lan", "rfc2136", settings)
    assert refusal.value.key == key
