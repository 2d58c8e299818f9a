"""Runs that hang, are cancelled or lose their node: each ends in time, leaves no process and says why."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sync.core.args import RsyncOptions, Run
from sync.core.model import Destination, Form, Outcome
from sync.core.scope import Scope
from sync.rsync import Cancel, RunHandle, Runner, RunResult
from tests.servers_rsync import Daemon, daemon, daemons
from tests.trees import assert_alike, tree, write

__all__ = ["daemon", "daemons"]  # fixtures
LINUX = Path("/proc/self/io").exists()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.mkdir()
    return path


def destination(server: Daemon, **more: str) -> Destination:
    return Destination("n", server.host, port=server.port, **more)  # type: ignore[arg-type]


@pytest.fixture
def slow(source: Path) -> Callable[[Daemon], Destination]:
    """A file and a destination between which a run takes many seconds."""
    write(source, "big", os.urandom(30_000_000))
    return lambda server: destination(server, bwlimit="1m")


def script(path: Path, text: str) -> str:
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(0o755)
    return str(path)


def is_running(pid: int) -> bool:
    """Whether the process is there and no zombie: an orphan waits for whoever is process 1 here to reap it."""
    try:
        os.kill(pid, 0)
        return (
            Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] != b"Z" if LINUX else True
        )
    except (ProcessLookupError, FileNotFoundError):
        return False


def wait_until(true: Callable[[], object], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.005)


@contextmanager
def running(
    runner: Runner, where: Destination, run: Run
) -> Iterator[tuple[Cancel, RunHandle, list[RunResult]]]:
    """The run in a thread of its own; joined at the end, when its result is the list's only element."""
    cancel, handle, results = Cancel(), RunHandle(), list[RunResult]()

    def work() -> None:
        results.append(runner.run(where, run, stop=cancel, handle=handle))

    thread = threading.Thread(target=work, name="run under test")
    thread.start()
    try:
        yield cancel, handle, results
        thread.join(20)
        assert results, "the run did not end"
    finally:
        cancel.cancel()
        thread.join(20)
    assert handle.pid is None or not is_running(handle.pid)


# ── cancelling ───────────────────────────────────────────────────────────────────────────────────────────


def test_a_cancelled_run_ends_at_once(
    source: Path, daemon: Daemon, slow: Callable[[Daemon], Destination]
) -> None:
    runner = Runner(RsyncOptions(), source, Scope())
    with running(runner, slow(daemon), Run(Form.EVERYTHING)) as (cancel, handle, results):
        wait_until(lambda: handle.pid)
        time.sleep(0.1)
        began = time.monotonic()
        cancel.cancel("node removed")
        wait_until(lambda: results)
        assert time.monotonic() - began < 1.5
    assert results[0].outcome is Outcome.KILLED
    assert "node removed" in results[0].message


def test_a_cancelled_service_starts_nothing(source: Path, daemon: Daemon) -> None:
    cancel = Cancel()
    cancel.cancel()
    run = Run(Form.FILES, (write(source, "page"),))
    result = Runner(RsyncOptions(), source, Scope()).run(destination(daemon), run, stop=cancel)
    assert (result.outcome, result.code) == (Outcome.KILLED, None)
    assert tree(daemon.module_path) == {}


def test_one_cancel_ends_many_runs(
    source: Path, daemon: Daemon, slow: Callable[[Daemon], Destination]
) -> None:
    runner, cancel = Runner(RsyncOptions(), source, Scope()), Cancel()
    handles, results = [RunHandle() for _ in range(6)], list[RunResult]()

    def work(handle: RunHandle) -> None:
        results.append(runner.run(slow(daemon), Run(Form.EVERYTHING), stop=cancel, handle=handle))

    threads = [threading.Thread(target=work, args=(handle,)) for handle in handles]
    for thread in threads:
        thread.start()
    wait_until(lambda: all(handle.pid for handle in handles))
    cancel.cancel()
    for thread in threads:
        thread.join(10)
    assert [result.outcome for result in results] == [Outcome.KILLED] * 6
    assert not any(is_running(handle.pid or 0) for handle in handles)


def test_a_program_that_ignores_the_order_to_end_is_killed_with_its_children(
    source: Path, daemon: Daemon, tmp_path: Path
) -> None:
    pids = tmp_path / "pids"
    program = script(
        tmp_path / "stubborn", f"trap '' TERM\nsleep 60 &\necho $! $$ > {pids}\nwait; wait; sleep 60\n"
    )
    runner = Runner(RsyncOptions(program=program), source, Scope())
    with running(runner, destination(daemon), Run(Form.EVERYTHING)) as (cancel, _, results):
        wait_until(lambda: pids.exists() and pids.read_text().endswith("\n"))
        cancel.cancel()
    assert results[0].outcome is Outcome.KILLED
    assert 1.5 < results[0].seconds < 8
    wait_until(lambda: not any(is_running(int(pid)) for pid in pids.read_text().split()))


def test_a_child_that_outlives_rsync_does_not_hold_the_run(
    source: Path, daemon: Daemon, tmp_path: Path
) -> None:
    """As an ssh master connection would, which keeps stderr open."""
    pid = tmp_path / "pid"
    program = script(tmp_path / "leaving", f"sleep 60 &\necho $! > {pid}\nexit 0\n")
    began = time.monotonic()
    result = Runner(RsyncOptions(program=program), source, Scope()).run(
        destination(daemon), Run(Form.EVERYTHING)
    )
    assert result.code == 0
    assert time.monotonic() - began < 8
    wait_until(lambda: not is_running(int(pid.read_text())))


# ── limits ───────────────────────────────────────────────────────────────────────────────────────────────


def test_a_daemon_that_hangs_before_it_greets_ends_in_a_timeout(source: Path, daemon: Daemon) -> None:
    write(source, "page")
    daemon.sigstop()
    runner = Runner(RsyncOptions(timeout_seconds=1, stall_seconds=30), source, Scope())
    result = runner.run(destination(daemon), Run(Form.EVERYTHING))
    daemon.sigcont()
    assert (result.outcome, result.code, result.moved) == (Outcome.UNREACHABLE, 30, False)
    assert result.seconds < 10


def test_a_hang_longer_than_the_stall_limit_is_ended(source: Path, daemon: Daemon) -> None:
    write(source, "page")
    daemon.sigstop()
    runner = Runner(RsyncOptions(timeout_seconds=60, stall_seconds=1), source, Scope())
    result = runner.run(destination(daemon), Run(Form.EVERYTHING))
    daemon.sigcont()
    assert (result.outcome, result.moved) == (Outcome.UNREACHABLE, False)
    assert "no progress for 1 s" in result.message
    assert 1 <= result.seconds < 6


@pytest.mark.skipif(not LINUX, reason="the bytes of a process can be counted on Linux only")
def test_a_slow_run_that_moves_bytes_is_left_alone(source: Path, daemon: Daemon) -> None:
    write(source, "big", os.urandom(1_000_000))
    runner = Runner(RsyncOptions(stall_seconds=1, bwlimit="300"), source, Scope())
    handle, began = RunHandle(), time.monotonic()
    result = runner.run(destination(daemon), Run(Form.EVERYTHING), handle=handle)
    assert result.outcome is Outcome.DONE, result
    assert result.seconds > 2
    assert handle.moved
    assert began < (handle.last_progress_at or 0) <= time.monotonic()
    assert_alike(source, daemon.module_path)


def test_a_daemon_killed_in_mid_run_is_a_broken_connection_or_worse(
    source: Path, daemon: Daemon, slow: Callable[[Daemon], Destination]
) -> None:
    write(daemon.module_path, "big", "whole before")
    runner = Runner(RsyncOptions(), source, Scope())
    with running(runner, slow(daemon), Run(Form.EVERYTHING)) as (_, handle, results):
        wait_until(lambda: any(b".big." in name for name in tree(daemon.module_path)))
        daemon.kill()
    assert results[0].outcome in (Outcome.BROKEN, Outcome.UNREACHABLE), results[0]
    assert (daemon.module_path / "big").read_text() == "whole before"
    assert handle.pid


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_rsync_killed_by_somebody_else_is_queued_again(
    source: Path, daemon: Daemon, slow: Callable[[Daemon], Destination], number: int
) -> None:
    runner = Runner(RsyncOptions(), source, Scope())
    with running(runner, slow(daemon), Run(Form.EVERYTHING)) as (_, handle, results):
        wait_until(lambda: handle.pid)
        time.sleep(0.1)
        os.kill(handle.pid or 0, number)
    assert results[0].outcome is Outcome.KILLED, results[0]


def test_a_callback_that_fails_leaves_no_process(source: Path, daemon: Daemon) -> None:
    write(source, "big", os.urandom(3_000_000))

    def fail(progress: object) -> None:
        raise RuntimeError("the page went away")

    handle = RunHandle()
    runner = Runner(RsyncOptions(), source, Scope())
    with pytest.raises(RuntimeError, match="the page went away"):
        runner.run(destination(daemon), Run(Form.EVERYTHING), progress=fail, handle=handle)
    assert handle.pid
    assert not is_running(handle.pid)


def test_many_runs_leave_no_descriptor_open(source: Path, daemon: Daemon) -> None:
    if not Path("/proc/self/fd").exists():
        pytest.skip("open descriptors can be counted on Linux only")
    path = write(source, "page")
    runner = Runner(RsyncOptions(), source, Scope())
    runner.run(destination(daemon), Run(Form.FILES, (path,)))
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(10):
        runner.run(destination(daemon), Run(Form.FILES, (path,)))
        Runner(RsyncOptions(program="no-such-rsync"), source, Scope()).run(
            destination(daemon), Run(Form.FILES, (path,))
        )
    assert len(os.listdir("/proc/self/fd")) <= before
