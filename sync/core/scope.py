"""Decides which paths of the publish directory are carried, and says the same to rsync; it reads no file.

In the order in which rsync asks, the first answer stands:

    .~tmp~                      rsync's own left-overs: never carried, deleted on a node
    exclude patterns            neither sent nor deleted
    paths (when given)          the path, everything below and the directories above: carried
    everything else             with paths: neither sent nor deleted; without: carried
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from sync.core.patterns import PatternError, Patterns
from sync.core.wildcard import has_wildcard

LEFT_OVER = b".~tmp~"  # man rsync, --delay-updates


@dataclass(frozen=True, slots=True)
class Scope:
    """What is carried: ``paths`` below the root (none: everything), less ``excludes``; ``delete`` as set.

    Raises PatternError for a pattern or path that is not taken.
    """

    paths: tuple[bytes, ...] = ()
    excludes: tuple[str, ...] = ()
    delete: bool = True
    _patterns: Patterns = field(init=False, repr=False, compare=False)
    _ancestors: frozenset[bytes] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for path in self.paths:
            _check(path)
        object.__setattr__(self, "_patterns", Patterns(self.excludes))
        object.__setattr__(self, "_ancestors", frozenset(a for path in self.paths for a in _above(path)))

    def carries(self, path: bytes, is_dir: bool) -> bool:
        """Whether the path (relative, b"" is the root) is sent to and deleted from nodes."""
        if not path:
            return True
        return (
            self._within(path, is_dir)
            and LEFT_OVER not in path.split(b"/")
            and not self._hidden(path, is_dir)
        )

    def admits(self, path: bytes, is_dir: bool) -> bool:
        """The same for a path whose parent directory is carried: what a walk asks, at less cost."""
        if path == LEFT_OVER or path.endswith(b"/" + LEFT_OVER) or self._patterns.excludes(path, is_dir):
            return False
        return not self.paths or self._within(path, is_dir)

    @property
    def fingerprint(self) -> str:
        """Equal for scopes that carry the same; stored to notice a change over a restart."""
        told = hashlib.sha256(b"scope 1\0")
        for part in (*sorted(set(self.paths)), b"\0", *sorted(os.fsencode(e) for e in set(self.excludes))):
            told.update(part + b"\0")
        told.update(b"delete" if self.delete else b"keep")
        return told.hexdigest()

    def rsync_filters(self) -> list[str]:
        """Filter arguments for a run over the whole root (``root/`` to the destination), deletions too."""
        left_over = LEFT_OVER.decode()
        # Hidden from the sender; at risk on the receiver with their content, whatever else protects it.
        rules = [f"--filter=H {left_over}", f"--filter=R {left_over}", f"--filter=R {left_over}/***"]
        rules += [f"--exclude={pattern}" for pattern in self.excludes]
        return rules + [os.fsdecode(rule) for rule in self._path_rules()]

    def _within(self, path: bytes, is_dir: bool) -> bool:
        if not self.paths or (is_dir and path in self._ancestors):
            return True
        return any(path == carried or path.startswith(carried + b"/") for carried in self.paths)

    def _hidden(self, path: bytes, is_dir: bool) -> bool:
        return self._patterns.hides(path, is_dir)

    def _path_rules(self) -> Iterator[bytes]:
        if not self.paths:
            return
        for ancestor in sorted(self._ancestors):
            yield b"--include=" + _plain(b"/" + ancestor + b"/")
        for path in sorted(set(self.paths)):
            yield b"--include=" + _plain(b"/" + path)
            yield b"--include=/" + _escaped(path) + b"/**"
        yield b"--exclude=*"


def _check(path: bytes) -> None:
    parts = path.split(b"/")
    if not path or b"\0" in path or any(part in (b"", b".", b"..") for part in parts):
        shown = os.fsdecode(path)
        raise PatternError(
            f"{shown!r}: write a folder below publish.root, without a leading or trailing slash"
        )


def _above(path: bytes) -> Iterator[bytes]:
    at = path.find(b"/")
    while at >= 0:
        yield path[:at]
        at = path.find(b"/", at + 1)


def _escaped(path: bytes) -> bytes:
    return re.sub(rb"([\\*?\[])", rb"\\\1", path)


def _plain(path: bytes) -> bytes:
    """The path as a pattern that matches only itself: a backslash escapes only where there is a wildcard."""
    return _escaped(path) if has_wildcard(path) else path
