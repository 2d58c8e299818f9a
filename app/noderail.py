"""Notices when over half of the nodes are gone at once, and names them until a person agrees. Removes nothing.

A node list that loses over half of its nodes is a fault, not an order (promise 6), also over a restart: the
list of last time is kept.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Collection

from app.holddowns import Facts
from dns.ledger import LedgerUnavailableError

log = logging.getLogger(__name__)

FACT = "nodes"
TRY_SECONDS = 5.0


class NodeRail:
    """The nodes that DNS knew last, and those of them that are missing now. Thread-safe."""

    def __init__(
        self, facts: Facts, tell: Callable[[str, bool], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        """``tell(sentence, missing)`` when many are gone, and when that is over."""
        self._facts, self._tell, self._clock = facts, tell, clock
        self._tried_at = -math.inf
        self._lock = threading.Lock()
        self._known: frozenset[str] | None = None  # None: what was known last could not be read yet
        self._now: frozenset[str] = frozenset()
        self._taken = False
        self._gone: frozenset[str] = frozenset()

    def load(self) -> None:
        """Takes up the list of before the start. While it cannot be read, one caller every 5 s asks for it again, and
        nobody else waits for the database.
        """
        with self._lock:
            if self._known is not None or self._clock() - self._tried_at < TRY_SECONDS:
                return
            self._tried_at = math.inf  # until it answers
        try:
            stored = self._facts.fact(FACT, [])
        except LedgerUnavailableError as error:
            log.warning("which nodes there were before the start is not known yet: %s", error)
            return
        finally:
            self._tried_at = self._clock()
        assert isinstance(stored, list)  # noqa: S101 - we wrote it
        with self._lock:
            if self._known is not None:
                return
            self._known = frozenset(stored)
            late = self._taken
        if late:
            self._judge()

    @property
    def asks_in_seconds(self) -> float | None:
        """When the list of before the start may be asked for again; None when it is known."""
        if self._known is not None:
            return None
        return min(max(self._tried_at + TRY_SECONDS - self._clock(), 0.1), TRY_SECONDS)

    @property
    def gone(self) -> frozenset[str]:
        """Nodes whose records stay although they are gone."""
        return self._gone

    @property
    def sentence(self) -> str:
        """What a person should know, empty when nothing is missing."""
        gone, known = self._gone, self._known
        if known is None:
            return (
                "which nodes there were before the start is not known, because the database could not be read"
            )
        if not gone:
            return ""
        names = ", ".join(sorted(gone)[:3]) + (" …" if len(gone) > 3 else "")
        return (
            f"{len(gone)} of {len(known)} nodes are gone at once ({names}): a fault, not an order, so their "
            "records stay; `flask dns apply --yes` takes the shorter list"
        )

    def take(self, names: Collection[str]) -> None:
        """The nodes as they are now."""
        with self._lock:
            self._now, self._taken = frozenset(names), True
        self.load()
        self._judge()

    def _judge(self) -> None:
        with self._lock:
            before = self._gone
            if self._known is None:
                return
            missing = self._known - self._now
            self._gone = missing if 2 * len(missing) > len(self._known) else frozenset()
            if not self._gone:
                self._remember()
        if self._gone and self._gone != before:
            self._tell(self.sentence, True)
        elif before and not self._gone:
            self._tell("the nodes that were gone are back", False)

    def accept(self) -> None:
        """A person says that the list is right as it is."""
        with self._lock:
            was, self._gone = self._gone, frozenset()
            self._remember()
        if was:
            self._tell("the shorter list of nodes was accepted", False)

    def _remember(self) -> None:
        if self._known == self._now:
            return
        self._known = self._now
        try:
            self._facts.save_fact(FACT, sorted(self._now))
        except LedgerUnavailableError as error:
            log.warning("the list of nodes is kept in memory only: %s", error)
