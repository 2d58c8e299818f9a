"""Starting, stopping and lasting: nothing is left behind, nobody else's failure is ours, nothing waits for one node."""

from __future__ import annotations

import errno
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from sync.core.model import Observation, State
from sync.core.scope import Scope
from sync.field import Listener
from sync.hints import Sink
from sync.inotify import InotifyFeed, add_watch
from sync.probes import ProbeSeries, ProbeSpec, ProbeTarget
from sync.survey import SurveySettings, Watching
from sync.surveyor import Surveyor
from sync.watcher import Watcher
from tests.conftest import children
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


def rsyncs(to: Daemon | None = None) -> set[int]:
    """The rsync clients (to one daemon) that this process has started and that still run."""
    port = f":{to.port}/".encode() if to is not None else b""
    found = set()
    for pid in children(os.getpid()):
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"--daemon" not in command and b"rsync" in command[0] and port in b" ".join(command):
            found.add(pid)
    return found


def hang(stand: Stand, daemon: Daemon, name: str) -> None:
    """The daemon stops answering while a run to it is under way."""
    daemon.sigstop()
    write(stand.root, "for-nobody.txt", "x")
    wait_until(lambda: stand.node(name).work is not None and rsyncs(daemon), 10, "a run under way")


def test_a_stop_while_daemons_hang_takes_less_than_five_seconds_and_leaves_nothing(two: Two) -> None:
    stand, running = two
    stand.start()
    stand.all_ready()
    hang(stand, running["b"], "b")
    began = time.monotonic()
    stand.stop()
    assert time.monotonic() - began < 5
    assert not rsyncs()
    assert stand.store.load().meta.clean_stop  # type: ignore[union-attr]


def test_the_run_to_a_node_that_is_removed_is_ended_with_its_group(two: Two) -> None:
    stand, running = two
    stand.start()
    stand.all_ready()
    hang(stand, running["b"], "b")
    assert stand.engine is not None
    stand.engine.set_nodes([s for s, _ in stand.nodes.values() if s.name == "a"])
    wait_until(lambda: not rsyncs(), 5, "no rsync left")
    write(stand.root, "more.txt", "x")
    stand.alike("a")
    running["b"].sigcont()
    stand.engine.set_nodes([s for s, _ in stand.nodes.values()])
    stand.all_ready()
    stand.alike()


def test_a_node_removed_and_added_again_at_once_never_has_two_runs(two: Two) -> None:
    stand, running = two
    stand.start()
    stand.all_ready()
    hang(stand, running["b"], "b")
    everyone = [s for s, _ in stand.nodes.values()]
    assert stand.engine is not None
    stand.engine.set_nodes(everyone[:1])
    stand.engine.set_nodes(everyone)
    end = time.monotonic() + 1
    while time.monotonic() < end:
        assert len(rsyncs(running["b"])) <= 1
        time.sleep(0.005)
    running["b"].sigcont()
    stand.all_ready()
    stand.alike()
    stand.at_head()


def test_while_the_database_is_away_nothing_is_sent_and_afterwards_nothing_is_lost(two: Two) -> None:
    stand, _ = two
    stand.start()
    stand.all_ready()
    stand.at_head()
    stand.store.flush(5)
    other = sqlite3.connect(stand.tmp / "var/lockstep.db", timeout=10, isolation_level=None)
    try:
        other.execute("BEGIN EXCLUSIVE")
        write(stand.root, "first.txt", "goes or waits")
        wait_until(stand.store.trouble, 60, "the store has noticed")
        write(stand.root, "second.txt", "waits")
        os.unlink(stand.root / "start/1.txt")
        time.sleep(1.0)
        assert not (stand.nodes["a"][1] / "second.txt").exists()
        assert (stand.nodes["a"][1] / "start/1.txt").exists()
        assert stand.state("a") is State.READY
    finally:
        other.close()
    stand.alike(seconds=30)
    stand.at_head()
    assert {row.path for row in stand.store.manifest()} >= {b"first.txt", b"second.txt"}


class Broken(Listener):
    """Somebody else's code."""

    def event(self, event: object) -> None:
        raise RuntimeError("alerting is broken")

    def flip(self, flip: object) -> None:
        raise RuntimeError("hooks are broken")

    def batch(self, node: str, paths: object) -> None:
        raise RuntimeError("the CDN is broken")

    def fitness(self, changed: object) -> None:
        raise RuntimeError("DNS is broken")


def test_listeners_that_raise_stop_nothing(two: Two) -> None:
    stand, _ = two
    engine = stand.start()
    engine.call(lambda: engine.field.listeners.insert(0, Broken()))
    stand.all_ready()
    write(stand.root, "news.txt", "x")
    stand.alike()
    assert stand.notes.flips
    engine.resync(["a"], done=lambda name, ok, message: 1 / 0)
    write(stand.root, "more.txt", "x")
    stand.alike()
    stand.at_head()


class Stuck(ProbeSeries):
    """Probes that hang, as a name server does that never answers."""

    def __init__(self, until: threading.Event) -> None:
        super().__init__([ProbeSpec("rsync", timeout_seconds=1, attempts=1)])
        self.until = until

    def observe(self, target: ProbeTarget, clock: Callable[[], float] = time.time) -> Observation:
        self.until.wait(60)
        return super().observe(target, clock)


def test_probes_that_hang_delay_neither_the_other_nodes_nor_the_stop(two: Two) -> None:
    stand, _ = two
    released = threading.Event()
    settings, path = stand.nodes["b"]
    stand.nodes["b"] = (replace(settings, probes=Stuck(released)), path)
    stand.start()
    wait_until(lambda: stand.state("a") is State.READY and stand.node("a").in_sync)
    write(stand.root, "news.txt", "x")
    stand.alike("a", seconds=5)
    began = time.monotonic()
    stand.stop()
    assert time.monotonic() - began < 5
    released.set()


def test_directories_beyond_the_watch_limit_are_scanned_and_said(
    two: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand, _ = two
    monkeypatch.setattr("sync.surveyor.UNWATCHED_RESCAN_SECONDS", 1.0)
    write(stand.root, "dark/1.txt", "x")

    def limited(descriptor: int, path: bytes, mask: int) -> int:
        if path.endswith(b"/dark"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
        return add_watch(descriptor, path, mask)

    def watch(settings: SurveySettings, sink: Surveyor) -> Watching:
        def feed(root: bytes, scope: Scope, sink: Sink, clock: Callable[[], float]) -> InotifyFeed:
            return InotifyFeed(root, scope, sink, clock, add=limited)

        root = Path(os.fsdecode(settings.root))
        return Watcher(root, settings.scope, sink, make_feed=feed)  # type: ignore[return-value]

    stand.watch = watch
    engine = stand.start()
    stand.all_ready()
    wait_until(lambda: "max_user_watches" in (engine.source.watch or ""), 10)
    write(stand.root, "dark/2.txt", "unseen")
    wait_until(lambda: (stand.nodes["a"][1] / "dark/2.txt").exists(), 20, "found by a scan")
    os.unlink(stand.root / "dark/1.txt")
    wait_until(lambda: not (stand.nodes["a"][1] / "dark/1.txt").exists(), 20, "found by a scan")
    assert stand.notes.said("watch", "max_user_watches")


def test_commands_after_the_end_say_so_at_once(two: Two) -> None:
    stand, _ = two
    engine = stand.start()
    stand.stop()
    began = time.monotonic()
    with pytest.raises(Exception, match="stopping"):
        engine.check(["a"])
    assert time.monotonic() - began < 1
