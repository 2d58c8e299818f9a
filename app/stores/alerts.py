"""Keeps the alerts' state and the outbox in SQL (app/alerts/entry.py: AlertStore). Decides nothing about
them.

Every save is one short transaction, finished when the method returns: a notice is stored before it is
first tried.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from flask import Flask
from sqlalchemy.orm import Session

from app.alerts.entry import Entry, EntryState
from app.alerts.model import Notice
from app.models import db
from app.models.alerts import AlertStateRow, OutboxRow
from app.schema import reason_of
from app.stores.journal import Fence
from sync.ports import StoreError

ONLY = 1


class AlertSql:
    """The two tables. Usable from any thread; every method raises StoreError when the database cannot be
    used.
    """

    def __init__(self, engine: sa.Engine, fence: Fence | None = None) -> None:
        self._engine, self._fence = engine, fence

    def load(self) -> tuple[Mapping[str, Any] | None, Sequence[Entry]]:
        """The last state saved (None: never) and the entries that wait, oldest first."""
        waiting = sa.select(OutboxRow).where(OutboxRow.state == EntryState.WAITING.value)
        try:
            with Session(self._engine) as session:
                row = session.get(AlertStateRow, ONLY)
                rows = session.scalars(waiting.order_by(OutboxRow.created_at, OutboxRow.id)).all()
                return (None if row is None else json.loads(row.document)), [_entry(one) for one in rows]
        except sa.exc.SQLAlchemyError as error:
            raise StoreError(f"the alerts cannot be read: {reason_of(error)}") from error

    def save(self, state: Mapping[str, Any] | None, entries: Sequence[Entry]) -> None:
        """Replaces the state (None: leaves it) and writes these entries over those of their id, or nothing
        at all.
        """
        try:
            with Session(self._engine) as session, session.begin():
                if state is not None:
                    session.merge(AlertStateRow(id=ONLY, document=json.dumps(state)))
                for entry in entries:
                    session.merge(_row(entry))
                session.flush()
                if self._fence is not None:
                    self._fence.check(session.connection())
        except sa.exc.SQLAlchemyError as error:
            raise StoreError(f"the alerts cannot be stored: {reason_of(error)}") from error

    def trim(self, before_at: float) -> int:
        """How many entries were removed: those made before ``before_at`` that wait no longer."""
        old = sa.delete(OutboxRow).where(
            OutboxRow.created_at < before_at, OutboxRow.state != EntryState.WAITING.value
        )
        try:
            with self._engine.begin() as connection:
                removed = connection.execute(old).rowcount
                if self._fence is not None:
                    self._fence.check(connection)
                return removed
        except sa.exc.SQLAlchemyError as error:
            raise StoreError(f"old notices could not be removed: {reason_of(error)}") from error

    def latest(self, limit: int = 100) -> list[Entry]:
        """The newest entries, whatever became of them; for pages."""
        newest = sa.select(OutboxRow).order_by(OutboxRow.created_at.desc(), OutboxRow.id).limit(limit)
        try:
            with Session(self._engine) as session:
                return [_entry(row) for row in session.scalars(newest)]
        except sa.exc.SQLAlchemyError as error:
            raise StoreError(f"the notices cannot be read: {reason_of(error)}") from error


def make_alert_store(app: Flask, fence: Fence | None = None) -> AlertSql:
    """The store on the application's writing engine."""
    with app.app_context():
        return AlertSql(db.engine, fence)


def _row(entry: Entry) -> OutboxRow:
    return OutboxRow(
        id=entry.id,
        channel=entry.channel,
        notice=json.dumps(entry.notice.to_json(), ensure_ascii=False),
        state=entry.state.value,
        attempts=entry.attempts,
        next_try_at=entry.next_try_at,
        created_at=entry.created_at,
        last_answer=entry.last_answer,
    )


def _entry(row: OutboxRow) -> Entry:
    return Entry(
        row.id,
        row.channel,
        Notice.from_json(json.loads(row.notice)),
        row.created_at,
        row.next_try_at,
        EntryState(row.state),
        row.attempts,
        row.last_answer,
    )
