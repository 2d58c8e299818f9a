"""Remembers which services with ``adopt: true`` have taken over what stood: once, over restarts too. Adopts nothing."""

from __future__ import annotations

import logging
import threading
from collections.abc import Collection

from app.holddowns import Facts
from dns.ledger import LedgerUnavailableError

log = logging.getLogger(__name__)

FACT = "adopted"


class Adoptions:
    """The names of those that did. Thread-safe."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._lock = threading.Lock()
        self._done: set[str] | None = None  # None: not read yet

    def still_to_do(self, asking: Collection[str]) -> frozenset[str]:
        """Those of these services that have not taken over yet; nobody while it cannot be read who has."""
        with self._lock:
            if not asking or not self._read():
                return frozenset()
            return frozenset(asking) - (self._done or set())

    def note(self, services: Collection[str]) -> None:
        """These have taken over."""
        with self._lock:
            if self._read():
                self._keep((self._done or set()) | set(services))

    def forget_all_but(self, asking: Collection[str]) -> None:
        """A service that does not ask for it any more may ask again later."""
        with self._lock:
            if self._read():
                self._keep((self._done or set()) & set(asking))

    def _read(self) -> bool:
        if self._done is None:
            try:
                stored = self._facts.fact(FACT, [])
            except LedgerUnavailableError:
                return False
            assert isinstance(stored, list)  # noqa: S101 - we wrote it
            self._done = set(stored)
        return True

    def _keep(self, done: set[str]) -> None:
        if done == self._done:
            return
        self._done = done
        try:
            self._facts.save_fact(FACT, sorted(done))
        except LedgerUnavailableError as error:
            log.warning("which services have taken over is kept in memory only: %s", error)
