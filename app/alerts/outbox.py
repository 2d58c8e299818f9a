"""Gets notices to channels, each by a thread of its own, until told, refused for good or too old. Decides
nothing about what is told.

A notice is stored before it is first tried, and its answer after: so one is sent twice only when an answer
was lost, with the other side or in a crash. When the store fails, sending goes on and the rows are written
later.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from app.alerts.channels.contract import Channel
from app.alerts.entry import AlertStore, Entry, EntryState, entry_for
from app.alerts.lane import Lane
from app.alerts.model import Delivery, Notice

log = logging.getLogger(__name__)
Report = Callable[[Entry, Delivery], None]
"""Hears of every try: the entry as it is now, and the answer."""
STOP_SECONDS = 40.0


class Outbox:
    """All lanes. ``start`` once the stored entries are known; ``stop`` waits for the tries that are under
    way.
    """

    def __init__(
        self,
        channels: Mapping[str, Channel],
        store: AlertStore,
        report: Report,
        *,
        clock: Callable[[], float] = time.time,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._store = store
        self._report = report
        self._clock = clock
        self._jitter = jitter
        self._lock = threading.Lock()  # owns _workers, _retired, _unsaved and _running
        self._workers: dict[str, _Worker] = {}
        self._retired: list[_Worker] = []
        self._unsaved: dict[str, Entry] = {}
        self._running = False
        self.reconfigure(channels)

    # --- life -----------------------------------------------------------------------------------------

    def start(self, stored: Iterable[Entry] = ()) -> None:
        """Starts a thread per channel and takes up the entries that waited when the service ended."""
        with self._lock:
            self._running = True
            workers = list(self._workers.values())
        self.take(list(stored))
        for worker in workers:
            worker.start()

    def stop(self) -> list[str]:
        """Ends all threads; what waits stays stored. Returns the channels whose try did not end in time."""
        with self._lock:
            self._running = False
            workers = [*self._workers.values(), *self._retired]
        for worker in workers:
            worker.retire()
        deadline = time.monotonic() + STOP_SECONDS
        late = [worker.channel.name for worker in workers if not worker.join(deadline - time.monotonic())]
        self._save([])
        return late

    @property
    def channels(self) -> tuple[str, ...]:
        """The names of the channels there are."""
        return tuple(self._workers)

    def reconfigure(self, channels: Mapping[str, Channel]) -> None:
        """Takes over other channels without waiting for anybody. What waits stays with its channel, by
        name; a try that is under way ends with the old one.
        """
        with self._lock:
            old = self._workers
            kept = {name: worker for name, worker in old.items() if channels.get(name) == worker.channel}
            fresh = {name: self._worker(channel) for name, channel in channels.items() if name not in kept}
            self._workers = {name: kept.get(name) or fresh[name] for name in channels}
            retired = [worker for name, worker in old.items() if name not in kept]
            self._retired = [worker for worker in self._retired if worker.alive] + retired
            running = self._running
        if running:
            for worker in fresh.values():
                worker.start()
        for worker in retired:
            self.take(worker.retire())

    def wake(self) -> None:
        """Lets every lane look at the clock again."""
        with self._lock:
            workers = list(self._workers.values())
        for worker in workers:
            worker.wake()

    # --- work -----------------------------------------------------------------------------------------

    def put(self, notice: Notice, channels: Sequence[str]) -> None:
        """Stores and queues a notice for these channels."""
        entries = [entry_for(notice, channel, self._clock()) for channel in channels]
        self._save(entries)
        self.take(entries)

    def take(self, entries: Sequence[Entry]) -> None:
        """Queues entries that are stored already. Those whose channel is gone are dropped and reported."""
        for entry in entries:
            added: bool | None = None
            while added is None:  # a worker that was retired since it was looked up takes nothing
                with self._lock:
                    worker = self._workers.get(entry.channel)
                if worker is None:
                    answer = f"the channel {entry.channel} is not in the configuration"
                    self._tell(self._drop(entry, answer), Delivery(False, True, answer))
                    break
                added = worker.add(entry)
                if added is None and not self._running:
                    break  # it stays stored for the next start
            if added is False:
                self._drop(entry, "an earlier notice of this incident still waits")

    def keep(self, entries: Iterable[Entry]) -> None:
        """Remembers entries that could not be stored, to be written with the next that can."""
        with self._lock:
            self._unsaved.update({entry.id: entry for entry in entries})

    def tell_now(self, notice: Notice, channel: str) -> Delivery:
        """One try in the caller's thread, past the queue: for ``flask alerts test``. Raises KeyError: no
        such channel.
        """
        with self._lock:
            worker = self._workers[channel]
        return _sent(worker.channel, notice)

    @property
    def waiting(self) -> tuple[Entry, ...]:
        """Everything that waits, oldest first."""
        with self._lock:
            workers = list(self._workers.values())
        found = [entry for worker in workers for entry in worker.waiting()]
        return tuple(sorted(found, key=lambda entry: entry.created_at))

    # --- inside ---------------------------------------------------------------------------------------

    def _worker(self, channel: Channel) -> _Worker:
        return _Worker(channel, self._try, self._clock)

    def _try(self, worker: _Worker, entry: Entry) -> None:
        delivery = _sent(worker.channel, entry.notice)
        after = worker.answer(entry, delivery, self._clock(), self._jitter())
        self._save([after])
        self._tell(after, delivery)
        with self._lock:
            moved = self._running and worker in self._retired
        if moved and after.state is EntryState.WAITING:
            self.take([after])

    def _drop(self, entry: Entry, answer: str) -> Entry:
        dropped = replace(entry, state=EntryState.DROPPED, last_answer=answer)
        self._save([dropped])
        return dropped

    def _tell(self, entry: Entry, delivery: Delivery) -> None:
        try:
            self._report(entry, delivery)
        except Exception:
            log.exception("the report of a delivery by %s failed; the delivery itself is done", entry.channel)

    def _save(self, entries: Sequence[Entry]) -> None:
        with self._lock:
            owed = {**self._unsaved, **{entry.id: entry for entry in entries}}
            self._unsaved = {}
        if not owed:
            return
        try:
            self._store.save(None, list(owed.values()))
        except Exception as error:  # noqa: BLE001 — whatever the database raises must not stop the telling
            log.warning("the outbox could not be stored (%s); it goes on in memory", type(error).__name__)
            with self._lock:
                self._unsaved = {**owed, **self._unsaved}


class _Worker:
    """The thread of one channel: waits for what is due, tries it, nothing else."""

    def __init__(
        self, channel: Channel, attempt: Callable[[_Worker, Entry], None], clock: Callable[[], float]
    ) -> None:
        self.channel = channel
        self._attempt = attempt
        self._clock = clock
        self._changed = threading.Condition()  # owns _lane, _current and _stopping
        self._current: Entry | None = None
        self._lane = Lane(channel.rate)
        self._stopping = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name=f"outbox-{self.channel.name}", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether its thread still runs."""
        return self._thread is not None and self._thread.is_alive()

    def wake(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def retire(self) -> list[Entry]:
        """Lets the thread end after the try that is under way; returns what waits besides that one."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
            return [entry for entry in self._lane.waiting if entry is not self._current]

    def join(self, seconds: float) -> bool:
        """Whether the thread has ended within this time."""
        if self._thread is None:
            return True
        self._thread.join(max(0.0, seconds))
        return not self._thread.is_alive()

    def add(self, entry: Entry) -> bool | None:
        """None when it takes no more entries; else what the lane says."""
        with self._changed:
            if self._stopping:
                return None
            added = self._lane.add(entry)
            self._changed.notify_all()
            return added

    def answer(self, entry: Entry, delivery: Delivery, now: float, jitter: float) -> Entry:
        with self._changed:
            self._current = None
            return self._lane.answer(entry, delivery, now, jitter)

    def waiting(self) -> tuple[Entry, ...]:
        with self._changed:
            return self._lane.waiting

    def _run(self) -> None:
        while (entry := self._next()) is not None:
            self._attempt(self, entry)

    def _next(self) -> Entry | None:
        """The next entry to try, once there is one; None when it is time to end."""
        with self._changed:
            while not self._stopping:
                now = self._clock()
                self._current = self._lane.pick(now)
                if self._current is not None:
                    return self._current
                due = self._lane.next_at()
                self._changed.wait(None if due is None else max(0.01, due - now))
            return None


def _sent(channel: Channel, notice: Notice) -> Delivery:
    try:
        return channel.send(notice)
    except Exception as error:
        log.exception("channel %s broke off", channel.name)
        return Delivery(
            False, detail=f"channel {channel.name} broke off with {type(error).__name__}; see the log"
        )
