"""Every timer of a running service, kept by APScheduler; its jobs only hand a message on and do no work.

The default settings of APScheduler would drop what is late (one second of grace) and run jobs in ten threads;
here nothing is dropped, what piles up runs once, and the scheduler's own thread does the handing on.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from apscheduler.executors.debug import DebugExecutor
from apscheduler.jobstores.base import JobLookupError
from apscheduler.jobstores.memory import MemoryJobStore
from apscheduler.schedulers.background import BackgroundScheduler


class Timers:
    """Named timers. A name stands for one timer: setting it again replaces it."""

    def __init__(self) -> None:
        for name in ("apscheduler.scheduler", "apscheduler.executors.default"):
            logging.getLogger(name).setLevel(logging.WARNING)  # it would log every probe at INFO
        self._scheduler = BackgroundScheduler(
            jobstores={"default": MemoryJobStore()},
            executors={"default": DebugExecutor()},  # calls in the scheduler's thread
            job_defaults={"coalesce": True, "misfire_grace_time": None, "max_instances": 1},
            timezone=UTC,
            daemon=True,
        )

    def start(self) -> None:
        """Starts the scheduler's one thread."""
        self._scheduler.start()

    def stop(self) -> None:
        """Ends it; nothing fires afterwards."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=True)

    def after(self, name: str, seconds: float, call: Callable[[], None]) -> None:
        """Calls once, ``seconds`` from now."""
        when = datetime.now(UTC) + timedelta(seconds=max(0.0, seconds))
        self._scheduler.add_job(call, "date", run_date=when, id=name, replace_existing=True)

    def every(self, name: str, seconds: float, call: Callable[[], None], jitter: float | None = None) -> None:
        """Calls every ``seconds``, the first time one interval from now."""
        self._scheduler.add_job(
            call, "interval", seconds=seconds, jitter=jitter, id=name, replace_existing=True
        )

    def cancel(self, name: str) -> None:
        """Forgets the timer, if there is one."""
        try:
            self._scheduler.remove_job(name)
        except JobLookupError:
            return

    def names(self) -> list[str]:
        """The timers that are set."""
        return [job.id for job in self._scheduler.get_jobs()]
