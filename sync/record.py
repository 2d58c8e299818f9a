"""What the content half keeps over a restart, and what a start makes of it; decides nothing about sending.

A manifest belongs to (machine, root). A stored cursor counts only where the tombstones above it are still
there; a stored proof renews itself only after a clean stop, and where it is younger than an audit's interval.
"""

from __future__ import annotations

import os
import socket
import uuid
from dataclasses import dataclass, replace
from pathlib import Path

from sync.core import health as healths
from sync.field import Field
from sync.node import Node, NodeSettings
from sync.ports import ClearBinned, DropRows, Meta, NodeRecord, Saved, SaveMeta, TrimTombstones, Write
from sync.survey import SourceNews, SurveySettings

TOMBSTONE_SECONDS = 24 * 3600.0
MARK_SECONDS = 3600.0
APART_SECONDS = 600.0
TRIM_SECONDS = TOMBSTONE_SECONDS - 2 * MARK_SECONDS - APART_SECONDS
"""A mark this old covers tombstones that will be a day old before they are looked at again."""
LONG_AGO = float("-inf")

Marks = tuple[tuple[float, int], ...]


@dataclass(frozen=True, slots=True)
class Restart:
    """How this start goes: ``audit_seconds`` is how long a proof lasts, ``clean`` that the last stop was."""

    audit_seconds: float
    max_lag_seconds: float
    clean: bool
    at_once: bool = False
    begins_to_delete: bool = False  # publish.delete was off until now


class Record:
    """The stored side of a Field; owned by the engine's thread."""

    def __init__(self, field: Field, survey: SurveySettings) -> None:
        self.field = field
        self.meta = Meta(machine=machine_id(), root=os.fsdecode(survey.root))

    # ── what a start finds ───────────────────────────────────────────────────────────────────────────────

    def adopt(self, stored: Meta | None) -> Meta | None:
        """The stored meta if it is ours; otherwise the manifest is dropped, and with it every cursor."""
        mine = self.meta
        if stored is None:
            return None
        if (stored.machine, stored.root) == (mine.machine, mine.root):
            self.meta = replace(stored, marks=self._marks_of(stored))
            return self.meta
        self.field.put(DropRows(None))
        self.field.emit(
            "start",
            f"the stored manifest was made for {stored.root} on another machine or root: it starts anew",
            severity="warning",
        )
        self.meta = replace(mine, head=stored.head, trimmed=stored.head)
        return None

    def _marks_of(self, stored: Meta) -> Marks:
        """With one for the end of the last run, which came within the hour after its last mark."""
        now = self.field.wall()
        at = min(now, stored.marks[-1][0] + MARK_SECONDS) if stored.marks else now
        return _with(stored.marks, at, stored.head)

    def restore_nodes(
        self, saved: Saved, meta: Meta | None, wanted: list[NodeSettings], rules: Restart
    ) -> None:
        """Makes the field's nodes, as they were stored where that still counts."""
        records = {record.name: record for record in saved.nodes}
        for settings in wanted:
            record = records.get(settings.name)
            usable = meta is not None and record is not None
            if usable and record is not None and record.spec_key == settings.destination.spec_key:
                node = self._restored(settings, record, meta, rules)
            else:
                node = Node(settings, healths.new_node(self.field.wall(), settings.name))
            node.drained_by_command = record.drained if record is not None else None
            node.at_start, node.parked = True, rules.at_once
            self.field.nodes[node.name] = node
            if not rules.at_once and record is None:
                self.field.save(node)
        stale: dict[str, None] = {}
        for entry in saved.dustbin:
            holder = self.field.nodes.get(entry.node)
            if holder is not None and holder.cursor is not None:
                holder.dustbin[entry.path] = entry
            elif holder is not None:
                stale[entry.node] = None  # the full resync that is due says anew what fails
        self.field.put(*(ClearBinned(name) for name in stale))

    def _restored(
        self, settings: NodeSettings, record: NodeRecord, meta: Meta | None, rules: Restart
    ) -> Node:
        node = Node.restored(settings, record, meta.trimmed if meta else 0)
        fresh = node.proof_at is not None and self.field.wall() - node.proof_at < rules.audit_seconds
        node.renewable = rules.clean and fresh and not node.drift_count and not rules.begins_to_delete
        node.resync_due = rules.begins_to_delete
        if node.cursor is not None:
            node.move_cursor(node.cursor, LONG_AGO, rules.max_lag_seconds)
        return node

    def load_tail(self) -> None:
        """The journal's newest rows, from the lowest cursor on that will be read from."""
        head, tail = self.meta.head, self.field.tail
        cursors = [n.cursor for n in self.field.nodes.values() if n.receives and n.cursor is not None]
        floor = min((head, *cursors))
        rows = self.field.store.since(floor)
        tail.head = max(head, max((row.seq for row in rows), default=0))
        tail.load(rows, floor)

    # ── what is stored while it runs ─────────────────────────────────────────────────────────────────────

    def save(
        self,
        survey: SurveySettings,
        source: SourceNews | None,
        files: int | None,
        *,
        clean_stop: bool | None = None,
        behind: tuple[Write, ...] = (),
    ) -> None:
        """Stores the meta, in one transaction with the writes it stands ``behind``: a head is never without
        its rows, nor rows without their head. ``files`` None: not known yet.
        """
        scope = survey.scope
        known = source is not None and files is not None
        self.meta = replace(
            self.meta,
            head=self.field.tail.head,
            files=self.meta.files if files is None else files,
            root_inode=source.root.inode if source is not None and source.root else self.meta.root_inode,
            scope=scope.fingerprint,
            scope_paths=tuple(os.fsdecode(p) for p in scope.paths),
            scope_excludes=scope.excludes,
            delete=scope.delete,
            mounts=tuple(os.fsdecode(m) for m in source.mounts) if known and source else self.meta.mounts,
            clean_stop=self.meta.clean_stop if clean_stop is None else clean_stop,
        )
        self.field.put(*behind, SaveMeta(self.meta))

    def trim_tombstones(self) -> int | None:
        """Drops tombstones before they are a day old; the seq up to which they are gone now, None when nothing
        changed. To be asked at a start and every hour: the marks say when which head was passed.
        """
        now = self.field.wall()
        marks = [(min(at, now), seq) for at, seq in _with(self.meta.marks, now, self.field.tail.head)]
        limit = now - TRIM_SECONDS
        old = [seq for at, seq in marks if at <= limit]
        self.meta = replace(self.meta, marks=tuple(mark for mark in marks if mark[0] > limit))
        seq = max(old, default=0)
        if seq <= self.meta.trimmed:
            self.field.put(SaveMeta(self.meta))
            return None
        self.meta = replace(self.meta, trimmed=seq)
        self.field.put(TrimTombstones(seq), SaveMeta(self.meta))
        return seq


def _with(marks: Marks, at: float, seq: int) -> Marks:
    """With one mark more, unless there is one just before: a service that is restarted all day must not pile up."""
    return marks if marks and 0 <= at - marks[-1][0] < APART_SECONDS else (*marks, (at, seq))


def machine_id() -> str:
    """What tells this machine from others: systemd's machine id, else the host name and its hardware address."""
    for name in ("/etc/machine-id", "/var/lib/dbus/machine-id"):
        try:
            text = Path(name).read_text(encoding="ascii").strip()
        except OSError:
            continue
        if text:
            return text
    return f"{socket.gethostname()}-{uuid.getnode():012x}"
