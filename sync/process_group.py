"""Ends process groups from any thread; starts none.

A child leads a process group of its own. Whoever wants it gone signals the whole group; its number
is not used any more once the leader has been reaped, because the kernel may give it to somebody else.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading


class Group:
    """A process group that is signalled only while its leader has not been reaped."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._lock = threading.Lock()
        self._reaped = False

    def signal(self, number: int) -> None:
        with self._lock, contextlib.suppress(ProcessLookupError, PermissionError):
            if not self._reaped:
                os.killpg(self._pid, number)

    def reap(self, process: subprocess.Popen[bytes]) -> int:
        """The exit code of a leader that has ended; what is left of its group is killed."""
        with self._lock:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(self._pid, signal.SIGKILL)
            code = process.wait()
            self._reaped = True
        return code


class Cancel:
    """Ends processes from another thread, those that run and those that would start later. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._groups: set[Group] = set()
        self._reason: str | None = None

    @property
    def reason(self) -> str | None:
        """Why, in a few words; None while nothing is cancelled."""
        return self._reason

    def cancel(self, reason: str = "the service is stopping") -> None:
        """Sends SIGTERM to every registered group now; SIGKILL follows after 2 s where needed. Idempotent."""
        with self._lock:
            self._reason = self._reason or reason
            groups = list(self._groups)
        for group in groups:
            group.signal(signal.SIGTERM)

    def watch(self, group: Group) -> bool:
        """Registers a group that has just been started; False when it is to end at once."""
        with self._lock:
            self._groups.add(group)
            return self._reason is None

    def forget(self, group: Group) -> None:
        """Lets go of a group that has ended."""
        with self._lock:
            self._groups.discard(group)
