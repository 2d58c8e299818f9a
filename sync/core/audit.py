"""Decides what an audit's findings mean. Pure: rows, looks and the dustbin are handed in.

For every path that the dry run lists:

    the source differs from its manifest row     → MISSED: a change that no event told us (mmap, a network file
                                                    system); it gets a seq and goes out, no node is blamed
    … and this has been noticed already           → ON_ITS_WAY
    its row's seq lies above the cursor that the
    node had when the audit began                 → ON_ITS_WAY
    it stands in the node's dustbin               → KNOWN
    the source cannot read it                     → SOURCE
    one of rsync's temporary names, node only     → LEFTOVER: removed in place
    a directory whose times alone differ          → never listed (-O)
    anything else                                 → SUSPECT: drift, if a second look at it alone lists it again
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from sync.core.journal import ancestors
from sync.core.listing import Listed
from sync.core.model import GONE, Change, Kind, Stat
from sync.core.tempnames import is_temporary

_DELAYED = re.compile(rb"(?:^|/)\.~tmp~(?:/|$)")


class Finding(StrEnum):
    """What a listed path means; see the table above."""

    MISSED = "missed"
    ON_ITS_WAY = "on its way"
    KNOWN = "known"
    SOURCE = "source"
    LEFTOVER = "leftover"
    SUSPECT = "suspect"


def is_leftover(path: bytes) -> bool:
    """Whether rsync itself makes such names while it receives: ``.name.XXXXXX`` and what lies in ``.~tmp~/``."""
    return is_temporary(path.rpartition(b"/")[2]) or bool(_DELAYED.search(path))


def without_blind(listed: Iterable[Listed], unreadable: Collection[bytes]) -> Iterator[Listed]:
    """What a dry run listed, without the deletions at and below what could not be read at the source.

    rsync takes what it could not read for not there.
    """
    for found in listed:
        if found.action != "delete" or not _is_blind(found.path, unreadable):
            yield found


def _is_blind(path: bytes, unreadable: Collection[bytes]) -> bool:
    return bool(unreadable) and (path in unreadable or any(above in unreadable for above in ancestors(path)))


@dataclass(frozen=True, slots=True)
class AuditContext:
    """What was known of a node when its audit began, and of the source now."""

    cursor: int
    dustbin: Collection[bytes]
    source_errors: Collection[bytes]
    rows: Mapping[bytes, Change]
    look: Callable[[bytes], Stat]
    is_pending: Callable[[bytes], bool] = lambda path: False


def classify(path: bytes, only_on_node: bool, context: AuditContext) -> Finding:
    """What one listed path means. ``only_on_node``: the audit would delete it."""
    now = context.look(path)
    row = context.rows.get(path)
    if now.kind is Kind.GONE and is_leftover(path) and (row is None or row.stat.kind is Kind.GONE):
        return Finding.LEFTOVER
    known = row.stat if row is not None else GONE
    if not known.same_as(now):
        return Finding.ON_ITS_WAY if context.is_pending(path) else Finding.MISSED
    if row is not None and row.seq > context.cursor:
        return Finding.ON_ITS_WAY
    if path in context.dustbin:
        return Finding.KNOWN
    if path in context.source_errors:
        return Finding.SOURCE
    return Finding.SUSPECT


def sort_findings(listed: Iterable[tuple[bytes, bool]], context: AuditContext) -> dict[Finding, list[bytes]]:
    """All listed paths by what they mean."""
    found: dict[Finding, list[bytes]] = {finding: [] for finding in Finding}
    for path, only_on_node in listed:
        found[classify(path, only_on_node, context)].append(path)
    return found
