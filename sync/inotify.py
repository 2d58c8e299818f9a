"""Lets watchdog's inotify observer feed a `WatchTree`: threads, descriptor, watches; it judges no event.

watchdog keeps the descriptor, its reader thread, the watch table and the threads' life. Replaced is what
loses changes there (7.1.0): events become objects in unbounded queues; an overflow is told to nobody, and
answered by removing watches, which overflows again; a watch that cannot be added is swallowed. That leans on
private names of `InotifyFD`, so the version is pinned and a test fails when they change.
"""

from __future__ import annotations

import ctypes
import errno
import logging
import os
import time
from collections import deque
from collections.abc import Callable, Iterable

from watchdog.observers.api import BaseObserver, EventEmitter, EventQueue, ObservedWatch
from watchdog.observers.inotify_c import (
    CallbackId,
    InotifyFD,
    Mask,
    Watch,
    WatchCallback,
    WatchDescriptor,
    inotify_add_watch,
    inotify_rm_watch,
)

from sync.core.scope import Scope
from sync.hints import Sink
from sync.kernelwatch import ATTRIB, ROOT_MASK
from sync.watchtree import WatchTree

log = logging.getLogger(__name__)

AddWatch = Callable[[int, bytes, int], int]

_BUFFER_BYTES = 1 << 18
_JOIN_SECONDS = 5.0


def add_watch(descriptor: int, path: bytes, mask: int) -> int:
    """``inotify_add_watch(2)``; raises OSError, also for EACCES, which watchdog passes over."""
    number = inotify_add_watch(descriptor, path, mask)
    if number == -1:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), path)
    return number


class TreeDescriptor(InotifyFD):
    """The inotify descriptor and its reader thread, which hands whole buffers to the tree.

    A failure ends the thread and stands in ``failure``; the owner looks with ``is_alive()`` and starts anew.
    """

    def __init__(self, add: AddWatch = add_watch) -> None:
        """Raises OSError (EMFILE: fs.inotify.max_user_instances)."""
        super().__init__()
        self.name = "watch-reader"
        self.failure: BaseException | None = None
        self.tree: WatchTree | None = None
        self._add = add
        os.set_inheritable(self._inotify_fd, False)
        self._callbacks: dict[CallbackId, WatchCallback] = {CallbackId(0): self}  # type: ignore[dict-item]
        # Kept from the start: later there may be no watch left for it.
        self._canary = add_watch(self._inotify_fd, b"/proc/self/fd/%d" % self._kill_r, ATTRIB)
        self._listeners: deque[Callable[[], None]] = deque()
        self._released = False

    def run(self) -> None:
        try:
            while self.should_keep_running():
                buffer = self._read_event_buffer(_BUFFER_BYTES)
                if not buffer and self.should_keep_running():
                    raise OSError(errno.EBADF, "the inotify descriptor was closed")
                if buffer and self.tree is not None:
                    self.tree.take(buffer)
        except Exception as error:
            if self.should_keep_running():
                self.failure = error
                log.exception("The watcher's reader stopped; all watches will be built anew.")

    def add_watch(self, path: bytes, mask: int) -> int:
        with self._lock:
            if self._closed:
                raise OSError(errno.EBADF, "the watcher is stopped", path)
            number = WatchDescriptor(self._add(self._inotify_fd, path, mask))
            # In place of _add_callback, which warns on every watch that is added again, for 4.5 ms each.
            if number not in self._watch_for_wd:
                watch = self._watch_for_wd[number] = Watch(number, Mask(mask), path)
                watch.callbacks = self._callbacks
            return number

    def drop_watches(self, numbers: Iterable[int]) -> None:
        with self._lock:
            for number in numbers:
                if not self._closed and self._watch_for_wd.pop(WatchDescriptor(number), None) is not None:
                    inotify_rm_watch(self._inotify_fd, WatchDescriptor(number))  # EINVAL: gone by itself

    def forget_watch(self, number: int) -> None:
        with self._lock:
            self._watch_for_wd.pop(WatchDescriptor(number), None)

    def take_other(self, number: int) -> None:
        """A record for none of the tree's watches."""
        if number == self._canary:
            self._answer()

    def take_overflow(self) -> None:
        """The canary's record may be among the dropped ones; that we read this says as much."""
        self._answer()

    def _answer(self) -> None:
        while self._listeners:
            self._listeners.popleft()()

    def on_watch_deleted(self, wd: WatchDescriptor) -> None:
        """Part of closing; the tree goes with the descriptor."""

    def sing(self, heard: Callable[[], None]) -> None:
        """Makes the kernel queue one record that touches no file; ``heard`` is called when it came through.

        The mode of our own pipe, which is watched, is set to what it is. Raises OSError.
        """
        with self._lock:
            if self._closed:
                raise OSError(errno.EBADF, "the watcher is stopped")
            self._listeners.append(heard)
            os.fchmod(self._kill_r, 0o600)

    def _close_resources(self) -> None:
        if not self._released:
            self._released = True
            super()._close_resources()

    def release(self) -> None:
        """Ends the thread and closes the descriptor, in whatever state they are."""
        self.stop()
        if self.ident is not None:
            self.join(_JOIN_SECONDS)
        if not self.is_alive():  # a thread that never ran, or died while it waited, closes nothing
            self._close_resources()


class TreeEmitter(EventEmitter):
    """Ties the tree's watches to the life of watchdog's emitter; the events take the short way."""

    def __init__(
        self,
        event_queue: EventQueue,
        watch: ObservedWatch,
        *,
        timeout: float = 1.0,
        event_filter: list[type] | None = None,
        tree: WatchTree,
    ) -> None:
        super().__init__(event_queue, watch, timeout=timeout, event_filter=event_filter)
        self.name = "watch-emitter"
        self._tree = tree

    def on_thread_start(self) -> None:
        self._tree.build()

    def queue_events(self, timeout: float) -> None:
        self.stopped_event.wait()


class TreeObserver(BaseObserver):
    """watchdog's observer over one `WatchTree`; ``start()`` raises OSError if the root cannot be watched."""

    def __init__(self, tree: WatchTree, descriptor: TreeDescriptor) -> None:
        super().__init__(TreeEmitter, tree=tree)
        self.name = "watch-observer"
        self.descriptor = descriptor
        descriptor.tree = tree

    def on_thread_start(self) -> None:
        self.descriptor.start()
        super().on_thread_start()

    def on_thread_stop(self) -> None:
        super().on_thread_stop()
        self.descriptor.release()


class InotifyFeed:
    """inotify as a feed of the watcher, for one root. Raises OSError when there is no descriptor left."""

    def __init__(
        self,
        root: bytes,
        scope: Scope,
        sink: Sink,
        clock: Callable[[], float] = time.monotonic,
        *,
        add: AddWatch = add_watch,
    ) -> None:
        self.descriptor = TreeDescriptor(add)
        self.tree = WatchTree(root, scope, sink, self.descriptor, clock)
        self.observer: BaseObserver = TreeObserver(self.tree, self.descriptor)

    @property
    def events(self) -> int:
        return self.tree.events

    @property
    def overflows(self) -> int:
        return self.tree.overflows

    @property
    def directories(self) -> int:
        return self.tree.directories

    @property
    def unwatched(self) -> dict[bytes, OSError]:
        return self.tree.unwatched

    def broken(self) -> str | None:
        if not self.descriptor.is_alive():
            return f"the watcher's reader thread ended ({self.descriptor.failure or 'no error given'})"
        if not self.observer.is_alive() or not all(each.is_alive() for each in self.observer.emitters):
            return "a thread of the watcher ended"
        return self.tree.lost

    def retry(self) -> int:
        return self.tree.retry()

    def sing(self, heard: Callable[[], None]) -> None:
        """Also looks whether the root's watch still stands: adding it again must give the same number."""
        if self.descriptor.add_watch(self.tree.root, ROOT_MASK) != self.tree.root_number:
            raise OSError(errno.ESTALE, "the root is another directory now", self.tree.root)
        self.descriptor.sing(heard)

    def release(self) -> None:
        """Ends the reader and closes the descriptor, also when the observer never started."""
        self.descriptor.release()
