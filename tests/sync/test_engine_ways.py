"""Ways through the engine that only together with real daemons can be seen to work: one writer at a time, left-overs,
room made first, skipped deletions, scans by the clock, observations that a run makes superfluous.
"""

from __future__ import annotations

import os
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from sync.core.model import State
from sync.probes import ProbeSeries, ProbeSpec
from sync.survey import SurveySettings, Watching
from sync.surveyor import Surveyor
from tests.conftest import children
from tests.servers_rsync import Daemon, daemons, small_tmpfs  # noqa: F401
from tests.stand import Stand, destination, stand_with, wait_until
from tests.trees import write

Daemons = Callable[..., Daemon]
One = tuple[Stand, Daemon]


@pytest.fixture
def one(tmp_path: Path, daemons: Daemons) -> Iterator[One]:  # noqa: F811
    daemon = daemons()
    with stand_with(tmp_path, {"a": (destination("a", daemon), daemon.module_path)}) as stand:
        yield stand, daemon


def weak_rsync(stand: Stand) -> Path:
    """An rsync that may read no more than its permissions say, even as root."""
    if os.getuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("needs root, to take its rights away from rsync")
    weak = stand.tmp / "weak-rsync"
    weak.write_text('#!/bin/sh\nexec setpriv --bounding-set=-all --inh-caps=-all -- rsync "$@"\n')
    weak.chmod(0o755)
    return weak


def writers(daemon: Daemon) -> list[bytes]:
    """The command lines of the rsyncs of this process that write to the daemon."""
    found = []
    for pid in children(os.getpid()):
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            continue
        words = command.split(b"\0")
        if b":%d/" % daemon.port in command and b"-n" not in words:
            found.append(command)
    return found


def test_there_is_never_more_than_one_writing_run_to_a_node(one: One) -> None:
    """Through a start, changes, audits, a full resync asked for and one of recovery (promise 7)."""
    stand, daemon = one
    most, ending = [0], threading.Event()

    def count() -> None:
        while not ending.is_set():
            most[0] = max(most[0], len(writers(daemon)))

    counting = threading.Thread(target=count, name="count")
    counting.start()
    try:
        engine = stand.start(limits=replace(stand.settings().limits, max_audits=4))
        stand.all_ready()
        for number in range(60):
            write(stand.root, f"many/{number}", str(number) * 5000)
            if number % 20 == 5:
                engine.resync(["a"])
                engine.call(lambda: setattr(engine.field.nodes["a"], "audit_due", True))
            if number == 30:
                engine.call(lambda: engine.course.relapse(engine.field.nodes["a"], "a test wants it"))
            time.sleep(0.02)
        stand.all_ready()
        stand.alike()
        stand.at_head()
    finally:
        ending.set()
        counting.join()
    assert most[0] == 1


def test_what_a_killed_receiver_left_behind_is_removed_without_blaming_the_node(one: One) -> None:
    stand, daemon = one
    stand.start()
    stand.all_ready()
    left = [daemon.module_path / "start/.1.txt.a1B2c3", daemon.module_path / "start/.~tmp~/2.txt"]
    for path in left:
        path.parent.mkdir(exist_ok=True)
        path.write_text("half of it")
    stand.audit()
    wait_until(lambda: not any(path.exists() for path in left), 20, "removed in place")
    assert not stand.notes.said("drift")
    assert stand.state("a") is State.READY
    assert not [f for f in stand.notes.flips if f.old is State.READY]
    stand.alike()


def test_a_file_of_the_source_that_is_named_like_rsyncs_own_stays(one: One) -> None:
    stand, daemon = one
    write(stand.root, "start/.1.txt.a1B2c3", "ours")
    stand.start()
    stand.all_ready()
    stand.audit()
    stand.audit()
    assert (daemon.module_path / "start/.1.txt.a1B2c3").read_text() == "ours"
    stand.alike()


def test_a_full_resync_without_space_deletes_first(
    tmp_path: Path,
    daemons: Daemons,  # noqa: F811
    small_tmpfs: Path,  # noqa: F811
) -> None:
    daemon = daemons({"content": small_tmpfs})
    (small_tmpfs / "old.bin").write_bytes(os.urandom(700_000))
    with stand_with(tmp_path, {"a": (destination("a", daemon), small_tmpfs)}) as stand:
        write(stand.root, "new.bin", os.urandom(600_000))
        stand.start()
        stand.all_ready()
        stand.alike()
        assert not (small_tmpfs / "old.bin").exists()


def test_what_rsync_did_not_delete_for_an_error_at_the_source_is_deleted_all_the_same(one: One) -> None:
    """But nothing below a folder that cannot be read: what is in it is not known."""
    stand, daemon = one
    weak = weak_rsync(stand)
    for name in ("extra.txt", "dark/known.txt", "start/extra.txt"):
        (daemon.module_path / name).parent.mkdir(exist_ok=True)
        (daemon.module_path / name).write_text("an extra or not")
    write(stand.root, "dark/known.txt", "not to be read")
    write(stand.root, "secret.txt", "s", mode=0o000)
    os.chmod(stand.root / "dark", 0o000)
    try:
        stand.start(options=replace(stand.settings().options, program=str(weak)))
        wait_until(lambda: stand.state("a") is State.READY)
        wait_until(lambda: not (daemon.module_path / "extra.txt").exists(), 10)
        wait_until(lambda: not (daemon.module_path / "start/extra.txt").exists(), 10)
        assert (daemon.module_path / "dark/known.txt").exists()
        assert not stand.node("a").dustbin
    finally:
        os.chmod(stand.root / "dark", 0o755)
        os.chmod(stand.root / "secret.txt", 0o644)
    stand.alike(seconds=60)


def test_extras_are_drift_also_while_a_folder_of_the_source_cannot_be_read(one: One) -> None:
    """rsync skips deletions then, in a dry run as well: an audit that went by that would prove nothing."""
    stand, daemon = one
    weak = weak_rsync(stand)
    write(stand.root, "dark/known.txt", "in the dark")
    stand.start(options=replace(stand.settings().options, program=str(weak)))
    stand.all_ready()
    os.chmod(stand.root / "dark", 0o000)
    try:
        stand.at_head()
        stranger = daemon.module_path / "start/stranger.txt"
        stranger.write_text("not ours")
        stand.audit()
        wait_until(lambda: stand.notes.said("drift", "start/stranger.txt"), 10)
        wait_until(lambda: not stranger.exists(), 20, "repaired")
        stand.all_ready()
        assert not stand.notes.said("drift", "dark")
        assert (daemon.module_path / "dark/known.txt").read_text() == "in the dark"
        assert b"dark" in stand.engine.field.source_errors  # type: ignore[union-attr]
    finally:
        os.chmod(stand.root / "dark", 0o755)
    stand.alike()


class Deaf:
    """A watcher that hears nothing, as of a network file system that others write to."""

    directories = 0
    overflows = 0
    unwatched: frozenset[bytes] = frozenset()

    def start(self) -> bool:
        return True

    def stop(self) -> None: ...

    def restart(self, reason: str) -> bool:
        return True

    def healthy(self) -> str | None:
        return None

    def broken(self) -> str | None:
        return None

    def retry(self) -> None: ...


def test_what_no_event_tells_of_is_found_by_the_clock(one: One) -> None:
    stand, daemon = one

    def deaf(settings: SurveySettings, sink: Surveyor) -> Watching:
        return Deaf()  # type: ignore[return-value]

    stand.watch = deaf
    stand.survey = {"rescan_seconds": 0.5}
    stand.start()
    stand.all_ready()
    write(stand.root, "told/to/nobody.txt", "x")
    os.unlink(stand.root / "start/1.txt")
    stand.alike(seconds=10)
    assert not (daemon.module_path / "start/1.txt").exists()


def test_a_run_that_moves_bytes_is_as_good_as_a_good_observation(
    one: One, request: pytest.FixtureRequest
) -> None:
    """A probe that gets no answer from a node that is receiving just now is no reason to stop sending to it."""
    stand, _ = one
    settings, path = stand.nodes["a"]
    listening = socket.create_server(("127.0.0.1", 0))
    request.addfinalizer(listening.close)
    mute = ProbeSpec("rsync", timeout_seconds=2, attempts=1, port=listening.getsockname()[1])
    silent = ProbeSeries([mute])
    stand.start()
    stand.all_ready()
    assert stand.engine is not None
    stand.nodes["a"] = (replace(settings, probes=silent), path)
    ending = threading.Event()

    def busy() -> None:
        number = 0
        while not ending.wait(0.02):
            number += 1
            write(stand.root, f"busy/{number}.txt", str(number))

    writing = threading.Thread(target=busy, name="busy")
    writing.start()
    try:
        wait_until(lambda: stand.node("a").work is not None, 5)
        stand.engine.set_nodes([stand.nodes["a"][0]])
        failed = wait_until(
            lambda: stand.engine.field.counts["probe_failures", "a", "rsync"] >= 2,  # type: ignore[union-attr]
            30,
        )
        assert failed
        assert stand.state("a") is State.READY
    finally:
        ending.set()
        writing.join()
    wait_until(
        lambda: stand.state("a") is not State.READY, 20, "nothing moves any more, and it does not answer"
    )


def test_a_node_whose_cursor_lies_below_the_trimmed_tombstones_gets_a_full_resync(one: One) -> None:
    stand, daemon = one
    engine = stand.start()
    stand.all_ready()
    stand.at_head()
    daemon.kill()
    wait_until(lambda: stand.state("a") is State.DEAD, 20)
    os.unlink(stand.root / "start/1.txt")
    wait_until(lambda: engine.field.tail.head > (stand.node("a").cursor or 0), 10)

    def a_day_later() -> None:
        record = engine._record
        old = engine.wall() - 24 * 3600
        record.meta = replace(record.meta, marks=((old, engine.field.tail.head),))
        engine._trim_tombstones()

    engine.call(a_day_later)
    assert stand.node("a").cursor is None
    wait_until(lambda: not [r for r in stand.store.since(0) if r.path == b"start/1.txt"], 10, "trimmed")
    daemon.start()
    stand.all_ready(40)
    stand.alike()
