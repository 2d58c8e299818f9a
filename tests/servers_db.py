"""Databases for tests: a SQLite file, and real PostgreSQL and MariaDB servers of their own, ended by pid.

The servers are Debian's packages ``postgresql`` and ``mariadb-server``; where they are missing, their tests
are skipped and say so. They listen on a Unix socket and a free port of 127.0.0.1, in a folder that goes with
them.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pytest
import sqlalchemy as sa
from flask import Flask
from sqlalchemy.engine import URL

from app.database import init_db
from app.models import db
from app.schema import upgrade

SERVERS = ("postgresql", "mariadb")


@dataclass(frozen=True)
class Settings:
    """As much of a configuration as `init_db` reads."""

    data_dir: Path
    database_url: str | None = None


class DatabaseServer:
    """One running server; ``url(name)`` is a database on it, made by `create`."""

    def __init__(self, admin: URL, process: subprocess.Popen[bytes], command: list[str], log: Path) -> None:
        self.admin, self.process, self._command, self._log = admin, process, command, log
        self._made = 0

    def create(self) -> str:
        """The URL of a new, empty database."""
        self._made += 1
        name = f"lockstep{self._made}"
        engine = sa.create_engine(self.admin, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {name}")
        engine.dispose()
        return self.admin.set(database=name).render_as_string(hide_password=False)

    def start(self) -> None:
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(self._command, stdout=log, stderr=log, start_new_session=True)
        self.wait()

    def wait(self, seconds: float = 30) -> None:
        """Until it answers; fails with the end of its log."""
        engine = sa.create_engine(self.admin)
        deadline = time.monotonic() + seconds
        while True:
            try:
                with engine.connect():
                    break
            except sa.exc.OperationalError:
                if time.monotonic() > deadline or self.process.poll() is not None:
                    pytest.fail(f"no answer from {self._command[0]}: {self._log.read_text()[-2000:]}")
                time.sleep(0.05)
        engine.dispose()

    def kill(self) -> None:
        """Ends it as a crash would.

        SIGQUIT is PostgreSQL's immediate shutdown, which also ends its children.
        """
        self._end(signal.SIGQUIT if self.admin.get_backend_name() == "postgresql" else signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGINT if self.admin.get_backend_name() == "postgresql" else signal.SIGTERM)

    def _end(self, number: signal.Signals) -> None:
        if self.process.poll() is None:
            self.process.send_signal(number)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(5)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _program(name: str, *places: str) -> str:
    for place in places:
        for folder in sorted(Path("/").glob(place), reverse=True):
            if os.access(folder / name, os.X_OK):
                return str(folder / name)
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def _as(user: str) -> list[str]:
    """Neither server runs as root."""
    if os.geteuid() != 0:
        return []
    try:
        pwd.getpwnam(user)
    except KeyError:
        pytest.skip(f"there is no user {user} to run the server as")
    return ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups"]


@contextmanager
def _folder(user: str) -> Iterator[Path]:
    # Below /tmp and short: a socket's path has 107 bytes at most.
    folder = Path(tempfile.mkdtemp(prefix="lsdb", dir="/tmp"))
    try:
        if os.geteuid() == 0:
            shutil.chown(folder, user, user)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def postgresql_server() -> Iterator[DatabaseServer]:
    """A PostgreSQL of its own, without fsync."""
    programs = "usr/lib/postgresql/*/bin"
    initdb, server = _program("initdb", programs), _program("postgres", programs)
    user = _as("postgres")
    with _folder("postgres") as folder:
        port = _free_port()
        subprocess.run(
            [*user, initdb, "-D", folder / "data", "-U", "lockstep", "-A", "trust", "-E", "UTF8", "-N"],
            check=True, capture_output=True, cwd=folder,
        )  # fmt: skip
        command = [*user, server, "-D", str(folder / "data"), "-p", str(port), "-k", str(folder)]
        command += ["-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-c", "shared_buffers=32MB"]
        admin = URL.create(
            "postgresql+psycopg", username="lockstep", host="127.0.0.1", port=port, database="postgres"
        )
        yield from _run(admin, command, folder / "log")


@contextmanager
def mariadb_server() -> Iterator[DatabaseServer]:
    """A MariaDB of its own."""
    install = _program("mariadb-install-db", "usr/bin", "usr/local/bin")
    server = _program("mariadbd", "usr/sbin", "usr/libexec")
    user = _as("mysql")
    with _folder("mysql") as folder:
        port = _free_port()
        subprocess.run(
            [*user, install, "--no-defaults", f"--datadir={folder}/data", "--skip-test-db",
             "--auth-root-authentication-method=normal"],
            check=True, capture_output=True, cwd=folder,
        )  # fmt: skip
        command = [*user, server, "--no-defaults", f"--datadir={folder}/data", f"--socket={folder}/s"]
        command += [f"--port={port}", "--bind-address=127.0.0.1", f"--pid-file={folder}/pid"]
        command += [
            "--innodb-flush-log-at-trx-commit=2",
            "--innodb-buffer-pool-size=64M",
            "--skip-name-resolve",
        ]
        admin = URL.create("mysql+pymysql", username="root", host="127.0.0.1", port=port, database="mysql")
        yield from _run(admin, command, folder / "log")


def _run(admin: URL, command: list[str], log: Path) -> Iterator[DatabaseServer]:
    with log.open("wb") as sink:
        process = subprocess.Popen(command, stdout=sink, stderr=sink, start_new_session=True)
    server = DatabaseServer(admin, process, command, log)
    try:
        server.wait()
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def postgresql() -> Iterator[DatabaseServer]:
    """One PostgreSQL for the whole run."""
    with postgresql_server() as server:
        yield server


@pytest.fixture(scope="session")
def mariadb() -> Iterator[DatabaseServer]:
    """One MariaDB for the whole run."""
    with mariadb_server() as server:
        yield server


@pytest.fixture(scope="session", params=SERVERS)
def server(request: pytest.FixtureRequest) -> DatabaseServer:
    """Each kind of server, one after the other."""
    return cast(DatabaseServer, request.getfixturevalue(request.param))


@pytest.fixture(scope="session", params=("sqlite", *SERVERS))
def database_server(request: pytest.FixtureRequest) -> DatabaseServer | None:
    """Each kind of database; None for SQLite, which needs no server."""
    return None if request.param == "sqlite" else request.getfixturevalue(request.param)


@contextmanager
def migrated(data_dir: Path, url: str | None) -> Iterator[Flask]:
    """An app whose database has all tables; its engines are closed afterwards."""
    app = Flask(__name__)
    init_db(app, Settings(data_dir, url))
    upgrade(app)
    try:
        yield app
    finally:
        with app.app_context():
            for engine in db.engines.values():
                engine.dispose()


@pytest.fixture
def database(database_server: DatabaseServer | None, tmp_path: Path) -> Iterator[Flask]:
    """An app on a new database of each kind."""
    url = None if database_server is None else database_server.create()
    with migrated(tmp_path / "var", url) as app:
        yield app


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Flask]:
    """An app on a new SQLite file."""
    with migrated(tmp_path / "var", None) as app:
        yield app
