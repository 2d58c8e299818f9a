"""What holds is shown to pages at once, whatever the database does meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from app.alerts.entry import Entry
from app.alerts.model import AlertRules, Cleared, Condition, Raised, Severity
from app.alerts.routes import Routes
from app.alerts.service import Alerts
from app.web.context import trouble_of
from tests.stand import wait_until

CALM: dict[str, Any] = {
    "frozen": None,
    "nodes": [],
    "services": [],
    "database": {"error": None},
    "publish": {"fault": None, "watch": None, "held_deletions": 0, "source_errors_total": 0},
}


class HungStore:
    """A database that takes nothing until it is let go."""

    def __init__(self) -> None:
        self.asked, self.free = threading.Event(), threading.Event()

    def load(self) -> tuple[None, Sequence[Entry]]:
        return None, ()

    def save(self, state: Mapping[str, Any] | None, entries: Sequence[Entry]) -> None:
        self.asked.set()
        self.free.wait(30)


@contextmanager
def alerts_over(store: HungStore) -> Iterator[Alerts]:
    alerts = Alerts(
        AlertRules(group_seconds=0), Routes({"default": ()}), {}, store, lambda entry, delivery: None
    )
    alerts.start()
    try:
        yield alerts
    finally:
        store.free.set()
        alerts.stop()


def raised(name: str, severity: Severity = Severity.WARNING) -> Raised:
    return Raised(1.0, Condition.SYSTEM, name, severity, "it is full", "Free some.")


def test_what_holds_is_shown_while_the_database_hangs() -> None:
    store = HungStore()
    with alerts_over(store) as alerts:
        alerts.feed(raised("disk"))
        assert store.asked.wait(10)
        shown: list[str] = []
        reader = threading.Thread(target=lambda: shown.extend(a.object for a in alerts.alerts))
        reader.start()
        reader.join(5)
        assert shown == ["disk"]
        assert alerts.silences == ()


def test_a_silence_is_shown_at_once_and_gone_at_once() -> None:
    store = HungStore()
    store.free.set()
    with alerts_over(store) as alerts:
        alerts.feed(raised("disk"))
        wait_until(lambda: alerts.alerts, 10)
        begun = alerts.silence(4e9, None, "disk")
        assert alerts.silences == (begun,)
        assert alerts.end_silence(begun.id)
        assert alerts.silences == ()
        alerts.feed(Cleared(2.0, Condition.SYSTEM, "disk"))
        wait_until(lambda: not any(a.up for a in alerts.alerts), 10)


def test_an_alert_shows_in_title_and_favicon() -> None:
    store = HungStore()
    store.free.set()
    with alerts_over(store) as alerts:
        assert trouble_of(CALM, alerts.alerts).level == "ok"
        alerts.feed(raised("disk"))
        wait_until(lambda: alerts.alerts, 10)
        assert (trouble_of(CALM, alerts.alerts).level, trouble_of(CALM, alerts.alerts).count) == ("warn", 1)
        alerts.feed(raised("disk", Severity.CRITICAL))
        wait_until(lambda: alerts.alerts[0].severity is Severity.CRITICAL, 10)
        assert trouble_of(CALM, alerts.alerts).level == "bad"
