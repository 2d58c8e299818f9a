"""The queue of one channel: which entry is next, and when. Owns no thread and sends nothing.

- In the order in which they came; after three tries an entry lets those behind it go first.
- A channel that fails is left alone for a growing while, whatever waits.
- No more messages than the other side takes (``Rate``).
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace

from app.alerts.channels.contract import Rate
from app.alerts.entry import LONGEST_DELAY_SECONDS, Entry, EntryState, answered, delay_seconds
from app.alerts.model import Delivery, NoticeKind

TRIES_IN_FRONT = 3
LONGEST_PAUSE_SECONDS = LONGEST_DELAY_SECONDS * 1.1  # with its jitter


class Lane:
    """The entries of one channel that wait. One thread at a time."""

    def __init__(self, rate: Rate | None = None) -> None:
        self._rate = rate
        self._waiting: dict[str, Entry] = {}
        self._paused_until = float("-inf")
        self._failures = 0
        self._tried: deque[float] = deque(maxlen=rate.count if rate else 1)

    @property
    def waiting(self) -> tuple[Entry, ...]:
        """What waits, oldest first."""
        return tuple(self._waiting.values())

    def add(self, entry: Entry) -> bool:
        """Queues an entry; False for one it has, and for a repeat while an earlier notice of its incident
        waits.
        """
        if entry.id in self._waiting:
            return False
        if entry.notice.kind is NoticeKind.REPEAT:
            threads = {entry.notice.incident, *entry.notice.follows}
            if any(other.notice.incident in threads for other in self._waiting.values()):
                return False
        self._waiting[entry.id] = entry
        return True

    def next_at(self) -> float | None:
        """When the next entry may be tried; None when nothing waits."""
        if not self._waiting:
            return None
        soonest = min(entry.next_try_at for entry in self._waiting.values())
        return max(soonest, self._paused_until, self._free_at())

    def pick(self, now: float) -> Entry | None:
        """The entry to try now; it stays in the lane until its answer comes."""
        self._mind_the_clock(now)
        if not self._waiting or max(self._paused_until, self._free_at()) > now:
            return None
        due = [entry for entry in self._waiting.values() if entry.next_try_at <= now]
        return min(due, key=lambda entry: (entry.attempts // TRIES_IN_FRONT, entry.created_at), default=None)

    def answer(self, entry: Entry, delivery: Delivery, now: float, jitter: float) -> Entry:
        """Takes the answer to a try in; returns the entry as it is to be stored."""
        self._tried.append(now)
        after = answered(entry, delivery, now, jitter)
        if delivery.ok or delivery.permanent:  # a permanent refusal is the notice's fault, the channel works
            self._failures = 0
            self._paused_until = now
        else:
            self._failures += 1
            pause = max(delay_seconds(self._failures, jitter), delivery.retry_after_seconds or 0.0)
            self._paused_until = now + pause
        if after.state is EntryState.WAITING:
            self._waiting[entry.id] = after
        else:
            self._waiting.pop(entry.id, None)
        return after

    def _mind_the_clock(self, now: float) -> None:
        """A clock that was set back must not keep anything waiting for as long as it was set back."""
        latest = now + LONGEST_PAUSE_SECONDS
        self._paused_until = min(self._paused_until, latest)
        for entry in self.waiting:
            if entry.next_try_at > latest:
                self._waiting[entry.id] = replace(entry, next_try_at=latest)
        if self._tried and self._tried[-1] > now:
            self._tried.clear()

    def _free_at(self) -> float:
        if self._rate is None or len(self._tried) < self._rate.count:
            return float("-inf")
        return self._tried[0] + self._rate.seconds
