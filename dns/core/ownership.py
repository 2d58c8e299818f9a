"""Decides which record sets are ours. It adopts nothing by itself and looks at no content but the evidence.

The evidence, strongest first: the ledger (what we wrote, or were about to write: an intent is stored
before each addition, so that a crash leaves an intent, not an orphan), then the remark on a record.

    nothing stands                                  free: whoever claims it may write
    the zone is wholly ours (a file of our own)     ours
    the ledger knows the set
      every record is evidenced, see below          ours
      a record is not                               held: somebody else's record stands in it
    the ledger does not
      every record carries our installation's id    ours again (a ledger was lost), and goes into the ledger
      otherwise                                     held until adopted

In a set that the ledger knows, a record is evidenced when its id, its value or its remark is ours. One
that is not counts as ours, edited by hand, where records have no ids and one of ours is missing in its
place; else it is somebody's.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from dns.core.model import Capabilities, Observed, Record, RecordKey

REMARK_PREFIX = "lockstep-"


def remark_of(installation: str) -> str:
    """The remark on our records: at most 50 letters, digits and '-', which every provider takes."""
    return f"{REMARK_PREFIX}{installation}"[:50]


@dataclass(frozen=True, slots=True)
class Entry:
    """What the ledger knows of one set: the service it was written for, what stands, and what may.

    `intended` are values whose addition was begun and not confirmed: they may stand or not.
    """

    service: str
    records: tuple[Record, ...] = ()
    intended: tuple[str, ...] = ()

    @property
    def values(self) -> frozenset[str]:
        """Every value that we wrote or meant to."""
        return frozenset((*(r.value for r in self.records), *self.intended))

    @property
    def ids(self) -> frozenset[str]:
        """The provider's ids of what we wrote."""
        return frozenset(r.id for r in self.records if r.id is not None)


@dataclass(frozen=True, slots=True)
class Ownership:
    """The sets that are ours or free (`owned`), those that are not (`held`, with the reason), and what
    the ledger should learn.

    `regained` are sets that the remarks gave back; `entries` is the ledger it was decided from.
    """

    owned: frozenset[RecordKey] = frozenset()
    held: Mapping[RecordKey, str] = field(default_factory=dict)
    regained: Mapping[RecordKey, Entry] = field(default_factory=dict)
    entries: Mapping[RecordKey, Entry] = field(default_factory=dict)

    def service(self, key: RecordKey) -> str:
        """The service that a set was written for, empty when nobody knows."""
        entry = self.entries.get(key) or self.regained.get(key)
        return entry.service if entry else ""


def decide(
    claimed: Mapping[RecordKey, str],
    observed: Observed,
    ledger: Mapping[RecordKey, Entry],
    able: Capabilities,
    remark: str,
) -> Ownership:
    """Whose the record sets are: those claimed (key → service), and those in the ledger that nobody
    claims.
    """
    owned: set[RecordKey] = set()
    held: dict[RecordKey, str] = {}
    regained: dict[RecordKey, Entry] = {}
    for key in (*claimed, *(k for k in ledger if k not in claimed)):
        standing = observed.records(key)
        entry = ledger.get(key)
        why = _why_not_ours(key, standing, entry, able, remark)
        if why is not None:
            held[key] = why
        elif standing or entry:
            owned.add(key)
            if entry is None:
                regained[key] = Entry(claimed.get(key, ""), standing)
    for key in _stamped(observed, claimed, ledger, able, remark):
        owned.add(key)
        regained[key] = Entry("", observed.records(key))
    return Ownership(frozenset(owned), held, regained, ledger)


def adopted(keys: Iterable[RecordKey], observed: Observed, service: str) -> dict[RecordKey, Entry]:
    """The ledger entries that make these sets ours as they stand; sets that do not stand need none.

    A set that was not read for certain is left out, and so is one with a record that the provider locks.
    """
    return {
        key: Entry(service, records)
        for key in keys
        if observed.knows(key) and (records := observed.records(key)) and not any(r.foreign for r in records)
    }


def _why_not_ours(
    key: RecordKey, standing: tuple[Record, ...], entry: Entry | None, able: Capabilities, remark: str
) -> str | None:
    """Why a set is not ours to change, None when it is (or when nothing stands)."""
    locked = [r.value for r in standing if r.foreign]
    if locked:
        return (
            f"{', '.join(locked)} at {key} is locked or managed by another tool; release it at the provider"
        )
    if not standing or able.owns_zone:
        return None
    if entry is None:
        strangers = [r for r in standing if not _carries(r, remark)]
    else:
        strangers = _strangers(standing, entry, remark)
    if not strangers:
        return None
    values = ", ".join(r.value for r in strangers)
    verb = "is" if len(strangers) == 1 else "are"
    return f"{values} at {key} {verb} not ours: `flask dns adopt` hands it over, or remove it at the provider"


def _carries(record: Record, remark: str) -> bool:
    return bool(remark) and record.remark == remark


def _strangers(standing: Iterable[Record], entry: Entry, remark: str) -> list[Record]:
    unknown = [
        r for r in standing if not (r.id in entry.ids or r.value in entry.values or _carries(r, remark))
    ]
    there = {r.value for r in standing}
    edited = sum(1 for r in entry.records if r.value not in there)
    replaced = [r for r in unknown if r.id is None][:edited]
    return [r for r in unknown if r not in replaced]


def _stamped(
    observed: Observed,
    claimed: Collection[RecordKey],
    ledger: Collection[RecordKey],
    able: Capabilities,
    remark: str,
) -> list[RecordKey]:
    """Sets that nobody claims or remembers, but whose every record carries our id: a service that went with
    the ledger.
    """
    if not able.remarks:
        return []
    return [
        key
        for key, found in observed.sets.items()
        if key not in claimed
        and key not in ledger
        and found.records
        and all(_carries(r, remark) and not r.foreign for r in found.records)
    ]
