"""Says which directories have never been in the publish directory, as far as anybody knows; looks at no tree.

What is new as a whole can be sent the quick way (sync/core/args.py, ``fresh``): nobody asks for what was never there
until something else links to it. When in doubt a directory is not new: a tombstone in the journal, a deletion
that is just being stored, a journal that cannot be read, or too many to ask about.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from sync.core.live import Live, parent_of
from sync.core.model import Kind, Stat
from sync.ports import StoreError

ASKED_AT_ONCE = 500
DROPPED_KEPT = 50_000

Rows = Callable[[Sequence[bytes]], Mapping[bytes, object]]


class Novelty:
    """Owned by one thread. ``rows`` answers the journal's rows of some paths, tombstones included."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._dropped: dict[int, None] = {}  # hashes of paths whose tombstones may not be stored yet

    def dropped(self, path: bytes) -> None:
        """The path was there and is gone."""
        self._dropped[hash(path)] = None
        if len(self._dropped) > DROPPED_KEPT:
            del self._dropped[next(iter(self._dropped))]

    def among(self, changes: Iterable[tuple[bytes, Stat]], live: Live) -> frozenset[bytes]:
        """The directories that these changes, not yet taken into ``live``, bring for the first time."""
        appear = {path for path, stat in changes if stat.kind is Kind.DIRECTORY and path not in live}
        tops = [path for path in appear if parent_of(path) not in appear]
        if not tops or len(tops) > ASKED_AT_ONCE:
            return frozenset()
        try:
            known = self._rows(tops)
        except StoreError:
            return frozenset()
        never = {path for path in tops if path not in known and hash(path) not in self._dropped}
        for path in sorted(appear):
            if parent_of(path) in never and hash(path) not in self._dropped:
                never.add(path)
        return frozenset(never)
