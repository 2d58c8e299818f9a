"""Counts and tells what came of passes: every operation, and what lasts once, with its end. It changes nothing."""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Collection
from typing import Protocol

from app.record_views import standing
from dns.core.model import Action
from dns.executor import Pass
from dns.ledger import HistoryEntry


class Emit(Protocol):
    """Writes a line of the timeline."""

    def __call__(self, message: str, severity: str = "info", kind: str = "dns", **facts: object) -> None: ...


class PassNews:
    """``counts``: ("operations", provider, action, result) and ("errors", provider, code)."""

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self.counts: Counter[tuple[str, ...]] = Counter()
        self._lock = threading.Lock()  # owns _told
        self._told: dict[str, str] = {}  # zone at provider → what was told of it last

    def take(self, provider: str, before: Pass | None, result: Pass, *, known: bool) -> None:
        """``known``: what holds the whole zone ends by itself, or was told of already."""
        for entry in result.entries:
            self._operation(provider, entry)
        for key, sentence in result.drift.items():
            if before is None or before.drift.get(key) != sentence:
                self._emit(sentence, "warning", provider=provider, name=key.name, line=key.line, drift=True)
        for key in result.adopted:
            self._emit(f"{key} was taken over as it stands", provider=provider, name=key.name, line=key.line)
        if result.error is not None:
            self.counts["errors", provider, result.error.code] += 1
        self._standing(_about(result.zone.zone, provider), result, "" if known else standing(result))

    def forget_all_but(self, zones: Collection[tuple[str, str]]) -> None:
        """Ends what was told of any other (zone, provider): nobody looks at it any more."""
        kept = {_about(zone, provider) for zone, provider in zones}
        with self._lock:
            gone = [about for about, said in self._told.items() if said and about not in kept]
            self._told = {about: said for about, said in self._told.items() if about in kept}
        for about in gone:
            self._emit(f"{about} is not looked after any more", about=about)

    def _operation(self, provider: str, entry: HistoryEntry) -> None:
        self.counts["operations", provider, entry.action.value, "ok" if entry.ok else "failed"] += 1
        if not entry.ok:
            self.counts["errors", provider, entry.code] += 1
        values = ", ".join(entry.values) or ", ".join(entry.old_values)
        text = {
            Action.ADD: f"add {values} for {entry.key}",
            Action.REPLACE: f"replace {values} for {entry.key}",
            Action.REMOVE: f"remove {values} for {entry.key}",
        }[entry.action]
        self._emit(
            f"{text}: {entry.reason if entry.ok else f'failed: {entry.answer}'}",
            "info" if entry.ok else "error",
            service=entry.service,
            provider=provider,
            name=entry.key.name,
            type=entry.key.type,
            line=entry.key.line,
            values=list(entry.values),
            old_values=list(entry.old_values),
            reason=entry.reason,
        )

    def _standing(self, about: str, result: Pass, new: str) -> None:
        with self._lock:
            old = self._told.get(about, "")
            self._told[about] = new
        if new and _without_seconds(new) != _without_seconds(old):
            self._emit(f"{about}: {new}", "error", held=bool(result.held or result.sets_held), about=about)
        elif old and not new:
            self._emit(f"{about} is all right again", about=about)


def _about(zone: str, provider: str) -> str:
    return f"{zone} at {provider}"


_SECONDS = re.compile(r"\b\d+(\.\d+)? s\b")


def _without_seconds(text: str) -> str:
    """How many seconds are left makes no news."""
    return _SECONDS.sub("", text)
