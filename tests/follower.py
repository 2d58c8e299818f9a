"""A sink for tests that follows a tree by hints alone: what it knows must equal a scan when all is quiet."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sync.core.model import Kind, Stat
from sync.core.scope import Scope
from sync.scan import look, scan
from sync.watcher import Watcher

DEADLINE_SECONDS = 20.0


class Recorder:
    """Keeps every hint and lets a test wait for one."""

    def __init__(self) -> None:
        self.paths: list[bytes] = []
        self.doubts: list[tuple[bytes, str]] = []
        self._changed = threading.Condition()

    def dirty(self, path: bytes) -> None:
        with self._changed:
            self.paths.append(path)
            self._changed.notify_all()

    def doubt(self, prefix: bytes, reason: str) -> None:
        with self._changed:
            self.doubts.append((prefix, reason))
            self._changed.notify_all()

    @property
    def doubted(self) -> set[bytes]:
        return {prefix for prefix, _ in self.doubts}

    def clear(self) -> None:
        with self._changed:
            self.paths.clear()
            self.doubts.clear()

    def until(self, holds: Callable[[], bool]) -> None:
        """Waits for the hints; fails with what came instead."""
        with self._changed:
            assert self._changed.wait_for(holds, DEADLINE_SECONDS), (self.paths[-20:], self.doubts[-20:])


class Follower:
    """Looks and scans as told, in a thread of its own, while the tree goes on changing."""

    def __init__(self, root: bytes, scope: Scope) -> None:
        self.known: dict[bytes, Stat] = {}
        self._root, self._scope = root, scope
        self._hints: queue.Queue[Callable[[], None] | None] = queue.Queue()
        self._thread = threading.Thread(target=self._run, name="follower")
        self._thread.start()

    def dirty(self, path: bytes) -> None:
        self._hints.put(lambda: self._look(path))

    def doubt(self, prefix: bytes, reason: str) -> None:
        self._hints.put(lambda: self._scan(prefix))

    def settle(self) -> dict[bytes, Stat]:
        """What is known once every hint so far was followed."""
        self._hints.join()
        return dict(self.known)

    def stop(self) -> None:
        self._hints.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (hint := self._hints.get()) is not None:
            try:
                hint()
            finally:
                self._hints.task_done()

    def _look(self, path: bytes) -> None:
        if not path:
            return
        found = look(self._root, path)
        if found.kind is Kind.GONE or not self._scope.carries(path, found.kind is Kind.DIRECTORY):
            self.known.pop(path, None)
        else:
            self.known[path] = found

    def _scan(self, prefix: bytes) -> None:
        below = prefix + b"/" if prefix else b""
        for path in [each for each in self.known if each == prefix or each.startswith(below)]:
            del self.known[path]
        self.known.update(scan(self._root, self._scope, prefix))


def same_trees(one: dict[bytes, Stat], other: dict[bytes, Stat]) -> bool:
    return one.keys() == other.keys() and all(found.same_as(other[path]) for path, found in one.items())


@contextmanager
def recording(
    root: Path, scope: Scope | None = None, **options: object
) -> Iterator[tuple[Watcher, Recorder]]:
    """A started watcher and what it says."""
    recorder = Recorder()
    watcher = Watcher(root, scope or Scope(), recorder, **options)  # type: ignore[arg-type]
    assert watcher.start(), watcher.healthy()
    try:
        yield watcher, recorder
    finally:
        watcher.stop()


def eventually(holds: Callable[[], bool], what: str) -> None:
    """Polls with a deadline."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.005)
