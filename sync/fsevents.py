"""Turns macOS's FSEvents into dirty paths and doubts, dropped events included; it scans and sends nothing.

watchdog's emitter keeps the stream and its thread but looks at none of the flags that say events are missing.
The meaning of flags is Apple's "FSEventStreamEventFlags". Importable everywhere, so that `FlagReader` is
tested on recorded flags where there is no Mac.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Protocol

from watchdog.observers.api import BaseObserver

from sync.core.scope import Scope
from sync.hints import Sink

if TYPE_CHECKING:
    from watchdog.observers.api import EventEmitter

log = logging.getLogger(__name__)

MUST_SCAN_SUBDIRS, USER_DROPPED, KERNEL_DROPPED, IDS_WRAPPED = 0x1, 0x2, 0x4, 0x8
HISTORY_DONE, ROOT_CHANGED, MOUNTED, UNMOUNTED = 0x10, 0x20, 0x40, 0x80
CREATED, REMOVED, META_CHANGED, RENAMED, MODIFIED = 0x100, 0x200, 0x400, 0x800, 0x1000
IS_FILE, IS_DIRECTORY, IS_SYMLINK = 0x10000, 0x20000, 0x40000

_ALL_IN_DOUBT = {
    USER_DROPPED: "events were dropped before they reached us",
    KERNEL_DROPPED: "the kernel dropped events",
    IDS_WRAPPED: "the event numbers wrapped around",
}


class NativeEvent(Protocol):
    """What FSEvents says of one path: the flags may be those of several events in one."""

    path: bytes | str
    flags: int


class FlagReader:
    """The translation of one root's events. Fields are written by the stream's thread alone."""

    def __init__(self, root: bytes, scope: Scope, sink: Sink) -> None:
        self.events = 0
        self.overflows = 0
        self.lost: str | None = None
        self._root, self._scope, self._sink = root, scope, sink

    def read(self, events: Iterable[NativeEvent]) -> None:
        """Hands every event on: as a dirty path, a doubt, or both."""
        for event in events:
            self.take(event.path, event.flags)

    def take(self, path: bytes | str, flags: int) -> None:
        """One event; a path outside the root counts only for what it says of the root."""
        self.events += 1
        if flags & HISTORY_DONE:
            return
        if flags & ROOT_CHANGED:
            self.lost = "the publish directory or a directory above it was moved or deleted"
            self._sink.doubt(b"", self.lost)
            return
        dropped = [reason for flag, reason in _ALL_IN_DOUBT.items() if flags & flag]
        if dropped:
            self.overflows += 1
            self._sink.doubt(b"", dropped[0])
        relative = self._relative(path)
        if relative is not None:
            self._take_path(relative, flags)

    def _take_path(self, path: bytes, flags: int) -> None:
        is_dir = bool(flags & IS_DIRECTORY)
        # FSEvents watches all below the root, so what lies in excluded directories must be left out here.
        taken_for_dir = is_dir or bool(flags & (MUST_SCAN_SUBDIRS | MOUNTED | UNMOUNTED))
        if not self._scope.carries(path, taken_for_dir):
            return
        if flags & MUST_SCAN_SUBDIRS:
            self.overflows += not flags & (USER_DROPPED | KERNEL_DROPPED)
            self._sink.doubt(path, "events below were merged into one")
        elif flags & (MOUNTED | UNMOUNTED):
            self._sink.doubt(path, "a volume was mounted or unmounted")
        elif is_dir and flags & (CREATED | REMOVED | RENAMED):
            self._sink.doubt(path, "directory created, moved or deleted")
        self._sink.dirty(path)

    def _relative(self, path: bytes | str) -> bytes | None:
        full = os.fsencode(path).rstrip(b"/")
        if full == self._root:
            return b""
        return full[len(self._root) + 1 :] if full.startswith(self._root + b"/") else None


def emitter_class() -> type[EventEmitter]:
    """watchdog's emitter, reading flags in place of making events. Raises ImportError off macOS."""
    from watchdog.observers.fsevents import FSEventsEmitter

    class FlagEmitter(FSEventsEmitter):  # type: ignore[misc,unused-ignore]
        def __init__(self, *args: Any, reader: FlagReader, **options: Any) -> None:
            super().__init__(*args, **options)
            self.name = "watch-emitter"
            self._reader = reader

        def events_callback(
            self, paths: list[bytes], inodes: list[int], flags: list[int], ids: list[int]
        ) -> None:
            """Called by the stream; an exception here would be swallowed, so it becomes a lost root."""
            try:
                for path, flag in zip(paths, flags, strict=True):
                    self._reader.take(path, flag)
            except Exception as error:
                self._reader.lost = f"the watcher failed: {error}"
                log.exception("The watcher's reader failed; the stream will be opened anew.")

    return FlagEmitter


class FSEventsFeed:
    """FSEvents as a feed of the watcher, for one root. Raises ImportError where there is no macOS."""

    def __init__(self, root: bytes, scope: Scope, sink: Sink) -> None:
        self.reader = FlagReader(root, scope, sink)
        self.observer: BaseObserver = BaseObserver(emitter_class(), reader=self.reader)
        self.observer.name = "watch-observer"

    @property
    def events(self) -> int:
        return self.reader.events

    @property
    def overflows(self) -> int:
        return self.reader.overflows

    @property
    def directories(self) -> int:
        return 1

    @property
    def unwatched(self) -> dict[bytes, OSError]:
        return {}

    def broken(self) -> str | None:
        if not self.observer.is_alive() or not all(each.is_alive() for each in self.observer.emitters):
            return "a thread of the watcher ended"
        return self.reader.lost

    def retry(self) -> int:
        return 0

    def sing(self, heard: Callable[[], None]) -> None:
        """FSEvents has no record without a file behind it, so only the threads are looked at."""
        if self.broken() is None:
            heard()

    def release(self) -> None:
        """The observer's threads own the stream."""
