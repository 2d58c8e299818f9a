"""Brings the tables to the version this code needs.

It never goes back a version and never touches rows it need not.

The caller holds the installation's lock. On a database server a lock there keeps two machines from
migrating at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa
from alembic import command
from alembic.util.exc import CommandError
from flask import Flask, current_app

from app.database import MIGRATIONS
from app.models import db
from sync.ports import StoreError

MIGRATION_LOCK = 0x10C57E9
"""Any number; the same for every Lockstep on a database server."""
WAIT_SECONDS = 60


def upgrade(app: Flask) -> None:
    """The tables are there and current afterwards.

    Raises StoreError when the database cannot be reached or is newer.
    """
    with app.app_context():
        migrate = current_app.extensions["migrate"].migrate
        try:
            with _one_at_a_time():
                command.upgrade(migrate.get_config(str(MIGRATIONS)), "head")
        except CommandError as error:
            raise StoreError(
                f"the database cannot be brought up to date ({error}); "
                "was it made by a newer Lockstep? Install that version, or restore a backup"
            ) from error
        except sa.exc.SQLAlchemyError as error:
            raise StoreError(f"the database cannot be brought up to date: {reason_of(error)}") from error


def reason_of(error: BaseException) -> str:
    """The database's own sentence, without statement, values or the address it was asked at. One line."""
    text = str(getattr(error, "orig", None) or error)
    return text.strip().splitlines()[0][:500] if text.strip() else type(error).__name__


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    name = db.engine.dialect.name
    if name == "sqlite":
        yield
        return
    with db.engine.connect() as connection:
        if name == "postgresql":
            # A lock of the session, taken outside of a transaction: the writer's idle time limit ends only
            # those.
            connection = connection.execution_options(isolation_level="AUTOCOMMIT")
            connection.execute(sa.text("SELECT pg_advisory_lock(:id)"), {"id": MIGRATION_LOCK})
            release = sa.text("SELECT pg_advisory_unlock(:id)")
        else:
            connection = connection.execution_options(isolation_level="AUTOCOMMIT")
            connection.execute(
                sa.text("SELECT GET_LOCK(CONCAT('lockstep', :id), :wait)"),
                {"id": MIGRATION_LOCK, "wait": WAIT_SECONDS},
            )
            release = sa.text("SELECT RELEASE_LOCK(CONCAT('lockstep', :id))")
        try:
            yield
        finally:
            connection.execute(release, {"id": MIGRATION_LOCK})
