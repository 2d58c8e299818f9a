"""Ends process groups from any thread; starts none.

A child leads a process group of its own. Whoever wants it gone signals the whole group; its number
is not used any more once the leader has been reaped, because the kernel may give it to somebody else.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time

POLL_SECONDS = 0.05


class Group:
    """A process group that is signalled only while its leader, a child of ours, has not been reaped."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._lock = threading.Lock()
        self._code: int | None = None

    def signal(self, number: int) -> None:
        """Sends the signal to whoever is left of the group."""
        with self._lock, contextlib.suppress(ProcessLookupError, PermissionError):
            if self._code is None:
                os.killpg(self.pid, number)

    def has_ended(self, seconds: float) -> bool:
        """Whether the leader ends within these seconds; it is reaped then. For want of anything better."""
        deadline = time.monotonic() + seconds
        while True:
            with self._lock:
                if self._code is None:
                    pid, status = os.waitpid(self.pid, os.WNOHANG)
                    self._code = os.waitstatus_to_exitcode(status) if pid else None
                if self._code is not None:
                    return True
            if time.monotonic() >= deadline:
                return False
            time.sleep(POLL_SECONDS)

    def reap(self) -> int:
        """The exit code of a leader that has ended (negative: signal); what is left of its group is killed."""
        with self._lock:
            if self._code is None:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(self.pid, signal.SIGKILL)
                self._code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
            return self._code


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
