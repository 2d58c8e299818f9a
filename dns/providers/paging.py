"""Reads a listing page by page and says whether it is whole; it never guesses what a missing page held."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

Row = Mapping[str, Any]

MAX_PAGES = 1000


class Page(NamedTuple):
    """One page: its rows, and how many the whole listing is said to have (None: it was not said)."""

    rows: Sequence[Row]
    total: int | None


@dataclass(frozen=True, slots=True)
class Listing:
    """All rows that came. Not `complete` when they cannot be everything; `why` says it in one sentence."""

    rows: tuple[Row, ...]
    complete: bool = True
    why: str = ""


def read_pages(fetch: Callable[[int], Page], id_of: Callable[[Row], str]) -> Listing:
    """The listing from page 1 to its end; what `fetch` raises goes through.

    The total must stay the same from page to page, no record may come twice and the rows must add up to the
    total: a record added or deleted meanwhile moves the others over the edge of a page.
    """
    rows: dict[str, Row] = {}
    total: int | None = None
    for number in range(1, MAX_PAGES + 1):
        page = fetch(number)
        if number > 1 and page.total != total:
            return _cut(rows, f"the number of records changed from {total} to {page.total} while it was read")
        total = page.total
        for row in page.rows:
            try:
                identity = id_of(row)
            except (KeyError, TypeError, AttributeError):
                return _cut(rows, "a record came without an id")
            if rows.setdefault(identity, row) is not row:
                return _cut(rows, f"record {identity} came twice")
        if not page.rows or (total is not None and len(rows) >= total):
            break
    if total is not None and len(rows) != total:
        return _cut(rows, f"{len(rows)} records came, {total} were announced")
    return Listing(tuple(rows.values()))


def _cut(rows: Mapping[str, Row], why: str) -> Listing:
    return Listing(tuple(rows.values()), False, f"the listing is not whole: {why}")
