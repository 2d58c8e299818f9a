"""Carries out one operation as AliDNS requests; it never sends a write twice on a guess.

- DomainRecordDuplicate may mean "it stands already": the set is read, then judged.
- After a lost answer the set is read too. What is then seen to have happened is a success; anything else is
  raised, so that a new plan is made from a new reading.
- Deletions go by id. DeleteSubDomainRecords knows no line and is never used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from dns.core.model import Action, Operation, Record, RecordKey
from dns.errors import ProviderError, RefusedError, StaleError, UnknownOutcomeError
from dns.providers.aliyun_records import content, record_of, set_of
from dns.providers.paging import Listing
from dns.providers.port import Answer

NAME_PAGE_SIZE = 100


class Account(Protocol):
    """Sends requests within the account's budget; both raise `ProviderError`."""

    def call(self, action: str, parameters: Mapping[str, object], what: str) -> dict[str, Any]:
        """The answer to one request."""
        ...

    def listing(self, action: str, asked: Mapping[str, object], size: int, what: str) -> Listing:
        """All pages of a listing."""
        ...


class Operations:
    """Performs operations on one account; remembers for which sets it has switched weights on."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._weighted: set[RecordKey] = set()

    def perform(self, operation: Operation) -> Answer:
        """The answer to the operation, or a `ProviderError`."""
        act: dict[Action, Callable[[Operation], Answer]] = {
            Action.ADD: self._add,
            Action.REPLACE: self._replace,
            Action.REMOVE: self._remove,
        }
        return act[operation.action](operation)

    def _add(self, operation: Operation) -> Answer:
        new = _only(operation.new)
        wanted = {"DomainName": operation.zone.zone, **content(operation, new)}
        try:
            record_id = self._id_in(self._write("AddDomainRecord", wanted, operation), operation)
            text = "added"
        except (StaleError, UnknownOutcomeError) as doubt:
            found = self._standing(operation, doubt).get(new.value)
            if found is None or not found.enabled or found.id is None:
                raise  # a disabled record answers nobody: it is for a new plan to switch it on
            record_id, text = found.id, f"found standing after “{doubt.code}”"
        notes = self._weigh_new(operation, record_id, new) + self._mark(operation, record_id, new, "")
        return Answer("; ".join([f"{text}: {record_id}", *notes]), {new.value: record_id})

    def _replace(self, operation: Operation) -> Answer:
        old, new = _only(operation.old), _only(operation.new)
        record_id = old.id or self._id_of(operation, old)
        if record_id is None:
            raise StaleError(
                "gone", f"{what(operation)}: {old.value} does not stand any more; it is read again"
            )
        if (old.value, old.ttl) != (new.value, new.ttl):
            self._update(operation, record_id, new)
        if old.enabled != new.enabled:  # after the value: the old one must not come to answer
            status = {"RecordId": record_id, "Status": "Enable" if new.enabled else "Disable"}
            self._write("SetDomainRecordStatus", status, operation)
        if new.weight is not None and new.weight != old.weight:
            self._set_weight(operation, record_id, new.weight)
        notes = self._mark(operation, record_id, new, old.remark)
        return Answer("; ".join([f"replaced: {record_id}", *notes]), {new.value: record_id})

    def _update(self, operation: Operation, record_id: str, new: Record) -> None:
        wanted = {"RecordId": record_id, **content(operation, new)}
        try:
            self._id_in(self._write("UpdateDomainRecord", wanted, operation), operation)
        except (StaleError, UnknownOutcomeError) as doubt:
            if doubt.code == "gone":
                raise
            found = self._standing(operation, doubt).get(new.value)
            # A duplicate under another id means that the old value still stands: that is for a new plan.
            if found is None or found.id != record_id or found.ttl != new.ttl:
                raise

    def _remove(self, operation: Operation) -> Answer:
        old = _only(operation.old)
        record_id = old.id or self._id_of(operation, old)
        if record_id is None:
            return Answer("gone already")
        try:
            self._write("DeleteDomainRecord", {"RecordId": record_id}, operation)
        except StaleError as gone:
            if gone.code != "gone":
                raise
            return Answer(f"gone already: {record_id}")
        except UnknownOutcomeError as doubt:
            if any(found.id == record_id for found in self._standing(operation, doubt).values()):
                raise
            return Answer(f"found gone after “{doubt.code}”: {record_id}")
        return Answer(f"removed: {record_id}")

    # Weights and remarks

    def _weigh_new(self, operation: Operation, record_id: str, new: Record) -> list[str]:
        """A note where the weight was not set: the record answers, the next reading shows the rest."""
        if new.weight is None:
            return []
        try:
            self._set_weight(operation, record_id, new.weight)
        except ProviderError as error:
            return [f"its weight was not set ({error})"]
        return []

    def _set_weight(self, operation: Operation, record_id: str, weight: int) -> None:
        wanted = {"RecordId": record_id, "Weight": weight}
        if operation.key not in self._weighted:
            self._switch_on_weights(operation)
        try:
            self._write("UpdateDNSSLBWeight", wanted, operation)
        except ProviderError as error:
            if error.code != "unweighted":
                raise
            self._switch_on_weights(operation)  # somebody has switched them off meanwhile
            self._write("UpdateDNSSLBWeight", wanted, operation)

    def _switch_on_weights(self, operation: Operation) -> None:
        self._write("SetDNSSLBStatus", {**set_of(operation), "Open": "true"}, operation)
        self._weighted.add(operation.key)

    def _mark(self, operation: Operation, record_id: str, new: Record, standing: str) -> list[str]:
        """Sets the remark, with a request of its own (Add takes none): a note where that failed."""
        if not new.remark or new.remark == standing:
            return []
        try:
            wanted = {"RecordId": record_id, "Remark": new.remark}
            self._write("UpdateDomainRecordRemark", wanted, operation)
        except ProviderError as error:
            return [f"its remark was not set ({error})"]
        return []

    # Requests

    def _write(self, action: str, wanted: Mapping[str, object], operation: Operation) -> dict[str, Any]:
        return self._account.call(action, wanted, what(operation))

    def _id_in(self, answer: Mapping[str, Any], operation: Operation) -> str:
        if not answer.get("RecordId"):
            raise UnknownOutcomeError("garbage", f"{what(operation)}: AliDNS answered without a record id")
        return str(answer["RecordId"])

    def _standing(self, operation: Operation, doubt: ProviderError) -> dict[str, Record]:
        """The records of the set by value, read anew. Raises `doubt` when they cannot be read whole."""
        try:
            asked = set_of(operation)
            found = self._account.listing("DescribeSubDomainRecords", asked, NAME_PAGE_SIZE, what(operation))
        except ProviderError:
            raise doubt from None
        if not found.complete:
            raise doubt
        records = (record_of(row, operation.zone.zone) for row in found.rows)
        return {record.value: record for key, record in records if key == operation.key}

    def _id_of(self, operation: Operation, old: Record) -> str | None:
        unread = StaleError("unread", f"{what(operation)}: the set could not be read; it is read again")
        found = self._standing(operation, unread).get(old.value)
        return found.id if found else None


def what(operation: Operation) -> str:
    """How errors name the operation."""
    return f"{operation.action} {operation.key}"


def _only(records: tuple[Record, ...]) -> Record:
    if len(records) != 1:
        raise RefusedError("plan", f"AliDNS takes one record per operation, not {len(records)}")
    return records[0]
