"""The tables of what happened: events and transfers, kept for `retention_days`."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import MYSQL, LongText, Model, Name, Real, RowId

# Without it SQLite gives the ids of trimmed rows again, and a page that follows by id would miss rows.
NEVER_REUSED = {"sqlite_autoincrement": True}


class EventRow(Model):
    """One line of the timeline (sync/ports.py: Event). ``facts`` is a JSON object."""

    __tablename__ = "event"
    __table_args__ = (
        sa.Index("ix_event_node_id", "node", "id"),
        sa.Index("ix_event_kind_id", "kind", "id"),
        {**MYSQL, **NEVER_REUSED},
    )

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    at: Mapped[float] = mapped_column(Real, index=True)
    kind: Mapped[str] = mapped_column(sa.String(64))
    severity: Mapped[str] = mapped_column(sa.String(16))
    node: Mapped[str | None] = mapped_column(Name)
    message: Mapped[str] = mapped_column(LongText)
    facts: Mapped[str] = mapped_column(LongText)


class TransferRow(Model):
    """One rsync run as it ended (sync/ports.py: Transfer)."""

    __tablename__ = "transfer"
    __table_args__ = (sa.Index("ix_transfer_node_id", "node", "id"), {**MYSQL, **NEVER_REUSED})

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    at: Mapped[float] = mapped_column(Real, index=True)
    node: Mapped[str] = mapped_column(Name)
    form: Mapped[str] = mapped_column(sa.String(32))
    outcome: Mapped[str] = mapped_column(sa.String(32))
    code: Mapped[int | None] = mapped_column(sa.Integer)
    seconds: Mapped[float] = mapped_column(Real)
    files: Mapped[int] = mapped_column(sa.BigInteger)
    bytes: Mapped[int] = mapped_column(sa.BigInteger)
    deleted: Mapped[int] = mapped_column(sa.BigInteger)
    message: Mapped[str] = mapped_column(LongText)
