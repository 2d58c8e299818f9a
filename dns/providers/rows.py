"""Turns a provider's spelling of lines, names and values into Lockstep's and back; it asks nobody."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from dns.core.model import Record, RecordKey, RecordSet, canonical_value

Row = Mapping[str, Any]


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


def record_sets(
    rows: Iterable[Row], record_of: Callable[[Row], tuple[RecordKey, Record]]
) -> dict[RecordKey, RecordSet]:
    """The rows as record sets, records in the order they came."""
    sets: dict[RecordKey, list[Record]] = {}
    for row in rows:
        key, record = record_of(row)
        sets.setdefault(key, []).append(record)
    return {key: RecordSet(key, tuple(records)) for key, records in sets.items()}
