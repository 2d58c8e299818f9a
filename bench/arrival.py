"""Says when something has arrived on the nodes: by inotify, or from the times the kernel keeps; disturbs nothing.

A file's ctime is when rsync renamed it into place, so that a burst needs no watching: what counts is read
afterwards. The kernel keeps it by its tick (4 ms here); a single file is waited for by inotify.
"""

from __future__ import annotations

import ctypes
import os
import select
import struct
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

MOVED_TO = 0x80
CLOSE_WRITE = 0x08
HEAD = struct.Struct("iIII")

_libc = ctypes.CDLL(None, use_errno=True)


class Arrivals:
    """Waits for a file to appear in every one of some folders."""

    def __init__(self, folders: Iterable[Path]) -> None:
        self._descriptor = _libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        self._all: set[int] = set()
        for folder in folders:
            number = _libc.inotify_add_watch(self._descriptor, os.fsencode(folder), MOVED_TO | CLOSE_WRITE)
            if number < 0:
                raise OSError(ctypes.get_errno(), "no inotify watch left", str(folder))
            self._all.add(number)

    def forget(self) -> None:
        """Drops what arrived before."""
        while self._ready(0):
            os.read(self._descriptor, 1 << 16)

    def wait(self, name: str, seconds: float) -> float:
        """When (time.perf_counter) the last folder got it. Raises TimeoutError."""
        missing, wanted = set(self._all), name.encode()
        deadline = time.perf_counter() + seconds
        while missing:
            left = deadline - time.perf_counter()
            if left <= 0 or not self._ready(left):
                raise TimeoutError(f"{name} did not reach {len(missing)} of {len(self._all)} nodes")
            missing -= self._got(os.read(self._descriptor, 1 << 16), wanted)
        return time.perf_counter()

    def close(self) -> None:
        """Ends the watching."""
        os.close(self._descriptor)

    def _ready(self, seconds: float) -> bool:
        return bool(select.select([self._descriptor], [], [], seconds)[0])

    @staticmethod
    def _got(buffer: bytes, wanted: bytes) -> set[int]:
        found, at = set(), 0
        while at < len(buffer):
            number, _, _, length = HEAD.unpack_from(buffer, at)
            at += HEAD.size
            if buffer[at : at + length].rstrip(b"\0") == wanted:
                found.add(number)
            at += length
        return found


def wait_for_files(folders: Sequence[Path], names: Sequence[str], seconds: float) -> float:
    """The wall-clock time at which the last of these files appeared in the last of the folders.

    Looks rarely, at what comes last by rsync's order, and in the end at every file. Raises TimeoutError.
    """
    deadline = time.monotonic() + seconds
    newest = 0.0
    for name in (max(names), *names):
        for folder in folders:
            newest = max(newest, _came(folder / name, deadline))
    return newest


def _came(path: Path, deadline: float) -> float:
    while True:
        try:
            return os.stat(path).st_ctime
        except FileNotFoundError:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{path} did not arrive") from None
            time.sleep(0.02)
