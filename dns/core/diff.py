"""Turns what stands into what should stand: ordered operations for one zone, or reasons to leave a set
alone.

It never touches a foreign record, and no prefix of its operations leaves a set empty that should not be.

Per record set, with D desired, O observed, "ours" when the ledger or the remarks say so:

    not read for certain            held: nothing can be concluded
    O has foreign records           held until adopted
    a CNAME stands at the name      held: a name with a CNAME can have nothing beside it
    D = O                           nothing
    whole sets at once              one ADD, REPLACE or REMOVE of the whole set
    otherwise, record by record:
      same value, other TTL …       REPLACE in place where the provider can; held where it cannot
      an old and a new value        REPLACE in place where the provider can
      a new value left over         ADD
      an old value left over        REMOVE, after every ADD of its set

Over the whole plan: replacements first, then removals that only take bad answers away from sets that keep
good ones, then additions, and removals that wait for an addition of their own set last.
"""

from __future__ import annotations

from collections.abc import Mapping

from dns.core.model import (
    Action,
    Capabilities,
    DesiredRecord,
    DesiredSet,
    Observed,
    Operation,
    Plan,
    Record,
    RecordKey,
    ZoneKey,
)
from dns.core.ownership import Ownership

UNCLAIMED = "no service claims this record set any more"


def diff(
    zone: ZoneKey,
    desired: Mapping[RecordKey, DesiredSet],
    observed: Observed,
    ownership: Ownership,
    able: Capabilities,
    remark: str = "",
) -> Plan:
    """The operations that turn `observed` into `desired`, and the sets that are held with the reason.

    Owned sets that nothing desires are removed as a whole; whether that may happen is the guard's
    question. `remark` is written on every new record where the provider has remarks. The same arguments
    after the plan was applied give a plan without operations.
    """
    first: list[Operation] = []
    additions: list[Operation] = []
    last: list[Operation] = []
    held: dict[RecordKey, str] = {}
    names_with_cname = {
        (key.name, key.line): key for key in observed.sets if key.type == "CNAME" and observed.records(key)
    }
    for key, wanted in desired.items():
        standing = observed.records(key)
        if why := _why_held(key, wanted, observed, ownership, names_with_cname):
            held[key] = why
        elif not _same(wanted, standing, able):
            change = _SetChange(zone, key, wanted, standing, able, remark)
            lists = change.whole() if able.atomic_sets else change.by_record()
            for target, operations in zip((first, additions, last), lists, strict=True):
                target += operations
            if change.impossible:
                held[key] = change.impossible
    for key in sorted(ownership.owned - desired.keys()):
        if not observed.knows(key):
            held[key] = _unread(observed)
        elif key in ownership.held:
            held[key] = ownership.held[key]
        else:
            first += _removals(zone, key, ownership.service(key), observed.records(key), able)
    return Plan(zone, (*first, *additions, *last), held)


def _why_held(
    key: RecordKey,
    wanted: DesiredSet,
    observed: Observed,
    ownership: Ownership,
    names_with_cname: Mapping[tuple[str, str], RecordKey],
) -> str:
    if wanted.held:
        return wanted.held
    if not observed.knows(key):
        return _unread(observed)
    if key in ownership.held:
        return ownership.held[key]
    if wanted.records and (key.name, key.line) in names_with_cname:
        target = ", ".join(r.value for r in observed.records(names_with_cname[(key.name, key.line)]))
        return f"a CNAME to {target} stands at {key.name} ({key.line}); remove it there first"
    return ""


def _unread(observed: Observed) -> str:
    return (
        f"the provider's listing is not complete, so nothing follows from it: {observed.why or 'cut short'}"
    )


def _same(wanted: DesiredSet, standing: tuple[Record, ...], able: Capabilities) -> bool:
    """The quick answer for a set in which nothing changed."""
    if len(wanted.records) != len(standing):
        return False
    by_value = {r.value: r for r in standing}
    return len(by_value) == len(standing) and all(
        (found := by_value.get(r.value)) is not None and not _differs(found, r, able) for r in wanted.records
    )


def _differs(standing: Record, wanted: DesiredRecord, able: Capabilities) -> bool:
    weight = able.weights and wanted.weight is not None and standing.weight != wanted.weight
    return standing.ttl != wanted.ttl or not standing.enabled or weight


def _removals(
    zone: ZoneKey, key: RecordKey, service: str, standing: tuple[Record, ...], able: Capabilities
) -> list[Operation]:
    if not standing:
        return []
    parts = [standing] if able.atomic_sets else [(record,) for record in standing]
    return [Operation(Action.REMOVE, service, zone, key, (), part, UNCLAIMED) for part in parts]


class _SetChange:
    """The operations of one record set: (what goes first, additions, what waits for them)."""

    def __init__(
        self,
        zone: ZoneKey,
        key: RecordKey,
        wanted: DesiredSet,
        standing: tuple[Record, ...],
        able: Capabilities,
        remark: str,
    ) -> None:
        self.zone, self.key, self.wanted, self.standing, self.able = zone, key, wanted, standing, able
        self.remark = remark if able.remarks else ""
        self.impossible = ""

    def whole(self) -> tuple[list[Operation], list[Operation], list[Operation]]:
        """One operation for the whole set; one that takes an answer away goes first."""
        new = tuple(self._new(r) for r in self.wanted.records)
        reason = self._reason()
        if not self.standing:
            return [], [self._operation(Action.ADD, new, (), reason)], []
        if not new:
            return [self._operation(Action.REMOVE, (), self.standing, reason)], [], []
        operation = self._operation(Action.REPLACE, new, self.standing, reason)
        withdraws = set(operation.old_values) - set(operation.values)
        return ([operation], [], []) if withdraws else ([], [operation], [])

    def _reason(self) -> str:
        against = (
            why
            for value, why in self.wanted.against.items()
            if value in {r.value for r in self.standing} and why not in self.wanted.reason
        )
        return "; ".join(dict.fromkeys((self.wanted.reason, *against)))

    def by_record(self) -> tuple[list[Operation], list[Operation], list[Operation]]:
        """Replacements in place, additions, removals; removals first where the set keeps a record."""
        keep, surplus = self._split()
        missing = [r for r in self.wanted.records if r.value not in keep]
        updates = self._updates(keep)
        swaps: list[Operation] = []
        while self.able.update_in_place and surplus and missing:
            swaps.append(self._swap(surplus.pop(0), missing.pop(0)))
        adds = [self._operation(Action.ADD, (self._new(r),), (), r.reason) for r in missing]
        removes = [self._operation(Action.REMOVE, (), (r,), self._why_gone(r)) for r in surplus]
        answering = any(record.enabled for record in keep.values())
        if answering or not self.wanted.records:
            return [*swaps, *removes], [*adds, *updates], []
        return swaps, [*adds, *updates], removes

    def _split(self) -> tuple[dict[str, Record], list[Record]]:
        """What stands and should, by value, and what stands and should not; of twins one stays."""
        values = set(self.wanted.values)
        keep: dict[str, Record] = {}
        surplus: list[Record] = []
        for record in sorted(self.standing, key=lambda r: not r.enabled):
            if record.value in values and record.value not in keep:
                keep[record.value] = record
            else:
                surplus.append(record)
        surplus.sort(key=lambda r: not r.enabled)
        return keep, surplus

    def _updates(self, keep: Mapping[str, Record]) -> list[Operation]:
        changed = [
            r for r in self.wanted.records if r.value in keep and _differs(keep[r.value], r, self.able)
        ]
        if changed and not self.able.update_in_place:
            self.impossible = (
                f"the provider {self.zone.provider} cannot change TTL or weight of a record that stands; "
                "remove it there, and it is written anew"
            )
            return []
        return [
            self._operation(
                Action.REPLACE,
                (self._new(r, keep[r.value]),),
                (keep[r.value],),
                _what_differs(keep[r.value], r),
            )
            for r in changed
        ]

    def _swap(self, old: Record, wanted: DesiredRecord) -> Operation:
        reason = f"{wanted.reason}; {self._why_gone(old)}" if wanted.reason else self._why_gone(old)
        return self._operation(Action.REPLACE, (self._new(wanted, old),), (old,), reason)

    def _new(self, wanted: DesiredRecord, instead_of: Record | None = None) -> Record:
        weight = wanted.weight if wanted.weight is not None or instead_of is None else instead_of.weight
        name = instead_of.id if instead_of is not None else None
        return Record(wanted.value, wanted.ttl, name, weight, remark=self.remark)

    def _why_gone(self, old: Record) -> str:
        if old.value in self.wanted.values:
            return f"{old.value} stands twice"
        return self.wanted.against.get(old.value) or f"{old.value} is not wanted here: {self.wanted.reason}"

    def _operation(
        self, action: Action, new: tuple[Record, ...], old: tuple[Record, ...], reason: str
    ) -> Operation:
        return Operation(action, self.wanted.service, self.zone, self.key, new, old, reason)


def _what_differs(standing: Record, wanted: DesiredRecord) -> str:
    if not standing.enabled:
        return "the record was disabled at the provider"
    if standing.ttl != wanted.ttl:
        return f"ttl {standing.ttl} → {wanted.ttl}"
    return f"weight {standing.weight} → {wanted.weight}"
