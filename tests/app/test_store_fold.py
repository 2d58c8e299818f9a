"""A fold has the effect of its writes one after the other."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from app.stores.fold import Fold, rows_in
from sync.core.dustbin import Binned
from sync.core.model import GONE, Change, Kind, Stat, State
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

LIVE = Stat(Kind.FILE, 1, 2, 3, 4, 5, 6, 1)
PATHS = st.sampled_from([b"a", b"b", b"c"])
NAMES = st.sampled_from(["m", "n"])
SEQS = st.integers(1, 9)
CHANGES = st.builds(Change, PATHS, st.sampled_from([LIVE, GONE]), SEQS)
BINNED = st.builds(
    lambda node, path, seq: Binned(node, path, seq, seq, 1.0, "e", None, 1, 2.0), NAMES, PATHS, SEQS
)
WRITES: st.SearchStrategy[Write] = st.one_of(
    st.builds(SaveChanges, st.lists(CHANGES, max_size=3)),
    st.builds(SaveMeta, st.builds(lambda head: Meta("machine", "/", head=head), SEQS)),
    st.builds(SaveNode, st.builds(lambda n, c: NodeRecord(n, "k", State.READY, 1.0, cursor=c), NAMES, SEQS)),
    st.builds(ForgetNode, NAMES),
    st.builds(SaveBinned, st.lists(BINNED, max_size=3)),
    st.builds(ClearBinned, NAMES, st.none() | st.lists(PATHS, max_size=2)),
    st.builds(DropRows, st.none() | st.lists(PATHS, max_size=2)),
    st.builds(TrimTombstones, SEQS),
)


class Tables:
    """What the writes say, taken literally, one at a time."""

    def __init__(self) -> None:
        self.meta: Meta | None = None
        self.entries: dict[bytes, Change] = {}
        self.nodes: dict[str, NodeRecord] = {}
        self.binned: dict[tuple[str, bytes], Binned] = {}

    def do(self, write: Write) -> None:
        match write:
            case SaveChanges(changes):
                self.entries |= {change.path: change for change in changes}
            case SaveMeta(meta):
                self.meta = meta
            case SaveNode(record):
                self.nodes[record.name] = record
            case ForgetNode(name):
                self.nodes.pop(name, None)
                self.do(ClearBinned(name))
            case SaveBinned(entries):
                self.binned |= {(entry.node, entry.path): entry for entry in entries}
            case ClearBinned(node, paths):
                self.binned = {
                    k: e
                    for k, e in self.binned.items()
                    if k[0] != node or not (paths is None or k[1] in paths)
                }
            case DropRows(paths):
                self.entries = {p: c for p, c in self.entries.items() if not (paths is None or p in paths)}
            case TrimTombstones(seq):
                self.entries = {
                    p: c for p, c in self.entries.items() if c.stat.kind is not Kind.GONE or c.seq > seq
                }

    def take(self, fold: Fold) -> None:
        """The order in which the statements of a transaction run."""
        if fold.wipe:
            self.do(DropRows())
        if fold.trim:
            self.do(TrimTombstones(fold.trim))
        self.do(DropRows([p for p, c in fold.entries.items() if c is None]))
        self.do(SaveChanges([c for c in fold.entries.values() if c is not None]))
        for name, record in fold.nodes.items():
            if record is None:
                self.nodes.pop(name, None)
            else:
                self.do(SaveNode(record))
        for node in fold.cleared:
            self.do(ClearBinned(node))
        for (node, path), entry in fold.binned.items():
            self.do(ClearBinned(node, [path]) if entry is None else SaveBinned([entry]))
        if fold.meta is not None:
            self.do(SaveMeta(fold.meta))

    def state(self) -> tuple[object, ...]:
        return self.meta, self.entries, self.nodes, self.binned


@given(st.lists(WRITES, max_size=12), st.lists(WRITES, max_size=12))
def test_a_fold_does_what_its_writes_do_one_after_the_other(before: list[Write], folded: list[Write]) -> None:
    literal, net = Tables(), Tables()
    for write in before:
        literal.do(write)
        net.do(write)
    fold = Fold()
    for write in folded:
        literal.do(write)
        fold.add(write)
    net.take(fold)
    assert net.state() == literal.state()


def test_a_path_that_changes_a_thousand_times_is_one_row() -> None:
    fold = Fold()
    for seq in range(1000):
        fold.add(SaveChanges([Change(b"p", LIVE, seq)]))
    assert len(fold) == 1
    assert fold.entries[b"p"] == Change(b"p", LIVE, 999)


def test_history_beyond_the_bound_is_dropped_oldest_first_and_counted() -> None:
    fold = Fold(history_limit=3)
    transfer = Transfer(0.0, "n", "files", "done", 0, 0.1, 1, 1, 0)
    for at in range(5):
        fold.add(SaveEvent(Event(float(at), "flip", "x")))
        fold.add(SaveTransfer(replace(transfer, at=float(at))))
    assert [event.at for event in fold.events] == [2, 3, 4]
    assert [run.at for run in fold.transfers] == [2, 3, 4]
    assert (fold.dropped_events, fold.dropped_transfers) == (2, 2)


def test_rows_are_counted_by_what_they_touch() -> None:
    assert rows_in([SaveChanges([Change(b"a", LIVE, 1)] * 3), DropRows(), DropRows([b"a", b"b"])]) == 6
