"""What must be remembered about records that are ours, and a memory of it for tests. It decides nothing.

The order of writes is the point: an intent is stored before an addition is sent, what stands is stored
after the answer. So a crash between the two leaves an intent for a record that may stand, never a record
nobody remembers.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from dns.core.model import Action, Record, RecordKey, ZoneKey
from dns.core.ownership import Entry
from dns.errors import DnsError


class LedgerUnavailableError(DnsError):
    """The ledger cannot be read or written now. Nothing is added meanwhile; what is unfit may still go."""


class Ledger(Protocol):
    """Durable: a method that returns has stored what it was given. Each raises LedgerUnavailableError and
    nothing else.

    To store per row: provider, zone, name, type, line (the key), service, records (value, ttl, id, weight,
    enabled, remark of each), intended values.
    """

    def entries(self, zone: ZoneKey) -> Mapping[RecordKey, Entry]:
        """Every entry of the zone."""
        ...

    def intend(self, zone: ZoneKey, key: RecordKey, service: str, values: tuple[str, ...]) -> None:
        """Store that these values may come to stand, beside what the entry says already."""
        ...

    def settle(self, zone: ZoneKey, key: RecordKey, service: str, records: tuple[Record, ...]) -> None:
        """Store that exactly these records stand on our account and no intent is open. None: forget the
        entry.
        """
        ...


class MemoryLedger:
    """A ledger for tests; it forgets everything with the process. `away` makes every call fail."""

    def __init__(self) -> None:
        self.stored: dict[ZoneKey, dict[RecordKey, Entry]] = {}
        self.away = False

    def entries(self, zone: ZoneKey) -> Mapping[RecordKey, Entry]:
        """A copy of the zone's entries."""
        return dict(self._zone(zone))

    def intend(self, zone: ZoneKey, key: RecordKey, service: str, values: tuple[str, ...]) -> None:
        """Add to the intents."""
        before = self._zone(zone).get(key, Entry(service))
        intended = tuple(dict.fromkeys((*before.intended, *values)))
        self._zone(zone)[key] = replace(before, service=service, intended=intended)

    def settle(self, zone: ZoneKey, key: RecordKey, service: str, records: tuple[Record, ...]) -> None:
        """Replace the entry."""
        if records:
            self._zone(zone)[key] = Entry(service, records)
        else:
            self._zone(zone).pop(key, None)

    def _zone(self, zone: ZoneKey) -> dict[RecordKey, Entry]:
        if self.away:
            raise LedgerUnavailableError("the ledger is away")
        return self.stored.setdefault(zone, {})


class OwedLedger:
    """A ledger that is owed what could not be written: it is, in order, before anything else is asked
    again.

    `settle` therefore never raises; `entries` and `intend` do while the ledger is away.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._owed: dict[tuple[ZoneKey, RecordKey], tuple[str, tuple[Record, ...]]] = {}

    def entries(self, zone: ZoneKey) -> Mapping[RecordKey, Entry]:
        """The ledger's entries, with everything owed written first."""
        self._pay()
        return self._ledger.entries(zone)

    def intend(self, zone: ZoneKey, key: RecordKey, service: str, values: tuple[str, ...]) -> None:
        """Store the intent, everything owed first."""
        self._pay()
        self._ledger.intend(zone, key, service, values)

    def settle(self, zone: ZoneKey, key: RecordKey, service: str, records: tuple[Record, ...]) -> None:
        """Store what stands, now or when the ledger is back."""
        self._owed.pop((zone, key), None)
        self._owed[zone, key] = (service, records)
        with contextlib.suppress(LedgerUnavailableError):
            self._pay()

    def _pay(self) -> None:
        for (zone, key), (service, records) in list(self._owed.items()):
            self._ledger.settle(zone, key, service, records)
            del self._owed[zone, key]


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One operation that was sent, with the provider's answer. `code` is empty when it went well."""

    at: float
    service: str
    zone: ZoneKey
    key: RecordKey
    action: Action
    values: tuple[str, ...]
    old_values: tuple[str, ...]
    reason: str
    answer: str
    ok: bool
    code: str = ""


History = Callable[[HistoryEntry], None]
"""Takes each entry once and in order. It may keep them in memory for a while, but never raises."""
