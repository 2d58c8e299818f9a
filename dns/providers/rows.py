"""Turns a provider's spelling of lines, names and values into Lockstep's and back; it asks nobody."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from dns.core.model import Record, RecordKey, RecordSet, canonical_value, qualified_name
from dns.errors import UnavailableError

Row = Mapping[str, Any]
Listed = tuple[RecordKey, Record]


class Spelling:
    """A provider's words for lines. A code that is not in the table passes through, both ways."""

    def __init__(self, theirs_by_ours: Mapping[str, str]) -> None:
        self._theirs = dict(theirs_by_ours)
        self._ours = {theirs: ours for ours, theirs in theirs_by_ours.items()}

    def theirs(self, line: str) -> str:
        """The provider's word for Lockstep's line."""
        return self._theirs.get(line, line)

    def ours(self, code: str) -> str:
        """Lockstep's word for the provider's line."""
        return self._ours.get(code, code)


def value_of(record_type: str, text: str) -> str:
    """The canonical value; a text that is no such value stays as it is, for it stands there all the same."""
    try:
        return canonical_value(record_type, text)
    except (ValueError, UnicodeError):
        return text


def name_in_zone(relative: str, zone: str) -> str:
    """The full name of a listed record; one that is no name stays recognisable, for it stands there all the same."""
    try:
        return qualified_name(relative, zone)
    except UnicodeError:
        return f"{relative}.{zone}".lower()


def record_sets(
    rows: Iterable[Row], record_of: Callable[[Row], Listed], names: frozenset[str], who: str
) -> dict[RecordKey, RecordSet]:
    """The rows at these names as record sets, records in the order they came.

    Raises UnavailableError for a row that is none: a listing with one cannot be trusted in the others either.
    """
    sets: dict[RecordKey, list[Record]] = {}
    for key, record in _listed(rows, record_of, who):
        if key.name in names:
            sets.setdefault(key, []).append(record)
    return {key: RecordSet(key, tuple(records)) for key, records in sets.items()}


def records_at(
    rows: Iterable[Row], record_of: Callable[[Row], Listed], key: RecordKey, who: str
) -> list[Record]:
    """The rows of one set. Raises as `record_sets` does."""
    return [record for where, record in _listed(rows, record_of, who) if where == key]


def _listed(rows: Iterable[Row], record_of: Callable[[Row], Listed], who: str) -> Iterator[Listed]:
    for row in rows:
        try:
            listed = record_of(row)
        except (KeyError, TypeError, ValueError, AttributeError) as flaw:
            text = f"{who}: the listing holds a record that is none ({type(flaw).__name__})"
            raise UnavailableError("garbage", text) from None
        yield listed
