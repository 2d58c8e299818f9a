"""FSEvents' flags as macOS sends them, recorded: what is missing must become a scan."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from sync.core.scope import Scope
from sync.fsevents import FlagReader
from tests.follower import Recorder

ROOT = b"/private/tmp/publish"


@dataclass
class Event:
    path: bytes | str
    flags: int


def _read(*events: Event, scope: Scope | None = None) -> tuple[FlagReader, Recorder]:
    recorder = Recorder()
    reader = FlagReader(ROOT, scope or Scope(), recorder)
    reader.read(events)
    return reader, recorder


def test_a_file_created_changed_and_removed_is_dirty() -> None:
    _, recorder = _read(
        Event("/private/tmp/publish/a.html", 0x11500),  # created, modified, meta: one coalesced event
        Event(b"/private/tmp/publish/d/\xff", 0x10200),
        Event("/private/tmp/publish/link", 0x40100),
    )
    assert recorder.paths == [b"a.html", b"d/\xff", b"link"]
    assert recorder.doubts == []


@pytest.mark.parametrize("flags", [0x20100, 0x20200, 0x20800])
def test_a_directory_created_removed_or_renamed_is_doubted(flags: int) -> None:
    _, recorder = _read(Event("/private/tmp/publish/d", flags))
    assert recorder.paths == [b"d"]
    assert recorder.doubted == {b"d"}


def test_a_directory_whose_mode_changed_is_only_dirty() -> None:
    _, recorder = _read(Event("/private/tmp/publish/d/", 0x20400))
    assert (recorder.paths, recorder.doubts) == ([b"d"], [])


@pytest.mark.parametrize("flags", [0x1 | 0x2, 0x1 | 0x4, 0x2, 0x4, 0x8])
def test_dropped_events_and_wrapped_numbers_doubt_everything(flags: int) -> None:
    reader, recorder = _read(Event("/private/tmp/publish", flags), Event("/private/tmp/publish/f", 0x10100))
    assert b"" in recorder.doubted
    assert b"f" in recorder.paths
    assert reader.overflows == 1


def test_merged_events_doubt_only_what_lies_below() -> None:
    reader, recorder = _read(Event("/private/tmp/publish/a/b", 0x1))
    assert recorder.doubted == {b"a/b"}
    assert reader.overflows == 1


def test_a_changed_root_is_lost() -> None:
    reader, recorder = _read(Event("/private/tmp/publish", 0x20))
    assert reader.lost is not None
    assert recorder.doubted == {b""}


@pytest.mark.parametrize("flags", [0x40, 0x80])
def test_a_volume_that_comes_or_goes_is_doubted(flags: int) -> None:
    _, recorder = _read(Event("/private/tmp/publish/volume", flags))
    assert recorder.doubted == {b"volume"}


def test_history_other_trees_and_excluded_paths_say_nothing() -> None:
    _, recorder = _read(
        Event("/private/tmp/publish", 0x10),
        Event("/private/tmp/publish-2/f", 0x10100),
        Event("/private/tmp/publish/x.git/config", 0x11000),
        Event("/private/tmp/publish/x.git", 0x20100),
        scope=Scope(excludes=("*.git",)),
    )
    assert (recorder.paths, recorder.doubts) == ([], [])
