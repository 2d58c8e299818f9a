"""Rsyncs that outlived their service are ended before another one sends, and nobody else is (promise 7)."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from sync.core.args import RsyncOptions, Run
from sync.core.model import Destination, Form
from sync.core.scope import Scope
from sync.orphans import Orphans
from sync.rsync import Cancel, RunHandle, Runner
from tests.stand import wait_until

linux = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="only /proc says who holds a file")

LEAVES_A_CHILD = """
import subprocess, sys
from pathlib import Path
from sync.orphans import Orphans
lock = Orphans(Path(sys.argv[1]))
lock.open()
assert lock.remain() is None
print(subprocess.Popen(sys.argv[2:], pass_fds=lock.inherited, start_new_session=True).pid)
"""


def left_behind(path: Path, *command: str) -> int:
    """The pid of a child that a process has left behind with the file open."""
    ended = subprocess.run(
        [sys.executable, "-c", LEAVES_A_CHILD, str(path), *command],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        pass_fds=(),
    )
    return int(ended.stdout.split()[0])


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.fixture
def orphans(tmp_path: Path) -> Iterator[Orphans]:
    lock = Orphans(tmp_path / "rsyncs")
    lock.open()
    yield lock
    lock.close()


def test_without_orphans_nothing_is_waited_for(orphans: Orphans) -> None:
    assert orphans.wait(0) is None
    assert orphans.remain() is None


@linux
def test_what_an_earlier_process_left_behind_is_ended(tmp_path: Path, orphans: Orphans) -> None:
    pid = left_behind(tmp_path / "rsyncs", "sh", "-c", "exec sleep 60 >/dev/null 2>&1")
    assert is_running(pid)
    said = orphans.remain()
    assert said is not None
    assert str(pid) in said
    assert orphans.wait() is None
    assert not is_running(pid)


@linux
def test_one_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "rsyncs"
    pid = left_behind(path, "sh", "-c", "trap '' TERM; exec sleep 60 >/dev/null 2>&1")
    now = [0.0]
    lock = Orphans(path, clock=lambda: now[0])
    lock.open()
    try:
        assert lock.remain() is not None
        assert lock.remain() is not None
        assert is_running(pid)
        now[0] = 3.0
        wait_until(lambda: lock.remain() is None, 5, "killed")
        assert not is_running(pid)
    finally:
        lock.close()


@linux
def test_processes_that_do_not_hold_the_file_are_left_alone(tmp_path: Path, orphans: Orphans) -> None:
    """Even one in the same folder, holding another file of ours, and named like one of ours."""
    (tmp_path / "other").touch()
    with (tmp_path / "other").open() as other:
        foreign = subprocess.Popen(["sleep", "60"], pass_fds=(other.fileno(),), start_new_session=True)
    try:
        left_behind(tmp_path / "rsyncs", "sh", "-c", "exec sleep 60 >/dev/null 2>&1")
        assert orphans.wait() is None
        assert foreign.poll() is None
    finally:
        foreign.kill()
        foreign.wait()


def test_where_nobody_can_be_found_the_end_is_waited_for(
    tmp_path: Path, orphans: Orphans, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on macOS, where there is no /proc."""
    monkeypatch.setattr(Orphans, "_holders", lambda self: iter(()))
    pid = left_behind(tmp_path / "rsyncs", "sh", "-c", "exec sleep 60 >/dev/null 2>&1")
    assert "nothing is sent until they have ended" in str(orphans.wait(0.05))
    assert is_running(pid)
    os.kill(pid, signal.SIGKILL)
    assert orphans.wait() is None


def test_every_rsync_inherits_the_file_for_as_long_as_it_runs(tmp_path: Path, orphans: Orphans) -> None:
    """Against a server that never answers; the lock cannot be had anew while rsync runs, and can afterwards."""
    import socket

    assert orphans.wait(0) is None
    silent = socket.create_server(("127.0.0.1", 0))
    cancel, handle = Cancel(), RunHandle()
    runner = Runner(
        RsyncOptions(connect_seconds=20, timeout_seconds=20), tmp_path, Scope(), inherited=orphans.inherited
    )
    to = Destination("a", "127.0.0.1", port=silent.getsockname()[1])
    thread = threading.Thread(target=lambda: runner.run(to, Run(Form.EVERYTHING), stop=cancel, handle=handle))
    thread.start()
    try:
        wait_until(lambda: handle.pid, 5, "rsync runs")
        orphans.close()
        later = Orphans(tmp_path / "rsyncs")
        later.open()
        with contextlib.closing(later):
            later._holders = lambda: iter(())  # type: ignore[method-assign]
            assert later.remain() is not None
            cancel.cancel()
            assert later.wait() is None
    finally:
        cancel.cancel()
        thread.join(10)
        silent.close()
