"""Another process that reads the database, as every command does, leaves the running service's log alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from flask import Flask

from app.database import READ, init_db
from app.models import db
from app.schema import upgrade
from tests.stand import StoreConfig

READER = "import sqlite3, sys; d = sqlite3.connect(sys.argv[1]); d.execute('select count(*) from event'); d.close()"


def test_a_reader_of_another_process_does_not_delete_the_log_of_a_writer(tmp_path: Path) -> None:
    app = Flask("locks")
    init_db(app, StoreConfig(tmp_path, None))
    upgrade(app)
    with app.app_context():
        try:
            with db.engine.connect() as writer, db.engines[READ].connect() as reader:
                writer.exec_driver_sql("SELECT 1 FROM event")
                reader.exec_driver_sql("SELECT 1 FROM event")
                log = tmp_path / "lockstep.db-wal"
                before = log.stat().st_ino
                subprocess.run(
                    [sys.executable, "-c", READER, str(tmp_path / "lockstep.db")], check=True, timeout=60
                )
                assert log.exists(), "the reader took itself for the last one"
                assert log.stat().st_ino == before
        finally:
            for engine in db.engines.values():
                engine.dispose()
