"""Says what each step of an operation is in AliDNS's actions; it does not decide when and whether.

- An Update that changes nothing is refused as a duplicate, so it is only sent when value or TTL differ.
- Add takes no remark and no weight: each is a request of its own, and so is enabling a record.
- Weights need SetDNSSLBStatus first, per (name, type, line).
- Deletions go by id. DeleteSubDomainRecords knows no line and is never used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from dns.core.model import Operation, Record, RecordKey
from dns.errors import ProviderError, RefusedError, StaleError, UnavailableError, UnknownOutcomeError
from dns.providers.aliyun_records import content, record_of, set_of
from dns.providers.paging import Listing
from dns.providers.record_by_record import what
from dns.providers.rows import records_at

NAME_PAGE_SIZE = 100


class Account(Protocol):
    """Sends requests within the account's budget; both raise `ProviderError`."""

    def call(self, action: str, parameters: Mapping[str, object], what: str) -> dict[str, Any]:
        """The answer to one request."""
        ...

    def listing(self, action: str, asked: Mapping[str, object], size: int, what: str) -> Listing:
        """All pages of a listing."""
        ...


class AliyunRequests:
    """The steps on one account; remembers for which sets it has switched weights on."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._weighted: set[RecordKey] = set()

    def create(self, operation: Operation, new: Record) -> str:
        """Adds the record; returns its id."""
        wanted = {"DomainName": operation.zone.zone, **content(operation, new)}
        answer = self._write("AddDomainRecord", wanted, operation)
        if not answer.get("RecordId"):
            raise UnknownOutcomeError("garbage", f"{what(operation)}: AliDNS answered without a record id")
        return str(answer["RecordId"])

    def update(self, operation: Operation, record_id: str, old: Record, new: Record) -> None:
        """Replaces value and TTL, naming the line again: what an Update leaves out becomes its default."""
        if (old.value, old.ttl) != (new.value, new.ttl):
            wanted = {"RecordId": record_id, **content(operation, new)}
            self._write("UpdateDomainRecord", wanted, operation)

    def delete(self, operation: Operation, record_id: str) -> None:
        """Removes the record."""
        self._write("DeleteDomainRecord", {"RecordId": record_id}, operation)

    def finish(self, operation: Operation, record_id: str, old: Record | None, new: Record) -> Sequence[str]:
        """Status, weight and remark.

        A value that is new answers already, so its weight is no reason to fail: the next reading shows it. And
        a refusal then would be wrong, for it says that nothing happened and the old value still stands.
        """
        notes: list[str] = []
        fresh = old is None or old.value != new.value
        if old is not None and old.enabled != new.enabled:
            self._set_status(operation, record_id, new, fresh)
        if new.weight is not None and (old is None or new.weight != old.weight):
            try:
                self._set_weight(operation, record_id, new.weight)
            except ProviderError as error:
                if not fresh:
                    raise
                notes.append(f"its weight was not set ({error})")
        if new.remark and (old is None or new.remark != old.remark):
            try:
                remark = {"RecordId": record_id, "Remark": new.remark}
                self._write("UpdateDomainRecordRemark", remark, operation)
            except ProviderError as error:
                notes.append(f"its remark was not set ({error})")
        return notes

    def standing(self, operation: Operation) -> Sequence[Record]:
        """The records of the set. Raises UnavailableError when the listing is not whole."""
        asked = set_of(operation)
        found = self._account.listing("DescribeSubDomainRecords", asked, NAME_PAGE_SIZE, what(operation))
        if not found.complete:
            raise UnavailableError("cut_short", f"{what(operation)}: {found.why}")
        zone = operation.zone.zone
        return records_at(found.rows, lambda row: record_of(row, zone), operation.key, what(operation))

    def _set_status(self, operation: Operation, record_id: str, new: Record, fresh: bool) -> None:
        status = {"RecordId": record_id, "Status": "Enable" if new.enabled else "Disable"}
        try:
            self._write("SetDomainRecordStatus", status, operation)
        except (RefusedError, UnavailableError) as error:
            if not fresh:
                raise
            raise StaleError("half", f"{error} (its value was changed before; it is read again)") from None

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

    def _write(self, action: str, wanted: Mapping[str, object], operation: Operation) -> dict[str, Any]:
        return self._account.call(action, wanted, what(operation))
