"""Carries out operations where one request changes one record; it never sends a write twice on a guess.

the provider says             what follows
it stands already             the set is read; what is wanted and answers is a success, else a new plan
no answer, 5xx, garbage       the set is read; what is seen to have happened is a success, else
                              UnknownOutcomeError: a new reading and a new plan
the record is gone            success for a removal, else StaleError
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from dns.core.model import Action, Operation, Record, canonical_value
from dns.errors import ProviderError, RefusedError, StaleError, UnknownOutcomeError
from dns.providers.port import Answer

DUPLICATE = "duplicate"
GONE = "gone"


class Requests(Protocol):
    """What a provider of this sort can do, each a request or two. All raise `ProviderError`.

    A record that stands already is ``StaleError(DUPLICATE)``, one that is not there ``StaleError(GONE)``.
    """

    def create(self, operation: Operation, new: Record) -> str:
        """Adds the record; returns its id."""
        ...

    def update(self, operation: Operation, record_id: str, old: Record, new: Record) -> None:
        """Turns the value and TTL of a record into the new ones, in place."""
        ...

    def delete(self, operation: Operation, record_id: str) -> None:
        """Removes the record."""
        ...

    def finish(self, operation: Operation, record_id: str, old: Record | None, new: Record) -> Sequence[str]:
        """What is left after `create` (`old` None) or `update`; returns notes on what is only half of it."""
        ...

    def standing(self, operation: Operation) -> Sequence[Record]:
        """The records of the operation's set, read anew and whole."""
        ...


class RecordByRecord:
    """Performs operations of at most one old and one new record through `Requests`."""

    def __init__(self, requests: Requests) -> None:
        self._requests = requests

    def perform(self, operation: Operation) -> Answer:
        """The answer to the operation, or a `ProviderError`."""
        act: dict[Action, Callable[[Operation], Answer]] = {
            Action.ADD: self._add,
            Action.REPLACE: self._replace,
            Action.REMOVE: self._remove,
        }
        return act[operation.action](operation)

    def _add(self, operation: Operation) -> Answer:
        new = _only(operation.new, operation)
        try:
            record_id, text = self._requests.create(operation, new), "added"
        except (StaleError, UnknownOutcomeError) as doubt:
            found = self._standing(operation, doubt).get(new.value)
            if found is None or not found.enabled or found.id is None:
                raise  # a disabled record answers nobody: it is for a new plan to switch it on
            record_id, text = found.id, f"found standing after “{doubt.code}”"
        notes = self._requests.finish(operation, record_id, None, new)
        return Answer("; ".join([f"{text}: {record_id}", *notes]), {new.value: record_id})

    def _replace(self, operation: Operation) -> Answer:
        old, new = _only(operation.old, operation), _only(operation.new, operation)
        record_id = old.id or self._id_of(operation, old)
        if record_id is None:
            raise StaleError(
                GONE, f"{what(operation)}: {old.value} does not stand any more; it is read again"
            )
        try:
            self._requests.update(operation, record_id, old, new)
        except (StaleError, UnknownOutcomeError) as doubt:
            if doubt.code == GONE:
                raise
            found = self._standing(operation, doubt).get(new.value)
            # A duplicate under another id means that the old value still stands: that is for a new plan.
            if found is None or found.id != record_id or found.ttl != new.ttl:
                raise
        notes = self._requests.finish(operation, record_id, old, new)
        return Answer("; ".join([f"replaced: {record_id}", *notes]), {new.value: record_id})

    def _remove(self, operation: Operation) -> Answer:
        old = _only(operation.old, operation)
        record_id = old.id or self._id_of(operation, old)
        if record_id is None:
            return Answer("gone already")
        try:
            self._requests.delete(operation, record_id)
        except StaleError as gone:
            if gone.code != GONE:
                raise
            return Answer(f"gone already: {record_id}")
        except UnknownOutcomeError as doubt:
            if any(found.id == record_id for found in self._standing(operation, doubt).values()):
                raise
            return Answer(f"found gone after “{doubt.code}”: {record_id}")
        return Answer(f"removed: {record_id}")

    def _standing(self, operation: Operation, doubt: ProviderError) -> dict[str, Record]:
        """The records of the set by value, read anew. Raises `doubt` when they cannot be read whole."""
        try:
            return {record.value: record for record in self._requests.standing(operation)}
        except ProviderError:
            raise doubt from None

    def _id_of(self, operation: Operation, old: Record) -> str | None:
        unread = StaleError("unread", f"{what(operation)}: the set could not be read; it is read again")
        found = self._standing(operation, unread).get(old.value)
        return found.id if found else None


def what(operation: Operation) -> str:
    """How errors name the operation."""
    return f"{operation.zone.provider}: {operation.action} {operation.key}"


def must_be_values(operation: Operation) -> None:
    """Raises RefusedError for a new value that is none of its type: some far sides would take anything."""
    for record in operation.new:
        try:
            canonical_value(operation.key.type, record.value)
        except ValueError:
            text = (
                f"{what(operation)}: {record.value!r} is no value for a record of type {operation.key.type}"
            )
            raise RefusedError("plan", text) from None


def _only(records: tuple[Record, ...], operation: Operation) -> Record:
    if len(records) != 1:
        raise RefusedError("plan", f"{what(operation)}: it takes one record at a time, not {len(records)}")
    return records[0]
