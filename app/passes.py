"""One provider's thread: pass after pass over its zones, when woken, when asked and by the clock. It decides no record.

A pass is due when somebody wakes it (evidence, a changed address), when a wait ends (a hold-down, the start's
hold, a back-off), and every `reconcile_seconds`. What wakes it within 20 ms becomes one plan.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Protocol

from app.record_views import standing
from dns.core.guard import Context, Hold, guard
from dns.core.model import DesiredSet, NodeFacts, RecordKey, Service
from dns.errors import DnsError, ProviderError
from dns.executor import Executor, Pass, completed
from dns.ledger import History, Ledger
from dns.planner import Planned
from dns.providers.port import Provider

log = logging.getLogger(__name__)

COALESCE_SECONDS = 0.02
FIRST_RETRY_SECONDS, LONGEST_RETRY_SECONDS = 1.0, 60.0
RECHECK_SECONDS = 1.0
END_SECONDS = 60.0


@dataclass
class Request:
    """Something the thread is asked to do for somebody who waits.

    ``proven``: what is known of the nodes was learnt for this very request, so no start-up hold.
    """

    confirmed: bool = False
    adopt: frozenset[str] = frozenset()
    only_plan: bool = False
    proven: bool = False
    answer: Future[list[Any]] = field(default_factory=Future)


@dataclass(frozen=True)
class PlannedHold:
    """What a request for a plan gets of a zone: the plan, and why it would be held."""

    planned: Planned
    held: str
    sets_held: Mapping[RecordKey, str]


class Surroundings(Protocol):
    """What the thread asks of the reconciler; all answer at once, but `context` and `look_around` may ask the nodes."""

    def facts(self) -> Sequence[NodeFacts]: ...

    def context(self, planned: Planned, request: Request, *, asks: bool = True) -> Context: ...

    def look_around(self) -> None: ...

    def interrupted(self) -> bool: ...

    def must_not_write(self) -> bool: ...

    def to_adopt(self, services: Sequence[Service]) -> frozenset[str]: ...

    def adopted(self, services: Collection[str]) -> None: ...

    def note_pass(self, provider: str, before: Pass | None, result: Pass) -> None: ...

    def seconds_to_next(self) -> Sequence[float]: ...

    def is_cut_off(self) -> bool: ...

    def still_cut_off(self) -> bool: ...


class ProviderThread:
    """``start`` and ``stop`` once. With ``before``, it takes over from that thread and begins when that has ended."""

    def __init__(
        self,
        around: Surroundings,
        provider: Provider,
        services: Sequence[Service],
        zones: Sequence[str],
        *,
        ledger: Ledger,
        history: History,
        remark: str,
        every_seconds: float,
        clock: Callable[[], float] = time.time,
        before: ProviderThread | None = None,
    ) -> None:
        self.name = provider.name
        self.zones = tuple(zones)
        self._around, self._provider, self._services = around, provider, list(services)
        self._every = every_seconds
        self._stop, self._wake = threading.Event(), threading.Event()
        self._lock = threading.Lock()  # owns _requests, _woken, _passes
        self._requests: list[Request] = []
        self._woken = False
        self._failures = 0
        self._passes = {z: p for z, p in before.passes().items() if z in zones} if before else {}
        self._before = before
        self._executor = Executor(provider, ledger, history, remark=remark, clock=clock, stop=self._stop)
        self._thread = threading.Thread(target=self._run, name=f"dns {provider.name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def end(self) -> None:
        """Tells it to end between two operations; ``join`` waits for it."""
        self._stop.set()
        self._wake.set()

    def join(self) -> None:
        """An operation under way ends within the provider's time limit, and the thread with it."""
        if self._thread.is_alive():
            self._thread.join(END_SECONDS)
        else:
            self._ended()

    def wake(self) -> None:
        """Something is known that was not."""
        with self._lock:
            self._woken = True
        self._wake.set()

    def ask(self, request: Request) -> None:
        """Does it in this thread when none was started (a one-off command), else in the provider's."""
        if self._thread.ident is None:
            self._do(request)
            return
        with self._lock:
            self._requests.append(request)
        self._wake.set()
        if not self._thread.is_alive():
            self._refuse_requests()

    # ── the loop ─────────────────────────────────────────────────────────────────────────────────────────

    def _run(self) -> None:
        try:
            self._take_over()
            self._loop()
        finally:
            self._ended()

    def _take_over(self) -> None:
        """Waits until the predecessor has ended: two threads never write at one provider (promise 7)."""
        before, self._before = self._before, None
        while before is not None and before._thread.is_alive() and not self._stop.is_set():
            before._thread.join(0.2)

    def _ended(self) -> None:
        self._refuse_requests()
        self._provider.close()

    def _refuse_requests(self) -> None:
        with self._lock:
            requests, self._requests = self._requests, []
        for request in requests:
            request.answer.set_exception(DnsError("the service is stopping or reloading; try again"))

    def _loop(self) -> None:
        next_at = time.monotonic()
        while not self._stop.is_set():
            try:
                if self._passed(next_at):
                    next_at = time.monotonic() + self._seconds_to_next()
            except Exception:
                log.exception("the thread of provider %s stumbled and goes on", self.name)
                next_at = time.monotonic() + FIRST_RETRY_SECONDS
            self._wait(next_at)

    def _passed(self, next_at: float) -> bool:
        """Does what is due; whether that was a pass."""
        woken, requests = self._take()
        for request in requests:
            self._do(request)
        if any(not request.only_plan for request in requests):
            return True
        if self._around.is_cut_off() and not woken and not self._around.still_cut_off():
            woken = True
        if not woken and time.monotonic() < next_at:
            return False
        self._pass_all(Request())
        return True

    def _take(self) -> tuple[bool, list[Request]]:
        with self._lock:
            woken, self._woken = self._woken, False
            requests, self._requests = self._requests, []
        return woken, requests

    def _wait(self, until: float) -> None:
        seconds = max(0.0, until - time.monotonic())
        if self._around.is_cut_off():
            seconds = min(seconds, RECHECK_SECONDS)
        if self._wake.wait(seconds):
            self._stop.wait(COALESCE_SECONDS)
            self._wake.clear()

    def _seconds_to_next(self) -> float:
        times = [self._every, *(seconds + 0.01 for seconds in self._around.seconds_to_next())]
        passes = self.passes().values()
        troubled = [p for p in passes if _is_trouble(p)]
        self._failures = self._failures + 1 if troubled else 0
        if troubled and not all(p.error is not None and p.error.permanent for p in troubled):
            doubled = FIRST_RETRY_SECONDS * 2.0 ** min(self._failures - 1, 10)
            wished = max((p.retry_after_seconds or 0.0 for p in troubled), default=0.0)
            asked = max((p.error.retry_after_seconds or 0.0 for p in troubled if p.error), default=0.0)
            pause = min(doubled, LONGEST_RETRY_SECONDS) * (0.75 + random.random() / 2)  # noqa: S311 - jitter
            times.append(max(pause, wished, asked))
        return max(0.01, min(times))

    # ── passes ───────────────────────────────────────────────────────────────────────────────────────────

    def _do(self, request: Request) -> None:
        try:
            if request.only_plan:
                request.answer.set_result([self._planned(zone, request) for zone in self.zones])
            else:
                request.answer.set_result(self._pass_all(request))
        except Exception as error:
            log.exception("a pass of provider %s broke off", self.name)
            request.answer.set_exception(error)

    def _planned(self, zone: str, request: Request) -> PlannedHold | str:
        try:
            planned = self._executor.plan(zone, self._of(zone), self._around.facts)
        except ProviderError as error:
            return f"{zone} at {self.name}: {error}"
        context = completed(self._around.context(planned, request, asks=False), planned, self._of(zone))
        verdict = guard(planned.plan, context)
        held = verdict.reason if isinstance(verdict, Hold) else ""
        return PlannedHold(planned, held, verdict.plan.held)

    def _of(self, zone: str) -> list[Service]:
        return [service for service in self._services if service.zone_key.zone == zone]

    def _pass_all(self, request: Request) -> list[Pass]:
        results = []
        self._around.look_around()
        for zone in self.zones:
            if self._stop.is_set() or self._around.must_not_write():
                break
            try:
                results.append(self._pass(zone, request))
            except Exception:
                log.exception("a pass over %s at %s broke off; it is made again", zone, self.name)
        return results

    def _pass(self, zone: str, request: Request) -> Pass:
        services = self._of(zone)
        once = self._around.to_adopt(services)
        result = self._executor.reconcile(
            zone,
            services,
            self._around.facts,
            lambda planned: self._around.context(planned, request),
            adopt=once | (request.adopt & {s.name for s in services}),
            interrupted=self._around.interrupted,
        )
        with self._lock:
            before = self._passes.get(zone)
            if result.planned is None and before is not None:  # nothing was read: what stood last is shown on
                result = _remembering(result, before)
            self._passes[zone] = result
        if once and result.error is None and result.planned is not None and result.planned.observed.complete:
            self._around.adopted(once)
        self._around.note_pass(self.name, before, result)
        return result

    # ── what pages ask, from any thread ──────────────────────────────────────────────────────────────────

    def passes(self) -> dict[str, Pass]:
        """The last pass of each zone."""
        with self._lock:
            return dict(self._passes)

    def published(self) -> dict[RecordKey, tuple[str, ...]]:
        """What stands on our account, as last read."""
        return {key: values for result in self.passes().values() for key, values in result.published.items()}

    def desired(self) -> dict[RecordKey, DesiredSet]:
        """What should."""
        planned = [result.planned for result in self.passes().values() if result.planned is not None]
        return {key: wanted for each in planned for key, wanted in each.desired.items()}

    def trouble(self) -> str | None:
        """What keeps a zone from being as it should."""
        return "; ".join(text for text in map(standing, self.passes().values()) if text) or None


def _is_trouble(result: Pass) -> bool:
    """Whether the pass should be made again soon: something failed that may go well then."""
    return result.error is not None or bool(result.unfinished) or any(not e.ok for e in result.entries)


def _remembering(result: Pass, before: Pass) -> Pass:
    return Pass(
        result.zone,
        before.planned,
        entries=result.entries,
        error=result.error,
        sets_held=before.sets_held,
        published=before.published,
        retry_after_seconds=result.retry_after_seconds,
    )
