"""The engine's store on a database: one thread writes in the order of puts, and reads see all of them.

Before every read the writer's queue as it is at that moment is waited for, so that a read sees what was put
before it. While the database is away a read says so at once instead of waiting.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import sqlalchemy as sa
from flask import Flask

from app.models import READ, DustbinRow, Entry, MetaRow, NodeRow, db
from app.schema import reason_of
from app.stores.fold import Fold
from app.stores.rows import (
    ENTRY_COLUMNS,
    KINDS,
    START_BYTES,
    binned_of,
    changes_of,
    key_of,
    meta_of,
    node_of,
    wrapped,
)
from app.stores.statements import Rejected, Statements, is_permanent
from app.stores.writer import Writer
from sync.core.model import Change, Kind
from sync.ports import Saved, StoreError, Write

READ_WAIT_SECONDS = 30.0
CHUNK = 500
"""Keys in one statement: SQLite takes 32,766 values, but plans of equal length are compiled once."""
STREAMED = 2000
"""Rows fetched at once while streaming."""

COLUMNS: list[Any] = [sa.literal_column(name) for name in ENTRY_COLUMNS]  # untyped: no conversion per value
GONE = KINDS.index(Kind.GONE)
SYMLINK = KINDS.index(Kind.SYMLINK)


class Fence(Protocol):
    """What keeps a supervisor that lost its lease from writing (app/stores/lease.py)."""

    def check(self, connection: sa.Connection) -> None:
        """Holds the lease until the transaction ends; raises FencedOut when it is another's."""


class SqlStore:
    """The Store port (sync/ports.py) on SQLite, PostgreSQL or MySQL. Usable from any thread."""

    def __init__(
        self,
        write_engine: sa.Engine,
        read_engine: sa.Engine,
        *,
        fence: Fence | None = None,
        on_fenced: Callable[[str], None] | None = None,
        read_wait_seconds: float = READ_WAIT_SECONDS,
        **writer_options: Any,
    ) -> None:
        self._write_engine, self._read_engine, self._fence = write_engine, read_engine, fence
        self._read_wait_seconds = read_wait_seconds
        self._statements = Statements(write_engine.dialect.name)
        self._writer = Writer(
            self._commit,
            is_permanent=is_permanent,
            explain=self._explain,
            on_fenced=on_fenced,
            **writer_options,
        )

    def start(self) -> None:
        """Starts the writer's thread. What is put before waits for it."""
        self._writer.start()

    def stop(self, flush_seconds: float = 3.0) -> bool:
        """Stores what waits, for at most this long, and ends the thread; whether everything was stored."""
        return self._writer.stop(flush_seconds)

    def put(self, *writes: Write) -> None:
        """Queues the writes as one transaction, behind all earlier ones."""
        self._writer.put(writes)

    def flush(self, timeout_seconds: float) -> bool:
        """Waits until everything put so far is committed; False when that did not happen in time."""
        return self._writer.flush(timeout_seconds)

    def trouble(self) -> str | None:
        """None while writes are going through, else what is wrong and what to do."""
        return self._writer.trouble()

    def load(self) -> Saved:
        """What a start needs."""
        with self._reading() as connection:
            document = connection.execute(sa.select(MetaRow.document)).scalar()
            nodes = connection.execute(sa.select(NodeRow.__table__).order_by(NodeRow.name)).mappings()
            binned = connection.execute(sa.select(DustbinRow.__table__)).mappings()
            return Saved(
                meta=None if document is None else meta_of(document),
                nodes=tuple(node_of(dict(row)) for row in nodes),
                dustbin=tuple(binned_of(dict(row)) for row in binned),
            )

    def manifest(self, under: bytes = b"") -> Iterator[Change]:
        """All live rows at or below ``under``, in any order, streamed: memory does not grow with the tree."""
        query = sa.select(*COLUMNS).select_from(Entry).where(Entry.kind != GONE, _at_or_below(under))
        with self._reading() as connection:
            yield from changes_of(connection.execution_options(yield_per=STREAMED).execute(query))

    def since(self, seq: int) -> list[Change]:
        """Rows with a higher seq, tombstones included, in the order of seq."""
        query = sa.select(*COLUMNS).select_from(Entry).where(Entry.seq > seq).order_by(Entry.seq)
        with self._reading() as connection:
            return list(changes_of(connection.execute(query)))

    def rows(self, paths: Sequence[bytes]) -> dict[bytes, Change]:
        """The rows of these paths, tombstones included; a path never seen is missing from the answer."""
        found: dict[bytes, Change] = {}
        if not paths:
            return found
        with self._reading() as connection:
            for at in range(0, len(paths), CHUNK):
                keys = [key_of(path) for path in paths[at : at + CHUNK]]
                query = sa.select(*COLUMNS).select_from(Entry).where(Entry.key.in_(keys))
                found.update((row.path, row) for row in changes_of(connection.execute(query)))
        return found

    def symlinks(self, limit: int) -> list[Change]:
        """Some rows of symlinks, at most so many."""
        query = sa.select(*COLUMNS).select_from(Entry).where(Entry.kind == SYMLINK).limit(limit)
        with self._reading() as connection:
            return list(changes_of(connection.execute(query)))

    def linked(self, dev: int, inode: int) -> list[bytes]:
        """The live paths that were last seen with this inode.

        ``dev`` is not compared: it can change over a reboot, and then rows would miss their links. A
        namesake on another file system below the root costs one superfluous look.
        """
        path: Any = sa.literal_column("path")
        query = sa.select(path).select_from(Entry)
        with self._reading() as connection:
            matching = query.where(Entry.inode == wrapped(inode), Entry.kind != GONE)
            return list(connection.execute(matching).scalars())

    # ── how ───────────────────────────────────────────────────────────────────────────────────────────────

    @contextmanager
    def _reading(self) -> Iterator[sa.Connection]:
        if not self._writer.flush(self._read_wait_seconds, patient=False):
            raise StoreError(self.trouble() or "the database is too busy to be read; try again")
        try:
            with self._read_engine.connect() as connection:
                yield connection
        except sa.exc.SQLAlchemyError as error:
            raise StoreError(self._explain(error)) from error

    def _commit(self, fold: Fold, careful: bool) -> tuple[Rejected, ...]:
        with self._write_engine.begin() as connection:
            rejected = self._statements.apply(connection, fold, careful)
            if self._fence is not None:
                self._fence.check(connection)
            return rejected

    def _explain(self, error: Exception) -> str:
        return explain(error, self._write_engine.dialect.name)


def make_store(app: Flask, **options: Any) -> SqlStore:
    """The store on the app's two engines; needs `init_db` and `upgrade` first.

    Start it before the first read.
    """
    with app.app_context():
        return SqlStore(db.engines[None], db.engines[READ], **options)


def _at_or_below(under: bytes) -> sa.ColumnElement[bool]:
    """One range of the index on the first bytes of the path; "0" is the byte behind "/"."""
    if not under:
        return sa.true()
    low, high = under + b"/", under + b"0"
    start: Any = Entry.start
    if len(low) <= START_BYTES:
        below = sa.and_(start >= low, start < high)
    else:
        below = sa.and_(start == low[:START_BYTES], Entry.path >= low, Entry.path < high)
    return sa.or_(Entry.key == key_of(under), below)


def explain(error: Exception, dialect: str) -> str:
    """A sentence for people: what the database said and what to do."""
    said = reason_of(error)
    lower = said.lower()
    if "no such table" in lower or "does not exist" in lower or "doesn't exist" in lower:
        remedy = "its tables are missing or old: restart the service, which makes them"
    elif "disk is full" in lower or "no space" in lower or "disk full" in lower:
        remedy = "free some space; what waits is kept in memory and written then"
    elif "malformed" in lower or "not a database" in lower:
        remedy = "the file is damaged: stop the service, move it away or restore a backup, and start again"
    elif "locked" in lower:
        remedy = "another program holds it: end what else has it open"
    elif "readonly" in lower or "read-only" in lower or "unable to open" in lower:
        remedy = "look at the owner and mode of data_dir and the file in it"
    elif dialect == "sqlite":
        remedy = "what waits is kept in memory and tried again"
    else:
        remedy = "look at the server and at database_url; what waits is kept in memory and tried again"
    return f"the database does not work ({said}); {remedy}"
