"""One notice for one channel on its way, and what each answer makes of it. Pure; sends and stores nothing.

WAITING ──► SENT      the channel took it
   │ ├────► FAILED    trying again cannot help
   │ ├────► EXPIRED   three days of trying
   │ └────► DROPPED   its channel is gone from the configuration
   └── any other answer: WAITING, after 30 s, 1 min, 2 min … 1 h
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Protocol

from app.alerts.model import Delivery, Notice

FIRST_DELAY_SECONDS = 30.0
LONGEST_DELAY_SECONDS = 3600.0
MAX_AGE_SECONDS = 3 * 86400.0


class EntryState(StrEnum):
    """Where an entry stands; see the drawing above."""

    WAITING = "waiting"
    SENT = "sent"
    FAILED = "failed"
    EXPIRED = "expired"
    DROPPED = "dropped"


@dataclass(frozen=True, slots=True)
class Entry:
    """A row of the outbox. ``id`` is unique over notices and channels. Times are seconds since the epoch."""

    id: str
    channel: str
    notice: Notice
    created_at: float
    next_try_at: float
    state: EntryState = EntryState.WAITING
    attempts: int = 0
    last_answer: str = ""


class AlertStore(Protocol):
    """Where alerts live over a restart. Both may raise whatever their database raises; nothing is lost by
    that while the process lives: it is tried again.
    """

    def load(self) -> tuple[Mapping[str, Any] | None, Sequence[Entry]]:
        """The last state saved (None: never) and the WAITING entries, oldest first."""
        ...

    def save(self, state: Mapping[str, Any] | None, entries: Sequence[Entry]) -> None:
        """In one transaction: replaces the state (None: leaves it) and writes these entries over those of
        their id.
        """
        ...


def entry_for(notice: Notice, channel: str, now: float) -> Entry:
    """A fresh entry, due at once."""
    return Entry(f"{notice.id}:{channel}", channel, notice, now, now)


def delay_seconds(failures: int, jitter: float) -> float:
    """The pause after so many failures in a row; ``jitter`` from 0 to 1 spreads it by a tenth to either
    side.
    """
    plain = min(FIRST_DELAY_SECONDS * 2.0 ** min(failures - 1, 20), LONGEST_DELAY_SECONDS)
    return plain * (0.9 + 0.2 * jitter)


def answered(entry: Entry, delivery: Delivery, now: float, jitter: float) -> Entry:
    """The entry after one try."""
    tried = replace(entry, attempts=entry.attempts + 1, last_answer=delivery.detail)
    if delivery.ok:
        return replace(tried, state=EntryState.SENT)
    if delivery.permanent:
        return replace(tried, state=EntryState.FAILED)
    if now - entry.created_at >= MAX_AGE_SECONDS:
        return replace(tried, state=EntryState.EXPIRED)
    pause = max(delay_seconds(tried.attempts, jitter), delivery.retry_after_seconds or 0.0)
    return replace(tried, next_try_at=now + pause)
