"""The whole service over PostgreSQL and over MariaDB: publish, a node that dies and recovers, drift, the dustbin, and
a restart after kill -9. What the stores promise is tried elsewhere; here nothing may depend on SQLite.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from app.models import LeaseRow
from tests.servers_db import DatabaseServer, mariadb, postgresql  # noqa: F401 - fixtures
from tests.servers_db import server as server
from tests.servers_lockstep import Lockstep, installation
from tests.trees import differences, tree


@pytest.fixture
def kept(server: DatabaseServer, tmp_path: Path) -> Iterator[Lockstep]:
    """Two nodes, and a database on a server; audits every two seconds."""
    with installation(tmp_path / "lockstep", nodes=2, more=f"database_url: {server.create()}\n") as made:
        text = made.config.read_text().replace("max_lag_seconds: 2}", "max_lag_seconds: 2, audit_seconds: 2}")
        made.config.write_text(text)
        made.start()
        made.all_in_sync(60)
        yield made


def node(kept: Lockstep, name: str) -> dict[str, Any]:
    return next(n for n in kept.asked("status")["nodes"] if n["name"] == name)


def alike(kept: Lockstep, *names: str) -> None:
    """These nodes have become equal to the source."""
    for name in names:
        path = kept.daemons[name].module_path
        kept.until(lambda p=path: not differences(tree(kept.publish), tree(p)), f"{name} is like the source")


def test_the_service_keeps_its_promises_on_a_database_server(kept: Lockstep) -> None:
    # publish
    (kept.publish / "news").mkdir()
    for number in range(30):
        (kept.publish / "news" / f"{number}-ü.html").write_text(f"<p>{number}</p>")
    (kept.publish / os.fsdecode(b"bytes \xff\xfe")).write_bytes(b"a name of any bytes")
    (kept.publish / "index.html").unlink()
    alike(kept, "a", "b")

    # a node dies, and recovers
    kept.daemons["b"].kill()
    kept.until(lambda: node(kept, "b")["state"] == "dead", "b is dead")
    (kept.publish / "while-b-was-away.html").write_text("news")
    alike(kept, "a")
    kept.daemons["b"].start()
    kept.all_in_sync()
    alike(kept, "a", "b")

    # drift
    drifted = kept.daemons["a"].module_path / "news" / "3-ü.html"
    drifted.write_text("somebody was here, and wrote more than there was")
    kept.until(lambda: has_said(kept, "drift"), "the audit finds it")
    kept.all_in_sync()
    alike(kept, "a")

    # a path that one node cannot take
    blocked = kept.daemons["a"].module_path / "blocked"
    blocked.mkdir()
    make_immutable(blocked)
    try:
        (kept.publish / "blocked").mkdir()
        (kept.publish / "blocked" / "page.html").write_text("page")
        entries = kept.until(lambda: kept.asked("dustbin")["entries"], "it stands in the dustbin")
        assert {entry["node"] for entry in entries} == {"a"}
        kept.until(lambda: not node(kept, "a")["in_sync"], "a fails to take what b has taken")

        # kill -9
        head = kept.asked("status")["head"]
        kept.stop(signal.SIGKILL)
        (kept.publish / "while-it-was-dead.html").write_text("news")
        kept.start()
        kept.until(
            lambda: kept.asked("status")["head"] > head, "the scan finds what was written meanwhile", 60
        )
        assert {entry["node"] for entry in kept.asked("dustbin")["entries"]} == {"a"}
    finally:
        make_immutable(blocked, no_longer=True)
    kept.asked("retry", ids=None)
    kept.all_in_sync(60)
    alike(kept, "a", "b")
    assert kept.asked("dustbin")["entries"] == []

    # what a clean restart leaves, and what is shown of it all
    head = kept.asked("status")["head"]
    assert kept.stop(signal.SIGTERM) == 0
    kept.start()
    kept.all_in_sync(60)
    assert kept.asked("status")["head"] == head
    shown = kept.json("events", "--since", "1h")["events"]
    assert {"flip", "drift", "dustbin"} <= {event["kind"] for event in shown}


def test_a_start_that_waits_for_the_lease_of_a_dead_one_ends_when_it_is_told_to(
    kept: Lockstep,
) -> None:
    kept.stop(signal.SIGKILL)
    served = kept.log.count("serves http://")
    url = next(line for line in kept.config.read_text().splitlines() if line.startswith("database_url: "))
    engine = sa.create_engine(url.removeprefix("database_url: "))
    with engine.begin() as connection:
        connection.execute(sa.update(LeaseRow).values(expires=LeaseRow.expires + 3600))
    engine.dispose()
    kept.process = kept.spawn()
    kept.until(lambda: "without giving its lease back" in kept.log, "it waits", 60)
    asked_at = time.monotonic()
    assert kept.stop(signal.SIGTERM) == 0
    assert time.monotonic() - asked_at < 6, "it does not wait to the end"
    assert kept.log.count("serves http://") == served


def has_said(kept: Lockstep, kind: str) -> bool:
    return any(event["kind"] == kind for event in kept.json("events", "--since", "1h")["events"])


def make_immutable(folder: Path, *, no_longer: bool = False) -> None:
    """Nobody may write into it, root neither."""

    done = subprocess.run(
        ["chattr", "-i" if no_longer else "+i", str(folder)], capture_output=True, check=False
    )
    if done.returncode != 0 and not no_longer:
        pytest.skip("this file system has no immutable directories")
