"""A service that was killed with -9 leaves rsyncs behind; the next one sends nothing beside them (promise 7)."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.servers_lockstep import Lockstep, lockstep  # noqa: F401
from tests.servers_rsync import Daemon

pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="looks at processes through /proc")


def clients(daemon: Daemon) -> set[int]:
    """The rsyncs that talk to this daemon, whoever started them."""
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if b"rsync" in command and b"--daemon" not in command and b":%d/" % daemon.port in command:
                found.add(int(entry.name))
    return found


def test_the_rsyncs_of_a_killed_service_have_ended_before_the_next_one_sends(lockstep: Lockstep) -> None:  # noqa: F811
    lockstep.start()
    lockstep.all_in_sync()
    daemon = lockstep.daemons["a"]
    daemon.sigstop()
    (lockstep.publish / "for-nobody.txt").write_text("x")
    lockstep.until(lambda: clients(daemon), "a run under way")
    lockstep.stop(signal.SIGKILL)
    left = clients(daemon)
    assert left, "no orphan to speak of"
    lockstep.process = lockstep.spawn()
    seen: set[int] = set()
    lockstep.until(lambda: seen.update(clients(daemon)) or lockstep.asked("ping"), "the service answers", 60)
    assert seen <= left
    assert not clients(daemon) & left
    daemon.sigcont()
    lockstep.all_in_sync()
    lockstep.until(lambda: (daemon.module_path / "for-nobody.txt").exists(), "the change has arrived")
