"""The tables of who may use the dashboard and the API: people, their sessions, programs' tokens.

Passwords are kept as Argon2 hashes, session keys and tokens as SHA-256: neither can be read back.
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import MYSQL, Hash, LongText, Model, Name, Real, RowId


class UserRow(Model):
    """A person."""

    __tablename__ = "user"
    __table_args__ = MYSQL

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    name: Mapped[str] = mapped_column(Name, unique=True)
    role: Mapped[str] = mapped_column(sa.String(16))
    password: Mapped[str] = mapped_column(LongText)
    created_at: Mapped[float] = mapped_column(Real)
    last_login_at: Mapped[float | None] = mapped_column(Real)


class SessionRow(Model):
    """A person's session in one browser; without its row a cookie means nothing."""

    __tablename__ = "session"
    __table_args__ = MYSQL

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    key: Mapped[bytes] = mapped_column(Hash, unique=True)
    user_id: Mapped[int] = mapped_column(sa.BigInteger, index=True)
    created_at: Mapped[float] = mapped_column(Real)
    seen_at: Mapped[float] = mapped_column(Real)
    address: Mapped[str] = mapped_column(sa.String(64))
    agent: Mapped[str] = mapped_column(sa.String(255))


class TokenRow(Model):
    """A program's token. ``scopes`` are words with blanks between; ``node`` is whom a `report` token may move."""

    __tablename__ = "token"
    __table_args__ = MYSQL

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    name: Mapped[str] = mapped_column(Name, unique=True)
    hash: Mapped[bytes] = mapped_column(Hash, unique=True)
    scopes: Mapped[str] = mapped_column(Name)
    node: Mapped[str | None] = mapped_column(Name)
    created_at: Mapped[float] = mapped_column(Real)
    used_at: Mapped[float | None] = mapped_column(Real)
