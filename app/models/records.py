"""The tables of the DNS half: whose record sets are ours, what was done to them, what nodes reported, and facts."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import MYSQL, Hash, LongText, Model, Name, Real, RowId


class LedgerRow(Model):
    """One record set that we own. ``key`` is the SHA-256 of provider, zone, name, type and line."""

    __tablename__ = "ledger"
    __table_args__ = MYSQL

    key: Mapped[bytes] = mapped_column(Hash, primary_key=True)
    provider: Mapped[str] = mapped_column(Name, index=True)
    zone: Mapped[str] = mapped_column(Name)
    name: Mapped[str] = mapped_column(Name)
    type: Mapped[str] = mapped_column(sa.String(16))
    line: Mapped[str] = mapped_column(Name)
    service: Mapped[str] = mapped_column(Name)
    document: Mapped[str] = mapped_column(LongText)


class RecordHistoryRow(Model):
    """One operation that was sent to a provider, with its answer. Values are JSON lists."""

    __tablename__ = "record_history"
    __table_args__ = MYSQL

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    at: Mapped[float] = mapped_column(Real, index=True)
    service: Mapped[str] = mapped_column(Name)
    provider: Mapped[str] = mapped_column(Name)
    zone: Mapped[str] = mapped_column(Name)
    name: Mapped[str] = mapped_column(Name)
    type: Mapped[str] = mapped_column(sa.String(16))
    line: Mapped[str] = mapped_column(Name)
    action: Mapped[str] = mapped_column(sa.String(16))
    values_json: Mapped[str] = mapped_column("new_values", LongText)
    old_values: Mapped[str] = mapped_column(LongText)
    reason: Mapped[str] = mapped_column(LongText)
    answer: Mapped[str] = mapped_column(LongText)
    ok: Mapped[bool] = mapped_column(sa.Boolean)
    code: Mapped[str] = mapped_column(Name)


class ReportRow(Model):
    """The addresses that a node last reported of itself, as a JSON list."""

    __tablename__ = "report"
    __table_args__ = MYSQL

    node: Mapped[str] = mapped_column(Name, primary_key=True)
    addresses: Mapped[str] = mapped_column(LongText)
    at: Mapped[float] = mapped_column(Real)


class FactRow(Model):
    """A small JSON value by name: the installation's id, a freeze, hold-downs."""

    __tablename__ = "fact"
    __table_args__ = MYSQL

    name: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    document: Mapped[str] = mapped_column(LongText)
