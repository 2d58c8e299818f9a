"""The installation's lock: one process at a time, whatever happens to it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from app.lock import Held, InstallationLock, holder

HOLD = """
import sys
from pathlib import Path
from app.lock import InstallationLock
lock = InstallationLock(Path(sys.argv[1]))
lock.acquire("service")
print("held", flush=True)
sys.stdin.read()
"""


def test_a_second_process_is_told_who_holds_the_lock_until_that_one_is_killed(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=os.getcwd()
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        lock = InstallationLock(tmp_path)
        with pytest.raises(Held) as held:
            lock.acquire("sync-once")
        assert (held.value.pid, held.value.what) == (other.pid, "service")
        assert f"service (pid {other.pid})" in str(held.value)
        other.kill()
    lock.acquire("sync-once")
    assert holder(lock.path) == (os.getpid(), "sync-once")
    lock.release()


def test_a_program_started_meanwhile_does_not_hold_the_lock_on(tmp_path: Path) -> None:
    lock = InstallationLock(tmp_path)
    lock.acquire("service")
    child = subprocess.Popen(["sleep", "60"], close_fds=False)
    try:
        lock.release()
        with InstallationLock(tmp_path).held("sync-once"):
            assert child.poll() is None
    finally:
        child.kill()
        child.wait()


def test_the_lock_can_be_taken_again_after_release_but_not_twice(tmp_path: Path) -> None:
    lock = InstallationLock(tmp_path / "new" / "var")
    for what in ("service", "sync-once"):
        with lock.held(what):
            assert json.loads(lock.path.read_text()) == {"pid": os.getpid(), "what": what}
            with pytest.raises(RuntimeError):
                lock.acquire("again")
            with pytest.raises(Held), InstallationLock(lock.path.parent).held("other"):
                pass
    assert lock.path.parent.stat().st_mode & 0o777 == 0o700
    assert lock.path.stat().st_mode & 0o777 == 0o600
    assert holder(lock.path) == (None, None)


def test_a_lock_that_says_nothing_sensible_is_still_a_lock(tmp_path: Path) -> None:
    lock = InstallationLock(tmp_path)
    with lock.held("service"):
        lock.path.write_text("[1")
        with pytest.raises(Held, match="another process is at work") as held:
            InstallationLock(tmp_path).acquire("x")
        assert held.value.pid is None
