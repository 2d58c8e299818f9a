"""Remembers who left and returned when, over restarts, and says how long a return still waits. Delays no withdrawal.

What it is told costs a lock and nothing else; a thread of its own writes it down.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from dns.core.holddown import CALM_SECONDS, HoldDown, left, remaining_seconds, returned, wait_seconds
from dns.ledger import LedgerUnavailableError

log = logging.getLogger(__name__)

FACT = "hold-downs"
Stored = dict[str, list[float | None]]


class Facts(Protocol):
    """Where it is kept; both raise LedgerUnavailableError."""

    def fact(self, name: str, default: object = None) -> object: ...

    def save_fact(self, name: str, value: object) -> None: ...


class HoldDowns:
    """The memory of nodes, and of addresses with probes of their own. ``start`` and ``stop`` once; thread-safe."""

    def __init__(self, facts: Facts, clock: Callable[[], float] = time.time) -> None:
        self._facts, self._clock = facts, clock
        self._memory: dict[str, HoldDown] = {}
        self._lock = threading.Lock()  # owns _memory
        self._unwritten = False
        self._wake, self._stopping = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._loop, name="hold-downs", daemon=True)

    def start(self) -> None:
        """Takes up what was stored. Raises LedgerUnavailableError, and has begun all the same."""
        self._thread.start()
        stored = self._facts.fact(FACT, {})
        assert isinstance(stored, dict)  # noqa: S101 - we wrote it
        with self._lock:
            self._memory = {name: HoldDown(*memory) for name, memory in stored.items()} | self._memory

    def stop(self) -> None:
        """Writes what is not written yet, and ends the thread."""
        self._stopping.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(10)

    def note(self, name: str, fit: bool) -> None:
        """Evidence for or against. What has never been fit has not left, and its first coming waits for nothing."""
        now = self._clock()
        with self._lock:
            known = self._memory.get(name)
            if known is None:
                after = returned(HoldDown(), now) if fit else HoldDown()
            elif known.fit_since is None and known.left_at is None:
                after = returned(known, now) if fit else known
            else:
                after = returned(known, now) if fit else left(known, now)
            if after == known:
                return
            self._memory[name] = after
            self._unwritten = True
        self._wake.set()

    def has_left(self, name: str) -> bool:
        """Whether the last that is remembered of it is evidence against it."""
        with self._lock:
            known = self._memory.get(name, HoldDown())
        return known.fit_since is None and known.left_at is not None

    def waits(self, name: str, first_seconds: float) -> tuple[float, float, float] | None:
        """(since when it has been fit, how long its return waits in all, how long still); None when it may be seen."""
        now = self._clock()
        with self._lock:
            memory = self._memory.get(name, HoldDown())
            if memory.fit_since is not None and memory.fit_since > now:
                memory = self._memory[name] = replace(memory, fit_since=now)  # the clock was set back
        if memory.fit_since is None:
            return None
        remaining = remaining_seconds(memory, now, first_seconds)
        return (memory.fit_since, wait_seconds(memory, first_seconds), remaining) if remaining > 0 else None

    def next_return_seconds(self, first_seconds: float) -> float | None:
        """When the next wait ends; None when nobody waits."""
        with self._lock:
            names = list(self._memory)
        waits = [found[2] for name in names if (found := self.waits(name, first_seconds)) is not None]
        return min(waits, default=None)

    # ── writing it down ──────────────────────────────────────────────────────────────────────────────────

    def _loop(self) -> None:
        while not self._stopping.is_set():
            self._wake.wait()
            self._wake.clear()
            self._write()

    def _write(self) -> None:
        with self._lock:
            if not self._unwritten:
                return
            self._unwritten = False
        try:
            self._facts.save_fact(FACT, self._stored())
        except LedgerUnavailableError as error:
            log.warning("hold-downs are kept in memory only: %s", error)
            with self._lock:
                self._unwritten = True
            if not self._stopping.wait(5):
                self._wake.set()

    def _stored(self) -> Stored:
        """What is worth keeping: what left longer ago than the memory reaches, and is not back, is dropped."""
        old = self._clock() - 24 * CALM_SECONDS
        with self._lock:
            for name in [
                n for n, m in self._memory.items() if m.fit_since is None and (m.left_at or 0) < old
            ]:
                if self._memory[name].left_at is not None:
                    del self._memory[name]
            return {n: [m.withdrawals, m.left_at, m.fit_since] for n, m in self._memory.items()}
