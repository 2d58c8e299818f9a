"""300 nodes and the database: probing fills it with nothing, pages stay fast beside a month of history, and a
database that is busy keeps no probe waiting.
"""

from __future__ import annotations

import sqlite3
import statistics
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from bench import made_up
from tests.served import Service, configured_as, service, with_a_crowd
from tests.stand import wait_until

MADE_UP, REAL = 298, 2
PAGES = (
    *("/", "/nodes", "/nodes/n7", "/nodes/n7?span=30d", "/nodes/n7/plot/lag.json?span=30d"),
    *("/content", "/dns", "/events", "/api/v1/status", "/api/v1/events?node=n7", "/api/v1/transfers?node=n7"),
)
TABLES = ("event", "transfer", "record_history", "outbox", "entry", "node", "dustbin", "fact", "report")


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Two real nodes, and 298 that are known to be dead and asked every two seconds."""
    folder = tmp_path_factory.mktemp("crowd")
    with configured_as(with_a_crowd(MADE_UP, dead_seconds=2)), service(folder, nodes=REAL) as running:
        wait_until(lambda: states(running) == {"ready": REAL, "dead": MADE_UP}, 90, "the crowd is known")
        yield running


@pytest.fixture(autouse=True)
def nothing_is_left_behind() -> None:
    """The service of this module outlives its tests."""


def states(running: Service) -> dict[str, int]:
    found = [node.state.value for node in list(running.supervisor.engine.field.nodes.values())]
    return {state: found.count(state) for state in found}


def database(running: Service) -> Path:
    return running.folder / "var" / "lockstep.db"


def rows(running: Service) -> dict[str, int]:
    """How many rows each table has; alerts are told when it suits them."""
    with closing(sqlite3.connect(f"file:{database(running)}?mode=ro", uri=True, timeout=20)) as connection:
        counted = {t: connection.execute(f"SELECT count(*) FROM {t}").fetchone()[0] for t in TABLES}
        alerts = connection.execute("SELECT count(*) FROM event WHERE kind = 'alert'").fetchone()[0]
    return {**counted, "event": counted["event"] - alerts, "outbox": 0}


def observations(running: Service) -> dict[str, float]:
    """When each node was last observed."""
    nodes = list(running.supervisor.engine.field.nodes.values())
    return {node.name: node.observed.at for node in nodes if node.observed is not None}


def all_observed_again(running: Service, times: int, seconds: float) -> None:
    """Every node, so many times."""
    for _ in range(times):
        before = observations(running)
        wait_until(
            lambda b=before: all(at > b[name] for name, at in observations(running).items()),
            seconds,
            "every node is observed again",
        )


def test_probing_a_crowd_adds_nothing_to_the_database(crowd: Service) -> None:
    assert crowd.supervisor.store.flush(20)
    before, size = rows(crowd), database(crowd).stat().st_size
    all_observed_again(crowd, 3, 30)
    assert crowd.supervisor.store.flush(20)
    assert rows(crowd) == before
    assert database(crowd).stat().st_size - size < 300_000  # 900 rows of even 400 bytes would be more


def test_no_probe_waits_for_the_database(crowd: Service) -> None:
    daemon = crowd.daemons["b"]
    with closing(sqlite3.connect(database(crowd), isolation_level=None, timeout=20)) as rival:
        rival.execute("BEGIN IMMEDIATE")
        try:
            all_observed_again(crowd, 1, 8)
            daemon.kill()
            wait_until(lambda: states(crowd).get("dead") == MADE_UP + 1, 10, "b is known to be dead")
            began = time.monotonic()
            assert "dead" in crowd.client.get("/nodes/b").text
            assert crowd.client.get("/").status_code == 200
            assert time.monotonic() - began < 3, "no page waits either"
            assert flips_of(crowd, "b") == [], "it was the database that was kept"
        finally:
            rival.execute("ROLLBACK")
    wait_until(lambda: flips_of(crowd, "b"), 20, "it is stored when the database is free")
    daemon.start()
    wait_until(lambda: states(crowd).get("ready") == REAL, 30, "b is back")


def flips_of(running: Service, node: str) -> list[str]:
    """What is stored of a node's leaving."""
    query = "SELECT message FROM event WHERE kind = 'flip' AND node = ? AND facts LIKE '%dead%'"
    with closing(sqlite3.connect(f"file:{database(running)}?mode=ro", uri=True, timeout=20)) as connection:
        return [row[0] for row in connection.execute(query, (node,))]


def test_pages_stay_fast_beside_a_month_of_history(crowd: Service) -> None:
    made_up.history(database(crowd), time.time(), name=lambda number: f"n{number}", minutes=300)
    client = crowd.client
    for path in (
        "/",
        "/nodes",
        "/nodes/n7",
        "/nodes/n7?span=30d",
        "/nodes/n7/plot/lag.json",
        "/content",
        "/dns",
        "/events",
    ):
        took = []
        for _ in range(5):
            began = time.thread_time()  # the work, not what else the machine does meanwhile
            assert client.get(path).status_code == 200
            took.append(time.thread_time() - began)
        assert statistics.median(took) < 0.3, (path, took)
