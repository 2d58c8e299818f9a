"""The watcher against the real kernel: which hint every kind of change gives."""

from __future__ import annotations

import ctypes
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from sync.core.scope import Scope
from sync.watcher import Watcher
from tests.follower import Recorder, recording

AT_FDCWD, RENAME_EXCHANGE = -100, 2
_libc = ctypes.CDLL(None, use_errno=True)


def exchange(one: Path, other: Path) -> None:
    args = (AT_FDCWD, os.fsencode(one), AT_FDCWD, os.fsencode(other), RENAME_EXCHANGE)
    if _libc.renameat2(*args) != 0:
        raise OSError(ctypes.get_errno(), "renameat2")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    path = tmp_path / "publish"
    (path / "old").mkdir(parents=True)
    (path / "old" / "f").write_text("old")
    (path / "other").mkdir()
    return path


@pytest.fixture
def watched(root: Path) -> Iterator[tuple[Watcher, Recorder]]:
    with recording(root) as pair:
        yield pair


def _hints(watched: tuple[Watcher, Recorder]) -> tuple[set[bytes], set[bytes]]:
    """Everything said so far; the canary comes last through the same queue."""
    watcher, recorder = watched
    assert watcher.canary(20)
    return set(recorder.paths), recorder.doubted


def test_nothing_is_said_of_what_was_there_before(watched: tuple[Watcher, Recorder]) -> None:
    assert _hints(watched) == (set(), set())
    assert watched[0].healthy() is None
    assert watched[0].directories == 3


def test_a_file_written_makes_its_path_dirty_after_the_last_byte(
    root: Path, watched: tuple[Watcher, Recorder]
) -> None:
    with (root / "old" / "new").open("w") as file:
        file.write("one")
        file.flush()
        assert b"old/new" in _hints(watched)[0]
        watched[1].clear()
        file.write("two")
        file.flush()
        assert _hints(watched)[0] == {b"old/new"}
        watched[1].clear()
    assert _hints(watched)[0] == {b"old/new"}


def test_reading_says_nothing(root: Path, watched: tuple[Watcher, Recorder]) -> None:
    assert (root / "old" / "f").read_text() == "old"
    assert list(root.rglob("*"))
    assert _hints(watched) == (set(), set())
    assert watched[0].events <= 1


@pytest.mark.parametrize("change", ["chmod", "utime", "truncate", "unlink", "append", "chown"])
def test_each_change_of_a_file_makes_its_path_dirty(
    root: Path, watched: tuple[Watcher, Recorder], change: str
) -> None:
    path = root / "old" / "f"
    if change == "chmod":
        path.chmod(0o600)
    elif change == "utime":
        os.utime(path, (1, 1))
    elif change == "truncate":
        os.truncate(path, 1)
    elif change == "unlink":
        path.unlink()
    elif change == "append":
        with path.open("a") as file:
            file.write("more")
    else:
        os.chown(path, os.getuid(), os.getgid())
    assert _hints(watched) == ({b"old/f"}, set())


def test_symlinks_and_hard_links_are_dirty_by_their_own_names(
    root: Path, watched: tuple[Watcher, Recorder]
) -> None:
    (root / "link").symlink_to("old")
    (root / "dangling").symlink_to("nowhere")
    os.link(root / "old" / "f", root / "other" / "hard")
    os.mkfifo(root / "fifo")
    assert _hints(watched) == ({b"link", b"dangling", b"other/hard", b"fifo"}, set())
    watched[1].clear()
    (root / "link" / "f").write_text("through the link")
    assert _hints(watched)[0] == {b"old/f"}


def test_names_of_any_bytes_come_through(root: Path, watched: tuple[Watcher, Recorder]) -> None:
    odd = [b"new\nline", b"-rf", b"#x", b" lead", b"trail ", b"\xff\xfe", b"a" * 255, b"*?[", b"\\"]
    for name in odd:
        (root / os.fsdecode(name)).touch()
    assert _hints(watched)[0] == set(odd)
    watched[1].clear()
    for name in odd:
        (root / os.fsdecode(name)).unlink()
        (root / os.fsdecode(name)).mkdir()
    assert _hints(watched) == (set(odd), set(odd))
    watched[1].clear()
    for name in odd:
        (root / os.fsdecode(name) / os.fsdecode(name)).touch()
    assert _hints(watched)[0] == {name + b"/" + name for name in odd}


def test_a_file_moved_within_makes_both_names_dirty(root: Path, watched: tuple[Watcher, Recorder]) -> None:
    (root / "old" / "f").rename(root / "other" / "g")
    assert _hints(watched) == ({b"old/f", b"other/g"}, set())


def test_a_file_moved_in_or_out_makes_its_name_dirty(
    root: Path, watched: tuple[Watcher, Recorder], tmp_path: Path
) -> None:
    (root / "old" / "f").rename(tmp_path / "out")
    (tmp_path / "out").rename(root / "in")
    assert _hints(watched) == ({b"old/f", b"in"}, set())


def test_a_directory_renamed_doubts_both_names_and_reports_later_writes_under_the_new_one(
    root: Path, watched: tuple[Watcher, Recorder]
) -> None:
    (root / "old" / "deep" / "er").mkdir(parents=True)
    _hints(watched)
    watched[1].clear()
    (root / "old").rename(root / "other" / "new")
    dirty, doubted = _hints(watched)
    assert {b"old", b"other/new"} <= dirty
    assert {b"old", b"other/new"} <= doubted
    watched[1].clear()
    (root / "other" / "new" / "f").write_text("x")
    (root / "other" / "new" / "deep" / "er" / "f").write_text("x")
    assert _hints(watched) == ({b"other/new/f", b"other/new/deep/er/f"}, set())


def test_exchanged_directories_are_both_doubted_and_later_writes_come_under_the_right_names(
    root: Path, watched: tuple[Watcher, Recorder]
) -> None:
    for name in ("old", "other"):
        (root / name / f"in-{name}").mkdir()
    _hints(watched)
    watched[1].clear()
    exchange(root / "old", root / "other")
    dirty, doubted = _hints(watched)
    assert {b"old", b"other"} <= dirty & doubted
    watched[1].clear()
    (root / "other" / "f").write_text("was old/f")
    (root / "other" / "in-old" / "f").touch()
    (root / "old" / "in-other" / "f").touch()
    assert _hints(watched) == ({b"other/f", b"other/in-old/f", b"old/in-other/f"}, set())


def test_watches_survive_an_exchange_beyond_the_time_a_move_may_take(root: Path) -> None:
    now = [0.0]
    with recording(root, clock=lambda: now[0]) as watched:
        exchange(root / "old", root / "other")
        _hints(watched)
        now[0] += 60
        assert _hints(watched)
        watched[1].clear()
        (root / "old" / "x").touch()
        (root / "other" / "y").touch()
        assert _hints(watched)[0] == {b"old/x", b"other/y"}
        assert watched[0].directories == 3


def test_a_directory_moved_out_is_doubted_and_its_watches_go(root: Path, tmp_path: Path) -> None:
    now = [0.0]
    with recording(root, clock=lambda: now[0]) as watched:
        (root / "old").rename(tmp_path / "out")
        dirty, doubted = _hints(watched)
        assert b"old" in dirty & doubted
        now[0] += 60
        _hints(watched)
        assert watched[0].directories == 2
        watched[1].clear()
        (tmp_path / "out" / "f").write_text("elsewhere")
        assert _hints(watched) == (set(), set())


def test_a_directory_moved_out_and_back_is_watched(root: Path, tmp_path: Path) -> None:
    now = [0.0]
    with recording(root, clock=lambda: now[0]) as watched:
        (root / "old").rename(tmp_path / "out")
        (tmp_path / "out").rename(root / "old")
        _hints(watched)
        now[0] += 60
        _hints(watched)
        watched[1].clear()
        (root / "old" / "f").write_text("again")
        assert _hints(watched)[0] == {b"old/f"}


def test_a_directory_moved_in_is_doubted_as_a_whole(
    root: Path, watched: tuple[Watcher, Recorder], tmp_path: Path
) -> None:
    (tmp_path / "in" / "a" / "b").mkdir(parents=True)
    (tmp_path / "in").rename(root / "in")
    dirty, doubted = _hints(watched)
    assert b"in" in dirty & doubted
    watched[1].clear()
    (root / "in" / "a" / "b" / "f").touch()
    assert _hints(watched)[0] == {b"in/a/b/f"}


def test_a_name_made_anew_after_its_directory_moved_out_is_followed(
    root: Path, watched: tuple[Watcher, Recorder], tmp_path: Path
) -> None:
    (root / "old").rename(tmp_path / "out")
    (root / "old").mkdir()
    (root / "old" / "f").touch()
    shutil.rmtree(root / "old")
    shutil.rmtree(tmp_path / "out")
    assert {b"old"} <= _hints(watched)[0]
    assert watched[0].healthy() is None
    (root / "old").mkdir()
    _hints(watched)
    (root / "old" / "g").touch()
    assert b"old/g" in _hints(watched)[0]


def test_a_tree_made_in_one_go_is_doubted_or_named_to_the_last_path(
    root: Path, watched: tuple[Watcher, Recorder]
) -> None:
    for number in range(100):
        (root / f"d{number}" / "a" / "b").mkdir(parents=True)
        (root / f"d{number}" / "a" / "b" / "f").touch()
    dirty, doubted = _hints(watched)
    for number in range(100):
        top = b"d%d" % number
        assert {top, top + b"/a", top + b"/a/b"} & doubted or top + b"/a/b/f" in dirty
    assert watched[0].directories == 303


def test_a_tree_removed_is_dirty_path_by_path(root: Path, watched: tuple[Watcher, Recorder]) -> None:
    shutil.rmtree(root / "old")
    assert _hints(watched)[0] == {b"old", b"old/f"}
    assert watched[0].directories == 2


def test_kinds_that_change_in_place_are_dirty(root: Path, watched: tuple[Watcher, Recorder]) -> None:
    shutil.rmtree(root / "other")
    (root / "other").write_text("a file now")
    (root / "other").unlink()
    (root / "other").symlink_to("old")
    (root / "other").unlink()
    (root / "other").mkdir()
    dirty, doubted = _hints(watched)
    assert dirty == {b"other"}
    assert doubted == {b"other"}


def test_modes_of_directories_and_of_the_root_are_dirty(
    root: Path, watched: tuple[Watcher, Recorder]
) -> None:
    (root / "old").chmod(0o700)
    root.chmod(0o700)
    assert _hints(watched) == ({b"old", b""}, set())


def test_what_the_scope_leaves_out_raises_nothing_and_gets_no_watch(root: Path) -> None:
    for name in ("a/b", "a/c", "a/b/x.git/objects", "a/b/.~tmp~"):
        (root / name).mkdir(parents=True)
    with recording(root, Scope((b"a/b",), ("*.git",))) as watched:
        assert watched[0].directories == 3
        for name in (
            "old/f",
            "a/f",
            "a/c/f",
            "a/b/x.git/f",
            "a/b/x.git/objects/f",
            "a/b/.~tmp~/f",
            "a/b/x.git2",
        ):
            (root / name).write_text("x")
        (root / "a" / "b" / "y.git").mkdir()
        (root / "a" / "b" / "y.git" / "f").touch()
        assert _hints(watched) == ({b"a/b/x.git2"}, set())


def test_a_directory_that_leaves_the_excluded_name_comes_into_scope(root: Path) -> None:
    (root / "new.tmp" / "deep").mkdir(parents=True)
    with recording(root, Scope(excludes=("*.tmp",))) as watched:
        (root / "new.tmp").rename(root / "new")
        dirty, doubted = _hints(watched)
        assert b"new" in dirty & doubted
        (root / "new" / "deep" / "f").touch()
        assert b"new/deep/f" in _hints(watched)[0]
        (root / "new").rename(root / "new.tmp")
        _hints(watched)
        watched[1].clear()
        (root / "new.tmp" / "g").touch()
        (root / "other" / "h").touch()
        assert b"other/h" in _hints(watched)[0]


def test_two_processes_can_use_the_canary_at_once(watched: tuple[Watcher, Recorder]) -> None:
    assert all(watched[0].canary(20) for _ in range(50))
    assert _hints(watched) == (set(), set())
