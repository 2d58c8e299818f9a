"""Notices, every ten seconds, what no event tells: a full disk, a database that is away, a service without a fit node,
a node that cannot be sent to, paths that cannot be read.

It only feeds the alerts; the pages show the same facts by themselves.
"""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from app.alerts.model import Cleared, Condition, Raised, Severity, Signal
from app.alerts.signals import of_dns, of_sending, of_service, of_system, of_unreadable

log = logging.getLogger(__name__)

SECONDS = 10.0
LEAST_FREE_BYTES = 200 * 1024 * 1024
LEAST_FREE_SHARE = 0.02

Json = Mapping[str, Any]


class Conditions:
    """A thread of its own, because a disk or a database that hangs must not hold up anybody.

    ``blocked``: why each node cannot be sent to though it answers, None where it can; ``unreadable``: a sentence per
    path of the publish directory that cannot be read.
    """

    def __init__(
        self,
        data_dir: Path,
        feed: Callable[..., None],
        *,
        database: Callable[[], str | None],
        services: Callable[[], Iterable[Json]],
        frozen: Callable[[], str],
        reload_trouble: Callable[[], str | None],
        blocked: Callable[[], Mapping[str, str | None]] = dict,
        unreadable: Callable[[], Sequence[str]] = tuple,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._data_dir, self._feed, self._clock = data_dir, feed, clock
        self._database, self._services = database, services
        self._frozen, self._reload_trouble = frozen, reload_trouble
        self._blocked, self._unreadable = blocked, unreadable
        self._seen: frozenset[tuple[Condition, str]] = frozenset()  # owned by whoever calls ``signals``
        self._ailing: frozenset[str] = frozenset()  # likewise: services without a fit node at the last look
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="conditions", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread; one that hangs on a disk is left behind as a daemon."""
        self._stop.set()
        self._thread.join(3)

    def _loop(self) -> None:
        while not self._stop.wait(SECONDS):
            try:
                self._feed(*self.signals())
            except Exception:
                log.exception("looking after disk, database and services broke off; it is done again")

    def signals(self) -> list[Signal]:
        """What holds and what does not, now."""
        now = self._clock()
        found: list[Signal] = [
            of_system(now, "disk", disk_trouble(self._data_dir)),
            of_system(now, "database", self._database()),
            of_system(now, "configuration", self._reload_trouble()),
            of_dns(now, "frozen by a person", self._frozen() or None, Severity.WARNING),
        ]
        paths = self._unreadable()
        found.append(of_unreadable(now, len(paths), paths[0] if paths else ""))
        found += [of_sending(now, node, reason) for node, reason in self._blocked().items()]
        found += [of_service(now, name, reason) for name, reason in self._services_in_trouble().items()]
        seen = frozenset((one.condition, one.object) for one in found if isinstance(one, Raised | Cleared))
        gone, self._seen = self._seen - seen, seen  # what left the configuration cannot be found to be well
        return found + [Cleared(now, condition, name) for condition, name in sorted(gone)]

    def _services_in_trouble(self) -> dict[str, str | None]:
        """Why each service has no fit node, None where it has one. Only what two looks in a row found counts: what is
        planned is a moment older than what is known of the nodes.
        """
        now = {service["name"]: service_trouble(service) for service in self._services()}
        before, self._ailing = self._ailing, frozenset(name for name, reason in now.items() if reason)
        return {name: reason if name in before else None for name, reason in now.items()}


def disk_trouble(folder: Path) -> str | None:
    """Why the disk under the folder is too full; None while it is not."""
    usage = shutil.disk_usage(folder)
    if usage.free >= min(LEAST_FREE_BYTES, usage.total * LEAST_FREE_SHARE):
        return None
    return f"only {usage.free // (1024 * 1024)} MiB are free on the disk of {folder}: free some, or the journal stops"


def service_trouble(service: Json) -> str | None:
    """Why no node answers for a service on some line, also where a stopgap does; None while one does, or nothing is
    known yet.
    """
    lines = service.get("lines", [])
    by_line: dict[str, list[Json]] = {}
    for line in lines:
        by_line.setdefault(line["line"], []).append(line)
    for line, sets in by_line.items():
        if sets and not any(one["desired"] and not one["stopgap"] for one in sets):
            return f"no node is fit for {service.get('fqdn', service['name'])} on {line}: {sets[0]['reason']}"
    return None
