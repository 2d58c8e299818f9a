"""Sets up the engines: one that writes and one that only reads, on SQLite, PostgreSQL and MySQL.

It runs no query of its own.

What a crash costs on SQLite (WAL, synchronous=NORMAL): a killed process loses nothing that was committed.
After a power cut the last transactions may be missing, but only the last ones and never a part of one, and
the file is not damaged: the log is checksummed, replayed in order, and synced before it is copied into the
database (sqlite.org/pragma.html#pragma_synchronous). That is what the store promises anyway: a prefix of
what was done.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

import sqlalchemy as sa
from flask import Flask
from flask_migrate import Migrate
from sqlalchemy import event
from sqlalchemy.engine import URL, Engine, make_url
from sqlalchemy.orm import Session

from app.models import READ, db

__all__ = ["READ", "DatabaseConfig", "database_url", "init_db", "writing"]

MIGRATIONS = Path(__file__).resolve().parent.parent / "migrations"
DATABASE_FILE = "lockstep.db"
BUSY_MS = 5000
CONNECT_SECONDS = 5
SILENCE_SECONDS = 30
"""A server that does not answer a statement for this long counts as away."""
IDLE_SECONDS = 10
"""A writer that stops within a transaction loses it after this long, so that its successor can write."""

SQLITE = ("journal_mode = WAL", "synchronous = NORMAL", "foreign_keys = ON", "journal_size_limit = 67108864")


class DatabaseConfig(Protocol):
    """What is read of the configuration. ``database_url`` None: SQLite in ``data_dir``."""

    @property
    def data_dir(self) -> Path: ...

    @property
    def database_url(self) -> str | None: ...


def database_url(cfg: DatabaseConfig) -> URL:
    """The URL with its driver. Raises ValueError, without the URL's password, for what is not supported."""
    if cfg.database_url is None:
        return URL.create("sqlite", database=str(cfg.data_dir.absolute() / DATABASE_FILE))
    try:
        url = make_url(cfg.database_url)
    except sa.exc.ArgumentError:
        raise ValueError("database_url is not a URL; write postgresql://… or mysql+pymysql://…") from None
    drivers = {
        "sqlite": "sqlite",
        "postgresql": "postgresql+psycopg",
        "postgresql+psycopg": "postgresql+psycopg",
        "mysql+pymysql": "mysql+pymysql",
        "mariadb+pymysql": "mysql+pymysql",
    }
    if url.drivername not in drivers:
        raise ValueError(
            f"database_url begins with {url.drivername}://; write postgresql://… or mysql+pymysql://…"
        )
    if url.drivername == "sqlite" and url.database in (None, "", ":memory:"):
        raise ValueError("database_url names no file; leave it out for SQLite in data_dir")
    return url.set(drivername=drivers[url.drivername])


def init_db(app: Flask, cfg: DatabaseConfig) -> None:
    """Binds the models to the configured database; connects to nothing.

    Makes ``data_dir`` (mode 0700) for SQLite.

    Raises ValueError for a URL that is not supported.
    """
    url = database_url(cfg)
    if cfg.database_url is None:
        cfg.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    app.config["SQLALCHEMY_DATABASE_URI"] = url
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = _options(url, writes=True)
    app.config["SQLALCHEMY_BINDS"] = {READ: {"url": url, **_options(url, writes=False)}}
    db.init_app(app)
    Migrate(app, db, directory=str(MIGRATIONS))
    with app.app_context():
        _listen(db.engines[None], writes=True)
        _listen(db.engines[READ], writes=False)


@contextmanager
def writing() -> Iterator[Session]:
    """A session that writes, committed at the end of the block; needs an app context. Keep it short.

    No network, no rsync.
    """
    with Session(db.engine, expire_on_commit=False) as session, session.begin():
        yield session


def _options(url: URL, writes: bool) -> dict[str, Any]:
    # hide_parameters: an error's text goes to logs and pages, a statement's values do not.
    options: dict[str, Any] = {"hide_parameters": True, "pool_timeout": 10}
    options |= {"pool_size": 2, "max_overflow": 4} if writes else {"pool_size": 4, "max_overflow": 16}
    match url.get_backend_name():
        case "sqlite":
            options["connect_args"] = {"timeout": BUSY_MS / 1000, "check_same_thread": False}
        case "postgresql":
            options["pool_pre_ping"] = True
            options["connect_args"] = {
                "connect_timeout": CONNECT_SECONDS,
                "keepalives_idle": SILENCE_SECONDS,
                "tcp_user_timeout": SILENCE_SECONDS * 1000,
                "application_name": "lockstep",
            }
        case _:
            options["pool_pre_ping"] = True
            options["connect_args"] = {
                "connect_timeout": CONNECT_SECONDS,
                "read_timeout": SILENCE_SECONDS,
                "write_timeout": SILENCE_SECONDS,
            }
    return options


def _listen(engine: Engine, writes: bool) -> None:
    if engine.dialect.name == "sqlite":
        _listen_sqlite(engine, writes)
        return

    @event.listens_for(engine, "connect")
    def connect(connection: Any, _record: Any) -> None:
        cursor = connection.cursor()
        for statement in _session_statements(engine, writes):
            cursor.execute(statement)
        cursor.close()
        connection.commit()  # PostgreSQL takes a SET back with the transaction


def _session_statements(engine: Engine, writes: bool) -> list[str]:
    if engine.dialect.name == "postgresql":
        if not writes:
            return [
                "SET default_transaction_read_only = on",
                f"SET statement_timeout = '{SILENCE_SECONDS}s'",
            ]
        return [
            f"SET idle_in_transaction_session_timeout = '{IDLE_SECONDS}s'",
            f"SET lock_timeout = '{SILENCE_SECONDS}s'",
        ]
    # Strict: MySQL would otherwise cut values short without an error. UTC: local time is ambiguous once a
    # year.
    strict = "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION', time_zone = '+00:00'"
    if not writes:
        # A manifest is streamed at its reader's pace, who compares it with the tree meanwhile.
        return [strict, "SET SESSION TRANSACTION READ ONLY", "SET SESSION net_write_timeout = 600"]
    # MySQL has no limit for idle transactions, only one for idle connections; the pool opens those again.
    is_mariadb = getattr(engine.dialect, "is_mariadb", False)
    idle = f"idle_transaction_timeout = {IDLE_SECONDS}" if is_mariadb else "wait_timeout = 60"
    return [strict, f"SET SESSION {idle}, innodb_lock_wait_timeout = {SILENCE_SECONDS}"]


def _close_to_others(file: Path) -> None:
    """Makes the database's file readable for its owner only, before SQLite makes it as the umask has it.

    SQLite gives its log and its shared memory the mode of the database. A file that is there is never opened here:
    closing it would drop the locks that SQLite holds on it in this process (sqlite.org/howtocorrupt.html, 2.2), and
    another process that only reads would take itself for the last one and delete the log under our hands.
    """
    with suppress(OSError):  # what is wrong with the place, SQLite says
        os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    for ending in ("", "-wal", "-shm"):
        with suppress(OSError):
            os.chmod(f"{file}{ending}", 0o600)


def _listen_sqlite(engine: Engine, writes: bool) -> None:
    """SQLAlchemy begins transactions itself.

    The driver's own way of beginning late loses updates without an error.
    """

    @event.listens_for(engine, "connect")
    def connect(connection: Any, _record: Any) -> None:
        _close_to_others(Path(engine.url.database or ""))
        connection.isolation_level = None
        for pragma in (*SQLITE, f"query_only = {'OFF' if writes else 'ON'}"):
            connection.execute(f"PRAGMA {pragma}").close()

    @event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
