"""Carries out a plan, operation by operation, in its order. It plans nothing and repeats nothing.

the facts changed, and a set still to come should differ     the rest is dropped
it removes, and its set would be left without an answer      left out, unless nothing is wanted there
it adds                                                      the intent is stored first
accepted                                                     the ledger learns what stands
refused, and it was to take something away                   the removal alone, if it may
the answer was lost                                          the set is read, and that counts
stale                                                        the rest is dropped
five failures in a row                                       the rest waits for the next pass
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from dns.core.model import Action, DesiredSet, Observed, Operation, Plan, Record, RecordKey
from dns.core.withdrawal import alone
from dns.errors import ProviderError, RefusedError, StaleError, UnknownOutcomeError
from dns.ledger import History, HistoryEntry, LedgerUnavailableError, OwedLedger
from dns.providers.port import Answer, Provider

FAILURES_IN_A_ROW = 5

StillWanted = Callable[[tuple[Operation, ...]], bool]
"""Whether the remaining operations are still what the facts of this moment call for."""


@dataclass
class Carried:
    """What came of a plan. `dropped`: why the rest was not carried out, empty when it was."""

    entries: list[HistoryEntry] = field(default_factory=list)
    held: dict[RecordKey, str] = field(default_factory=dict)
    touched: dict[RecordKey, str] = field(default_factory=dict)
    dropped: str = ""
    again: bool = False
    retry_after_seconds: float | None = None

    @property
    def applied(self) -> int:
        """How many operations were accepted."""
        return sum(1 for entry in self.entries if entry.ok)

    @property
    def failed(self) -> list[HistoryEntry]:
        """The operations that were not."""
        return [entry for entry in self.entries if not entry.ok]


class Carrier:
    """Carries out one plan at a provider. `standing` follows what stands, operation by operation."""

    def __init__(
        self,
        provider: Provider,
        ledger: OwedLedger,
        history: History,
        clock: Callable[[], float],
        stop: threading.Event,
    ) -> None:
        self._provider, self._ledger, self._history = provider, ledger, history
        self._clock, self._stop = clock, stop

    def carry_out(
        self,
        plan: Plan,
        desired: Mapping[RecordKey, DesiredSet],
        observed: Observed,
        still_wanted: StillWanted,
    ) -> Carried:
        """What came of it; raises nothing that a provider or the ledger does."""
        run = _Run(self, plan, desired, observed)
        for place, operation in enumerate(plan.operations):
            if self._stop.is_set():
                run.carried.dropped = "the service stops"
            elif not still_wanted(plan.operations[place:]):
                run.carried.dropped, run.carried.again = (
                    "the facts changed while the plan was carried out",
                    True,
                )
            if run.carried.dropped:
                break
            run.take(operation)
        return run.carried


class _Run:
    """The carrying out of one plan: its standing sets and its results."""

    def __init__(
        self, carrier: Carrier, plan: Plan, desired: Mapping[RecordKey, DesiredSet], observed: Observed
    ) -> None:
        self._provider, self._ledger = carrier._provider, carrier._ledger
        self._history, self._clock = carrier._history, carrier._clock
        self._zone, self._desired = plan.zone, desired
        self._standing = {o.key: list(observed.records(o.key)) for o in plan.operations}
        self._in_a_row = 0
        self.carried = Carried()

    def take(self, operation: Operation) -> None:
        """Carry out one operation, or leave it out with a reason."""
        if why := self._would_empty(operation):
            self.carried.held[operation.key] = why
            return
        try:
            self._intend(operation)
        except LedgerUnavailableError as away:
            self.carried.held[operation.key] = str(away)
            return
        self._send(operation)
        if self._in_a_row >= FAILURES_IN_A_ROW:
            self.carried.dropped = f"{FAILURES_IN_A_ROW} operations in a row failed; the next pass goes on"

    def _wanted(self, key: RecordKey) -> tuple[str, ...]:
        wanted = self._desired.get(key)
        return wanted.values if wanted else ()

    def _would_empty(self, operation: Operation) -> str:
        """Promise 4: why a removal must wait, empty when an answer stays or none is wanted."""
        if operation.action is not Action.REMOVE or not self._wanted(operation.key):
            return ""
        going = {(r.id, r.value) for r in operation.old}
        left = [r for r in self._standing[operation.key] if r.enabled and (r.id, r.value) not in going]
        if left:
            return ""
        last = ", ".join(operation.old_values)
        return f"{last} stays: it is the last answer, and what should replace it failed"

    def _intend(self, operation: Operation) -> None:
        there = {r.value for r in self._standing[operation.key]}
        if coming := tuple(value for value in operation.values if value not in there):
            self._ledger.intend(self._zone, operation.key, operation.service, coming)

    def _send(self, operation: Operation) -> None:
        try:
            answer = self._provider.apply(operation)
        except UnknownOutcomeError as unknown:
            self._look(operation, unknown)
        except StaleError as stale:
            self._failed(operation, stale)
            self.carried.dropped, self.carried.again = str(stale), True
        except RefusedError as refusal:
            self._failed(operation, refusal)
            rest = alone(operation, self._standing[operation.key], self._wanted(operation.key))
            if rest is not None and (rest.action, rest.new) != (operation.action, operation.new):
                self._send(rest)
        except ProviderError as failure:
            self._failed(operation, failure)
        else:
            self._accepted(operation, answer)

    def _look(self, operation: Operation, unknown: UnknownOutcomeError) -> None:
        """Read what came of an operation whose answer was lost; a provider that cannot be read has failed."""
        if not self._provider.capabilities(self._zone.zone).reads_back:
            self._failed(operation, unknown)
            return
        try:
            seen = self._provider.observe(self._zone.zone, frozenset({operation.key.name}))
        except ProviderError:
            seen = Observed(complete=False)
        if not seen.knows(operation.key):
            self._failed(operation, unknown)
            self.carried.dropped = (
                "whether the last operation happened could not be read; the next pass reads anew"
            )
            return
        records = list(seen.records(operation.key))
        happened = _stands(operation, records)
        self._standing[operation.key] = records
        if happened:
            self._note(operation, f"stands after all ({unknown.code})", True)
            self._settle(operation)
        else:
            self._failed(operation, unknown)

    def _accepted(self, operation: Operation, answer: Answer) -> None:
        standing = self._standing[operation.key]
        gone = {(r.id, r.value) for r in operation.old}
        new = [_with_id(record, answer) for record in operation.new]
        self._standing[operation.key] = [r for r in standing if (r.id, r.value) not in gone] + new
        self._note(operation, answer.text, True)
        self._settle(operation)

    def _settle(self, operation: Operation) -> None:
        """Write down what stands; a ledger that is away is owed it (see `OwedLedger`)."""
        key = operation.key
        self._in_a_row = 0
        self.carried.touched[key] = operation.service
        self._ledger.settle(self._zone, key, operation.service, tuple(self._standing[key]))

    def _failed(self, operation: Operation, error: ProviderError) -> None:
        self._in_a_row += 1
        self._note(operation, str(error), False, error.code)
        self.carried.held[operation.key] = str(error)
        if error.retry_after_seconds is not None:
            before = self.carried.retry_after_seconds or 0.0
            self.carried.retry_after_seconds = max(before, error.retry_after_seconds)

    def _note(self, operation: Operation, answer: str, ok: bool, code: str = "") -> None:
        entry = HistoryEntry(
            at=self._clock(),
            service=operation.service,
            zone=operation.zone,
            key=operation.key,
            action=operation.action,
            values=operation.values,
            old_values=operation.old_values,
            reason=operation.reason,
            answer=answer,
            ok=ok,
            code=code,
        )
        self.carried.entries.append(entry)
        self._history(entry)


def _with_id(record: Record, answer: Answer) -> Record:
    found = answer.ids.get(record.value, record.id)
    return Record(
        record.value, record.ttl, found, record.weight, record.enabled, record.remark, record.foreign
    )


def _stands(operation: Operation, records: list[Record]) -> bool:
    """Whether an operation has happened, by what stands now."""
    there = {(r.value, r.ttl, r.enabled) for r in records}
    came = all((r.value, r.ttl, r.enabled) in there for r in operation.new)
    values = {r.value for r in records}
    gone = not any(r.value in values for r in operation.old if r.value not in operation.values)
    return came and gone
