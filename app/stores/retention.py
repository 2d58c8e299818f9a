"""Removes what is older than `retention_days` from the history, a little at a time.

It never touches the journal.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from flask import Flask

from app.models import EventRow, TransferRow, db
from app.schema import reason_of
from app.stores.journal import Fence
from sync.ports import StoreError

CHUNK = 1000
"""Rows in one transaction: some milliseconds, which the store's writer waits for."""


def trim(app: Flask, before_at: float, *, fence: Fence | None = None, chunk: int = CHUNK) -> dict[str, int]:
    """How many events and transfers were removed: those from before ``before_at`` (epoch seconds).

    Raises StoreError when the database cannot be written, or is another's (FencedOut); what was removed until
    then stays removed.
    """
    with app.app_context():
        engine = db.engine
    try:
        return {
            name: _trim(engine, model, before_at, fence, chunk)
            for name, model in (("events", EventRow), ("transfers", TransferRow))
        }
    except sa.exc.SQLAlchemyError as error:
        raise StoreError(f"old rows could not be removed: {reason_of(error)}") from error


def _trim(engine: sa.Engine, model: Any, before_at: float, fence: Fence | None, chunk: int) -> int:
    removed = 0
    while True:
        with engine.begin() as connection:
            old = sa.select(model.id).where(model.at < before_at).order_by(model.id).limit(chunk)
            ids = connection.execute(old).scalars().all()
            if ids:
                connection.execute(sa.delete(model).where(model.id.in_(ids)))
            if fence is not None:
                fence.check(connection)
        removed += len(ids)
        if len(ids) < chunk:
            return removed
