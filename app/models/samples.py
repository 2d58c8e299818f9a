"""The table of what plots are drawn from: a row per node and minute, hour or day, summed up as time goes by."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import MYSQL, Model, Name, Real


class SampleRow(Model):
    """One node over one span of time. ``span`` and ``at`` are seconds: the span's length and when it began.

    The times in the four states and in sync add up to what was observed; sums stand beside their counts, so
    that rows can be added up.
    """

    __tablename__ = "sample"
    __table_args__ = (sa.Index("ix_sample_span_at", "span", "at"), {**MYSQL, "sqlite_with_rowid": False})

    node: Mapped[str] = mapped_column(Name, primary_key=True)
    span: Mapped[int] = mapped_column(sa.Integer, primary_key=True, autoincrement=False)
    at: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True, autoincrement=False)
    ready: Mapped[float] = mapped_column(Real)
    unhealth: Mapped[float] = mapped_column(Real)
    dead: Mapped[float] = mapped_column(Real)
    recovery: Mapped[float] = mapped_column(Real)
    in_sync: Mapped[float] = mapped_column(Real)
    published: Mapped[float] = mapped_column(Real)
    rtt_sum: Mapped[float] = mapped_column(Real)
    rtt_count: Mapped[int] = mapped_column(sa.Integer)
    rtt_max: Mapped[float] = mapped_column(Real)
    lag_sum: Mapped[float] = mapped_column(Real)
    lag_count: Mapped[int] = mapped_column(sa.Integer)
    lag_max: Mapped[float] = mapped_column(Real)
    bytes: Mapped[int] = mapped_column(sa.BigInteger)
    files: Mapped[int] = mapped_column(sa.BigInteger)
    runs: Mapped[int] = mapped_column(sa.Integer)
    failures: Mapped[int] = mapped_column(sa.Integer)
