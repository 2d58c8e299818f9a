"""What a start may say of nodes that were behind when the service stopped, and what a node says that waits."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.views import why
from sync.core.model import State
from tests.servers_rsync import Daemon, daemons  # noqa: F401
from tests.stand import Stand, destination, stand_with, wait_until
from tests.trees import write


@pytest.fixture
def two(tmp_path: Path, daemons: Callable[..., Daemon]) -> Iterator[tuple[Stand, dict[str, Daemon]]]:  # noqa: F811
    running = {name: daemons() for name in ("a", "b")}
    nodes = {n: (destination(n, d), d.module_path) for n, d in running.items()}
    with stand_with(tmp_path, nodes) as stand:
        yield stand, running


Two = tuple[Stand, dict[str, Daemon]]


def refuse(daemon: Daemon) -> None:
    """From now on the daemon lets nobody at its module; it greets all the same."""
    (daemon.folder / "rsyncd.conf").write_text("hosts deny = *\n" + daemon.config)


def admit(daemon: Daemon) -> None:
    (daemon.folder / "rsyncd.conf").write_text(daemon.config)


def stopped_in_mid_publish(stand: Stand, running: dict[str, Daemon]) -> None:
    stand.start()
    stand.all_ready()
    stand.at_head()
    refuse(running["b"])
    write(stand.root, "news.txt", "x")
    stand.alike("a")
    wait_until(lambda: stand.node("b").blocked, 10)
    stand.stop()


def fitness_of(stand: Stand, name: str) -> list[bool | None]:
    return [changed[name].fit for _, changed in stand.notes.fit if name in changed]


def test_a_node_that_was_behind_at_the_stop_gets_the_whole_lag_to_catch_up(two: Two) -> None:
    stand, running = two
    stopped_in_mid_publish(stand, running)
    stand.notes.fit.clear()
    began = time.monotonic()
    engine = stand.start(max_lag_seconds=60.0)
    wait_until(lambda: stand.node("a").in_sync, 10)
    wait_until(lambda: stand.node("b").proven, 10)
    wait_until(lambda: "may catch up" in engine.field.fitness()["b"].reason, 10)
    assert "changes behind" in engine.field.fitness()["b"].reason
    wait_until(lambda: engine.field.judged_from < float("inf"), 20, "the tree is compared")
    assert began + 60 <= engine.field.judged_from <= time.monotonic() + 60
    assert stand.node("b").out_of_step is None
    engine.call(lambda: setattr(engine.field, "judged_from", time.monotonic()))  # the time is over
    wait_until(lambda: stand.node("b").out_of_step, 10)
    wait_until(lambda: fitness_of(stand, "b")[-1] is False, 10)
    assert True not in fitness_of(stand, "b")  # what it has missed is not forgotten either
    admit(running["b"])
    stand.all_ready(40)


def test_a_node_that_catches_up_after_a_start_was_never_out_of_step(two: Two) -> None:
    stand, running = two
    stopped_in_mid_publish(stand, running)
    admit(running["b"])
    stand.notes.fit.clear()
    stand.notes.events.clear()
    stand.start(max_lag_seconds=30.0)
    stand.all_ready()
    stand.at_head()
    assert not stand.notes.said("out_of_step")
    assert False not in fitness_of(stand, "b")


def test_a_recovering_node_says_that_it_waits_for_the_source(two: Two) -> None:
    stand, running = two
    engine = stand.start()
    stand.all_ready()
    running["b"].kill()
    wait_until(lambda: stand.state("b") is State.DEAD, 20)
    shutil.move(stand.root, stand.tmp / "aside")
    wait_until(lambda: engine.surveyor.fault, 10)
    running["b"].start()
    wait_until(lambda: stand.state("b") is State.RECOVERY, 20)
    said = engine.call(lambda: why(engine, engine.node("b")))
    assert "waits" in said
    assert "missing" in said
    shutil.move(stand.tmp / "aside", stand.root)
    stand.all_ready(40)
    assert "waits" not in engine.call(lambda: why(engine, engine.node("b")))
