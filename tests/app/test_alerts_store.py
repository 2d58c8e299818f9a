"""The alerts' state and the outbox on every kind of database."""

from __future__ import annotations

import time

import pytest
import sqlalchemy as sa
from flask import Flask

from app.alerts.entry import Entry, EntryState, entry_for
from app.alerts.model import AlertRules, Condition, Delivery, Item, Notice, NoticeKind, Raised, Severity
from app.alerts.routes import Routes
from app.alerts.service import Alerts
from app.models import db
from app.stores.alerts import make_alert_store
from app.stores.writer import FencedOut
from sync.ports import StoreError
from tests.servers_db import database, database_server, mariadb, postgresql, sqlite  # noqa: F401 - fixtures


def notice(identity: str, at: float = 1.0) -> Notice:
    item = Item(
        Condition.DEAD, "节点 😀", Severity.CRITICAL, 'said "no"\n', "look", 0.25, 1.5, 3, {"node": "a"}
    )
    return Notice(
        identity, NoticeKind.FIRING, Condition.DEAD, Severity.CRITICAL, at, (item,), identity, ("x", "y")
    )


class Fenced:
    def check(self, connection: sa.Connection) -> None:
        raise FencedOut("another supervisor has the lease")


def test_what_is_saved_comes_back_as_it_was_and_only_what_waits_is_taken_up(database: Flask) -> None:  # noqa: F811
    store = make_alert_store(database)
    assert store.load() == (None, [])
    first, second = entry_for(notice("n1"), "ops", 1000.000001), entry_for(notice("n2"), "ops", 999.5)
    store.save({"alerts": [{"object": "é😀"}]}, [first, second])
    assert store.load() == ({"alerts": [{"object": "é😀"}]}, [second, first])
    sent = Entry(first.id, "ops", first.notice, 1000.000001, 1000.0, EntryState.SENT, 2, "250 ok")
    store.save(None, [sent])
    state, waiting = store.load()
    assert (state, waiting) == ({"alerts": [{"object": "é😀"}]}, [second])
    assert store.latest() == [sent, second]
    store.save({"alerts": []}, [])
    assert store.load()[0] == {"alerts": []}


def test_old_entries_go_and_what_waits_stays_however_old(database: Flask) -> None:  # noqa: F811
    store = make_alert_store(database)
    old, waiting, new = (
        entry_for(notice(name), "ops", at) for name, at in (("a", 1.0), ("b", 2.0), ("c", 30.0))
    )
    done = [Entry(e.id, e.channel, e.notice, e.created_at, 0.0, EntryState.SENT) for e in (old, new)]
    store.save(None, [waiting, *done])
    assert store.trim(10.0) == 1
    assert {entry.id for entry in store.latest()} == {waiting.id, new.id}


def test_a_supervisor_that_lost_its_lease_writes_nothing(database: Flask) -> None:  # noqa: F811
    with pytest.raises(FencedOut):
        make_alert_store(database, Fenced()).save({"alerts": []}, [entry_for(notice("n"), "ops", 1.0)])
    assert make_alert_store(database).load() == (None, [])


def test_a_table_that_is_missing_is_a_store_error_with_the_reason(database: Flask) -> None:  # noqa: F811
    store = make_alert_store(database)
    with database.app_context(), db.engine.begin() as connection:
        connection.execute(sa.text("DROP TABLE outbox"))
    for attempt in (store.load, lambda: store.save(None, [entry_for(notice("n"), "ops", 1.0)]), store.latest):
        with pytest.raises(StoreError, match=r"alerts|notices"):
            attempt()


def test_alerts_go_on_over_a_restart_on_a_real_database(database: Flask) -> None:  # noqa: F811
    class Channel:
        name, rate = "ops", None

        def __init__(self, answer: Delivery) -> None:
            self.answer = answer
            self.told: list[str] = []

        def send(self, notice: Notice) -> Delivery:
            self.told.append(notice.id)
            return self.answer

    def life(channel: Channel, now: float) -> None:
        rules = AlertRules(group_seconds=0.0)
        table = Routes({"default": ("ops",)})
        store = make_alert_store(database)
        alerts = Alerts(rules, table, {"ops": channel}, store, lambda *_: None, clock=lambda: now)
        alerts.start()
        alerts.feed(Raised(now, Condition.DEAD, "a", Severity.CRITICAL, "no answer", "look"))
        alerts.step()
        deadline = time.monotonic() + 20
        while not channel.told and now < 6000 and time.monotonic() < deadline:
            time.sleep(0.005)
        assert alerts.stop() == []

    down, up = Channel(Delivery(False, detail="away")), Channel(Delivery(True, detail="ok"))
    life(down, 1000.0)
    life(up, 5000.0)
    life(up, 6000.0)
    assert set(up.told) | set(down.told) == set(up.told)
    assert len(up.told) == 1
    assert [entry.state for entry in make_alert_store(database).latest()] == [EntryState.SENT]
