"""Runs what the operator wants run when something happens: programs, URLs, channels. Blocks nobody and
tries once.

Each hook has a thread and a short queue of its own, so one that hangs delays no other and no feeder.
Batches to the same node that wait are told as one; of other things the oldest is dropped, and that is
reported.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence

from app.happening import MOST_PATHS, Happening, mergeable, merged
from app.hook_run import HookResult, HookSpec, post, run_argv

log = logging.getLogger(__name__)
MOST_WAITING = 100
STOP_SECONDS = 35.0


Report = Callable[[HookResult], None]
Tell = Callable[[str, Sequence[str]], None]


class Hooks:
    """All hooks. ``fire`` from any thread; it never waits. ``tell`` queues a text for channels
    (Alerts.tell).
    """

    def __init__(self, specs: Iterable[HookSpec], tell: Tell, report: Report) -> None:
        self._tell = tell
        self._report = report
        self._lock = threading.Lock()  # owns _runners and _retired
        self._runners: list[_Runner] = []
        self._retired: list[_Runner] = []
        self.reconfigure(specs)

    def fire(self, happening: Happening) -> None:
        """Queues every hook that waits for this."""
        with self._lock:
            wanted = [runner for runner in self._runners if runner.spec.trigger is happening.trigger]
        for runner in wanted:
            lost = runner.add(happening)
            if lost is not None:
                detail = f"not run: {MOST_WAITING} runs wait already; is the hook too slow?"
                self._tell_of(HookResult(runner.spec.label, lost, False, detail))

    def reconfigure(self, specs: Iterable[HookSpec]) -> None:
        """Takes over other hooks; those that stay the same keep what waits, the others end after their
        run.
        """
        wanted = list(specs)
        with self._lock:
            kept = {runner.spec: runner for runner in self._runners if runner.spec in wanted}
            gone = [runner for runner in self._runners if runner.spec not in kept]
            self._runners = [kept.get(spec) or _Runner(spec, self._run) for spec in dict.fromkeys(wanted)]
            self._retired = [runner for runner in self._retired if runner.alive] + gone
        for runner in gone:
            runner.end(after_current=True)

    def stop(self) -> list[str]:
        """Ends running programs and all threads; what waits is dropped. Returns the hooks that did not end
        in time.
        """
        with self._lock:
            runners = [*self._runners, *self._retired]
            self._runners = []
        for runner in runners:
            runner.end(after_current=False)
        deadline = time.monotonic() + STOP_SECONDS
        return [runner.spec.label for runner in runners if not runner.join(deadline - time.monotonic())]

    def _run(self, spec: HookSpec, happening: Happening, stop: threading.Event) -> None:
        try:
            result = self._result(spec, happening, stop)
        except Exception as error:
            log.exception("hook %s broke off", spec.label)
            result = HookResult(
                spec.label, happening, False, f"broke off with {type(error).__name__}; see the log"
            )
        self._tell_of(result)

    def _result(self, spec: HookSpec, happening: Happening, stop: threading.Event) -> HookResult:
        if spec.argv:
            return run_argv(spec, happening, stop)
        if spec.url:
            return post(spec, happening)
        self._tell(happening.sentence, [spec.channel])
        return HookResult(spec.label, happening, True, f"queued for channel {spec.channel}")

    def _tell_of(self, result: HookResult) -> None:
        try:
            self._report(result)
        except Exception:
            log.exception("the report of hook %s failed", result.label)


class _Runner:
    """The queue and the thread of one hook; the thread starts with the first thing that happens."""

    def __init__(self, spec: HookSpec, run: Callable[[HookSpec, Happening, threading.Event], None]) -> None:
        self.spec = spec
        self._run = run
        self._changed = threading.Condition()  # owns _waiting, _thread and _ending
        self._waiting: deque[list[Happening]] = deque()
        self._thread: threading.Thread | None = None
        self._ending = False
        self._stop = threading.Event()

    def add(self, happening: Happening) -> Happening | None:
        """Queues; returns what had to be dropped for it."""
        with self._changed:
            if self._ending:
                return None
            if self._merge(happening):
                return None
            lost = self._waiting.popleft()[0] if len(self._waiting) >= MOST_WAITING else None
            self._waiting.append([happening])
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._loop, name=f"hook-{self.spec.trigger}", daemon=True
                )
                self._thread.start()
            self._changed.notify_all()
            return lost

    def _merge(self, happening: Happening) -> bool:
        for group in self._waiting:
            if mergeable(group[0], happening):
                group.append(happening)
                if len(group) >= 64 or sum(len(one.paths) for one in group) > MOST_PATHS:
                    group[:] = [merged(group)]  # whatever is too much is forgotten, not piled up
                return True
        return False

    @property
    def alive(self) -> bool:
        """Whether its thread still runs."""
        return self._thread is not None and self._thread.is_alive()

    def end(self, after_current: bool) -> None:
        """Lets the thread end: after the run under way, or by ending that too."""
        with self._changed:
            self._ending = True
            self._waiting.clear()
            self._changed.notify_all()
        if not after_current:
            self._stop.set()

    def join(self, seconds: float) -> bool:
        """Whether the thread has ended within this time."""
        if self._thread is not None:
            self._thread.join(max(0.0, seconds))
        return not self.alive

    def _loop(self) -> None:
        while (happening := self._next()) is not None:
            self._run(self.spec, happening, self._stop)

    def _next(self) -> Happening | None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._ending)
            return None if self._ending else merged(self._waiting.popleft())
