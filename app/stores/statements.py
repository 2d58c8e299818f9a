"""Writes a fold within one transaction, with the upserts of each database. It neither begins nor commits.

A row that the database will never take (a value out of its range, a text it cannot hold) must not hold up
everything behind it. ``careful`` finds it by halving, within savepoints, and leaves it out.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects import mysql, postgresql, sqlite

from app.models import DustbinRow, Entry, EventRow, MetaRow, NodeRow, TransferRow
from app.stores.fold import Fold
from app.stores.rows import (
    KINDS,
    Row,
    binned_row,
    dustbin_id,
    entry_row,
    event_row,
    key_of,
    meta_row,
    node_row,
    storable,
    transfer_row,
)
from sync.core.model import Kind

K = TypeVar("K")
V = TypeVar("V")

NEVER = (sa.exc.DataError, sa.exc.IntegrityError, ArithmeticError, LookupError, TypeError, ValueError)
"""What a retry does not mend: the value itself is refused."""


def is_permanent(error: Exception) -> bool:
    """Whether a statement failed for its values, so that trying again as it is would be in vain."""
    wrapped = isinstance(error, sa.exc.StatementError) and not isinstance(error, sa.exc.DBAPIError)
    return wrapped or isinstance(error, NEVER)


@dataclass(frozen=True, slots=True)
class Rejected:
    """A row that was left out, and why. ``what`` is prose: "the journal's row", "an event"."""

    what: str
    item: Any
    error: Exception


@dataclass(frozen=True, slots=True)
class Group:
    """Rows of one statement. ``convert`` makes an item its parameters; it may raise for what is malformed."""

    what: str
    statement: sa.Executable
    items: Collection[Any]
    convert: Callable[[Any], Row]


def upsert(model: Any, dialect: str) -> sa.Executable:
    """INSERT that replaces the row with the same primary key."""
    table: sa.Table = model.__table__
    keys = [column.name for column in table.primary_key]
    others = [column.name for column in table.columns if column.name not in keys]
    if dialect in ("mysql", "mariadb"):
        # VALUES(), though MySQL 8 would rather have an alias: PyMySQL sends many rows at once only for this
        # form.
        return mysql.insert(table).on_duplicate_key_update(
            {name: sa.func.values(sa.column(name)) for name in others}
        )
    insert: Any = (sqlite if dialect == "sqlite" else postgresql).insert(table)
    statement: sa.Executable = insert.on_conflict_do_update(
        index_elements=keys, set_={name: insert.excluded[name] for name in others}
    )
    return statement


class Statements:
    """The statements of one database, built once so that SQLAlchemy compiles them once."""

    def __init__(self, dialect: str) -> None:
        self._save_entry = upsert(Entry, dialect)
        self._save_meta = upsert(MetaRow, dialect)
        self._save_node = upsert(NodeRow, dialect)
        self._save_binned = upsert(DustbinRow, dialect)
        self._save_event = sa.insert(EventRow)
        self._save_transfer = sa.insert(TransferRow)
        self._drop_entry = sa.delete(Entry).where(Entry.key == sa.bindparam("k"))
        self._wipe = sa.delete(Entry)
        self._trim = sa.delete(Entry).where(
            Entry.kind == KINDS.index(Kind.GONE), Entry.seq <= sa.bindparam("s")
        )
        self._drop_node = sa.delete(NodeRow).where(NodeRow.name == sa.bindparam("n"))
        self._drop_binned = sa.delete(DustbinRow).where(DustbinRow.id == sa.bindparam("i"))
        self._clear_node = sa.delete(DustbinRow).where(DustbinRow.node == sa.bindparam("n"))

    def apply(self, connection: sa.Connection, fold: Fold, careful: bool = False) -> tuple[Rejected, ...]:
        """Writes the fold; the rows left out, which is none unless ``careful``.

        Raises what the database raises.
        """
        rejected: list[Rejected] = []
        for group in self._groups(fold):
            if not group.items:
                continue
            if careful:
                rejected += _carefully(connection, group, list(group.items))
            else:
                _execute(connection, group, group.items)
        return tuple(rejected)

    def _groups(self, fold: Fold) -> Iterator[Group]:
        yield Group("the whole manifest", self._wipe, [None] * fold.wipe, lambda _: {})
        yield Group("trimming", self._trim, [fold.trim] * (fold.trim > 0), lambda seq: {"s": seq})
        yield Group("a removal", self._drop_entry, _removed(fold.entries), lambda path: {"k": key_of(path)})
        yield Group("the journal's row", self._save_entry, _kept(fold.entries), entry_row)
        yield Group("a removal", self._drop_node, _removed(fold.nodes), lambda name: {"n": storable(name)})
        yield Group("a node's record", self._save_node, _kept(fold.nodes), node_row)
        yield Group("a dustbin", self._clear_node, list(fold.cleared), lambda name: {"n": storable(name)})
        yield Group(
            "a removal", self._drop_binned, _removed(fold.binned), lambda key: {"i": dustbin_id(*key)}
        )
        yield Group("a dustbin entry", self._save_binned, _kept(fold.binned), binned_row)
        yield Group("the meta row", self._save_meta, [fold.meta] if fold.meta else [], meta_row)
        yield Group("an event", self._save_event, fold.events, event_row)
        yield Group("a transfer", self._save_transfer, fold.transfers, transfer_row)


def _kept(rows: Mapping[Any, V | None]) -> list[V]:
    return [row for row in rows.values() if row is not None]


def _removed(rows: Mapping[K, Any]) -> list[K]:
    return [key for key, row in rows.items() if row is None]


def _execute(connection: sa.Connection, group: Group, items: Iterable[Any]) -> None:
    connection.execute(group.statement, [group.convert(item) for item in items])


def _carefully(connection: sa.Connection, group: Group, items: list[Any]) -> list[Rejected]:
    try:
        with connection.begin_nested():
            _execute(connection, group, items)
    except Exception as error:
        if not is_permanent(error):
            raise
        if len(items) == 1:
            return [Rejected(group.what, items[0], error)]
        half = len(items) // 2
        return _carefully(connection, group, items[:half]) + _carefully(connection, group, items[half:])
    return []
