"""The journal's newest rows in memory, and what a scan says against the manifest. Never touches a tree or a database.

The tail holds the changes that some node still lacks; what every node has confirmed is in the database only,
so memory grows with what is pending. A path that changes again moves to the end, so the tail is never longer
than the number of distinct paths in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

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

    def append(self, path: bytes, stat: Stat) -> Change:
        """Gives the path the next seq."""
        self.head += 1
        change = Change(path, stat, self.head)
        self._rows.pop(path, None)
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


@dataclass(slots=True)
class Differences:
    """What a scan found against the manifest: new or changed paths with their stat, and paths that are gone."""

    changed: list[tuple[bytes, Stat]] = field(default_factory=list)
    gone: list[bytes] = field(default_factory=list)
    found: int = 0


def signature(stat: Stat) -> int:
    """A number that is equal for two stats that are the same (see Stat.same_as) and, but for 2^-61, only then.

    It keeps a comparison of 100,000 rows to one small integer each. Only good within one process.
    """
    if stat.kind is Kind.DIRECTORY:
        return hash((stat.kind, stat.inode, stat.mode))
    return hash((stat.kind, stat.size, stat.mtime_ns, stat.ctime_ns, stat.inode, stat.mode))


def signatures(rows: Iterable[Change]) -> dict[bytes, int]:
    """The manifest as path → signature."""
    return {row.path: signature(row.stat) for row in rows}


def differences(
    found: Iterable[tuple[bytes, Stat]],
    known: dict[bytes, int],
    is_hidden: Callable[[bytes], bool] = lambda path: False,
) -> Differences:
    """Compares a scan with the manifest below the same prefix; empties ``known`` on the way.

    ``is_hidden`` tells paths below a directory that could not be read: nothing is known of them, so they
    are neither changed nor gone. It is asked after the whole of ``found`` was taken.
    """
    result = Differences()
    for path, stat in found:
        result.found += 1
        if known.pop(path, None) != signature(stat):
            result.changed.append((path, stat))
    result.gone = [path for path in known if not is_hidden(path)]
    return result


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
