"""watchdog's private names that the watcher leans on: a new version must be read before it is pinned."""

from __future__ import annotations

import inspect
import re
from importlib.metadata import version
from pathlib import Path

from watchdog.observers.api import BaseObserver, EventDispatcher, EventEmitter
from watchdog.observers.inotify_c import InotifyEvent, InotifyFD, Watch
from watchdog.utils import BaseThread

READ = "7.1.0"
ROOT = Path(__file__).parents[2]


def test_the_installed_version_is_the_one_that_was_read_and_is_pinned() -> None:
    pinned = re.search(r"^watchdog==(\S+)", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    assert pinned is not None
    assert pinned[1].rstrip("\\") == version("watchdog") == READ


def test_the_descriptor_still_has_what_the_watcher_uses() -> None:
    body = inspect.getsource(InotifyFD.__init__)
    for name in ("_inotify_fd", "_lock", "_closed", "_is_reading", "_kill_r", "_kill_w", "_watch_for_wd"):
        assert f"self.{name}" in body, name
    assert "with self._lock" in inspect.getsource(InotifyFD._read_event_buffer)
    assert "os.read(self._inotify_fd" in inspect.getsource(InotifyFD._read_event_buffer)
    assert list(inspect.signature(InotifyFD._read_event_buffer).parameters) == ["self", "event_buffer_size"]
    assert "_close_resources" in inspect.getsource(InotifyFD.close)
    assert "_close_resources" in inspect.getsource(InotifyFD._read_event_buffer)
    assert "os.close(self._inotify_fd)" in inspect.getsource(InotifyFD._close_resources)
    assert "on_watch_deleted" in inspect.getsource(InotifyFD.close)
    assert inspect.isfunction(InotifyFD.run)
    assert issubclass(InotifyFD, BaseThread)
    assert [*inspect.signature(Watch).parameters][:3] == ["wd", "mask", "_initial_creation_path"]
    assert [*inspect.signature(InotifyEvent).parameters] == ["wd", "mask", "cookie", "name"]


def test_observer_and_emitter_still_start_and_stop_as_the_watcher_expects() -> None:
    assert "**self._emitter_kwargs" in inspect.getsource(BaseObserver.schedule)
    assert "emitter.start()" in inspect.getsource(BaseObserver.on_thread_start)
    assert "unschedule_all" in inspect.getsource(BaseObserver.on_thread_stop)
    assert "queue_events" in inspect.getsource(EventEmitter.run)
    assert "stop_event" in inspect.getsource(EventDispatcher.stop)
    assert "on_thread_stop" in inspect.getsource(BaseThread.stop)
    assert "on_thread_start" in inspect.getsource(BaseThread.start)


def test_the_mac_emitter_still_takes_raw_flags_in_its_callback() -> None:
    """Read as text: the module cannot be imported where there is no macOS."""
    import watchdog.observers

    source = (Path(watchdog.observers.__file__).parent / "fsevents.py").read_text()
    assert (
        "def events_callback(self, paths: list[bytes], inodes: list[int], flags: list[int], ids: list[int])"
        in source
    )
    assert "self._stream.run(self.events_callback, self._stream_started.set)" in source
    assert "class FSEventsEmitter(EventEmitter)" in source
