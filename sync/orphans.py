"""Sees to it that rsyncs which outlived an earlier service have ended before another one sends; starts none.

A service that is killed with -9 leaves its rsyncs running for as long as they need nothing of it, and a start
right after would write beside them (promise 7). Every rsync of ours therefore inherits one open file with a lock
on it. The kernel holds the lock until the last of them has ended, so whoever gets it is alone; and who still has
that very file open (/proc/PID/fd) is ours, whatever its pid. It costs one descriptor a run, and nothing is
written. Where there is no /proc (macOS) nobody can be ended so, only waited for.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

PATIENCE_SECONDS = 5.0
GRACE_SECONDS = 2.0
POLL_SECONDS = 0.02


class Orphans:
    """The file of one installation, and what an earlier service left running. Owned by one thread at a time."""

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._clock = clock
        self._file: int | None = None
        self._alone = False
        self._termed_at: float | None = None

    @property
    def inherited(self) -> tuple[int, ...]:
        """The descriptors that every rsync must inherit."""
        return () if self._file is None else (self._file,)

    def open(self) -> None:
        """Opens the file, not inherited but by those it is handed to. Raises OSError."""
        if self._file is None:
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)

    def close(self) -> None:
        """Lets go; what still runs keeps the lock. Idempotent."""
        if self._file is not None:
            os.close(self._file)
            self._file, self._alone, self._termed_at = None, False, None

    def wait(self, seconds: float = PATIENCE_SECONDS) -> str | None:
        """Ends them and waits so long at most; None when there are none, else as ``remain``."""
        deadline = self._clock() + seconds
        while (left := self.remain()) is not None and self._clock() < deadline:
            time.sleep(POLL_SECONDS)
        return left

    def remain(self) -> str | None:
        """None when no rsync of an earlier service runs, else a sentence; those that are found are told to end.

        SIGTERM at the first call, SIGKILL from two seconds later on. Never waits.
        """
        if self._alone or self._file is None:
            return None
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._alone = True
            return None
        found = self._end_holders()
        who = f" (pid {', '.join(map(str, sorted(found)))})" if found else ""
        return (
            f"rsync processes of an earlier run are still at work{who}: nothing is sent until they have ended"
        )

    def _end_holders(self) -> list[int]:
        now = self._clock()
        if self._termed_at is None:
            self._termed_at = now
            number = signal.SIGTERM
        else:
            number = signal.SIGTERM if now - self._termed_at < GRACE_SECONDS else signal.SIGKILL
        found = []
        for pid in self._holders():
            found.append(pid)
            self._signal(pid, number)
        return found

    def _holders(self) -> Iterator[int]:
        with contextlib.suppress(OSError):
            for name in os.listdir("/proc"):
                if name.isdigit() and int(name) != os.getpid() and self._holds(int(name)):
                    yield int(name)

    def _holds(self, pid: int) -> bool:
        """Whether the process has our file open: no other program ever opens it."""
        assert self._file is not None  # noqa: S101 - asked only while it is open
        ours = os.fstat(self._file)
        with contextlib.suppress(OSError):  # it has ended, or is somebody else's
            for number in os.listdir(f"/proc/{pid}/fd"):
                with contextlib.suppress(OSError):
                    if os.path.samestat(os.stat(f"/proc/{pid}/fd/{number}"), ours):
                        return True
        return False

    def _signal(self, pid: int, number: int) -> None:
        """Looked at once more through a handle that no other process of the same number can get."""
        with contextlib.suppress(OSError):
            handle = os.pidfd_open(pid)
            try:
                if self._holds(pid):
                    signal.pidfd_send_signal(handle, number)
            finally:
                os.close(handle)
