"""Reads what stands in the publish directory, one lstat an entry; never follows a symlink or writes."""

from __future__ import annotations

import errno
import os
import stat as modes
from collections.abc import Callable, Iterable, Iterator
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
    top = _look(root, under, report)
    if top is None or top.kind is Kind.GONE or not scope.carries(under, top.kind is Kind.DIRECTORY):
        if not under and top is not None:
            report(under, FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), root))
        return
    if under:
        yield under, top
    pending = [(under, top)] if top.kind is Kind.DIRECTORY else []
    while pending:
        directory, seen = pending.pop()
        for path, found in _entries(root, directory, seen, scope, report):
            yield path, found
            if found.kind is Kind.DIRECTORY:
                pending.append((path, found))


def look(root: bytes, path: bytes) -> Stat:
    """What the path is now; GONE when it is missing, also behind a symlink. Raises other OSErrors."""
    try:
        found = _stat_of(_status(root, path))
        return found if first_non_directory(root, path) is None else GONE
    except OSError as error:
        if error.errno in _MISSING:
            return GONE
        raise


def glance(root: bytes, path: bytes) -> Stat:
    """As ``look``, for whoever has seen that all ancestors are directories: one lstat. Raises other OSErrors."""
    try:
        return _stat_of(_status(root, path))
    except OSError as error:
        if error.errno in _MISSING:
            return GONE
        raise


class Looks:
    """``look`` for many paths at one time: each of their directories is looked at once. For a moment's use."""

    def __init__(self, root: bytes) -> None:
        self._root = root
        self._real: dict[bytes, bool] = {b"": True}

    def __call__(self, path: bytes) -> Stat:
        """What the path is now, as ``look`` says it. Raises the same."""
        return glance(self._root, path) if self._is_real(path.rpartition(b"/")[0]) else GONE

    def _is_real(self, directory: bytes) -> bool:
        """Whether it and all its ancestors are directories and no links."""
        known = self._real.get(directory)
        if known is None:
            above = directory.rpartition(b"/")[0]
            known = self._is_real(above) and glance(self._root, directory).kind is Kind.DIRECTORY
            self._real[directory] = known
        return known


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


def _entries(
    root: bytes, directory: bytes, seen: Stat, scope: Scope, report: Unreadable
) -> list[tuple[bytes, Stat]]:
    """What stands in the directory that was ``seen``; nothing, and a report, when it is another by now."""
    try:
        with os.scandir(os.path.join(root, directory) if directory else root) as listing:
            found = _carried(listing, directory + b"/" if directory else b"", scope, report)
        now = _status(root, directory)
    except OSError as error:
        if not directory or error.errno not in _MISSING:  # a missing root says nothing about its content
            report(directory, error)
        return []
    if (now.st_ino, now.st_dev) != (seen.inode, seen.dev):
        # It, or a directory above, was replaced: perhaps by a symlink, and then we read a foreign tree.
        report(directory, OSError(errno.ESTALE, "replaced while it was read", directory))
        return []
    return found


def _carried(
    listing: Iterable[os.DirEntry[bytes]], prefix: bytes, scope: Scope, report: Unreadable
) -> list[tuple[bytes, Stat]]:
    found: list[tuple[bytes, Stat]] = []
    for entry in listing:
        path = prefix + entry.name
        is_dir = entry.is_dir(follow_symlinks=False)
        if not scope.admits(path, is_dir):  # asked first: what is excluded costs no lstat
            continue
        try:
            stat = _stat_of(entry.stat(follow_symlinks=False))
        except OSError as error:
            if error.errno not in _MISSING:
                report(path, error)
            continue
        if (stat.kind is Kind.DIRECTORY) is is_dir or scope.admits(path, not is_dir):
            found.append((path, stat))
    return found


def _status(root: bytes, path: bytes) -> os.stat_result:
    """By lstat, except for the root, which may be a symlink that is swapped to publish."""
    return os.lstat(os.path.join(root, path)) if path else os.stat(root)


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
