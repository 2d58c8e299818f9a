"""The table of the lease that lets one supervisor of several write to a database server."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import MYSQL, Model, Name, Real


class LeaseRow(Model):
    """One row, id 1. ``token`` grows with every holder.

    ``expires`` is in seconds of the database's own clock.
    """

    __tablename__ = "lease"
    __table_args__ = MYSQL

    id: Mapped[int] = mapped_column(sa.Integer, primary_key=True, autoincrement=False)
    holder: Mapped[str] = mapped_column(Name)
    token: Mapped[int] = mapped_column(sa.BigInteger)
    expires: Mapped[float] = mapped_column(Real)
