"""Cuts what was found wrong out of a document, so that the rest can be checked on. Never reports anything
twice.

Most of what is cut out falls back to its default. A key that has none gets a stand-in, so that one wrong
key of an entry does not hide the others; an entry that cannot be saved so goes as a whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from pydantic import ValidationError

from app.config.errors import Problem
from app.config.schema.shape import fields_of, section_at
from app.config.tree import Item, Loc, Place, Plain
from app.config.wording import place_in_document, worded

_STAND_INS: dict[str, Plain] = {
    "name": "unnamed-{}",
    "record": "unnamed-{}",
    "zone": "unnamed.invalid",
    "provider": "unnamed",
    "path": "unnamed-{}",
    "server": "unnamed.invalid",
    "host": "unnamed.invalid",
    "port": 1,
    "to": "nobody@unnamed.invalid",
    "from": "nobody@unnamed.invalid",
    "url": "http://unnamed.invalid/",
    "access_key_id": "unnamed",
    "access_key_secret": "unnamed",
    "secret_id": "unnamed",
    "secret_key": "unnamed",
    "token": "unnamed",
}


class Pruned:
    """A document's values without what was found wrong.

    Invariant: `original` of a place in `value` is the place in the document where the same thing stands.
    """

    def __init__(self, document: Item, wrong: Iterable[Loc] = ()) -> None:
        """``wrong``: what is known to be wrong before anything is validated."""
        self._document = document
        self.value: Plain = document.plain()
        self._left: dict[Loc, list[int]] = {}
        self._cut: list[Loc] = []
        self._stand_ins = 0
        self._cut_out(list(wrong))

    def cut(self, error: ValidationError) -> list[Problem]:
        """Remove what the error names; returns the problems that are news, not what follows from an earlier
        cut.
        """
        here = _unplaced(self.value)
        # a list all of whose entries are wrong is also called too short
        told = [e for e in error.errors(include_url=False) if e["type"] != "too_short" or not e["input"]]
        errors = sorted(told, key=lambda found: found["type"] != "extra_forbidden")
        problems: list[Problem] = []
        doomed: list[Loc] = []
        for found in errors:
            loc = self.original(place_in_document(found["loc"], here))
            problem = worded(found, loc, self._document)
            if not self._follows(loc, found["type"], found["msg"]):
                problems.append(problem)
            if found["type"] == "extra_forbidden" and problem.nearest:
                self._cut.append((*loc[:-1], problem.nearest))  # the key that was meant is not "missing"
            doomed.append(loc)
        self._cut_out(doomed)
        return problems

    def _cut_out(self, doomed: list[Loc]) -> None:
        for loc in sorted(doomed, key=len, reverse=True):
            self._remove(loc)
        self._cut += doomed

    def is_cut(self, loc: Loc) -> bool:
        """Whether the value there was found wrong."""
        return loc in self._cut

    def original(self, loc: Loc) -> Loc:
        """Where a place of the pruned values stands in the document."""
        found: Loc = ()
        for part in loc:
            left = self._left.get(found)
            found = (*found, left[part] if left and isinstance(part, int) and part < len(left) else part)
        return found

    def _follows(self, loc: Loc, kind: str, message: str) -> bool:
        """Whether the finding only says that something which was cut out is missing."""
        if loc in self._cut:
            return True
        below = [cut for cut in self._cut if cut[: len(loc)] == loc and len(cut) > len(loc)]
        if kind == "too_short" and below:
            return True
        return any(re.search(rf"\b{re.escape(str(cut[len(loc)]))}\b", message) for cut in below)

    def _remove(self, loc: Loc) -> None:
        above = self._at(loc[:-1])
        if not loc:
            self.value = {}
        elif isinstance(above, dict):
            stand_in = self._stand_in(loc)
            if stand_in is not None:
                above[loc[-1]] = stand_in
            elif loc[-1] in above:
                del above[loc[-1]]
            else:
                self._remove(loc[:-1])
        elif isinstance(above, list):
            left = self._left.setdefault(loc[:-1], list(range(len(above))))
            if isinstance(loc[-1], int) and loc[-1] in left:
                del above[left.index(loc[-1])]
                left.remove(loc[-1])

    def _stand_in(self, loc: Loc) -> Plain:
        key = str(loc[-1])
        section = section_at(self._document, loc[:-1])
        field = fields_of(section).get(key) if section else None
        stand_in = _STAND_INS.get(key)
        if field is None or not field.is_required() or loc in self._cut:
            return None
        self._stand_ins += 1
        return stand_in.format(self._stand_ins) if isinstance(stand_in, str) else stand_in

    def _at(self, loc: Loc) -> Plain:
        """The value that is left at a place of the document."""
        here: Plain = self.value
        for size, part in enumerate(loc):
            if isinstance(here, dict):
                here = here.get(part)
            elif isinstance(here, list) and isinstance(part, int):
                left: Sequence[int] = self._left.get(loc[:size], range(len(here)))
                here = here[left.index(part)] if part in left else None
            else:
                return None
        return here


def _unplaced(value: Plain) -> Item:
    nowhere = Place("")
    if isinstance(value, dict):
        return Item({key: _unplaced(below) for key, below in value.items()}, nowhere)
    if isinstance(value, list):
        return Item([_unplaced(below) for below in value], nowhere)
    return Item(value, nowhere)
