"""Lets one process at a time supervise an installation: a lock on a file in ``data_dir``.

It waits for nobody.

The kernel holds the lock, not the file's content: it goes with the process, however that ends. The content
says who holds it, for people. The file is never removed: two processes could then lock two files of one
name.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOCK_FILE = "lock"


class Held(Exception):  # noqa: N818 - the state it reports
    """Another process holds the lock. ``pid`` and ``what`` are None where it has not said so yet."""

    def __init__(self, path: Path, pid: int | None, what: str | None) -> None:
        self.path, self.pid, self.what = path, pid, what
        who = f"{what or 'another process'} (pid {pid})" if pid else "another process"
        super().__init__(f"{who} is at work on this installation ({path}); stop it, or let it end")


class InstallationLock:
    """The lock of one ``data_dir``. Not inherited by programs that are started while it is held."""

    def __init__(self, data_dir: Path) -> None:
        self.path = data_dir / LOCK_FILE
        self._file: int | None = None

    def acquire(self, what: str) -> None:
        """Takes the lock for ``what`` ("service", "sync-once"); makes a missing ``data_dir`` (mode 0700).

        Raises Held at once when another has it, OSError when the file cannot be made, RuntimeError when this
        very object holds it already.
        """
        if self._file is not None:
            raise RuntimeError(f"{self.path} is locked already")
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # O_CLOEXEC is Python's default: an rsync that outlives us must not hold the lock.
        file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(file, 0)
            os.pwrite(file, json.dumps({"pid": os.getpid(), "what": what}).encode(), 0)
        except BlockingIOError:
            os.close(file)
            raise Held(self.path, *holder(self.path)) from None
        except OSError:
            os.close(file)
            raise
        self._file = file

    def release(self) -> None:
        """Gives the lock back. Idempotent."""
        if self._file is not None:
            os.ftruncate(self._file, 0)
            os.close(self._file)
            self._file = None

    @contextmanager
    def held(self, what: str) -> Iterator[None]:
        """Holds the lock for the length of a block; raises as `acquire` does."""
        self.acquire(what)
        try:
            yield
        finally:
            self.release()


def holder(path: Path) -> tuple[int | None, str | None]:
    """(pid, what) as the file says, (None, None) when it does not.

    It says nothing about whether the lock is held.
    """
    try:
        said = json.loads(path.read_bytes())
        return int(said["pid"]), str(said["what"])
    except (OSError, ValueError, KeyError, TypeError):
        return None, None
