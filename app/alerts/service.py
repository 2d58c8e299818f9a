"""Feeds the alert book from any thread and hands what it tells to the outbox. Never makes its feeders wait.

One thread owns the book's progress: it takes in what was fed, asks what is to be told, stores the state
together with the new outbox rows, and only then queues them. So a crash loses no notice, and none is told
under a state that forgot it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import uuid4

from app.alerts.alert import Alert
from app.alerts.channels.contract import Channel
from app.alerts.core import AlertBook
from app.alerts.entry import AlertStore, Entry, EntryState, entry_for
from app.alerts.model import (
    AlertRules,
    Condition,
    Delivery,
    Mistake,
    Notice,
    NoticeKind,
    Severity,
    Signal,
    Silence,
    test_notice,
    text_notice,
)
from app.alerts.outbox import Outbox, Report
from app.alerts.routes import Routes
from app.alerts.signals import of_system

log = logging.getLogger(__name__)
TRIES_BEFORE_ALERT = 3
DOUBT_SECONDS = 900.0  # time enough for the start-up scan, every probe and a first pass over DNS
MOST_UNREAD = 10_000  # above it mistakes are dropped: by then every strategy holds anyway


def _new_id() -> str:
    return uuid4().hex


class Alerts:
    """The whole of alerting for one process. ``feed`` and ``wake`` never block; the rest may wait for the
    book.
    """

    def __init__(
        self,
        rules: AlertRules,
        routes: Routes,
        channels: Mapping[str, Channel],
        store: AlertStore,
        report: Report,
        *,
        clock: Callable[[], float] = time.time,
        new_id: Callable[[], str] = _new_id,
    ) -> None:
        self._clock = clock
        self._new_id = new_id
        self._store = store
        self._report = report
        self.outbox = Outbox(channels, store, self._delivered, clock=clock)
        self._book = AlertBook(rules, routes, new_id)
        self._lock = threading.Lock()  # owns _book, _stored and _store_fails
        self._stored: dict[str, Any] = {}
        self._store_fails = False
        self._shown: tuple[tuple[Alert, ...], tuple[Silence, ...]] = ((), ())  # replaced as a whole
        self._unread: deque[Signal] = deque()  # appended by feeders, emptied under _lock
        self._woken = threading.Event()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    # --- life -----------------------------------------------------------------------------------------

    def start(self) -> None:
        """Takes up what was stored and starts the threads. A store that cannot be read means starting
        empty, loudly.
        """
        entries: Sequence[Entry] = ()
        try:
            state, entries = self._store.load()
            if state is not None:
                with self._lock:
                    self._book.restore(state)
                    self._book.doubt(self._clock() + DOUBT_SECONDS)
                    self._book.catch_up(self._clock())
                    self._show()
        except Exception:
            log.exception(
                "the alerts of before could not be read; what still holds will be raised and told again"
            )
        self.outbox.start(entries)
        self._thread = threading.Thread(target=self._run, name="alerts", daemon=True)
        self._thread.start()

    def stop(self) -> list[str]:
        """Takes in what was fed, ends all threads; what is untold stays stored. Returns channels that
        hung.
        """
        self._stopping.set()
        self._woken.set()
        if self._thread is not None:
            self._thread.join()
            self.step()
        return self.outbox.stop()

    def reconfigure(self, rules: AlertRules, routes: Routes, channels: Mapping[str, Channel]) -> None:
        """Takes over another configuration while running."""
        with self._lock:
            self._book.reconfigure(rules, routes, self._clock())
            self._show()
        self.outbox.reconfigure(channels)
        self._woken.set()

    # --- in -------------------------------------------------------------------------------------------

    def feed(self, *signals: Signal) -> None:
        """Takes signals in, from any thread, at once."""
        for signal in signals:
            if not isinstance(signal, Mistake) or len(self._unread) < MOST_UNREAD:
                self._unread.append(signal)
        self._woken.set()

    def wake(self) -> None:
        """Lets groups, repeats and ends that are due be told: for a timer, once a second. Cheap when
        nothing is due.
        """
        self._woken.set()

    def silence(
        self, until: float, condition: Condition | None, name: str | None, comment: str = ""
    ) -> Silence:
        """Begins a silence and returns it."""
        begun = Silence(self._new_id()[:8], until, condition, name, comment)
        with self._lock:
            self._book.silences.begin(begun)
            self._show()
        self._woken.set()
        return begun

    def end_silence(self, silence_id: str) -> bool:
        """Ends a silence early; False when there is none of this id."""
        with self._lock:
            ended = self._book.silences.end(silence_id)
            self._show()
        self._woken.set()
        return ended

    # --- out ------------------------------------------------------------------------------------------

    @property
    def alerts(self) -> tuple[Alert, ...]:
        """What holds or is still to be told, oldest first. Never waits, for the database neither."""
        return self._shown[0]

    @property
    def silences(self) -> tuple[Silence, ...]:
        """The silences, soonest end first. Never waits."""
        return self._shown[1]

    def tell(self, text: str, channels: Sequence[str], severity: Severity = Severity.INFO) -> None:
        """Queues a text for these channels, past conditions and routes: for hooks that name a channel."""
        notice = text_notice(self._new_id(), NoticeKind.HOOK, text, self._clock(), self._name(), severity)
        self.outbox.put(self._spoken(notice), channels)

    def test(self, channel: str) -> Delivery:
        """Tries a channel now, in the caller's thread. Raises KeyError when there is no such channel."""
        notice = test_notice(self._new_id(), channel, self._clock(), self._name())
        return self.outbox.tell_now(self._spoken(notice), channel)

    def step(self) -> None:
        """Everything the thread does when woken; also for tests and commands without a thread."""
        with self._lock:
            while self._unread:
                self._book.feed(self._unread.popleft())
            now = self._clock()
            told = self._book.advance(now)
            self._show()
            entries = [
                entry_for(replace(one, language=self._book.rules.language), channel, now)
                for one, channels in told
                for channel in _useful(one, channels)
            ]
            state = self._book.to_json()
            if entries or state != self._stored:
                self._save(state, entries)
        self.outbox.take(entries)

    # --- inside ---------------------------------------------------------------------------------------

    def _show(self) -> None:
        """Lets pages see how things stand; under the lock, and before anything is stored."""
        self._shown = self._book.alerts, self._book.silences.all()

    def _save(self, state: dict[str, Any], entries: list[Entry]) -> None:
        try:
            self._store.save(state, entries)
            self._stored = state
            self._store_fails = False
        except Exception as error:  # noqa: BLE001 — a lost database is something to tell of, not to stop telling
            if not self._store_fails:
                log.warning("the alerts cannot be stored (%s); they go on in memory", type(error).__name__)
            self._store_fails = True
            self.outbox.keep(entries)

    def _delivered(self, entry: Entry, delivery: Delivery) -> None:
        """Passes the report on, and raises or clears the alert about the channel itself."""
        self._report(entry, delivery)
        if delivery.ok:
            self.feed(of_system(self._clock(), _channel_object(entry.channel), None))
        elif entry.state is not EntryState.WAITING or entry.attempts >= TRIES_BEFORE_ALERT:
            what = f"{entry.attempts} tries to tell of something failed: {delivery.detail}"
            signal = of_system(self._clock(), _channel_object(entry.channel), what, Severity.WARNING)
            self.feed(signal)

    def _spoken(self, notice: Notice) -> Notice:
        """The notice in the language that people are told in."""
        with self._lock:
            return replace(notice, language=self._book.rules.language)

    def _name(self) -> str:
        with self._lock:
            return self._book.rules.name

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._woken.wait()
            self._woken.clear()
            try:
                self.step()
            except Exception:
                log.exception("alerting stumbled; what was fed last may be missing")


def _channel_object(channel: str) -> str:
    return f"alert channel {channel}"


def _useful(notice: Notice, channels: Sequence[str]) -> list[str]:
    """The channels without those whose own trouble is all that the notice is about."""
    about = {item.object for item in notice.items}
    return [channel for channel in channels if about != {_channel_object(channel)}]
