"""Folds consecutive writes into their net effect, so that one transaction does the work of many puts. No I/O.

The tables do not depend on one another, so only the order within a table matters, and a later write replaces
an earlier one of the same row. What remains is, per table: one clearing, then the last value of each row.

    entries   wipe (DropRows of everything), then trim, then path → its last row, or None: removed
    nodes     name → its last record, or None: forgotten
    dustbin   nodes cleared, then (node, path) → its last entry, or None: removed
    history   events and transfers in order, the oldest dropped and counted beyond a bound
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence, Sized

from sync.core.dustbin import Binned
from sync.core.model import Change, Kind
from sync.ports import (
    ClearBinned,
    DropRows,
    Event,
    ForgetNode,
    Meta,
    NodeRecord,
    SaveBinned,
    SaveChanges,
    SaveEvent,
    SaveMeta,
    SaveNode,
    SaveTransfer,
    Transfer,
    TrimTombstones,
    Write,
)

HISTORY_LIMIT = 100_000
"""Events, and transfers, kept in memory while the database is away."""


def rows_in(writes: Sequence[Write]) -> int:
    """How many rows the writes touch, roughly. Never raises."""
    return sum(len(rows) if isinstance(rows := _rows(write), Sized) else 1 for write in writes)


def _rows(write: Write) -> object:
    match write:
        case SaveChanges(rows) | SaveBinned(rows) | ClearBinned(_, rows) | DropRows(rows):
            return rows
        case _:
            return None


class Fold:
    """The net effect of the writes added so far. Owned by one thread."""

    __slots__ = (
        "binned", "cleared", "dropped_events", "dropped_transfers", "entries", "events", "meta", "nodes",
        "transfers", "trim", "wipe",
    )  # fmt: skip

    def __init__(self, history_limit: int = HISTORY_LIMIT) -> None:
        self.wipe = False
        self.trim = 0
        self.entries: dict[bytes, Change | None] = {}
        self.meta: Meta | None = None
        self.nodes: dict[str, NodeRecord | None] = {}
        self.cleared: set[str] = set()
        self.binned: dict[tuple[str, bytes], Binned | None] = {}
        self.events: deque[Event] = deque(maxlen=history_limit)
        self.transfers: deque[Transfer] = deque(maxlen=history_limit)
        self.dropped_events = 0
        self.dropped_transfers = 0

    def __len__(self) -> int:
        return len(self.entries) + len(self.nodes) + len(self.binned) + len(self.events) + len(self.transfers)

    def add(self, write: Write) -> None:
        """Takes one more write, behind all earlier ones."""
        match write:
            case SaveChanges(changes):
                self.entries.update((change.path, change) for change in changes)
            case DropRows(paths):
                self._drop(paths)
            case TrimTombstones(seq):
                self._trim(seq)
            case SaveMeta(meta):
                self.meta = meta
            case SaveNode(record):
                self.nodes[record.name] = record
            case ForgetNode(name):
                self.nodes[name] = None
                self._clear(name, None)
            case SaveBinned(entries):
                self.binned.update(((entry.node, entry.path), entry) for entry in entries)
            case ClearBinned(node, paths):
                self._clear(node, paths)
            case SaveEvent(event):
                self.dropped_events += len(self.events) == self.events.maxlen
                self.events.append(event)
            case SaveTransfer(transfer):
                self.dropped_transfers += len(self.transfers) == self.transfers.maxlen
                self.transfers.append(transfer)

    def _drop(self, paths: Sequence[bytes] | None) -> None:
        if paths is None:
            self.wipe = True
            self.trim = 0
            self.entries.clear()
        else:
            self.entries.update(dict.fromkeys(paths))

    def _trim(self, seq: int) -> None:
        """Stored tombstones go by the statement.

        A waiting one becomes a removal, for it may replace a stored live row.
        """
        self.trim = max(self.trim, seq)
        for path, change in self.entries.items():
            if change is not None and change.stat.kind is Kind.GONE and change.seq <= seq:
                self.entries[path] = None

    def _clear(self, node: str, paths: Sequence[bytes] | None) -> None:
        if paths is None:
            self.cleared.add(node)
            self.binned = {key: entry for key, entry in self.binned.items() if key[0] != node}
        else:
            self.binned.update(((node, path), None) for path in paths)
