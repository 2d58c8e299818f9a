"""Turns raw inotify records into dirty paths and doubts, and sees to the watches below one root.

It decides nothing about sending and never reads a file. Records are hints: one a path and buffer is enough.

    record                                  sink              watches
    anything about a file                   dirty
    directory created                       dirty, doubt      added below it, before the doubt
    directory moved in, renamed, exchanged  dirty, doubt      added again: the kernel gives the same number
    directory moved from                    dirty, doubt      dropped later, unless met elsewhere
    queue overflow                          doubt of all      added again; none that still stands is removed
    unmounted below the root                doubt             added again
    root deleted, moved, unmounted          doubt of all      `lost` says why; only a new start helps
"""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from sync.core.scope import Scope
from sync.hints import Sink
from sync.kernelwatch import (
    CREATE,
    DELETE,
    DELETE_SELF,
    HEADER,
    IGNORED,
    IS_DIRECTORY,
    MASK,
    MOVE_SELF,
    MOVED_FROM,
    MOVED_TO,
    OVERFLOW,
    ROOT_MASK,
    UNMOUNT,
    Watches,
)
from sync.watchtable import WatchTable

_RARE = IS_DIRECTORY | DELETE_SELF | MOVE_SELF | UNMOUNT | OVERFLOW | IGNORED

MOVE_SECONDS = (
    0.5  # both halves of a move may be apart in the queue (man 7 inotify, "Dealing with rename() events")
)
_GONE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)


@dataclass(slots=True)
class _Move:
    """The first half of a move: the watches below, which are dropped at the deadline unless met elsewhere."""

    numbers: set[int]
    deadline: float


class WatchTree:
    """The watched directories below one root. Its lock guards all fields; counters may be read without."""

    def __init__(
        self,
        root: bytes,
        scope: Scope,
        sink: Sink,
        watches: Watches,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.root = root
        self.events = 0
        self.overflows = 0
        self.lost: str | None = None
        self.unwatched: dict[bytes, OSError] = {}
        self._scope, self._sink, self._watches, self._clock = scope, sink, watches, clock
        self._lock = threading.RLock()
        self._table = WatchTable()
        self._moves: list[_Move] = []
        self._unmounted: set[int] = set()

    @property
    def directories(self) -> int:
        return len(self._table.path_of)

    @property
    def root_number(self) -> int | None:
        """The watch that stands for the root."""
        return self._table.number_of.get(b"")

    def build(self) -> None:
        """Watches every carried directory. Raises OSError when the root cannot be watched."""
        with self._lock:
            self._watch_below(b"")
            if error := self.unwatched.get(b""):
                raise error

    def retry(self) -> int:
        """Tries the directories without a watch again, doubts those that now have one; how many those are."""
        with self._lock:
            before = [path for path in self.unwatched if path]
            for path in before:
                self._watch_below(path)
            won = [path for path in before if path not in self.unwatched]
            for path in won:
                self._sink.doubt(path, "watched again")
            return len(won)

    def take(self, buffer: bytes) -> None:
        """Handles one buffer of ``struct inotify_event`` records (man 7 inotify)."""
        with self._lock:
            if self._moves:
                self._settle_moves()
            path_of, admits, dirty = self._table.path_of, self._scope.admits, self._sink.dirty
            seen: set[bytes] = set()
            at, end = 0, len(buffer)
            while at < end:
                number, mask, _cookie, length = HEADER.unpack_from(buffer, at)
                at += 16 + length
                self.events += 1
                name = buffer[at - length : at].rstrip(b"\0")
                if mask & _RARE or not name:
                    self._take_rare(number, mask, name)
                    continue
                above = path_of.get(number)
                if above is None:
                    continue
                path = above + b"/" + name if above else name
                if path not in seen:
                    seen.add(path)
                    if admits(path, False):
                        dirty(path)

    def _take_rare(self, number: int, mask: int, name: bytes) -> None:
        if mask & OVERFLOW:
            self._overflowed()
            return
        above = self._table.path_of.get(number)
        if mask & IGNORED:
            self._ignored(number)
        elif above is None:
            self._watches.take_other(number)
        elif mask & UNMOUNT and above:
            self._unmounted.add(number)
        elif mask & (UNMOUNT | DELETE_SELF | MOVE_SELF):
            if not above:
                self._lose(
                    "unmounted" if mask & UNMOUNT else "deleted" if mask & DELETE_SELF else "moved away"
                )
        elif not name:
            if not above:  # for the others the parent's watch says it by name
                self._sink.dirty(b"")
        else:
            path = above + b"/" + name if above else name
            if self._scope.admits(path, True):
                self._take_directory(path, mask)
            elif mask & MOVED_FROM:
                # What was carried may have had this name until the scope or its kind said otherwise.
                self._leave(path)

    def _take_directory(self, path: bytes, mask: int) -> None:
        self._sink.dirty(path)
        if mask & CREATE:
            if self._watch_below(path, only_new=True):
                self._sink.doubt(path, "directory created")
        elif mask & MOVED_TO:
            self._watch_below(path)
            self._sink.doubt(path, "directory moved here")
        elif mask & MOVED_FROM:
            self._leave(path)
            self._sink.doubt(path, "directory moved away")
        elif mask & DELETE:
            if self._forget_unwatched(path):
                self._sink.doubt(path, "directory without a watch deleted")
        elif path in self.unwatched:  # its mode changed: perhaps it can be read now
            self._watch_below(path)
            self._sink.doubt(path, "mode of a directory without a watch changed")

    def _overflowed(self) -> None:
        """Nothing is known any more. Removing watches here would queue a record each and overflow again."""
        self.overflows += 1
        self._moves.clear()
        stale = set(self._table.path_of)
        self.unwatched.clear()
        self._watch_below(b"", seen=stale)
        self._drop(stale)
        if b"" in self.unwatched:
            self.lost = self.lost or "the publish directory was gone when the event queue overflowed"
        self._sink.doubt(b"", "the kernel's event queue overflowed (fs.inotify.max_queued_events)")
        self._watches.take_overflow()

    def _ignored(self, number: int) -> None:
        self._watches.forget_watch(number)
        path = self._table.path_of.get(number)
        if path is None:
            return
        self._table.unmap(number)
        if not path:
            self._lose("no longer watched by the kernel")
        elif number in self._unmounted:
            self._unmounted.discard(number)
            self._watch_below(path)
            self._sink.doubt(path, "unmounted")

    def _lose(self, what: str) -> None:
        self.lost = self.lost or f"the publish directory was {what}"
        self._sink.doubt(b"", self.lost)

    def _leave(self, path: bytes) -> None:
        """What stood at and below the path went; whether out of the tree shows within `MOVE_SECONDS`."""
        self._forget_unwatched(path)
        if numbers := self._table.numbers_below(path):
            self._moves.append(_Move(numbers, self._clock() + MOVE_SECONDS))

    def _settle_moves(self) -> None:
        now = self._clock()
        while self._moves and self._moves[0].deadline <= now:
            self._drop(number for number in self._moves.pop(0).numbers if not self._stands(number))

    def _stands(self, number: int) -> bool:
        """Whether the watch's directory is where we believe it is: watching that gives the same number."""
        path = self._table.path_of.get(number)
        try:
            return path is not None and self._watches.add_watch(self._full(path), MASK) == number
        except OSError:
            return False

    def _full(self, path: bytes) -> bytes:
        return self.root + b"/" + path if path else self.root

    def _watch_below(self, top: bytes, *, only_new: bool = False, seen: set[int] | None = None) -> bool:
        """Watches the directory, then lists it, so that nothing made meanwhile is missed; and so on below.

        False when ``only_new`` and its watch stood before. Numbers that are met are taken out of ``seen``.
        """
        pending = [top]
        while pending:
            path = pending.pop()
            try:
                number = self._watches.add_watch(self._full(path), MASK if path else ROOT_MASK)
            except OSError as error:
                self._failed(path, error, gone=bool(path))
                continue
            if only_new and path == top and self._table.path_of.get(number) == path:
                return False
            if seen is not None:
                seen.discard(number)
            if (displaced := self._table.map(number, path)) is not None:
                self._moves.append(_Move({displaced}, self._clock() + MOVE_SECONDS))
            self.unwatched.pop(path, None)
            try:
                pending += self._folders(path)
            except OSError as error:
                self._failed(path, error, gone=True)
        return True

    def _folders(self, path: bytes) -> list[bytes]:
        with os.scandir(self._full(path)) as listing:
            names = [entry.name for entry in listing if entry.is_dir(follow_symlinks=False)]
        below = [path + b"/" + name for name in names] if path else names
        return [each for each in below if self._scope.admits(each, True)]

    def _failed(self, path: bytes, error: OSError, *, gone: bool) -> None:
        if gone and error.errno in _GONE:
            return  # its deletion is in the queue, or the doubt that follows finds it gone
        self.unwatched[path] = error

    def _drop(self, numbers: Iterable[int]) -> None:
        known = [number for number in numbers if number in self._table.path_of]
        for number in known:
            self._table.unmap(number)
        self._watches.drop_watches(known)

    def _forget_unwatched(self, path: bytes) -> bool:
        gone = [each for each in self.unwatched if each == path or each.startswith(path + b"/")]
        for each in gone:
            del self.unwatched[each]
        return bool(gone)
