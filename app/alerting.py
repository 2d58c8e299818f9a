"""Puts alerts, channels, hooks and their tables together for one running service. Decides nothing of its own.

The supervisor makes one, adds ``listener`` to the engine's listeners, lets a timer call ``wake`` every
second, and calls ``reload`` and ``stop``. Every delivery and every hook worth reading becomes an event.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol
from uuid import uuid4

from flask import Flask

from app.alerts.configured import channels_of, hooks_of, routes_of, rules_of
from app.alerts.entry import Entry, EntryState
from app.alerts.model import Delivery, test_notice
from app.alerts.service import Alerts
from app.alerts.wording import one_line, title
from app.config.schema.root import Config
from app.happening import Trigger
from app.hook_run import HookResult
from app.hooks import Hooks
from app.refused import Refused
from app.stores.alerts import make_alert_store
from app.stores.journal import Fence
from app.telling import Telling
from sync.ports import StoreError

log = logging.getLogger(__name__)
TRIES_BEFORE_ERROR = 3


class Emit(Protocol):
    """Writes a line of the timeline, from any thread, without waiting (sync/field.py: Field.emit, posted)."""

    def __call__(
        self, kind: str, message: str, *, node: str | None = None, severity: str = "info", **facts: Any
    ) -> None: ...


class Alerting:
    """Alerts and hooks of one service. ``deliveries`` counts tries by (channel, result), for the metrics."""

    def __init__(
        self,
        app: Flask,
        config: Config,
        emit: Emit,
        host_of: Callable[[str], str],
        fence: Fence | None = None,
    ) -> None:
        """Raises ChannelError for channel options that can never work."""
        self._emit = emit
        self._lock = threading.Lock()  # owns the next
        self._testing: set[str] = set()
        self._rules = rules_of(config)
        self.deliveries: Counter[tuple[str, str]] = Counter()
        self.store = make_alert_store(app, fence)
        self.alerts = Alerts(
            self._rules,
            routes_of(config.alerts),
            channels_of(config.alerts),
            self.store,
            self._delivered,
        )
        self.hooks = Hooks(hooks_of(config), self.alerts.tell, self._ran)
        self.listener = Telling(self.alerts, self.hooks, host_of)

    def start(self) -> None:
        """Takes up what was stored and starts the threads."""
        self.alerts.start()

    def stop(self) -> list[str]:
        """Ends hooks, then alerts. Returns the names of what did not end in time."""
        return [*self.hooks.stop(), *self.alerts.stop()]

    def reload(self, config: Config) -> None:
        """Takes over another configuration. Raises ChannelError; then nothing is changed."""
        channels = channels_of(config.alerts)
        self._rules = rules_of(config)
        self.alerts.reconfigure(self._rules, routes_of(config.alerts), channels)
        self.hooks.reconfigure(hooks_of(config))

    def wake(self) -> None:
        """Lets what is due be told; for a timer, once a second."""
        self.alerts.wake()

    def test(self, channel: str) -> tuple[Entry, Delivery]:
        """Tries a channel now, in the caller's thread, and writes it down like every delivery.

        Raises KeyError: no such channel. Raises Refused while another test of it runs: a channel that hangs
        must not hold a thread for each click.
        """
        with self._lock:
            if channel in self._testing:
                raise Refused("busy", f"a test of {channel} is on its way already: wait for what it says")
            self._testing.add(channel)
        try:
            at = time.time()
            delivery = self.alerts.test(channel)
        finally:
            with self._lock:
                self._testing.discard(channel)
        notice = test_notice(uuid4().hex, channel, at, self._rules.name)
        notice = replace(notice, language=self._rules.language)
        state = EntryState.SENT if delivery.ok else EntryState.FAILED
        entry = Entry(f"{notice.id}:{channel}", channel, notice, at, at, state, 1, delivery.detail)
        try:
            self.store.save(None, [entry])
        except StoreError as error:
            log.warning("the test of %s is on no page: %s", channel, error)
        self._delivered(entry, delivery)
        return entry, delivery

    def _delivered(self, entry: Entry, delivery: Delivery) -> None:
        result = "retry" if entry.state is EntryState.WAITING else entry.state.value
        self.deliveries[entry.channel, result] += 1
        tried = entry.state is EntryState.WAITING and entry.attempts < TRIES_BEFORE_ERROR
        severity = "info" if delivery.ok else "warning" if tried else "error"
        self._emit(
            "alert",
            one_line(f"{entry.channel}: {result}: {title(entry.notice, 'en')} ({delivery.detail})", 1000),
            severity=severity,
            channel=entry.channel,
            result=result,
            attempts=entry.attempts,
            notice=entry.notice.id,
        )

    def _ran(self, result: HookResult) -> None:
        quiet = result.ok and result.happening.trigger is Trigger.BATCH and not result.output.strip()
        if quiet:  # a line per batch would bury everything else
            return
        self._emit(
            "hook",
            one_line(f"{result.label}: {result.detail}", 500),
            node=result.happening.facts.get("node") or None,
            severity="info" if result.ok else "error",
            seconds=round(result.seconds, 3),
            output=result.output,
        )
