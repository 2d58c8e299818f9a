"""Remembers what every path was last seen to be, in two small integers a path; never touches a tree or a database.

The manifest itself is in the database. This is enough of it to say whether a path changed, and whether a
directory that was just read lacks something: how many children each directory is known to have.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sync.core.journal import signature
from sync.core.model import Change, Kind, Stat

UNSURE = -1
"""A signature that no stat has: whatever stands there counts as changed (hash() never answers -1)."""


class Live:
    """The live paths by their hash. Written by one thread; others may ask meanwhile."""

    def __init__(self) -> None:
        self._signatures: dict[int, int] = {}
        self._children: dict[int, int] = {}
        self._linked: set[int] = set()

    def __len__(self) -> int:
        return len(self._signatures)

    def __contains__(self, path: bytes) -> bool:
        return hash(path) in self._signatures

    def load(self, rows: Iterable[Change]) -> None:
        """Takes the manifest's rows."""
        for row in rows:
            self.add(row.path, row.stat)

    def add(self, path: bytes, stat: Stat) -> None:
        """The path is there, as ``stat`` says."""
        key = hash(path)
        if key not in self._signatures:
            parent = hash(parent_of(path))
            self._children[parent] = self._children.get(parent, 0) + 1
        self._signatures[key] = signature(stat)
        if stat.links > 1 and stat.kind is Kind.FILE:
            self._linked.add(key)
        else:
            self._linked.discard(key)

    def drop(self, path: bytes) -> None:
        """The path is gone; what was below it is dropped path by path."""
        if self._signatures.pop(hash(path), None) is None:
            return
        self._linked.discard(hash(path))
        parent = hash(parent_of(path))
        left = self._children.get(parent, 0) - 1
        if left > 0:
            self._children[parent] = left
        else:
            self._children.pop(parent, None)

    def doubt(self, path: bytes) -> None:
        """The path, if it is live, counts as changed at the next look, whatever stands there."""
        if hash(path) in self._signatures:
            self._signatures[hash(path)] = UNSURE

    def is_same(self, path: bytes, stat: Stat) -> bool:
        """Whether the path is known to be just this."""
        return self._signatures.get(hash(path)) == signature(stat)

    def has_links(self, path: bytes) -> bool:
        """Whether the path was last seen as one of several names of a file."""
        return hash(path) in self._linked

    def children(self, directory: bytes) -> int:
        """How many live paths lie directly in the directory."""
        return self._children.get(hash(directory), 0)

    def is_complete(self, found: Mapping[int, int], below: Iterable[int] | None = None) -> bool:
        """Whether every directory still has the known children that a scan ``found`` in it (hash → number).

        ``below`` are the hashes of what was scanned, None for the whole tree. False may be a false alarm
        (something appeared meanwhile), True never is.
        """
        if below is None:
            return all(found.get(key, 0) >= number for key, number in list(self._children.items()))
        children = self._children
        return all(found.get(key, 0) >= children.get(key, 0) for key in below)


def parent_of(path: bytes) -> bytes:
    """The directory that holds the path; the root is ``b""``."""
    return path.rpartition(b"/")[0]
