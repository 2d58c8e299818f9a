"""A provider in memory for the tests of everything above one: it counts, fails when told to, and lets a
reader watch.

The real providers are tested in the contract suite; this one makes thousands of histories a second
possible.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

from dns.core.guard import Context
from dns.core.model import (
    Action,
    Address,
    Capabilities,
    LinePlan,
    NodeFacts,
    Observed,
    Operation,
    Record,
    RecordKey,
    RecordSet,
    Service,
    ZoneKey,
)
from dns.executor import Executor, Pass
from dns.ledger import HistoryEntry, MemoryLedger
from dns.providers.port import Answer

ZONE = "example.test"
KEY = ZoneKey("mem", ZONE)
WWW = RecordKey(f"www.{ZONE}", "A", "default")

PER_RECORD = Capabilities(lines=None, line_fallback_to_default=True, weights=True, ttl_min=1, remarks=True)
WITHOUT_REMARKS = replace(PER_RECORD, remarks=False)
WITHOUT_UPDATE = replace(PER_RECORD, update_in_place=False)
WHOLE_SETS = Capabilities(lines=frozenset({"default", "telecom", "unicom"}), ttl_min=1, atomic_sets=True)
KINDS = (PER_RECORD, WITHOUT_REMARKS, WITHOUT_UPDATE, WHOLE_SETS)


class Crash(BaseException):
    """The process ends here."""


@dataclass
class MemoryProvider:
    """Records by key. `fail` is asked before each write with its number and may raise; `lose` after it."""

    able: Capabilities = PER_RECORD
    name: str = "mem"
    sets: dict[RecordKey, list[Record]] = field(default_factory=dict)
    fail: Callable[[int, Operation], None] = lambda number, operation: None
    lose: Callable[[int, Operation], None] = lambda number, operation: None
    watch: Callable[[], None] = lambda: None
    fail_listing: Callable[[], None] = lambda: None
    complete: bool = True
    writes: int = 0
    listings: int = 0
    kind: ClassVar[str] = "memory"
    _ids: itertools.count[int] = field(default_factory=itertools.count)

    def capabilities(self, zone: str) -> Capabilities:
        return self.able

    def observe(self, zone: str, names: frozenset[str]) -> Observed:
        self.listings += 1
        self.fail_listing()
        found = {k: RecordSet(k, tuple(v)) for k, v in self.sets.items() if v and k.name in names}
        return Observed(found, self.complete, "" if self.complete else "page 2 of 3 is missing")

    def apply(self, operation: Operation) -> Answer:
        self.writes += 1
        self.fail(self.writes, operation)
        standing = self.sets.setdefault(operation.key, [])
        new = [replace(r, id=r.id if self.able.atomic_sets else self._id(r)) for r in operation.new]
        if self.able.atomic_sets:
            standing[:] = new
        else:
            self._change(standing, operation, new)
        self.watch()
        self.lose(self.writes, operation)
        return Answer("done", {r.value: r.id for r in new if r.id is not None})

    def _id(self, record: Record) -> str:
        return record.id or f"id{next(self._ids)}"

    def _change(self, standing: list[Record], operation: Operation, new: list[Record]) -> None:
        assert len(operation.new) <= 1 >= len(operation.old), "one record at a time"
        if operation.action is Action.REPLACE:
            assert self.able.update_in_place
            place = [r.id for r in standing].index(operation.old[0].id)
            standing[place] = new[0]
            return
        ids = set(operation.record_ids)
        standing[:] = [r for r in standing if r.id not in ids] + [
            r for r in new if r.value not in {s.value for s in standing}
        ]

    def check(self, zone: str) -> tuple[str, ...]:
        return ()

    def close(self) -> None:
        return

    def values(self, key: RecordKey) -> list[str]:
        return sorted(r.value for r in self.sets.get(key, []) if r.enabled)

    def put(self, key: RecordKey, *values: str, ttl: int = 600, remark: str = "") -> None:
        """Somebody else's records."""
        self.sets.setdefault(key, []).extend(
            Record(v, ttl, None if self.able.atomic_sets else f"foreign{next(self._ids)}", remark=remark)
            for v in values
        )


def address_of(number: int) -> str:
    return f"198.18.0.{number + 1}"


def node(name: str, fit: bool | None = True, reason: str = "", **changes: object) -> NodeFacts:
    """A node with the address of its letter: a is 198.18.0.1."""
    said = reason or {True: "", False: "is dead", None: "is not known yet"}[fit]
    facts = NodeFacts(name, fit, said, addresses=(Address(address_of(ord(name[0]) - 97)),))
    return replace(facts, **changes)  # type: ignore[arg-type]


def service(name: str = "www", **changes: object) -> Service:
    made = Service(name, "mem", ZONE, name, ("A",), 600, {"default": LinePlan()}, allow_private=True)
    return replace(made, **changes)  # type: ignore[arg-type]


@dataclass
class World:
    """A provider, a ledger and an executor; `nodes` is what the content half says now."""

    provider: MemoryProvider
    services: list[Service]
    nodes: list[NodeFacts]
    context: Context = field(default_factory=Context)
    ledger: MemoryLedger = field(default_factory=MemoryLedger)
    history: list[HistoryEntry] = field(default_factory=list)
    remark: str = "lockstep-test"
    now: float = 1000.0

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """A new process with the same database."""
        self.executor = Executor(
            self.provider, self.ledger, self.history.append, remark=self.remark, clock=lambda: self.now
        )

    def reconcile(self, adopt: Sequence[str] = (), context: Context | None = None) -> Pass:
        around = context or self.context
        return self.executor.reconcile(ZONE, self.services, lambda: self.nodes, lambda planned: around, adopt)

    def values(self, key: RecordKey = WWW) -> list[str]:
        return self.provider.values(key)
