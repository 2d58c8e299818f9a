"""The kernel's side of watching: the numbers of man 7 inotify and what is asked of a descriptor. No logic."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Protocol

MODIFY, ATTRIB, CLOSE_WRITE, MOVED_FROM, MOVED_TO = 0x2, 0x4, 0x8, 0x40, 0x80
CREATE, DELETE, DELETE_SELF, MOVE_SELF = 0x100, 0x200, 0x400, 0x800
UNMOUNT, OVERFLOW, IGNORED = 0x2000, 0x4000, 0x8000
ONLY_DIRECTORY, DO_NOT_FOLLOW, IS_DIRECTORY = 0x01000000, 0x02000000, 0x40000000

# Never opens and reads: the service's own rsyncs would flood the queue.
MASK = (
    MODIFY | ATTRIB | CLOSE_WRITE | MOVED_FROM | MOVED_TO | CREATE | DELETE | ONLY_DIRECTORY | DO_NOT_FOLLOW
)
ROOT_MASK = MASK | DELETE_SELF | MOVE_SELF

HEADER = struct.Struct("iIII")  # watch, mask, cookie, length of the name that follows


class Watches(Protocol):
    """The watches of one inotify descriptor."""

    def add_watch(self, path: bytes, mask: int) -> int:
        """The watch's number, the same as before for a directory that is watched. Raises OSError."""

    def drop_watches(self, numbers: Iterable[int]) -> None:
        """Removes what still stands of them."""

    def forget_watch(self, number: int) -> None:
        """The kernel has removed it."""

    def take_other(self, number: int) -> None:
        """There is a record for a number that stands for no directory."""

    def take_overflow(self) -> None:
        """Records were dropped, and all is done that this asks for."""
