"""Watches the publish directory and says whether it still can; it scans, sends and deletes nothing.

Every failure has one answer: `healthy` says what is wrong, `restart` builds all watches anew and doubts the
whole tree. On Linux the events come from inotify, on macOS from FSEvents, both through watchdog.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from watchdog.events import FileSystemEventHandler
from watchdog.observers.api import BaseObserver

from sync.core.model import text_of
from sync.core.scope import Scope
from sync.hints import Sink
from sync.scan import root_identity

__all__ = ["Sink", "Watcher"]

_JOIN_SECONDS = 5.0
CANARY_SECONDS = 10.0
DEAF_SECONDS = 60.0  # far more than handling a full queue or a large new tree takes
DEAF_ASKS = 10  # a process that was stopped meanwhile was not deaf


class Feed(Protocol):
    """One way to hear of changes, for the life of one root: made, started once, stopped once."""

    observer: BaseObserver

    @property
    def events(self) -> int: ...
    @property
    def overflows(self) -> int: ...
    @property
    def directories(self) -> int: ...
    @property
    def unwatched(self) -> dict[bytes, OSError]: ...
    def broken(self) -> str | None: ...
    def retry(self) -> int: ...
    def sing(self, heard: Callable[[], None]) -> None: ...
    def release(self) -> None: ...


MakeFeed = Callable[[bytes, Scope, Sink, Callable[[], float]], Feed]


def system_feed(root: bytes, scope: Scope, sink: Sink, clock: Callable[[], float]) -> Feed:
    """The feed of the system we run on. Raises OSError, also (ENOSYS) where there is none."""
    if sys.platform.startswith("linux"):
        from sync.inotify import InotifyFeed

        return InotifyFeed(root, scope, sink, clock)
    if sys.platform == "darwin":
        from sync.fsevents import FSEventsFeed

        return FSEventsFeed(root, scope, sink)
    raise OSError(
        errno.ENOSYS, f"watching is not supported on {sys.platform}; Lockstep runs on Linux and macOS"
    )


@dataclass(slots=True)
class _Canary:
    """One question whether the watcher still delivers."""

    sent_at: float
    heard: threading.Event = field(default_factory=threading.Event)
    asked: int = 0


class Watcher:
    """Watches ``root`` (a symlink is followed) and calls ``sink`` from a thread of its own.

    start, stop and restart are for one thread at a time; a lock sees to it. The counters go on over restarts.
    """

    def __init__(
        self,
        root: Path,
        scope: Scope,
        sink: Sink,
        *,
        clock: Callable[[], float] = time.monotonic,
        make_feed: MakeFeed = system_feed,
    ) -> None:
        self._root, self._scope, self._sink = root, scope, sink
        self._clock, self._make_feed = clock, make_feed
        self._lock = threading.RLock()
        self._feed: Feed | None = None
        self._identity: tuple[int, int] | None = None
        self._problem: str | None = "the watcher was not started"
        self._events_before = self._overflows_before = 0
        self._canary: _Canary | None = None

    @property
    def events(self) -> int:
        """Records read from the kernel since the first start."""
        return self._events_before + (self._feed.events if self._feed else 0)

    @property
    def overflows(self) -> int:
        """How often the kernel dropped events."""
        return self._overflows_before + (self._feed.overflows if self._feed else 0)

    @property
    def directories(self) -> int:
        """How many directories are watched now."""
        return self._feed.directories if self._feed else 0

    @property
    def unwatched(self) -> frozenset[bytes]:
        """Directories without a watch; nothing below one of them is watched. Scan them on a timer."""
        return frozenset(self._feed.unwatched) if self._feed else frozenset()

    @property
    def identity(self) -> tuple[int, int] | None:
        """(st_dev, st_ino) of the directory that is watched, None while there is none."""
        return self._identity

    def start(self) -> bool:
        """Watches every carried directory; False when the root cannot be watched, and `healthy` says why.

        When it returns, every later change is told: what was there before is the caller's to scan.
        """
        with self._lock:
            if self._feed is not None:
                return True
            root = os.path.realpath(os.fsencode(self._root))
            identity = root_identity(root)
            if identity is None:
                self._problem = f"{self._root} is not a readable directory; create or mount it"
                return False
            try:
                feed = self._make_feed(root, self._scope, self._sink, self._clock)
            except OSError as error:
                self._problem = _advice(self._root, error)
                return False
            try:
                feed.observer.schedule(FileSystemEventHandler(), os.fsdecode(root), recursive=True)
                feed.observer.start()
            except OSError as error:
                feed.release()
                self._problem = _advice(self._root, error)
                return False
            self._feed, self._identity, self._problem = feed, identity, None
            self._canary = None
            return True

    def stop(self) -> None:
        """Ends and joins every thread and closes the descriptor; more than once does no harm."""
        with self._lock:
            feed, self._feed, self._identity = self._feed, None, None
            self._problem = self._problem or "the watcher was stopped"
            if feed is None:
                return
            self._events_before += feed.events
            self._overflows_before += feed.overflows
            observer = feed.observer
            with contextlib.suppress(
                KeyError, RuntimeError
            ):  # its tables may be in disorder: that may be why
                observer.stop()
            feed.release()
            if observer.ident is not None:
                observer.join(_JOIN_SECONDS)

    def restart(self, reason: str = "the watcher was restarted") -> bool:
        """Builds everything anew, following a root that was swapped or recreated, then doubts the whole tree.

        False when the root cannot be watched now; call it again later.
        """
        with self._lock:
            self.stop()
            self._problem = None
            if not self.start():
                return False
        self._sink.doubt(b"", reason)
        return True

    def broken(self) -> str | None:
        """What `restart` would cure, as a sentence; None when the watching itself works.

        Ask every second: it also looks whether the last canary came back, and now and then sends one.
        """
        feed = self._feed
        if feed is None:
            return self._problem
        if (problem := feed.broken()) is not None:
            return f"{problem}; the watches must be built anew"
        if root_identity(self._root) != self._identity:
            return f"{self._root} is no longer the directory that is watched; the watches must be built anew"
        if self._deaf(feed):
            return "the kernel's events no longer reach the watcher; the watches must be built anew"
        return None

    def healthy(self) -> str | None:
        """None when every carried directory is watched, else what is wrong and what to do."""
        if (problem := self.broken()) is not None:
            return problem
        unwatched = dict(self._feed.unwatched) if self._feed else {}
        if not unwatched:
            return None
        path, error = next(iter(sorted(unwatched.items())))
        return f"{len(unwatched)} directories are not watched, only scanned: {_advice(text_of(path), error)}"

    def retry(self) -> int:
        """Tries `unwatched` again (a limit was raised?); how many are watched now, each of them doubted."""
        feed = self._feed
        return feed.retry() if feed else 0

    def canary(self, deadline_seconds: float = 2.0) -> bool:
        """Whether a record of the kernel reaches us within the deadline; no file is written or touched."""
        feed, heard = self._feed, threading.Event()
        if feed is None:
            return False
        try:
            feed.sing(heard.set)
        except OSError:
            return False
        return heard.wait(deadline_seconds)

    def _deaf(self, feed: Feed) -> bool:
        """Whether a canary was sent long ago and has not come back, though we were running to hear it."""
        now, canary = self._clock(), self._canary
        if canary is None or (canary.heard.is_set() and now - canary.sent_at >= CANARY_SECONDS):
            self._canary = canary = _Canary(now)
            try:
                feed.sing(canary.heard.set)
            except OSError:
                return True
        canary.asked += 1
        return (
            not canary.heard.is_set() and now - canary.sent_at >= DEAF_SECONDS and canary.asked >= DEAF_ASKS
        )


def _advice(what: object, error: OSError) -> str:
    if error.errno == errno.ENOSPC:
        return f"{what}: no inotify watch left; raise it: sysctl fs.inotify.max_user_watches=1048576"
    if error.errno == errno.EMFILE:
        return f"{what}: no inotify instance left; raise it: sysctl fs.inotify.max_user_instances=1024"
    if error.errno == errno.EACCES:
        return f"{what}: permission denied; let the service's user read it"
    return f"{what}: {error.strerror or error}"
