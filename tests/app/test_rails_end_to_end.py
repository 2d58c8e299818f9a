"""Over half of the nodes gone at once, at a provider without a fall-back between lines, asked of a real BIND: nobody's
last answer goes (a node that is known to be fit may answer beside it), and who comes back is not taken out while it is
brought up to date.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.cli.status import _show
from tests.dns_stand import DnsStand, Visitor, bind_provider, dns_stand, until
from tests.servers_bind import Bind, bind_server

LINES = ("default", "telecom", "unicom")
BY_NODES = "{name: www, provider: p, zone: rail.test, record: www, ttl: 5, types: [A], allow_private: true}"
OF_NODE = {"a": ", lines: [default]", "b": ", lines: [telecom]", "c": ", lines: [unicom]"}


@pytest.fixture
def bind(tmp_path: Path) -> Iterator[Bind]:
    with bind_server(tmp_path / "bind", ["rail.test"]) as running:
        yield running


@pytest.fixture
def stand(tmp_path: Path, bind: Bind) -> Iterator[DnsStand]:
    """Each node claims a line of its own; with BIND's views an asker on a line without records gets nothing."""
    with dns_stand(tmp_path / "stand", provider=bind_provider(bind), services=[BY_NODES]) as made:
        made.nodes = dict(OF_NODE)
        made.start()
        made.await_published("a", "b", "c")
        yield made


def test_a_line_without_fall_back_keeps_its_last_answer_and_returning_nodes_stay_through_their_resync(
    stand: DnsStand, bind: Bind
) -> None:
    own = {line: [stand.address(name)] for line, name in zip(LINES, "abc", strict=True)}

    def answered() -> dict[str, list[str]]:
        return {line: bind.ask("www.rail.test", "A", line) for line in LINES}

    def kept() -> bool:
        return all(set(own[line]) <= set(answer) for line, answer in answered().items())

    until(lambda: answered() == own, "each line answers with its node")
    with Visitor(bind, "www.rail.test", LINES) as visitor:
        until(lambda: all(visitor.seen.values()), "every line has answered once")
        del stand.nodes["b"], stand.nodes["c"]
        stand.reload()
        until(
            lambda: "2 of 3 nodes are gone at once" in str(stand.plan()["held"]), "the list is not believed"
        )
        stand.supervisor.operations.dns_apply()
        assert kept(), answered()
        stand.stop()
        stand.start()
        stand.await_published("a")
        stand.supervisor.operations.dns_apply()
        assert kept(), "not over a restart either"

        stand.nodes = dict(OF_NODE)
        (stand.root / "meanwhile.html").write_text("what they have not got yet\n" * 1000)
        stand.reload()
        until(lambda: stand.published() == set("abc"), "they are back, and published as they were")
        for name in "bc":
            until(
                lambda name=name: (stand.daemons[name].module_path / "meanwhile.html").exists(),  # type: ignore[misc]
                "brought up to date",
            )
        until(lambda: stand.plan() == {"operations": [], "held": None}, "nothing is held any more")
        until(lambda: answered() == own, "each line answers with its node alone")
    assert not visitor.empty, f"{len(visitor.empty)} empty answers"
    lost = [
        (line, answer)
        for line, seen in visitor.seen.items()
        for _, answer in seen
        if own[line][0] not in answer
    ]
    assert not lost, "a line's own node was withdrawn on the way"


def test_evidence_still_counts_against_a_node_that_came_back(stand: DnsStand, bind: Bind) -> None:
    del stand.nodes["b"], stand.nodes["c"]
    stand.reload()
    until(lambda: "gone at once" in str(stand.plan()["held"]), "the list is not believed")
    stand.daemons["c"].kill()
    stand.nodes = dict(OF_NODE)
    stand.reload()
    dead, alive = stand.address("c"), stand.address("b")
    until(lambda: dead not in bind.ask("www.rail.test", "A", "unicom"), "c is dead, which is known now")
    assert alive in bind.ask("www.rail.test", "A", "telecom")


def test_flask_status_says_which_nodes_are_gone_and_what_to_type(
    stand: DnsStand, capsys: pytest.CaptureFixture[str]
) -> None:
    assert stand.supervisor.operations.status()["nodes_gone"] is None
    del stand.nodes["b"], stand.nodes["c"]
    stand.reload()
    until(lambda: stand.supervisor.operations.status()["nodes_gone"], "the list is not believed")
    _show(stand.supervisor.operations.status())
    said = capsys.readouterr().out
    assert "2 of 3 nodes are gone at once (b, c)" in said
    assert "flask dns apply --yes" in said
    stand.supervisor.operations.dns_apply(confirmed=True)
    until(lambda: stand.supervisor.operations.status()["nodes_gone"] is None, "a person agreed")
