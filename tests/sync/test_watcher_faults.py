"""What breaks a watcher: overflow, no watch left, dead threads, a root that goes; each is told and mended."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sync.core.scope import Scope
from sync.hints import Sink
from sync.inotify import InotifyFeed, add_watch
from sync.scan import scan
from sync.watcher import MakeFeed, Watcher
from tests.follower import Recorder, eventually, recording

QUEUE = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())


class Blocking(Recorder):
    """A sink that holds the reader at the first hint until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.held, self.free = threading.Event(), threading.Event()

    def dirty(self, path: bytes) -> None:
        self.held.set()
        self.free.wait(60)
        super().dirty(path)


class Failing(Recorder):
    """A sink with a bug, which ends the thread that calls it."""

    def dirty(self, path: bytes) -> None:
        if path == b"poison":
            raise RuntimeError("poison")
        super().dirty(path)


def feed_with(add: Callable[[int, bytes, int], int]) -> MakeFeed:
    def make(root: bytes, scope: Scope, sink: Sink, clock: Callable[[], float]) -> InotifyFeed:
        return InotifyFeed(root, scope, sink, clock, add=add)

    return make


def _flood(root: Path) -> None:
    """More records than the queue holds, from two files in turn, since equal neighbours become one."""
    one, other = root / "flood-1", root / "flood-2"
    one.touch()
    other.touch()
    for _ in range(QUEUE // 2 + 200):
        one.chmod(0o600)
        other.chmod(0o600)


def _assert_delivers(watcher: Watcher, recorder: Recorder, root: Path, name: str = "proof") -> None:
    (root / name).touch()
    assert watcher.canary(20)
    assert os.fsencode(name) in recorder.paths


@pytest.fixture
def root(tmp_path: Path) -> Path:
    path = tmp_path / "publish"
    (path / "d" / "e").mkdir(parents=True)
    return path


def test_an_overflow_is_told_and_directories_made_meanwhile_are_watched(root: Path) -> None:
    sink = Blocking()
    answers: list[bool] = []
    watcher = Watcher(root, Scope(), sink)
    assert watcher.start()
    try:
        (root / "first").touch()
        assert sink.held.wait(20)
        _flood(root)
        (root / "lost" / "deep").mkdir(parents=True)
        shutil.rmtree(root / "d")
        assert not watcher.canary(0.01)  # its record is dropped, as the queue is full
        canary = threading.Thread(target=lambda: answers.append(watcher.canary(20)), name="canary")
        canary.start()
        sink.free.set()
        canary.join()
        assert answers == [True]
        sink.until(lambda: b"" in sink.doubted)
        assert watcher.overflows == 1
        assert watcher.healthy() is None
        assert watcher.canary(20)
        assert watcher.directories == 3
        (root / "lost" / "deep" / "f").touch()
        assert watcher.canary(20)
        assert b"lost/deep/f" in sink.paths
    finally:
        sink.free.set()
        watcher.stop()


def test_an_overflow_ends_also_with_more_directories_than_the_queue_holds(root: Path) -> None:
    """Removing the watches would queue a record each and overflow for ever."""
    for number in range(QUEUE // 100 + 5):
        for below in range(100):
            os.makedirs(root / f"d{number}" / f"e{below}")
    sink = Blocking()
    watcher = Watcher(root, Scope(), sink)
    began = time.monotonic()
    assert watcher.start()
    took = time.monotonic() - began
    try:
        assert watcher.directories > QUEUE
        assert took < 10
        (root / "first").touch()
        assert sink.held.wait(20)
        _flood(root)
        sink.free.set()
        sink.until(lambda: b"" in sink.doubted)
        assert watcher.canary(20)
        assert watcher.overflows == 1
        (root / "d7" / "e7" / "f").touch()
        assert watcher.canary(20)
        assert b"d7/e7/f" in sink.paths
    finally:
        sink.free.set()
        watcher.stop()


def test_directories_beyond_the_limit_are_named_doubted_and_tried_again(root: Path) -> None:
    left, watched = [3], set[bytes]()

    def limited(descriptor: int, path: bytes, mask: int) -> int:
        if len(watched | {path}) > left[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
        watched.add(path)
        return add_watch(descriptor, path, mask)

    with recording(root, make_feed=feed_with(limited)) as (watcher, recorder):
        assert watcher.directories == 3
        assert watcher.healthy() is None
        (root / "new" / "below").mkdir(parents=True)
        recorder.until(lambda: b"new" in recorder.doubted)
        assert watcher.canary(20)
        assert watcher.unwatched == {b"new"}
        assert watcher.broken() is None
        problem = watcher.healthy()
        assert problem is not None
        assert "fs.inotify.max_user_watches" in problem
        assert "new" in problem
        left[0] = 100
        recorder.clear()
        assert watcher.retry() == 1
        assert recorder.doubted == {b"new"}
        assert watcher.healthy() is None
        (root / "new" / "below" / "f").touch()
        assert watcher.canary(20)
        assert b"new/below/f" in recorder.paths


def test_a_directory_without_a_watch_is_forgotten_when_it_goes(root: Path) -> None:
    def picky(descriptor: int, path: bytes, mask: int) -> int:
        if path.endswith(b"/secret"):
            raise OSError(errno.EACCES, os.strerror(errno.EACCES), path)
        return add_watch(descriptor, path, mask)

    (root / "d" / "secret").mkdir()
    with recording(root, make_feed=feed_with(picky)) as (watcher, recorder):
        assert watcher.unwatched == {b"d/secret"}
        assert "permission" in (watcher.healthy() or "")
        shutil.rmtree(root / "d")
        assert watcher.canary(20)
        assert {b"d/secret"} <= recorder.doubted
        assert watcher.unwatched == frozenset()
        assert watcher.healthy() is None


LIMITED = """
import pathlib, sys
from sync.core.scope import Scope
from sync.watcher import Watcher
from tests.follower import Recorder
root = pathlib.Path(sys.argv[1])
recorder = Recorder()
watcher = Watcher(root, Scope(), recorder)
assert watcher.start(), watcher.healthy()
assert watcher.canary(20)
print(watcher.directories, len(watcher.unwatched), len(recorder.doubted), watcher.healthy())
watcher.stop()
"""


def test_the_kernels_own_limit_is_told_with_the_remedy(root: Path) -> None:
    """In a user namespace, whose limit is its own: the machine's stays as it is."""
    for number in range(50):
        (root / f"n{number}").mkdir()
    limit = "echo 20 > /proc/sys/user/max_inotify_watches"
    script = f"{limit} || exit 77; exec {sys.executable} -c '{LIMITED}' {root}"
    done = subprocess.run(["unshare", "-Ur", "sh", "-c", script], capture_output=True, text=True, check=False)
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip(f"no user namespace with a limit of its own: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    directories, unwatched, doubted, problem = done.stdout.split(None, 3)
    assert int(directories) == 19  # and one for the canary
    assert int(unwatched) >= 33
    assert int(doubted) == 0  # the caller scans everything after a start
    assert "fs.inotify.max_user_watches" in problem


def test_a_dead_reader_is_noticed_and_a_restart_doubts_everything(root: Path) -> None:
    sink = Failing()
    watcher = Watcher(root, Scope(), sink)
    assert watcher.start()
    try:
        (root / "poison").touch()
        eventually(lambda: watcher.broken() is not None, "the reader should have died")
        assert "poison" in (watcher.healthy() or "")
        assert not watcher.canary(0.2)
        (root / "poison").unlink()
        (root / "unseen").touch()
        assert watcher.restart("the reader died")
        assert sink.doubts == [(b"", "the reader died")]
        assert watcher.healthy() is None
        _assert_delivers(watcher, sink, root)
    finally:
        watcher.stop()


def test_a_watcher_that_hears_nothing_is_noticed_but_not_one_whose_process_was_stopped(root: Path) -> None:
    now = [0.0]
    sink = Blocking()
    watcher = Watcher(root, Scope(), sink, clock=lambda: now[0])
    assert watcher.start()
    try:
        (root / "first").touch()
        assert sink.held.wait(20)
        assert watcher.broken() is None
        now[0] += 3600
        assert watcher.broken() is None
        asked = [watcher.broken() for _ in range(20)]
        assert "no longer reach" in (asked[-1] or "")
        sink.free.set()
        eventually(lambda: watcher.broken() is None, "what was held back came through")
        for _ in range(50):
            now[0] += 11
            eventually(lambda: watcher.broken() is None, "a canary a time")
    finally:
        sink.free.set()
        watcher.stop()


def test_a_dead_emitter_and_a_dead_observer_are_noticed(root: Path) -> None:
    with recording(root) as (watcher, _):
        feed = watcher._feed
        assert isinstance(feed, InotifyFeed)
        (emitter,) = feed.observer.emitters
        emitter.stop()
        emitter.join(20)
        assert "thread" in (watcher.healthy() or "")
        assert watcher.restart()
        feed = watcher._feed
        assert isinstance(feed, InotifyFeed)
        feed.observer.stop()
        feed.observer.join(20)
        assert "thread" in (watcher.healthy() or "")
        assert watcher.restart()
        assert watcher.healthy() is None
        assert watcher.canary(20)


def test_a_closed_descriptor_ends_the_reader_and_not_the_service(root: Path) -> None:
    with recording(root) as (watcher, recorder):
        feed = watcher._feed
        assert isinstance(feed, InotifyFeed)
        replacement = os.open(os.devnull, os.O_RDONLY)
        os.dup2(replacement, feed.descriptor._inotify_fd)  # reads nothing from now on
        os.close(replacement)
        assert not watcher.canary(0.2)
        eventually(lambda: watcher.canary(0.05) is False, "a deaf watcher must not pass")
        assert watcher.restart()
        _assert_delivers(watcher, recorder, root)


def test_a_deleted_and_recreated_root_is_noticed_and_followed(root: Path) -> None:
    with recording(root) as (watcher, recorder):
        shutil.rmtree(root)
        recorder.until(lambda: b"" in recorder.doubted)
        assert watcher.broken() is not None
        assert not watcher.restart()
        assert "not a readable directory" in (watcher.healthy() or "")
        (root / "new").mkdir(parents=True)
        assert watcher.restart()
        assert watcher.healthy() is None
        assert watcher.directories == 2
        _assert_delivers(watcher, recorder, root)


def test_a_renamed_and_replaced_root_is_noticed_and_followed(root: Path, tmp_path: Path) -> None:
    with recording(root) as (watcher, recorder):
        root.rename(tmp_path / "away")
        root.mkdir()
        recorder.until(lambda: b"" in recorder.doubted)
        assert watcher.broken() is not None
        assert watcher.restart()
        recorder.clear()
        (tmp_path / "away" / "d" / "f").touch()
        _assert_delivers(watcher, recorder, root)
        assert set(recorder.paths) == {b"proof"}


def test_a_root_that_is_a_symlink_is_followed_and_its_swap_is_noticed(root: Path, tmp_path: Path) -> None:
    (tmp_path / "second" / "x").mkdir(parents=True)
    link = tmp_path / "current"
    link.symlink_to("publish")
    with recording(link) as (watcher, recorder):
        _assert_delivers(watcher, recorder, link, "one")
        (tmp_path / "next").symlink_to("second")
        (tmp_path / "next").rename(link)
        assert "no longer the directory" in (watcher.healthy() or "")
        assert watcher.restart("swapped")
        assert watcher.healthy() is None
        recorder.clear()
        (root / "old").touch()
        _assert_delivers(watcher, recorder, link, "x/two")
        assert set(recorder.paths) == {b"x/two"}


def test_a_root_that_is_missing_at_start_is_told_and_found_later(tmp_path: Path) -> None:
    recorder = Recorder()
    watcher = Watcher(tmp_path / "later", Scope(), recorder)
    assert not watcher.start()
    assert "create or mount it" in (watcher.healthy() or "")
    assert not watcher.canary(0.1)
    (tmp_path / "later").mkdir()
    assert watcher.restart()
    try:
        _assert_delivers(watcher, recorder, tmp_path / "later")
    finally:
        watcher.stop()
    watcher.stop()
    assert "stopped" in (watcher.healthy() or "")


def test_a_failing_root_leaves_no_thread_and_no_descriptor(root: Path) -> None:
    def never(descriptor: int, path: bytes, mask: int) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)

    before = set(os.listdir("/proc/self/fd"))
    threads = threading.active_count()
    watcher = Watcher(root, Scope(), Recorder(), make_feed=feed_with(never))
    assert not watcher.start()
    assert "fs.inotify.max_user_watches" in (watcher.healthy() or "")
    watcher.stop()
    assert threading.active_count() == threads
    assert set(os.listdir("/proc/self/fd")) == before


def test_starts_and_stops_leave_no_thread_and_no_descriptor(root: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    threads = threading.active_count()
    with recording(root) as (watcher, _):
        for _ in range(3):
            assert watcher.restart()
        names = {thread.name for thread in threading.enumerate()}
        assert {"watch-reader", "watch-emitter", "watch-observer"} <= names
    watcher.stop()
    assert threading.active_count() == threads
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.skipif(os.getuid() != 0, reason="only root can mount")
def test_an_unmounted_volume_below_the_root_is_doubted_and_watched_again(root: Path) -> None:
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "lockstep-test", str(root / "d")]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("nothing can be mounted here")
    mounted = True
    try:
        (root / "d" / "on-volume").touch()
        with recording(root) as (watcher, recorder):
            (volume,) = {
                found.dev for path, found in scan(os.fsencode(root), Scope()) if path.startswith(b"d")
            }
            assert volume != root.stat().st_dev
            subprocess.run(["umount", str(root / "d")], check=True)
            mounted = False
            recorder.until(lambda: b"d" in recorder.doubted)
            assert watcher.canary(20)
            (root / "d" / "e" / "f").touch()
            assert watcher.canary(20)
            assert b"d/e/f" in recorder.paths
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(root / "d")], check=False)


UNREADABLE = """
import os, pathlib, sys, time
from sync.core.scope import Scope
from sync.scan import scan
from sync.watcher import Watcher
from tests.follower import Recorder
root, recorder, unreadable = pathlib.Path(sys.argv[1]), Recorder(), []
os.chown(root, 65534, 65534)
os.chown(root / "secret", 65534, 65534)
os.setgid(65534)
os.setuid(65534)
(root / "secret").chmod(0)
watcher = Watcher(root, Scope(), recorder)
assert watcher.start(), watcher.healthy()
assert watcher.unwatched == {b"secret"}, watcher.unwatched
assert "permission denied" in watcher.healthy()
found = dict(scan(os.fsencode(root), Scope(), unreadable=lambda path, error: unreadable.append(path)))
assert set(found) == {b"secret"} and unreadable == [b"secret"], (found, unreadable)
(root / "secret").chmod(0o755)
def told(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    return condition()
assert told(lambda: watcher.healthy() is None and b"secret" in recorder.doubted), watcher.healthy()
(root / "secret" / "below").mkdir()
(root / "secret" / "below" / "f").touch()
assert told(lambda: b"secret/below" in recorder.doubted)
watcher.stop()
"""


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become a user without rights")
def test_a_directory_that_may_not_be_read_is_told_and_watched_once_it_may() -> None:
    with tempfile.TemporaryDirectory() as above:  # where that user can get at it, which tmp_path is not
        os.chmod(above, 0o755)
        root = Path(above) / "publish"
        (root / "secret").mkdir(parents=True)
        argv = [sys.executable, "-c", UNREADABLE, str(root)]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
