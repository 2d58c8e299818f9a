"""Keeps what the DNS half must remember, in SQL: the ledger, the history, reports and small facts.

Each write is a short transaction of its own, finished when the method returns: an intent must be stored before
the addition that it announces is sent.
"""

from __future__ import annotations

import json
import logging
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import asdict
from hashlib import sha256
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.models import FactRow, LedgerRow, RecordHistoryRow, ReportRow
from app.schema import reason_of
from app.stores.journal import Fence
from app.stores.writer import FencedOut
from dns.addresses import Reported
from dns.core.model import Record, RecordKey, ZoneKey
from dns.core.ownership import Entry
from dns.ledger import HistoryEntry, LedgerUnavailableError

log = logging.getLogger(__name__)

HISTORY_WAITING = 10_000
Facts = dict[str, Any]


class RecordStore:
    """The DNS half's tables. Usable from any thread. The ledger's methods raise LedgerUnavailableError only."""

    def __init__(self, write: sa.Engine, read: sa.Engine, fence: Fence | None = None) -> None:
        self._write, self._read, self._fence = write, read, fence
        self._waiting: deque[HistoryEntry] = deque(maxlen=HISTORY_WAITING)
        self._lock = threading.Lock()  # owns _waiting

    # ── the ledger ───────────────────────────────────────────────────────────────────────────────────────

    def entries(self, zone: ZoneKey) -> Mapping[RecordKey, Entry]:
        """Every entry of the zone."""
        query = sa.select(LedgerRow).where(LedgerRow.provider == zone.provider, LedgerRow.zone == zone.zone)
        try:
            with Session(self._write) as session:
                rows = session.scalars(query).all()
                return {RecordKey(r.name, r.type, r.line): entry_of(r.service, r.document) for r in rows}
        except sa.exc.SQLAlchemyError as error:
            raise LedgerUnavailableError(f"the ledger cannot be read: {reason_of(error)}") from error

    def zones(self, provider: str) -> set[str]:
        """The zones of which the ledger holds something at this provider."""
        query = sa.select(LedgerRow.zone).where(LedgerRow.provider == provider).distinct()
        try:
            with Session(self._read) as session:
                return set(session.scalars(query))
        except sa.exc.SQLAlchemyError as error:
            raise LedgerUnavailableError(f"the ledger cannot be read: {reason_of(error)}") from error

    def providers(self) -> dict[str, int]:
        """Every provider of which the ledger knows record sets, with how many."""
        query = sa.select(LedgerRow.provider, sa.func.count()).group_by(LedgerRow.provider)
        try:
            with Session(self._read) as session:
                return {str(name): int(count) for name, count in session.execute(query)}
        except sa.exc.SQLAlchemyError as error:
            raise LedgerUnavailableError(f"the ledger cannot be read: {reason_of(error)}") from error

    def intend(self, zone: ZoneKey, key: RecordKey, service: str, values: tuple[str, ...]) -> None:
        """Stores that these values may come to stand."""
        with self._transaction() as session:
            row = session.get(LedgerRow, ledger_key(zone, key))
            before = entry_of(row.service, row.document) if row is not None else Entry(service)
            intended = tuple(dict.fromkeys((*before.intended, *values)))
            self._put(session, zone, key, Entry(service, before.records, intended))

    def settle(self, zone: ZoneKey, key: RecordKey, service: str, records: tuple[Record, ...]) -> None:
        """Stores that exactly these records stand; none: the entry is forgotten."""
        with self._transaction() as session:
            if records:
                self._put(session, zone, key, Entry(service, records))
            else:
                session.execute(sa.delete(LedgerRow).where(LedgerRow.key == ledger_key(zone, key)))

    def _put(self, session: Session, zone: ZoneKey, key: RecordKey, entry: Entry) -> None:
        session.merge(
            LedgerRow(
                key=ledger_key(zone, key),
                provider=zone.provider,
                zone=zone.zone,
                name=key.name,
                type=key.type,
                line=key.line,
                service=entry.service,
                document=json.dumps(
                    {"records": [asdict(r) for r in entry.records], "intended": list(entry.intended)}
                ),
            )
        )

    def _transaction(self) -> _Transaction:
        return _Transaction(self._write, self._fence)

    # ── the history ──────────────────────────────────────────────────────────────────────────────────────

    def note(self, entry: HistoryEntry) -> None:
        """Takes an operation; it waits in memory while the database is away. Never raises."""
        with self._lock:
            self._waiting.append(entry)
        self.write_waiting()

    def write_waiting(self) -> None:
        """Writes what waits, if the database takes it now."""
        with self._lock:
            entries = list(self._waiting)
            if not entries:
                return
            try:
                with self._transaction() as session:
                    session.add_all([history_row(entry) for entry in entries])
            except LedgerUnavailableError as error:
                log.warning("%d operations wait to be written to the history: %s", len(entries), error)
                return
            self._waiting.clear()

    def history(self, limit: int = 100, before: int | None = None, service: str | None = None) -> list[Facts]:
        """Operations, newest first. Raises LedgerUnavailableError."""
        query = (
            sa.select(RecordHistoryRow).order_by(RecordHistoryRow.id.desc()).limit(min(max(limit, 1), 1000))
        )
        if before is not None:
            query = query.where(RecordHistoryRow.id < before)
        if service is not None:
            query = query.where(RecordHistoryRow.service == service)
        try:
            with Session(self._read) as session:
                return [history_view(row) for row in session.scalars(query)]
        except sa.exc.SQLAlchemyError as error:
            raise LedgerUnavailableError(f"the history cannot be read: {reason_of(error)}") from error

    # ── reports and facts ────────────────────────────────────────────────────────────────────────────────

    def reports(self) -> dict[str, Reported]:
        """What each node reported last. Raises LedgerUnavailableError."""
        try:
            with Session(self._read) as session:
                rows = session.scalars(sa.select(ReportRow)).all()
                return {row.node: Reported(tuple(json.loads(row.addresses)), row.at) for row in rows}
        except sa.exc.SQLAlchemyError as error:
            raise LedgerUnavailableError(f"what nodes reported cannot be read: {reason_of(error)}") from error

    def save_report(self, node: str, reported: Reported) -> None:
        """Stores a node's report. Raises LedgerUnavailableError."""
        with self._transaction() as session:
            session.merge(ReportRow(node=node, addresses=json.dumps(reported.addresses), at=reported.at))

    def fact(self, name: str, default: Any = None) -> Any:
        """A stored value, ``default`` where there is none. Raises LedgerUnavailableError."""
        try:
            with Session(self._read) as session:
                row = session.get(FactRow, name)
                return default if row is None else json.loads(row.document)
        except sa.exc.SQLAlchemyError as error:
            raise LedgerUnavailableError(f"the database cannot be read: {reason_of(error)}") from error

    def save_fact(self, name: str, value: Any) -> None:
        """Stores a value. Raises LedgerUnavailableError."""
        with self._transaction() as session:
            session.merge(FactRow(name=name, document=json.dumps(value)))


class _Transaction:
    """A session that commits at the end of the block; every database error leaves as LedgerUnavailableError."""

    def __init__(self, engine: sa.Engine, fence: Fence | None) -> None:
        self._session = Session(engine)
        self._fence = fence

    def __enter__(self) -> Session:
        return self._session

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        try:
            if error is None:
                if self._fence is not None:
                    self._fence.check(self._session.connection())
                self._session.commit()
        except (sa.exc.SQLAlchemyError, FencedOut) as failed:
            raise LedgerUnavailableError(f"the database cannot be written: {reason_of(failed)}") from failed
        finally:
            self._session.close()
        if isinstance(error, sa.exc.SQLAlchemyError):
            raise LedgerUnavailableError(f"the database cannot be written: {reason_of(error)}") from error


def ledger_key(zone: ZoneKey, key: RecordKey) -> bytes:
    """The row's key; the parts cannot hold a NUL."""
    return sha256("\0".join((zone.provider, zone.zone, key.name, key.type, key.line)).encode()).digest()


def entry_of(service: str, document: str) -> Entry:
    """A ledger entry from its document."""
    found = json.loads(document)
    return Entry(service, tuple(Record(**r) for r in found["records"]), tuple(found["intended"]))


def history_row(entry: HistoryEntry) -> RecordHistoryRow:
    """An operation as a row."""
    return RecordHistoryRow(
        at=entry.at,
        service=entry.service,
        provider=entry.zone.provider,
        zone=entry.zone.zone,
        name=entry.key.name,
        type=entry.key.type,
        line=entry.key.line,
        action=entry.action.value,
        values_json=json.dumps(entry.values),
        old_values=json.dumps(entry.old_values),
        reason=entry.reason,
        answer=entry.answer,
        ok=entry.ok,
        code=entry.code,
    )


def history_view(row: RecordHistoryRow) -> Facts:
    """A row of the history for people and programs."""
    names = ("id", "at", "service", "provider", "zone", "name", "type", "line", "action")
    facts: Facts = {name: getattr(row, name) for name in names}
    facts["values"] = json.loads(row.values_json)
    facts["old_values"] = json.loads(row.old_values)
    return facts | {name: getattr(row, name) for name in ("reason", "answer", "ok", "code")}
