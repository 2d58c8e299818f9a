"""The tables of alerting: the state of the alerts, and the outbox of what is to be told."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import MYSQL, LongText, Model, Name, Real


class AlertStateRow(Model):
    """What holds, what is silenced and which groups are open, as one JSON object; the only row has id 1."""

    __tablename__ = "alert_state"
    __table_args__ = MYSQL

    id: Mapped[int] = mapped_column(sa.Integer, primary_key=True, autoincrement=False)
    document: Mapped[str] = mapped_column(LongText)


class OutboxRow(Model):
    """One notice for one channel (app/alerts/entry.py: Entry). ``notice`` is a JSON object."""

    __tablename__ = "outbox"
    __table_args__ = MYSQL

    id: Mapped[str] = mapped_column(sa.String(320), primary_key=True)
    channel: Mapped[str] = mapped_column(Name)
    notice: Mapped[str] = mapped_column(LongText)
    state: Mapped[str] = mapped_column(sa.String(16), index=True)
    attempts: Mapped[int] = mapped_column(sa.Integer)
    next_try_at: Mapped[float] = mapped_column(Real)
    created_at: Mapped[float] = mapped_column(Real, index=True)
    last_answer: Mapped[str] = mapped_column(LongText)
