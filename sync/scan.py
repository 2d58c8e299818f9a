"""Reads what stands in the publish directory, one lstat an entry; never follows a symlink or writes."""

from __future__ import annotations

import errno
import os
import stat as modes
from collections.abc import Callable, Iterator
from pathlib import Path

from sync.core.model import GONE, Kind, Stat
from sync.core.scope import Scope

Unreadable = Callable[[bytes, OSError], None]

_MISSING = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)  # the last: an ancestor is a symlink to itself by now
_KINDS = {modes.S_IFREG: Kind.FILE, modes.S_IFDIR: Kind.DIRECTORY, modes.S_IFLNK: Kind.SYMLINK}


def scan(
    root: bytes, scope: Scope, under: bytes = b"", *, unreadable: Unreadable | None = None
) -> Iterator[tuple[bytes, Stat]]:
    """Every carried path below ``under`` (b"": the root) with its Stat, parents before children.

    ``under`` itself comes first when it is not the root. What vanishes on the way is left out. A path that
    cannot be read goes to ``unreadable`` (path relative to the root, error): a directory is then yielded, but
    nothing below it, so its content is unknown, not gone. Mount points are descended into and show as
    a different ``Stat.dev``.
    """
    report = unreadable or _ignore
    if under:
        found = _look(root, under, report)
        if found is None or found.kind is Kind.GONE or not scope.carries(under, found.kind is Kind.DIRECTORY):
            return
        yield under, found
        if found.kind is not Kind.DIRECTORY:
            return
    pending = [under]
    while pending:
        directory = pending.pop()
        for path, found in _entries(root, directory, scope, report):
            yield path, found
            if found.kind is Kind.DIRECTORY:
                pending.append(path)


def look(root: bytes, path: bytes) -> Stat:
    """What the path is now; GONE when it is missing, also behind a symlink. Raises other OSErrors."""
    try:
        found = _stat_of(os.lstat(os.path.join(root, path) if path else root))
        return found if first_non_directory(root, path) is None else GONE
    except OSError as error:
        if error.errno in _MISSING:
            return GONE
        raise


def first_non_directory(root: bytes, path: bytes) -> bytes | None:
    """The topmost ancestor that is no real directory (missing, a file, a symlink); None when all are.

    What to send in place of the path: rsync leaves the node as it was, with exit 0, when a listed path lies
    under what has become a symlink. Raises OSErrors other than a missing component.
    """
    at = path.find(b"/")
    while at >= 0:
        try:
            if not modes.S_ISDIR(os.lstat(os.path.join(root, path[:at])).st_mode):
                return path[:at]
        except OSError as error:
            if error.errno in _MISSING:
                return path[:at]
            raise
        at = path.find(b"/", at + 1)
    return None


def root_identity(root: bytes | Path) -> tuple[int, int] | None:
    """(st_dev, st_ino) of the directory the root leads to, None when it is no readable directory."""
    try:
        status = os.stat(root)
        if not modes.S_ISDIR(status.st_mode) or not os.access(root, os.R_OK | os.X_OK):
            return None
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _entries(root: bytes, directory: bytes, scope: Scope, report: Unreadable) -> Iterator[tuple[bytes, Stat]]:
    prefix = directory + b"/" if directory else b""
    admits = scope.admits
    try:
        with os.scandir(os.path.join(root, directory) if directory else root) as listing:
            entries = list(listing)
    except OSError as error:
        if not directory or error.errno not in _MISSING:  # a missing root says nothing about its content
            report(directory, error)
        return
    for entry in entries:
        path = prefix + entry.name
        # The listing's own type spares the lstat of excluded entries; lstat has the last word.
        if not admits(path, entry.is_dir(follow_symlinks=False)):
            continue
        try:
            found = _stat_of(entry.stat(follow_symlinks=False))
        except OSError as error:
            if error.errno not in _MISSING:
                report(path, error)
            continue
        yield path, found


def _look(root: bytes, path: bytes, report: Unreadable) -> Stat | None:
    try:
        return look(root, path)
    except OSError as error:
        report(path, error)
        return None


def _stat_of(status: os.stat_result) -> Stat:
    mode = status.st_mode
    return Stat(
        _KINDS.get(modes.S_IFMT(mode), Kind.OTHER),
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
        status.st_dev,
        status.st_ino,
        modes.S_IMODE(mode),
        status.st_nlink,
    )


def _ignore(_path: bytes, _error: OSError) -> None:
    """Nobody asked."""
