"""Knows an address because the node said so over HTTP. Checks nothing about who said it: the API does.

A report stands until the next one: dyndns2 clients speak only when something changed, some only once a month.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from dns.addresses.contract import SourceError, SourceSpec
from dns.core.address import Resolution, canonicals, only


@dataclass(frozen=True, slots=True)
class Reported:
    """What a node said last: canonical addresses and when (seconds since the epoch)."""

    addresses: tuple[str, ...]
    at: float


class Reports:
    """The last report of every node. Safe to use from request threads and pools; forgets nothing by itself.

    Fill it from the database at start; ``put`` says whether the row must be written again.
    """

    def __init__(self, stored: Mapping[str, Reported] | None = None) -> None:
        self._lock = threading.Lock()  # owns _last
        self._last = dict(stored or {})

    def put(self, node: str, addresses: Iterable[str], at: float) -> bool:
        """Notes a report; True when the addresses differ from the last one (dyndns2: good, else nochg).

        Raises AddressError for a text that is no address, ValueError for an empty report; nothing is noted
        then.
        """
        settled = canonicals(addresses)
        if not settled:
            raise ValueError("a report needs at least one address")
        with self._lock:
            before = self._last.get(node)
            self._last[node] = Reported(settled, at)
        return before is None or before.addresses != settled

    def last(self, node: str) -> Reported | None:
        """The node's last report, None when it never reported."""
        with self._lock:
            return self._last.get(node)

    def forget(self, node: str) -> None:
        """Drops the report of a node that is gone."""
        with self._lock:
            self._last.pop(node, None)


@dataclass(frozen=True, slots=True)
class ReportedSource:
    """The addresses a node last reported; a failure when it never did or, if asked for, too long ago."""

    node: str
    reports: Reports
    family: int | None = None
    max_age_seconds: float | None = None
    clock: Callable[[], float] = field(default=time.time, repr=False)
    kind: str = "reported"

    @classmethod
    def from_spec(cls, spec: SourceSpec, reports: Reports) -> ReportedSource:
        """Raises SourceError when a value is given: a report has none."""
        if spec.values:
            raise SourceError(f"reported of node {spec.node} takes no value but true")
        return cls(spec.node, reports, spec.family, spec.max_age_seconds)

    @property
    def label(self) -> str:
        """Who reports."""
        return f"reported by {self.node}"

    def resolve(self) -> Resolution:
        """The last report's addresses of the asked family."""
        report = self.reports.last(self.node)
        if report is None:
            return Resolution.failed(
                f"{self.node} has not reported an address yet; it does so with a token of scope report"
            )
        age_seconds = self.clock() - report.at
        if self.max_age_seconds is not None and age_seconds > self.max_age_seconds:
            return Resolution.failed(
                f"{self.node} last reported {age_seconds:.0f} s ago; look at its reporting job"
            )
        return only(Resolution.found(report.addresses), self.family, f"the report of {self.node}")
