"""Compares directory trees byte for byte: kinds, contents, modes, link targets, files' mtimes."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

# Names that met a bug in some program on the way at some time, in rsync, a shell or a parser of logs.
ODD_NAMES: tuple[bytes, ...] = (
    b"new\nline", b"carriage\rreturn", b"tab\there", b"-rf", b"--delete", b"#hash", b";semicolon", b":x",
    b" ", b" blank before", b"blank behind ", b"\xff\xfe\x80", b"caf\xc3\xa9", b"*", b"?", b"[a", b"[a]",
    b"back\\slash", b"\\", b"\\#123", b"\\#", b"a -> b", b"a|b", b'"quoted"', b"'", b"$HOME", b"`id`",
    b"%n%L", b"~", b"\x7f", b"\x01", b".hidden", b"..twice", b".x.AbCdEf", b"n" * 255, b"\xe6\xbc\xa2" * 85,
)  # fmt: skip


class Entry(NamedTuple):
    """What two trees must have alike at one path; ``mtime_ns`` of directories counts as 0."""

    kind: str
    mode: int
    mtime_ns: int
    content: bytes


def tree(path: Path | bytes) -> dict[bytes, Entry]:
    """Everything below ``path`` by its relative name, without rsync's own left-over directories."""
    root = os.fsencode(path)
    return dict(_entries(root, b""))


def _entries(root: bytes, under: bytes) -> Iterator[tuple[bytes, Entry]]:
    try:
        items = list(os.scandir(os.path.join(root, under) if under else root))
    except (FileNotFoundError, NotADirectoryError):
        return  # vanished while we walked
    for item in items:
        name = os.path.join(under, item.name)
        try:
            entry = _entry(item)
        except OSError:
            continue
        yield name, entry
        if entry.kind == "dir":
            yield from _entries(root, name)


def _entry(item: os.DirEntry[bytes]) -> Entry:
    found = item.stat(follow_symlinks=False)
    mode = stat.S_IMODE(found.st_mode)
    if stat.S_ISLNK(found.st_mode):
        return Entry("symlink", 0, found.st_mtime_ns, os.readlink(item.path))
    if stat.S_ISDIR(found.st_mode):
        return Entry("dir", mode, 0, b"")
    if stat.S_ISREG(found.st_mode):
        return Entry("file", mode, found.st_mtime_ns, Path(os.fsdecode(item.path)).read_bytes())
    return Entry(f"other {stat.S_IFMT(found.st_mode):o}", mode, 0, b"")


def differences(one: Mapping[bytes, Entry], other: Mapping[bytes, Entry]) -> list[str]:
    """What is not alike, a line per path; short enough to be read in a failed test."""
    result = []
    for name in sorted(one.keys() | other.keys()):
        a, b = one.get(name), other.get(name)
        if a != b:
            result.append(f"{name!r}: {_short(a)} / {_short(b)}")
    return result


def _short(entry: Entry | None) -> str:
    if entry is None:
        return "missing"
    return f"{entry.kind} {entry.mode:o} {entry.mtime_ns} {len(entry.content)} bytes {entry.content[:24]!r}"


def assert_alike(source: Path, node: Path) -> None:
    """Fails with the paths that differ."""
    found = differences(tree(source), tree(node))
    assert not found, "source / node:\n" + "\n".join(found[:20])


def write(root: Path, name: bytes | str, content: bytes | str = b"x", *, mode: int | None = None) -> bytes:
    """Writes a file and its parents; returns its relative path as bytes."""
    relative = os.fsencode(name)
    path = os.path.join(os.fsencode(root), relative)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(content.encode() if isinstance(content, str) else content)
    if mode is not None:
        os.chmod(path, mode)
    return relative


def link(root: Path, name: bytes | str, target: bytes | str) -> bytes:
    """Makes a symlink; returns its relative path as bytes."""
    relative = os.fsencode(name)
    path = os.path.join(os.fsencode(root), relative)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    os.symlink(os.fsencode(target), path)
    return relative
