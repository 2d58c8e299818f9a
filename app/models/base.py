"""The database handle and the column types all models share. It opens no connection.

Two engines stand behind ``db``: the default one writes, the bind ``read`` only reads. ``db.session`` is the
pages' session and always reads; who wants to write says so with ``writing()`` (app/database.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from flask_sqlalchemy import SQLAlchemy
from flask_sqlalchemy.session import Session
from sqlalchemy.dialects import mysql
from sqlalchemy.orm import DeclarativeBase

READ = "read"
"""The bind key of the engine that only reads."""


class Base(DeclarativeBase):
    """Names every constraint, so that a migration can name it too."""

    metadata = sa.MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class PageSession(Session):
    """A session on the reading engine, whatever is asked.

    A page that tries to write gets the database's refusal.
    """

    def get_bind(self, *_args: Any, bind: Any = None, **_more: Any) -> Any:
        return bind if bind is not None else self._db.engines[READ]


db = SQLAlchemy(model_class=Base, disable_autonaming=True, session_options={"class_": PageSession})

if TYPE_CHECKING:
    # db.Model is made at run time; to the type checker a model is a plain declarative class.
    class Model(Base):
        __abstract__ = True
else:
    Model = db.Model

# MySQL compares text without case and accents unless told otherwise, and names are to be compared exactly.
MYSQL = {"mysql_engine": "InnoDB", "mysql_charset": "utf8mb4", "mysql_collate": "utf8mb4_bin"}

Hash = sa.LargeBinary(32).with_variant(mysql.BINARY(32), "mysql", "mariadb")
"""A SHA-256."""

PathStart = sa.LargeBinary(255).with_variant(mysql.VARBINARY(255), "mysql", "mariadb")
"""The first bytes of a path: as much as every database can index."""

PathBytes = sa.LargeBinary().with_variant(mysql.LONGBLOB(), "mysql", "mariadb")
"""A path of any length and any bytes."""

LongText = sa.Text().with_variant(mysql.LONGTEXT(), "mysql", "mariadb")
"""Text without MySQL's 64 KiB bound."""

Real: sa.Double[float] = sa.Double()
"""Seconds since the epoch, or a duration, to the microsecond: MySQL's FLOAT has 24 bits only."""

RowId = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
"""A number the database gives, growing. SQLite gives them to INTEGER only."""

Name = sa.String(255)
