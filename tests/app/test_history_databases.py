"""The nodes' history on every kind of database: it adds up, stays in its bounds, and is one supervisor's alone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from flask import Flask

from app.history import DAY, HOUR, KEEP_SECONDS, MINUTE, Sums, read, trim, write
from app.models import SampleRow, db
from app.stores.lease import Lease, LeaseHeld
from app.stores.writer import FencedOut
from tests.servers_db import DatabaseServer, database, database_server, mariadb, migrated, postgresql  # noqa: F401 - fixtures
from tests.servers_db import server as server
from tests.stand import wait_until

MIDNIGHT = 1_700_006_400 // DAY * DAY


def minute(**more: float) -> Sums:
    return Sums(
        **{"ready": 60.0, "rtt_sum": 0.12, "rtt_count": 12, "rtt_max": 0.02, "bytes": 5_000_000_000, **more}
    )


def rows_of(app: Flask) -> int:
    with app.app_context(), db.engine.connect() as connection:
        return connection.scalar(sa.select(sa.func.count()).select_from(SampleRow)) or 0


def test_minutes_become_hours_and_days(database: Flask) -> None:  # noqa: F811
    for number in range(90):
        write(database, MIDNIGHT + number * MINUTE, {"x": minute(), "结点": minute(rtt_max=number / 100)})
    assert len(read(database, "x", MINUTE, MIDNIGHT)) == 90
    hours = read(database, "x", HOUR, MIDNIGHT)
    assert [(row["ready"], row["bytes"]) for row in hours] == [
        (3600, 300_000_000_000),
        (1800, 150_000_000_000),
    ]
    (day,) = read(database, "结点", DAY, MIDNIGHT)
    assert (day["rtt_count"], day["rtt_max"]) == (90 * 12, 0.89)
    assert day["rtt_sum"] == pytest.approx(90 * 0.12)
    assert len(read(database, None, HOUR, MIDNIGHT + HOUR)) == 2


def test_a_minute_that_is_written_again_is_added_and_not_lost(database: Flask) -> None:  # noqa: F811
    """A restart within a minute leaves two halves of it."""
    for _ in range(2):
        write(database, MIDNIGHT, {"x": minute(ready=30.0)})
    for span in (MINUTE, HOUR, DAY):
        assert [row["ready"] for row in read(database, "x", span, MIDNIGHT)] == [60]


def test_each_span_is_kept_so_long_and_no_longer(database: Flask) -> None:  # noqa: F811
    now = MIDNIGHT + 900 * DAY
    spans = ((MINUTE, 10 * MINUTE, 30 * HOUR), (HOUR, 6 * HOUR, 34 * DAY), (DAY, 20 * DAY, 830 * DAY))
    with database.app_context(), db.engine.begin() as connection:
        for span, step, back in spans:
            rows = [
                {"node": "x", "span": span, "at": now - at, **minute().row()} for at in range(0, back, step)
            ]
            connection.execute(sa.insert(SampleRow), rows)
    for _ in range(60):
        trim(database, now)
    for span, step, _ in spans:
        kept = [row["at"] for row in read(database, "x", span, 0)]
        assert min(kept) >= now - KEEP_SECONDS[span]
        assert len(kept) == KEEP_SECONDS[span] // step + 1, "nothing that is to be kept went"


def test_what_300_nodes_write_in_an_hour_is_bounded(database: Flask) -> None:  # noqa: F811
    nodes = {f"n{number}": minute() for number in range(300)}
    for number in range(3):
        write(database, MIDNIGHT + number * MINUTE, nodes)
    assert rows_of(database) == 300 * (3 + 1 + 1)


@pytest.fixture
def shared(server: DatabaseServer, tmp_path) -> Iterator[Flask]:
    """A database that two supervisors reach."""
    with migrated(tmp_path / "var", server.create()) as app:
        yield app


def test_who_lost_the_lease_writes_no_history_and_removes_none(shared: Flask) -> None:
    with shared.app_context():
        old = Lease(db.engine, "old:1", on_change=lambda held, why: None, ttl_seconds=0.05)
        new = Lease(db.engine, "new:2", on_change=lambda held, why: None)
    old.acquire()
    write(shared, MIDNIGHT, {"x": minute()}, old)
    assert rows_of(shared) == 3
    wait_until(lambda: taken_by(new))
    with pytest.raises(FencedOut):
        write(shared, MIDNIGHT + MINUTE, {"x": minute()}, old)
    trim(shared, MIDNIGHT + 10 * 365 * DAY, old)
    assert rows_of(shared) == 3
    assert [row["ready"] for row in read(shared, "x", DAY, MIDNIGHT)] == [60]
    write(shared, MIDNIGHT + MINUTE, {"x": minute()}, new)
    assert rows_of(shared) == 4
    new.stop()


def taken_by(lease: Lease) -> bool:
    """Whether the other's lease has ended, and this one has it now."""
    try:
        lease.acquire()
    except LeaseHeld:
        return False
    return True
