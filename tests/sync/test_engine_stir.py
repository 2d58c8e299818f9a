"""The nodes get ready for a change while it settles; what was expected and does not come harms nothing."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sync.core.model import State
from sync.core.quiet import QuietRules
from tests.servers_rsync import Daemon, daemons  # noqa: F401
from tests.stand import Stand, destination, node, sql_store, wait_until
from tests.trees import write


@pytest.fixture
def servers(daemons: Callable[..., Daemon]) -> dict[str, Daemon]:  # noqa: F811
    return {name: daemons() for name in ("a", "b")}


@pytest.fixture
def stand(tmp_path: Path, servers: dict[str, Daemon]) -> Iterator[Stand]:
    root = tmp_path / "publish"
    root.mkdir()
    nodes = {
        name: (node(name, destination(name, daemon)), daemon.module_path) for name, daemon in servers.items()
    }
    with sql_store(tmp_path / "var") as store:
        made = Stand(tmp_path, root, nodes, store, survey={"quiet": QuietRules(1.0, 3.0)})
        made.fill()
        made.start()
        made.all_ready()
        made.at_head()
        yield made
        made.stop()


def runs(stand: Stand, name: str) -> int:
    assert stand.engine is not None
    return stand.engine.field.counts["node_runs", name]


def getting_ready(stand: Stand) -> dict[str, int]:
    """The processes that wait for a change which has not settled: it has no seq yet."""
    assert stand.engine is not None
    nodes, head = stand.engine.field.nodes.values(), stand.engine.field.tail.head
    wait_until(lambda: all(n.work and n.work.control.handle.pid for n in nodes), 5, "the nodes get ready")
    assert stand.engine.field.tail.head == head
    assert stand.engine.surveyor.pending
    return {n.name: n.work.control.handle.pid for n in nodes if n.work and n.work.control.handle.pid}


def test_a_saved_page_is_sent_by_the_rsync_that_was_started_while_it_settled(stand: Stand) -> None:
    before = {name: runs(stand, name) for name in stand.nodes}
    write(stand.root, "start/0.txt", "saved")
    ready = getting_ready(stand)
    assert len(ready) == 2
    stand.alike()
    stand.at_head()
    assert {name: runs(stand, name) - n for name, n in before.items()} == {"a": 1, "b": 1}
    assert not any(Path(f"/proc/{pid}").exists() for pid in ready.values())


def test_what_comes_while_the_nodes_are_getting_ready_travels_too(stand: Stand) -> None:
    write(stand.root, "start/0.txt", "saved")
    getting_ready(stand)
    for n in range(20):
        write(stand.root, f"more/{n}.txt", "new")
    os.unlink(stand.root / "start/1.txt")
    stand.alike()
    stand.at_head()


def test_a_file_that_goes_before_it_has_settled_leaves_the_nodes_as_they_were(stand: Stand) -> None:
    write(stand.root, "passing.txt", "soon gone")
    getting_ready(stand)
    os.unlink(stand.root / "passing.txt")
    stand.at_head()
    wait_until(lambda: all(stand.node(n).work is None for n in stand.nodes), 10, "the nodes are idle again")
    stand.alike()
    for name in stand.nodes:
        assert stand.state(name) is State.READY
        assert (stand.node(name).failures, stand.node(name).dustbin) == (0, {})


def test_a_large_publish_while_nobody_can_get_ready_reaches_who_comes_back(
    stand: Stand, servers: dict[str, Daemon]
) -> None:
    assert stand.engine is not None
    for daemon in servers.values():
        daemon.kill()
    wait_until(lambda: all(stand.state(name) is State.DEAD for name in stand.nodes), 30, "all are dead")
    write(stand.root, "start/0.txt", "first alone")
    time.sleep(0.3)  # told of, and nobody is there to get ready
    for n in range(1500):
        write(stand.root, f"more/{n}.txt", "new")
    wait_until(lambda: not stand.engine or stand.engine.surveyor.pending == 0, 20, "it has settled")
    for daemon in servers.values():
        daemon.start()
    stand.all_ready(60)
    stand.alike()


def test_what_was_to_be_ended_while_it_got_ready_has_confirmed_nothing(stand: Stand) -> None:
    assert stand.engine is not None
    before = stand.node("a").cursor
    write(stand.root, "start/0.txt", "saved")
    getting_ready(stand)
    work = stand.node("a").work
    assert work is not None
    work.control.stop.cancel("a test")
    wait_until(lambda: stand.node("a").work is not work, 5, "it has ended")
    assert stand.node("a").cursor == before
    stand.alike()
    stand.at_head()


def test_stopping_ends_what_was_getting_ready(stand: Stand) -> None:
    write(stand.root, "start/0.txt", "saved")
    ready = getting_ready(stand)
    stand.stop()
    assert not any(Path(f"/proc/{pid}").exists() for pid in ready.values())
