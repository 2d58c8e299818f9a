"""The nodes' history: minutes add up to hours and days, what is old goes, and nothing waits for the database."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import sqlalchemy as sa

from app import history
from app.history import DAY, HOUR, MINUTE, Sums, cells, read, trim, write
from app.models import SampleRow, db
from tests.served import Service, lockstep  # noqa: F401 - fixtures
from tests.stand import wait_until

MIDNIGHT = 1_700_006_400 // DAY * DAY


def minute(**more: float) -> Sums:
    return Sums(**{"ready": 60.0, "in_sync": 60.0, "rtt_sum": 0.12, "rtt_count": 12, "rtt_max": 0.02, **more})


def test_minutes_add_up_to_hours_and_days(lockstep: Service) -> None:  # noqa: F811
    for number in range(90):
        write(lockstep.app, MIDNIGHT + number * MINUTE, {"x": minute(bytes=10), "y": minute(dead=1.0)})
    assert len(read(lockstep.app, "x", MINUTE, MIDNIGHT)) == 90
    hours = read(lockstep.app, "x", HOUR, MIDNIGHT)
    assert [(row["ready"], row["bytes"]) for row in hours] == [(3600, 600), (1800, 300)]
    (day,) = read(lockstep.app, "x", DAY, MIDNIGHT)
    assert (day["rtt_count"], day["rtt_max"]) == (90 * 12, 0.02)
    assert day["rtt_sum"] == pytest.approx(90 * 0.12)


def test_the_database_does_not_grow_beyond_its_bounds(lockstep: Service) -> None:  # noqa: F811
    now = MIDNIGHT + 3 * DAY
    for at in range(MIDNIGHT, now, 10 * MINUTE):
        write(lockstep.app, at, {"x": minute()})
    for _ in range(400):
        trim(lockstep.app, now)
    kept = read(lockstep.app, "x", MINUTE, 0)
    kept = [row for row in kept if row["at"] < now]
    assert min(row["at"] for row in kept) >= now - history.KEEP_SECONDS[MINUTE]
    assert len(read(lockstep.app, "x", HOUR, MIDNIGHT)) >= 72


def test_a_bar_shows_the_worst_that_took_a_share_of_its_cell() -> None:
    now = MIDNIGHT + DAY
    rows = [{"at": MIDNIGHT + 10 * MINUTE * n, **minute().row()} for n in range(1, 10)]
    rows += [{"at": MIDNIGHT + HOUR * 5, **minute(ready=50.0, dead=10.0).row()}]
    rows += [{"at": MIDNIGHT + HOUR * 6, **minute(ready=59.5, dead=0.5).row()}]
    shown = {cell["at"]: cell for cell in cells(rows, now, "24h")}
    assert len(shown) == 144
    assert shown[MIDNIGHT + 10 * MINUTE]["state"] == "ready"
    assert shown[MIDNIGHT + HOUR * 5]["state"] == "dead"
    assert shown[MIDNIGHT + HOUR * 6]["state"] == "ready"
    assert shown[MIDNIGHT + HOUR * 7]["state"] == "none"


def test_a_running_service_records_itself(lockstep: Service) -> None:  # noqa: F811
    lockstep.all_ready()
    recorder = lockstep.supervisor.history
    recorder.sample()
    time.sleep(0.05)
    recorder.sample()
    recorder._turn_over(None)
    rows = wait_until(lambda: read(lockstep.app, "a", MINUTE, 0))
    assert sum(row["ready"] for row in rows) > 0
    assert recorder.recent_lag("a")


def test_what_cannot_be_written_is_kept_and_written_later(
    lockstep: Service,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lockstep.all_ready()
    recorder = lockstep.supervisor.history

    def away(*_: object) -> None:
        raise sa.exc.OperationalError("insert", {}, Exception("the database is away"))

    with monkeypatch.context() as patch:
        patch.setattr(history, "write", away)
        recorder.sample()
        recorder._turn_over(MIDNIGHT)
        assert len(recorder._unwritten) >= 1
    recorder._turn_over(MIDNIGHT + MINUTE)
    assert not recorder._unwritten
    assert read(lockstep.app, "a", MINUTE, 0)


def test_plots_are_answered_for_every_span(lockstep: Service) -> None:  # noqa: F811
    now = int(time.time()) // MINUTE * MINUTE
    for back in range(1, 30):
        write(
            lockstep.app,
            now - back * MINUTE,
            {"a": minute(bytes=6000, lag_sum=12.0, lag_count=12, lag_max=2.0)},
        )
    for what in ("lag", "rtt", "rate"):
        for span in history.WINDOWS:
            plot = lockstep.json(f"/nodes/a/plot/{what}.json?span={span}")
            assert all(len(s["values"]) == len(plot["at"]) for s in plot["series"])
            assert any(v is not None for s in plot["series"] for v in s["values"]), (what, span)
    assert lockstep.client.get("/nodes/a/plot/other.json").status_code == 404
    assert lockstep.client.get("/nodes/zz/plot/lag.json").status_code == 404


def test_300_nodes_stay_within_their_bounds_and_are_written_fast(lockstep: Service) -> None:  # noqa: F811
    nodes = {f"n{number}": minute() for number in range(300)}
    began = time.monotonic()
    for number in range(5):
        write(lockstep.app, MIDNIGHT + number * MINUTE, nodes)
    assert (time.monotonic() - began) / 5 < 2.0
    with lockstep.app.app_context(), db.engine.connect() as connection:
        count = connection.scalar(
            sa.select(sa.func.count()).select_from(SampleRow).where(SampleRow.node == "n1")
        )
    assert count == 5 + 1 + 1
    assert Path(lockstep.folder / "var" / "lockstep.db").stat().st_size < 20_000_000
