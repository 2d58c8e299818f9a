"""The history and the journal as pages and the API show them: newest first, page by page. It never writes.

Pages are told apart by the last row's number (``before``), not counted: a page does not shift while rows
come in.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from flask import Flask

from app.models import READ, DustbinRow, Entry, EventRow, OutboxRow, TransferRow, db
from app.stores.journal import COLUMNS, explain
from app.stores.rows import changes_of
from sync.core.model import Change, base64_of, text_of
from sync.ports import StoreError

LIMIT = 100
MOST = 1000

Facts = dict[str, Any]


def named(path: bytes) -> Facts:
    """``path`` as text, and ``path_b64`` where the text does not say the bytes."""
    exact = base64_of(path)
    return {"path": text_of(path)} | ({} if exact is None else {"path_b64": exact})


class Reading:
    """Queries on the reading engine, usable from any thread.

    Each raises StoreError when the database is away.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def events(
        self,
        limit: int = LIMIT,
        before: int | None = None,
        node: str | None = None,
        kind: str | Sequence[str] | None = None,
        *,
        severity: str | Sequence[str] | None = None,
        since_at: float | None = None,
        after: int | None = None,
    ) -> list[Facts]:
        """Events, newest first: id, at, kind, severity, node, message, facts. ``after`` is for following.

        Ids above it.
        """
        chosen = _conditions(EventRow, node=node, kind=kind, severity=severity)
        if since_at is not None:
            chosen.append(EventRow.at >= since_at)
        if after is not None:
            chosen.append(EventRow.id > after)
        found = self._history(EventRow, chosen, limit, before)
        return [row | {"facts": json.loads(row["facts"])} for row in found]

    def transfers(
        self,
        limit: int = LIMIT,
        before: int | None = None,
        node: str | None = None,
        *,
        form: str | Sequence[str] | None = None,
        since_at: float | None = None,
    ) -> list[Facts]:
        """rsync runs, newest first.

        Id, at, node, form, outcome, code, seconds, files, bytes, deleted, message.
        """
        chosen = _conditions(TransferRow, node=node, form=form)
        if since_at is not None:
            chosen.append(TransferRow.at >= since_at)
        return self._history(TransferRow, chosen, limit, before)

    def changes(
        self, limit: int = LIMIT, before: int | None = None, *, above: int | None = None
    ) -> list[Facts]:
        """The journal, newest first: seq, path, path_b64, kind, size, mtime (seconds). ``before`` is a seq.

        ``above`` a node's cursor these are what is pending for it.
        """
        query = sa.select(*COLUMNS).select_from(Entry).order_by(Entry.seq.desc()).limit(_bounded(limit))
        if before is not None:
            query = query.where(Entry.seq < before)
        if above is not None:
            query = query.where(Entry.seq > above)
        return [_change(change) for change in changes_of(self._all(query))]

    def dustbin(self, node: str | None = None) -> list[Facts]:
        """The dustbin's entries as stored, by node and time of the first failure.

        Id, node, path, path_b64, …
        """
        table: Any = DustbinRow.__table__
        query = sa.select(table).order_by(DustbinRow.node, DustbinRow.first_failed_at, DustbinRow.id)
        if node is not None:
            query = query.where(DustbinRow.node == node)
        rows = [dict(row._mapping) for row in self._all(query)]
        return [row | named(row["path"]) for row in rows]

    def deliveries(
        self,
        limit: int = LIMIT,
        before: tuple[Any, ...] | None = None,
        channel: str | None = None,
        state: str | None = None,
    ) -> list[Facts]:
        """The outbox's rows, newest first: id, channel, notice (JSON), state, attempts, next_try_at, …

        ``before``: (created_at, id) of the last row of the page before.
        """
        chosen = _conditions(OutboxRow, channel=channel, state=state)
        if before is not None:
            at, entry = before
            older = sa.and_(OutboxRow.created_at == at, OutboxRow.id > entry)
            chosen.append(sa.or_(OutboxRow.created_at < at, older))
        table: Any = OutboxRow.__table__
        newest = (OutboxRow.created_at.desc(), OutboxRow.id)
        query = sa.select(table).where(*chosen).order_by(*newest).limit(max(0, min(limit, MOST + 1)))
        return [dict(row._mapping) for row in self._all(query)]

    def delivery(self, entry_id: str) -> Facts | None:
        """One row of the outbox."""
        table: Any = OutboxRow.__table__
        rows = self._all(sa.select(table).where(OutboxRow.id == entry_id))
        return dict(rows[0]._mapping) if rows else None

    def counts(self) -> Facts:
        """How many rows each table of the history and the journal has; for the status page."""
        tables = {"changes": Entry, "events": EventRow, "transfers": TransferRow, "dustbin": DustbinRow}
        counted = [sa.select(sa.func.count()).select_from(m).scalar_subquery() for m in tables.values()]
        (row,) = self._all(sa.select(*counted))
        return dict(zip(tables, row, strict=True))

    def _history(self, model: Any, chosen: list[Any], limit: int, before: int | None) -> list[Facts]:
        query = sa.select(model.__table__).where(*chosen).order_by(model.id.desc()).limit(_bounded(limit))
        if before is not None:
            query = query.where(model.id < before)
        return [dict(row._mapping) for row in self._all(query)]

    def _all(self, query: sa.Select[Any]) -> Sequence[sa.Row[Any]]:
        try:
            with self._engine.connect() as connection:
                return connection.execute(query).all()
        except sa.exc.SQLAlchemyError as error:
            raise StoreError(explain(error, self._engine.dialect.name)) from error


def make_reading(app: Flask) -> Reading:
    """The queries on the app's reading engine."""
    with app.app_context():
        return Reading(db.engines[READ])


def _bounded(limit: int) -> int:
    return max(0, min(limit, MOST))


def _conditions(model: Any, **wanted: str | Sequence[str] | None) -> list[Any]:
    """One condition per column that was asked for: equal to the text, or to one of the texts."""
    chosen = []
    for name, value in wanted.items():
        column = getattr(model, name)
        if isinstance(value, str):
            chosen.append(column == value)
        elif value is not None:
            chosen.append(column.in_(value))
    return chosen


def _change(change: Change) -> Facts:
    path, stat, seq, _born = change
    facts = {"kind": stat.kind.value, "size": stat.size, "mtime": stat.mtime_ns / 1e9, "mode": stat.mode}
    return {"seq": seq, **named(path), **facts}
