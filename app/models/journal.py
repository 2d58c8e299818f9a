"""The tables of the journal: the tree's manifest, its meta row, the nodes' cursors and dustbins.

They are written by the store's one writer thread (app/stores/), never through a session.
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import MYSQL, Hash, LongText, Model, Name, PathBytes, PathStart, Real


class Entry(Model):
    """One path of the tree, as it was last seen, or its tombstone.

    ``key`` is the SHA-256 of the path, because paths are longer than a database's keys may be; ``start`` is
    the path's first 255 bytes, by which a subtree is one range of an index. Numbers that do not fit signed
    64 bits (inodes of some network file systems, mtimes far off) are stored modulo 2^64, and exactly in
    ``exact``.
    """

    __tablename__ = "entry"
    __table_args__ = MYSQL

    key: Mapped[bytes] = mapped_column(Hash, primary_key=True)
    path: Mapped[bytes] = mapped_column(PathBytes)
    start: Mapped[bytes] = mapped_column(PathStart, index=True)
    kind: Mapped[int] = mapped_column(sa.SmallInteger)
    size: Mapped[int] = mapped_column(sa.BigInteger)
    mtime_ns: Mapped[int] = mapped_column(sa.BigInteger)
    ctime_ns: Mapped[int] = mapped_column(sa.BigInteger)
    dev: Mapped[int] = mapped_column(sa.BigInteger)
    inode: Mapped[int] = mapped_column(sa.BigInteger, index=True)
    mode: Mapped[int] = mapped_column(sa.Integer)
    links: Mapped[int] = mapped_column(sa.BigInteger)
    seq: Mapped[int] = mapped_column(sa.BigInteger, index=True)
    exact: Mapped[str | None] = mapped_column(LongText)


class MetaRow(Model):
    """What is kept of the journal as a whole: one row, one JSON document."""

    __tablename__ = "meta"
    __table_args__ = MYSQL

    id: Mapped[int] = mapped_column(sa.Integer, primary_key=True, autoincrement=False)
    document: Mapped[str] = mapped_column(LongText)


class NodeRow(Model):
    """What is kept of a node over a restart (sync/ports.py: NodeRecord)."""

    __tablename__ = "node"
    __table_args__ = MYSQL

    name: Mapped[str] = mapped_column(Name, primary_key=True)
    spec_key: Mapped[str] = mapped_column(LongText)
    state: Mapped[str] = mapped_column(sa.String(16))
    since: Mapped[float] = mapped_column(Real)
    reason: Mapped[str] = mapped_column(LongText)
    cursor: Mapped[int | None] = mapped_column(sa.BigInteger)
    proof_seq: Mapped[int | None] = mapped_column(sa.BigInteger)
    proof_at: Mapped[float | None] = mapped_column(Real)
    deep_proof_at: Mapped[float | None] = mapped_column(Real)
    introduced: Mapped[bool] = mapped_column(sa.Boolean)
    drift: Mapped[int] = mapped_column(sa.Integer)
    drained: Mapped[bool | None] = mapped_column(sa.Boolean)
    recoveries: Mapped[int] = mapped_column(sa.Integer)
    last_in_sync_at: Mapped[float | None] = mapped_column(Real)
    last_audit_at: Mapped[float | None] = mapped_column(Real)


class DustbinRow(Model):
    """One path that failed on one node. ``id`` is what people type.

    16 hex digits of SHA-256(node, NUL, path).
    """

    __tablename__ = "dustbin"
    __table_args__ = MYSQL

    id: Mapped[str] = mapped_column(sa.String(16), primary_key=True)
    node: Mapped[str] = mapped_column(Name, index=True)
    path: Mapped[bytes] = mapped_column(PathBytes)
    seq: Mapped[int] = mapped_column(sa.BigInteger)
    first_seq: Mapped[int] = mapped_column(sa.BigInteger)
    first_failed_at: Mapped[float] = mapped_column(Real)
    error: Mapped[str] = mapped_column(LongText)
    code: Mapped[int | None] = mapped_column(sa.Integer)
    attempts: Mapped[int] = mapped_column(sa.Integer)
    next_try_at: Mapped[float] = mapped_column(Real)
    discarded: Mapped[bool] = mapped_column(sa.Boolean)
