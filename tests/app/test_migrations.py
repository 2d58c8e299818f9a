"""The tables that migrations make are the models', on every kind of database."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from flask import Flask

from app.database import database_url, init_db, writing
from app.models import READ, LeaseRow, db
from app.schema import upgrade
from sync.ports import StoreError
from tests.servers_db import (  # noqa: F401 - fixtures
    DatabaseServer,
    Settings,
    database,
    database_server,
    mariadb,
    migrated,
    postgresql,
    sqlite,
)


def test_migrated_tables_are_those_of_the_models(database: Flask) -> None:  # noqa: F811
    upgrade(database)  # a second time: nothing to do
    with database.app_context(), db.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, db.metadata) == []


def test_two_machines_that_start_at_once_migrate_one_after_the_other(
    database_server: DatabaseServer | None,  # noqa: F811
    tmp_path: Path,
) -> None:
    if database_server is None:
        pytest.skip("a SQLite file has one machine, and the installation's lock")
    url = database_server.create()
    errors: list[BaseException] = []

    def start(number: int) -> None:
        try:
            with migrated(tmp_path / str(number), url):
                pass
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=start, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []


def test_pages_cannot_write_and_what_means_to_write_can(database: Flask) -> None:  # noqa: F811
    row = {"id": 1, "holder": "me", "token": 7, "expires": 1_700_000_000.125}
    with database.app_context():
        with pytest.raises((sa.exc.OperationalError, sa.exc.InternalError)):
            db.session.execute(sa.insert(LeaseRow).values(row))
        db.session.rollback()
        with writing() as session:
            session.add(LeaseRow(**row))
        found = db.session.get(LeaseRow, 1)
        assert found is not None
        assert (found.token, found.expires) == (7, 1_700_000_000.125)
        db.session.remove()


def test_a_database_of_a_newer_version_is_refused_and_left_alone(sqlite: Flask) -> None:  # noqa: F811
    with sqlite.app_context(), db.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StoreError, match="newer Lockstep"):
        upgrade(sqlite)


def test_a_database_that_does_not_answer_is_a_sentence_without_a_password(tmp_path: Path) -> None:
    app = Flask(__name__)
    init_db(app, Settings(tmp_path, "postgresql://me:geheim@127.0.0.1:1/lockstep"))
    with pytest.raises(StoreError) as error:
        upgrade(app)
    assert "refused" in str(error.value)
    assert "geheim" not in str(error.value)
    assert "\n" not in str(error.value)


def test_a_relative_data_dir_and_one_with_odd_characters_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with migrated(Path("va%r ?#ü"), None) as app, app.app_context():
        assert (tmp_path / "va%r ?#ü" / "lockstep.db").is_file()
        assert db.engines[READ].url == db.engine.url


@pytest.mark.parametrize(
    ("url", "driver"),
    [
        ("postgresql://h/d", "postgresql+psycopg"),
        ("mysql+pymysql://h/d", "mysql+pymysql"),
        ("mariadb+pymysql://h/d", "mysql+pymysql"),
        ("sqlite:////tmp/x.db", "sqlite"),
    ],
)
def test_each_url_gets_its_driver(url: str, driver: str, tmp_path: Path) -> None:
    assert database_url(Settings(tmp_path, url)).drivername == driver


@pytest.mark.parametrize(
    "url", ["mysql://u:geheim@h/d", "oracle://h", "geheim", "sqlite://", "postgres://h/d"]
)
def test_a_url_that_is_not_supported_is_refused_with_what_to_write(url: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="database_url") as error:
        database_url(Settings(tmp_path, url))
    assert "geheim" not in str(error.value)
