"""The scan against real trees: every kind, odd names, what vanishes and what cannot be read."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
from pathlib import Path

import pytest

from sync.core.model import GONE, Kind
from sync.core.scope import Scope
from sync.scan import Looks, first_non_directory, look, root_identity, scan

ODD = [
    b"new\nline",
    b"-rf",
    b"#x",
    b";y",
    b" lead",
    b"trail ",
    b"\xff\xfe",
    b"*",
    b"\\",
    b"\xe4\xbd\xa0",
    b".~x~",
]


@pytest.fixture
def root(tmp_path: Path) -> bytes:
    path = tmp_path / "root"
    path.mkdir()
    return os.fsencode(path)


def _write(root: bytes, name: bytes, content: bytes = b"x") -> None:
    path = os.path.join(root, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(content)


def test_every_kind_is_told_by_lstat(root: bytes) -> None:
    _write(root, b"d/file", b"12345")
    os.chmod(os.path.join(root, b"d/file"), 0o4640)
    os.link(os.path.join(root, b"d/file"), os.path.join(root, b"second"))
    os.symlink(b"d", os.path.join(root, b"link"))
    os.symlink(b"nowhere", os.path.join(root, b"dangling"))
    os.mkfifo(os.path.join(root, b"fifo"))
    with socket.socket(socket.AF_UNIX) as s:
        here = os.getcwd()
        os.chdir(root)
        s.bind("socket")
        os.chdir(here)
    found = dict(scan(root, Scope()))
    kinds = {path: entry.kind for path, entry in found.items()}
    assert kinds == {
        b"d": Kind.DIRECTORY, b"d/file": Kind.FILE, b"second": Kind.FILE, b"link": Kind.SYMLINK,
        b"dangling": Kind.SYMLINK, b"fifo": Kind.OTHER, b"socket": Kind.OTHER,
    }  # fmt: skip
    status = os.lstat(os.path.join(root, b"d/file"))
    expected = (Kind.FILE, 5, status.st_mtime_ns, status.st_ctime_ns, status.st_dev, status.st_ino, 0o4640, 2)
    assert tuple(found[b"d/file"]) == expected
    assert found[b"second"].inode == found[b"d/file"].inode


def test_names_of_any_bytes_come_back_as_they_are(root: bytes) -> None:
    for name in ODD:
        _write(root, name + b"/" + name)
    assert set(dict(scan(root, Scope()))) == {*ODD, *(name + b"/" + name for name in ODD)}


def test_only_what_the_scope_carries_is_found_and_excluded_directories_are_not_entered(root: bytes) -> None:
    for name in (b"a/b/f", b"a/c/f", b"a/b/x.git/f", b"z/f", b"a/b/.~tmp~/f"):
        _write(root, name)
    os.mkdir(os.path.join(root, b"a/b/empty"))
    entered: list[bytes] = []
    scope = Scope((b"a/b",), ("*.git",))
    found = [path for path, _ in scan(root, scope, unreadable=lambda path, _: entered.append(path))]
    assert sorted(found) == [b"a", b"a/b", b"a/b/empty", b"a/b/f"]


def test_parents_come_before_children(root: bytes) -> None:
    for name in (b"a/b/c/d", b"e/f/g"):
        _write(root, name)
    seen: set[bytes] = set()
    for path, _ in scan(root, Scope()):
        assert b"/" not in path or os.path.dirname(path) in seen
        seen.add(path)


def test_a_scan_below_a_directory_starts_with_the_directory(root: bytes) -> None:
    for name in (b"a/b/f", b"a/g", b"h"):
        _write(root, name)
    assert [path for path, _ in scan(root, Scope(), b"a/b")] == [b"a/b", b"a/b/f"]
    assert [path for path, _ in scan(root, Scope(), b"h")] == [b"h"]
    assert list(scan(root, Scope(), b"missing/x")) == []
    assert list(scan(root, Scope(excludes=("b/",)), b"a/b")) == []


def test_nothing_is_found_through_a_symlink(root: bytes) -> None:
    _write(root, b"real/f")
    os.symlink(b"real", os.path.join(root, b"link"))
    assert list(scan(root, Scope(), b"link/f")) == []
    assert [path for path, _ in scan(root, Scope(), b"link")] == [b"link"]
    assert look(root, b"link/f") == GONE
    assert look(root, b"link").kind is Kind.SYMLINK
    os.symlink(b"loop", os.path.join(root, b"loop"))
    assert look(root, b"loop/f/g") == GONE
    assert first_non_directory(root, b"loop/f/g") == b"loop"
    assert list(scan(root, Scope(), b"loop/f/g")) == []
    assert first_non_directory(root, b"link/f") == b"link"
    assert first_non_directory(root, b"real/f") is None
    assert first_non_directory(root, b"real/f/g/h") == b"real/f"
    assert first_non_directory(root, b"no/such/f") == b"no"


def test_a_look_at_what_is_missing_says_gone(root: bytes) -> None:
    _write(root, b"f")
    assert look(root, b"missing") == GONE
    assert look(root, b"missing/x") == GONE
    assert look(root, b"f/x") == GONE
    assert look(root, b"").kind is Kind.DIRECTORY


def test_many_looks_at_one_time_say_what_each_look_says(root: bytes) -> None:
    base = Path(os.fsdecode(root))
    (base / "real/deep").mkdir(parents=True)
    (base / "real/deep/page").write_text("x")
    (base / "link").symlink_to("real")
    (base / "file").write_text("x")
    paths = [b"real", b"real/deep", b"real/deep/page", b"real/no", b"link", b"link/deep", b"link/deep/page"]
    paths += [b"file", b"file/below", b"file/below/it", b"no/where/near"]
    looks = Looks(root)
    assert {path: looks(path) for path in paths} == {path: look(root, path) for path in paths}


def test_a_missing_root_is_reported_and_not_taken_for_an_empty_tree(root: bytes) -> None:
    os.rmdir(root)
    unreadable: dict[bytes, OSError] = {}
    assert list(scan(root, Scope(), unreadable=unreadable.__setitem__)) == []
    assert isinstance(unreadable[b""], FileNotFoundError)


def test_a_directory_that_cannot_be_read_is_reported_and_the_others_are_found(root: bytes) -> None:
    _write(root, b"a/f")
    deep = os.open(root, os.O_RDONLY)
    for _ in range(25):  # beyond PATH_MAX, which even root cannot open by its name
        os.mkdir(b"d" * 200, dir_fd=deep)
        below = os.open(b"d" * 200, os.O_RDONLY, dir_fd=deep)
        os.close(deep)
        deep = below
    os.close(deep)
    unreadable: dict[bytes, OSError] = {}
    found = dict(scan(root, Scope(), unreadable=unreadable.__setitem__))
    assert b"a/f" in found
    (path,) = unreadable
    assert len(path) > 3700
    subprocess.run(["rm", "-rf", root], check=True)


def test_a_scan_survives_what_vanishes_under_it(root: bytes) -> None:
    for number in range(50):
        _write(root, b"d%d/f" % number)
    found = []
    for path, _ in scan(root, Scope()):
        found.append(path)
        if len(found) == 3:
            for number in range(50):
                os.unlink(os.path.join(root, b"d%d/f" % number))
                os.rmdir(os.path.join(root, b"d%d" % number))
    assert len(found) == 50


@pytest.mark.parametrize("swapped", [b"a", b"a/b"])
def test_a_directory_swapped_for_a_symlink_while_the_scan_runs_is_not_entered(
    root: bytes, tmp_path: Path, swapped: bytes
) -> None:
    _write(root, b"a/b/f")
    _write(os.fsencode(tmp_path), b"foreign/b/g")
    unreadable: dict[bytes, OSError] = {}
    found = []
    for path, _ in scan(root, Scope(), unreadable=unreadable.__setitem__):
        found.append(path)
        if path == b"a/b":
            os.rename(os.path.join(root, swapped), os.path.join(root, b"away"))
            os.symlink(tmp_path / "foreign", os.path.join(root, swapped))
    assert found == [b"a", b"a/b"]
    assert set(unreadable) == {b"a/b"}


def test_the_root_is_known_by_device_and_inode_of_what_it_leads_to(root: bytes, tmp_path: Path) -> None:
    status = os.stat(root)
    assert root_identity(root) == (status.st_dev, status.st_ino)
    link = tmp_path / "link"
    link.symlink_to(os.fsdecode(root))
    assert root_identity(link) == root_identity(root)
    assert look(os.fsencode(link), b"").kind is Kind.DIRECTORY
    _write(root, b"f")
    assert [path for path, _ in scan(os.fsencode(link), Scope())] == [b"f"]
    assert root_identity(tmp_path / "missing") is None
    (tmp_path / "file").touch()
    assert root_identity(tmp_path / "file") is None
    assert stat.S_ISDIR(status.st_mode)
