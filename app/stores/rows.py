"""Turns the engine's values into rows and back: exactly, but for prose, which stays readable. No I/O."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, fields
from hashlib import sha256
from typing import Any

from sync.core.dustbin import Binned
from sync.core.model import Change, Kind, Stat, State
from sync.ports import Event, Meta, NodeRecord, Transfer

Row = dict[str, Any]

KINDS = (Kind.GONE, Kind.FILE, Kind.DIRECTORY, Kind.SYMLINK, Kind.OTHER)
"""A kind's number in the table is its place here: only ever append."""
NUMBER_OF = {kind: number for number, kind in enumerate(KINDS)}

ENTRY_COLUMNS = (
    "path", "kind", "size", "mtime_ns", "ctime_ns", "dev", "inode", "mode", "links", "seq", "exact",
)  # fmt: skip
"""What a change is read from, in this order."""

START_BYTES = 255
LONGEST_TEXT = 16_000
LEAST, MOST = -(2**63), 2**63 - 1


def key_of(path: bytes) -> bytes:
    """The path's key: its SHA-256."""
    return sha256(path).digest()


def dustbin_id(node: str, path: bytes) -> str:
    """What people type to name a dustbin entry: 16 hex digits."""
    return sha256(storable(node).encode() + b"\0" + path).hexdigest()[:16]


def storable(text: str) -> str:
    """The text for people, as every database takes it.

    No NUL (PostgreSQL), no lone surrogates, not endless.
    """
    if len(text) > LONGEST_TEXT:
        text = text[:LONGEST_TEXT] + " …"
    if "\0" in text:
        text = text.replace("\0", "\\x00")
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")


def entry_row(change: Change) -> Row:
    """A change as a row of ``entry``."""
    path, stat, seq, _born = change
    kind, size, mtime_ns, ctime_ns, dev, inode, mode, links = stat
    exact = None
    numbers = (size, mtime_ns, ctime_ns, dev, inode, links)
    if max(numbers) > MOST or min(numbers) < LEAST:
        exact = json.dumps(numbers)
        size, mtime_ns, ctime_ns, dev, inode, links = (wrapped(number) for number in numbers)
    return {
        "key": sha256(path).digest(), "path": path, "start": path[:START_BYTES], "kind": NUMBER_OF[kind],
        "size": size, "mtime_ns": mtime_ns, "ctime_ns": ctime_ns, "dev": dev, "inode": inode, "mode": mode,
        "links": links, "seq": seq, "exact": exact,
    }  # fmt: skip


def wrapped(number: int) -> int:
    """The number modulo 2^64, as signed 64 bits."""
    return ((number + 2**63) % 2**64) - 2**63


def changes_of(rows: Iterable[Sequence[Any]]) -> Iterator[Change]:
    """The changes in rows of `ENTRY_COLUMNS`. Written for speed: a start reads 100,000 of them."""
    new, kinds = tuple.__new__, KINDS
    for path, kind, size, mtime_ns, ctime_ns, dev, inode, mode, links, seq, exact in rows:
        if exact is not None:
            size, mtime_ns, ctime_ns, dev, inode, links = json.loads(exact)
        stat = new(Stat, (kinds[kind], size, mtime_ns, ctime_ns, dev, inode, mode, links))
        yield new(Change, (path, stat, seq, 0))


def meta_row(meta: Meta) -> Row:
    """JSON with escapes: a root of any bytes comes back as it went."""
    return {"id": 1, "document": json.dumps(asdict(meta))}


def meta_of(document: str) -> Meta:
    """Fields this version does not know are left out, those it misses get their defaults."""
    found = json.loads(document)
    known = {field.name for field in fields(Meta)} & found.keys()
    return Meta(**{name: _immutable(found[name]) for name in known})


def _immutable(value: Any) -> Any:
    return tuple(map(_immutable, value)) if isinstance(value, list) else value


def node_row(record: NodeRecord) -> Row:
    """A node's record as a row of ``node``."""
    row = {field.name: getattr(record, field.name) for field in fields(NodeRecord)}
    texts = {name: storable(row[name]) for name in ("name", "spec_key", "reason")}
    return {**row, **texts, "state": str(record.state)}


def node_of(row: Row) -> NodeRecord:
    """The record of a row of ``node``."""
    return NodeRecord(**{**row, "state": State(row["state"])})


def binned_row(entry: Binned) -> Row:
    """A dustbin entry as a row of ``dustbin``."""
    row = {field.name: getattr(entry, field.name) for field in fields(Binned)}
    row |= {"node": storable(entry.node), "error": storable(entry.error)}
    return {"id": dustbin_id(entry.node, entry.path), **row}


def binned_of(row: Row) -> Binned:
    """The entry of a row of ``dustbin``."""
    return Binned(**{name: value for name, value in row.items() if name != "id"})


def event_row(event: Event) -> Row:
    """An event as a row of ``event``; facts that are no JSON values are stored as text."""
    return {
        "at": event.at,
        "kind": storable(event.kind),
        "severity": storable(event.severity),
        "node": None if event.node is None else storable(event.node),
        "message": storable(event.message),
        "facts": _json(dict(event.facts)),
    }


def _json(facts: dict[str, object]) -> str:
    try:
        return json.dumps(facts, default=str, allow_nan=False)
    except ValueError:  # JSON has no NaN and no infinity, and a browser would take none of the document
        return json.dumps({name: str(value) for name, value in facts.items()})


def transfer_row(transfer: Transfer) -> Row:
    """A transfer as a row of ``transfer``."""
    row = {field.name: getattr(transfer, field.name) for field in fields(Transfer)}
    texts = ("node", "form", "outcome", "message")
    return {**row, **{name: storable(str(row[name])) for name in texts}}
