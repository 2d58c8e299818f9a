"""The journal's newest rows in memory, and how paths lie to each other. Never touches a tree or a database.

The tail holds the changes that some node still lacks; what every node has confirmed is in the database only,
so memory grows with what is pending. A path that changes again moves to the end, so the tail is never longer
than the number of distinct paths in it.
"""

from __future__ import annotations

from collections.abc import Iterable

from sync.core.model import Change, Kind, Stat


class Tail:
    """The changes with a seq above ``floor``, in the order of seq. Owned by one thread."""

    def __init__(self, head: int = 0) -> None:
        self.head = head
        self.floor = head
        self._rows: dict[bytes, Change] = {}
        self._cache: tuple[int, int, tuple[Change, ...]] | None = None

    def __len__(self) -> int:
        return len(self._rows)

    def load(self, rows: Iterable[Change], floor: int) -> None:
        """Takes rows that were stored before: those above ``floor``, in the order of seq."""
        self._rows = {row.path: row for row in rows}
        self.floor = floor
        self._cache = None

    def append(self, path: bytes, stat: Stat, *, new: bool = False) -> Change:
        """Gives the path the next seq. ``new``: it was never there before."""
        self.head += 1
        before = self._rows.pop(path, None)
        born = self.head if new else before.born if before and stat.kind is Kind.DIRECTORY else 0
        change = Change(path, stat, self.head, born)
        self._rows[path] = change
        return change

    def after(self, cursor: int) -> tuple[Change, ...]:
        """The changes above ``cursor``, oldest first. Nodes with equal cursors get the very same tuple."""
        if cursor < self.floor:
            raise ValueError(f"cursor {cursor} is below the tail's floor {self.floor}")
        if cursor == self.head:
            return ()
        if self._cache is not None and self._cache[:2] == (cursor, self.head):
            return self._cache[2]
        rows = []
        for change in reversed(self._rows.values()):
            if change.seq <= cursor:
                break
            rows.append(change)
        rows.reverse()
        found = tuple(rows)
        self._cache = (cursor, self.head, found)
        return found

    def count_after(self, cursor: int) -> int:
        """How many changes lie above ``cursor``; a cursor below the floor counts by seq."""
        return len(self.after(cursor)) if cursor >= self.floor else self.head - cursor

    def get(self, path: bytes) -> Change | None:
        """The path's newest change, if it is still in the tail."""
        return self._rows.get(path)

    def forget(self, confirmed: int) -> None:
        """Drops what every node that still reads the tail has confirmed."""
        if confirmed <= self.floor:
            return
        self.floor = min(confirmed, self.head)
        for path, change in list(self._rows.items()):
            if change.seq > self.floor:
                break
            del self._rows[path]


def signature(stat: Stat) -> int:
    """A number that is equal for two stats that are the same (see Stat.same_as) and, but for 2^-61, only then.

    It keeps a comparison of 100,000 rows to one small integer each. Only good within one process.
    """
    if stat.kind is Kind.DIRECTORY:
        return hash((stat.kind, stat.inode, stat.mode))
    return hash((stat.kind, stat.size, stat.mtime_ns, stat.ctime_ns, stat.inode, stat.mode))


def is_below(path: bytes, prefix: bytes) -> bool:
    """Whether ``path`` is ``prefix`` or lies below it; everything lies below the root ``b""``."""
    return not prefix or path == prefix or path.startswith(prefix + b"/")


def topmost(paths: Iterable[bytes]) -> list[bytes]:
    """The paths that have no other of them as an ancestor, sorted."""
    tops: list[bytes] = []
    for path in sorted(paths, key=lambda p: p.split(b"/") if p else []):
        if not tops or not is_below(path, tops[-1]):
            tops.append(path)
    return tops


def ancestors(path: bytes) -> Iterable[bytes]:
    """The directories above the path, from the top, without the root and without the path itself."""
    at = path.find(b"/")
    while at != -1:
        yield path[:at]
        at = path.find(b"/", at + 1)
