"""DNS from the shell: a service that is killed outright between two operations, `flask dns …` and `sync-once`."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dns_stand import WWW, DnsStand, Visitor, bind_provider, dns_stand
from tests.servers_bind import Bind, bind_server
from tests.servers_lockstep import Lockstep
from tests.servers_rsync import free_port
from tests.stand import wait_until


@pytest.fixture(scope="module")
def bind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bind]:
    with bind_server(tmp_path_factory.mktemp("bind"), [f"zone{n}.test" for n in range(4)]) as running:
        yield running


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[DnsStand]:
    with dns_stand(tmp_path, options={"port": free_port(), "hold_down": 0}) as made:
        made.write()
        (made.folder / "service.log").touch()
        yield made


@pytest.fixture
def shell(stand: DnsStand) -> Iterator[Lockstep]:
    """`flask …` and the service over the stand's configuration."""
    made = Lockstep(stand.folder, stand.daemons, stand.options["port"])
    yield made
    if made.process is not None:
        made.stop(signal.SIGKILL)


def hosts(stand: DnsStand, names: str = "abc") -> list[str]:
    return sorted(stand.address(name) for name in names)


def test_killed_outright_between_operations_nothing_is_ever_empty_and_the_next_start_finishes(
    stand: DnsStand, shell: Lockstep, bind: Bind
) -> None:
    zone = bind.fresh_zone()
    stand.provider, stand.services = bind_provider(bind), [WWW % zone]
    stand.write()
    a, b, c = hosts(stand)
    lines = ("default", "telecom", "unicom")

    def answers(line: str) -> list[str]:
        return bind.ask(f"www.{zone}", "A", line)

    shell.start()
    shell.all_in_sync()
    wait_until(lambda: (answers("telecom"), answers("unicom")) == ([a], [b]), 20, "published")
    wait_until(lambda: answers("default") == [a, b, c], 20, "published on default too")
    content = {d.host: d.module_path for d in stand.daemons.values()}
    with Visitor(bind, f"www.{zone}", lines, content, stand.root) as visitor:
        wait_until(lambda: all(visitor.seen.values()), 20, "every line has answered once")
        for _ in range(3):
            stand.daemons["a"].kill()
            wait_until(lambda: any(a not in visitor.seen[line][-1][1] for line in lines[:2]), 20, "it begins")
            shell.stop(signal.SIGKILL)
            stand.daemons["a"].start()
            (stand.daemons["a"].module_path / "index.html").write_text("spoilt")
            shell.start()
            visitor.answers("telecom", [a], 30)
            visitor.answers("default", [a, b, c], 30)
    assert not visitor.empty
    assert not visitor.wrong


def test_plan_says_by_its_exit_status_whether_changes_are_due(stand: DnsStand, shell: Lockstep) -> None:
    shell.start()
    shell.all_in_sync()
    shell.until(lambda: stand.zone_values() == hosts(stand), "published")
    assert shell.run("dns", "plan", "--exit-code").returncode == 0
    assert shell.json("dns", "plan") == {"operations": [], "held": None}
    assert shell.run("dns", "freeze", "--reason", "moving house").returncode == 0
    stand.daemons["a"].kill()
    shell.until(lambda: (shell.asked("dns-plan") or {})["operations"], "a withdrawal is due")
    due = shell.run("dns", "plan", "--exit-code")
    assert due.returncode == 5
    assert "moving house" in due.stdout
    assert "node a is in" in due.stdout
    assert shell.run("dns", "apply").returncode == 0
    assert stand.zone_values() == hosts(stand)
    assert "frozen by a person: moving house" in shell.json("status")["frozen"]
    assert shell.run("dns", "unfreeze").returncode == 0
    shell.until(lambda: stand.zone_values() == hosts(stand, "bc"), "a goes")
    history = shell.run("dns", "history").stdout
    assert "node a is in" in history

    def listed() -> dict[str, dict[str, object]]:
        return {node["name"]: node for node in shell.json("nodes", "list")["nodes"]}

    shell.until(lambda: not listed()["a"]["published"], "the list says so too")
    nodes = listed()
    assert nodes["b"]["published"]
    assert nodes["b"]["addresses"] == [stand.address("b")]
    assert "is in" in nodes["a"]["unpublished_reason"]


def test_sync_once_ends_with_dns_unless_it_is_told_not_to(stand: DnsStand, shell: Lockstep) -> None:
    done = shell.json("sync-once", "--no-dns")
    assert done["dns"]["applied"] == 0
    assert stand.zone_values() == []
    done = shell.json("sync-once")
    assert (done["dns"]["applied"], done["dns"]["held"]) == (3, None)
    assert all(row["published"] for row in done["nodes"])
    assert stand.zone_values() == hosts(stand)
    assert shell.json("sync-once")["dns"]["applied"] == 0


def test_sync_once_withdraws_a_node_that_does_not_answer_and_leaves_those_it_did_not_ask(
    stand: DnsStand, shell: Lockstep
) -> None:
    shell.json("sync-once")
    stand.daemons["a"].kill()
    shell.json("sync-once", "--node", "b")
    assert stand.zone_values() == hosts(stand)
    done = shell.json("sync-once", status=1)
    assert done["dns"]["held"] is None
    assert {row["name"]: row["published"] for row in done["nodes"]} == {"a": False, "b": True, "c": True}
    assert stand.zone_values() == hosts(stand, "bc")


def test_sync_once_prints_who_waits_for_the_end_of_a_hold_down(stand: DnsStand, shell: Lockstep) -> None:
    stand.options["hold_down"] = "10m"
    stand.write()
    shell.json("sync-once")
    stand.daemons["a"].kill()
    shell.json("sync-once", status=1)
    stand.daemons["a"].start()
    done = shell.run("sync-once")
    assert "a is back since" in done.stdout
    assert stand.zone_values() == hosts(stand, "bc")


def test_sync_once_that_reaches_nobody_takes_itself_for_cut_off(stand: DnsStand, shell: Lockstep) -> None:
    shell.json("sync-once")
    for daemon in stand.daemons.values():
        daemon.kill()
    done = shell.json("sync-once", status=3)
    assert "cut off" in done["dns"]["held"]
    assert stand.zone_values() == hosts(stand)


def test_without_a_service_a_plan_and_an_adoption_work_and_unknown_nodes_change_nothing(
    stand: DnsStand, shell: Lockstep
) -> None:
    shell.json("sync-once")
    assert shell.json("dns", "plan") == {"operations": [], "held": None}
    stand.services = []
    stand.write()
    due = shell.run("dns", "plan", "--exit-code")
    assert due.returncode == 5
    assert "no service of the configuration" in due.stdout
    assert shell.json("dns", "apply")["applied"] == 0
    assert shell.json("dns", "apply", "--yes")["applied"] == 3
    assert stand.zone_values() == []
    assert shell.run("dns", "adopt", "nothing").returncode == 2
