"""Remembers a person's freeze, over restarts too. It holds nothing itself: passes and plans ask it."""

from __future__ import annotations

import threading

from app.holddowns import Facts
from dns.ledger import LedgerUnavailableError

FACT = "frozen"
NOT_READ = "the database could not be read at the start, so nobody knows whether a person froze the records"


class Freeze:
    """Thread-safe. ``set`` and ``lift`` raise LedgerUnavailableError when it holds until the next start only."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._lock = threading.Lock()
        self._reason: str | None = None  # None: not read yet

    @property
    def reason(self) -> str:
        """Why a person froze the records, empty when nobody did; also when that cannot be known."""
        with self._lock:
            if self._reason is not None:
                return self._reason
        try:
            stored = str(self._facts.fact(FACT, "") or "")
        except LedgerUnavailableError:
            return NOT_READ
        with self._lock:
            if self._reason is None:
                self._reason = stored
            return self._reason

    @property
    def is_set(self) -> bool:
        """Whether it is, as far as memory knows: never asks the database."""
        return bool(self._reason)

    def set(self, reason: str) -> None:
        """From now on."""
        with self._lock:
            self._reason = reason
        self._facts.save_fact(FACT, reason)

    def lift(self) -> None:
        """No more."""
        with self._lock:
            self._reason = ""
        self._facts.save_fact(FACT, "")
