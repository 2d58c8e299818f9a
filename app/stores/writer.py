"""Drains what was put, first in, first out, into transactions, on one thread.

It knows no SQL and never drops a journal row.

    put ─► queue ─► fold of what comes within a moment ─► commit ──ok──► done
                       ▲                                    │ refused for its values: once more, carefully
                       └─────────── all that came ──────────┘ anything else: back-off, and again

While the database is away everything that waits is folded together: a path keeps only its last row, so
memory is bounded by the tree. Events and transfers beyond a bound are dropped, oldest first, counted and
said. A commit whose answer was lost is made again; rows are replaced by themselves then, a line of history
may stand twice.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from threading import Condition, Thread

from app.stores.fold import HISTORY_LIMIT, Fold, rows_in
from app.stores.statements import Rejected
from sync.ports import Event, SaveEvent, StoreError, Write

log = logging.getLogger(__name__)

Commit = Callable[[Fold, bool], Sequence[Rejected]]
"""Writes a fold in one transaction; the flag asks for care.

Rows that are refused for ever are left out and named.
"""

GATHER_SECONDS = 0.1
"""How long a transaction waits for company: a commit for each of fifty rsync runs costs as much as the runs do."""
FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 5.0
SILENT_SECONDS = 30.0


class FencedOut(StoreError):  # noqa: N818 - the state it reports
    """Another supervisor holds the lease: nothing may be written any more."""


class Writer:
    """The queue and its thread. ``put`` is called from any thread."""

    def __init__(
        self,
        commit: Commit,
        *,
        is_permanent: Callable[[Exception], bool],
        explain: Callable[[Exception], str] = str,
        on_fenced: Callable[[str], None] | None = None,
        rows_per_transaction: int = 20_000,
        history_limit: int = HISTORY_LIMIT,
        first_pause_seconds: float = FIRST_PAUSE_SECONDS,
        gather_seconds: float = GATHER_SECONDS,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._commit, self._is_permanent, self._explain = commit, is_permanent, explain
        self._on_fenced = on_fenced
        self._rows_per_transaction, self._history_limit = rows_per_transaction, history_limit
        self._first_pause, self._clock, self._wall_clock = first_pause_seconds, clock, wall_clock
        self._gather = gather_seconds
        self._thread: Thread | None = None
        self._state = Condition()
        # Guarded by _state. The two counters are positions in the order of puts.
        self._queue: deque[Sequence[Write]] = deque()
        self._put = 0
        self._done = 0
        self._awaited = 0  # how many wait for a commit: then it does not wait for company
        self._progress_at = clock()
        self._stop_by: float | None = None
        self._trouble: str | None = None
        self._fenced = False
        # Owned by the thread.
        self._taken = 0
        self.rejected = 0

    def start(self) -> None:
        """Starts the thread. A writer is started once."""
        self._thread = Thread(target=self._run, name="store-writer", daemon=True)
        self._thread.start()

    def stop(self, flush_seconds: float) -> bool:
        """Ends the thread once the queue is empty, or after this long; whether everything was stored.

        Idempotent.

        A server that does not answer is left alone after another second.
        """
        with self._state:
            stopped = self._stop_by is not None
            self._stop_by = self._clock() + flush_seconds
            self._state.notify_all()
        if self._thread is not None:
            self._thread.join(flush_seconds + 1)
        with self._state:
            left = self._put - self._done
        if left and not stopped:
            log.error("%d writes were not stored: %s", left, self._trouble or "the writer did not run")
        return not left

    def put(self, writes: Sequence[Write]) -> None:
        """Queues the writes as one transaction. Never blocks, never raises."""
        if not writes:
            return
        with self._state:
            if self._put == self._done:
                self._progress_at = self._clock()
            self._queue.append(writes)
            self._put += 1
            if len(self._queue) == 1:  # else the thread knows
                self._state.notify_all()

    def flush(self, timeout_seconds: float, patient: bool = True) -> bool:
        """Waits until all that was put before is committed.

        False when not in time, or at once in trouble unless ``patient``.
        """
        with self._state:
            position = self._put
            if self._done >= position:
                return True
            self._awaited += 1
            self._state.notify_all()
            self._state.wait_for(
                lambda: self._done >= position or (not patient and self._trouble is not None), timeout_seconds
            )
            self._awaited -= 1
            return self._done >= position

    def trouble(self) -> str | None:
        """What keeps writes from going through, or None."""
        with self._state:
            if self._trouble is not None or self._put == self._done:
                return self._trouble
            if self._thread is None or not self._thread.is_alive():
                return "the store's writer does not run; restart the service"
            silent = self._clock() - self._progress_at
        if silent < SILENT_SECONDS:
            return None
        return f"the database has not taken a write for {silent:.0f} s; look at its load and its disk"

    # ── the thread ────────────────────────────────────────────────────────────────────────────────────────

    def _run(self) -> None:
        while True:
            with self._state:
                self._state.wait_for(lambda: self._queue or self._stop_by is not None)
                if not self._queue or self._fenced:
                    return
                self._state.wait_for(lambda: self._awaited or self._stop_by is not None, self._gather)
            fold = Fold(self._history_limit)
            self._absorb(fold, self._rows_per_transaction)
            if not self._store(fold):
                return

    def _absorb(self, fold: Fold, rows: float) -> None:
        """Moves puts from the queue into the fold, at least one, and no more than fit into ``rows``."""
        taken: list[Write] = []
        count = 0
        with self._state:
            while self._queue:
                count += rows_in(self._queue[0])
                if taken and count > rows:
                    break
                taken += self._queue.popleft()
                self._taken += 1
        for write in taken:
            try:
                fold.add(write)
            except Exception as error:  # noqa: BLE001 - a malformed write must not end the thread
                self._reject([Rejected(type(write).__name__, write, error)])

    def _store(self, fold: Fold) -> bool:
        """Tries until the fold is committed; False when the writer is to end before that."""
        pause, careful = self._first_pause, False
        while True:
            try:
                rejected = self._commit(fold, careful)
            except FencedOut as error:
                self._fence(str(error))
                return False
            except Exception as error:  # noqa: BLE001 - whatever it is, what waits must not be lost
                if self._is_permanent(error) and not careful:
                    careful = True
                    continue
                if not self._pause(pause, error):
                    return False
                pause, careful = min(pause * 2, LONGEST_PAUSE_SECONDS), False
                self._absorb(fold, float("inf"))
            else:
                self._reject(rejected)
                self._committed(fold)
                return True

    def _pause(self, seconds: float, error: Exception) -> bool:
        sentence = self._explain(error)
        with self._state:
            if self._trouble != sentence:
                log.error("%s", sentence)
            self._trouble = sentence
            self._state.notify_all()
            now = self._clock()
            left = seconds if self._stop_by is None else min(seconds, self._stop_by - now)
            if left <= 0:
                return False
            stopping = self._stop_by is not None
            self._state.wait_for(lambda: not stopping and self._stop_by is not None, left)
            return True

    def _committed(self, fold: Fold) -> None:
        if fold.dropped_events or fold.dropped_transfers:
            self._tell(
                f"while the database was away, {fold.dropped_events} events and {fold.dropped_transfers} "
                "transfers, the oldest ones, were dropped; content and cursors are complete",
                "warning",
            )
        with self._state:
            self._done = self._taken
            self._progress_at = self._clock()
            was, self._trouble = self._trouble, None
            self._state.notify_all()
        if was is not None:
            log.warning("the database takes writes again")

    def _reject(self, rejected: Sequence[Rejected]) -> None:
        """Says which rows were left out. One event for all: the log has each."""
        if not rejected:
            return
        for row in rejected:
            log.error(
                "the database refuses %s for ever: %s: %r", row.what, self._explain(row.error), row.item
            )
        first_time = self.rejected == 0 or any(r.what != "an event" for r in rejected)
        self.rejected += len(rejected)
        if first_time:  # an event that cannot be stored must not make another, and so on
            what = ", ".join(sorted({row.what for row in rejected}))
            reason = self._explain(rejected[0].error)
            self._tell(
                f"the database refuses {len(rejected)} rows ({what}): {reason}. They were left out; "
                "what they say is found again by the scan at the next start",
                "error",
            )

    def _tell(self, message: str, severity: str) -> None:
        self.put([SaveEvent(Event(self._wall_clock(), "system", message, severity=severity))])

    def _fence(self, sentence: str) -> None:
        log.error("%s", sentence)
        with self._state:
            self._fenced = True
            self._trouble = sentence
            self._state.notify_all()
        if self._on_fenced is not None:
            self._on_fenced(sentence)
