"""Finds everything that is wrong with a document at once. Never reads files or the environment.

pydantic stops checking a section at its first kind of error, so: what is wrong is reported and cut out, and
the rest is validated again, until a configuration remains that the checks across sections can look at. A
finding that only says that something cut out is missing is dropped.
"""

from __future__ import annotations

import re

from pydantic import ValidationError

from app.config.checks import findings
from app.config.errors import Problem
from app.config.schema.base import Base
from app.config.schema.root import Config
from app.config.tree import Item, Loc, Plain, problem_at
from app.config.wording import place_in_document, worded

_ROUNDS = 20


def validated(root: Item, base: Base) -> tuple[Config | None, list[Problem]]:
    """The configuration and what is wrong with it; it may be used only if nothing is."""
    root = _as_typed(root, base)
    pruned = _Pruned(root)
    problems: list[Problem] = []
    for _ in range(_ROUNDS):
        try:
            config = Config.model_validate(pruned.value, context=base)
        except ValidationError as error:
            problems += pruned.cut(error)
        else:
            for finding in findings(config, root):
                loc = pruned.original(finding.loc)
                problems.append(problem_at(root, loc, finding.message, nearest=finding.nearest))
            return config, problems
    return None, problems


def _as_typed(root: Item, base: Base) -> Item:
    """Values from variables that YAML took for numbers, but that must be text, as they were typed: ``007``."""
    from app.config.tree import with_scalars

    try:
        Config.model_validate(root.plain(), context=base)
    except ValidationError as error:
        texts = {place_in_document(e["loc"], root) for e in error.errors() if e["type"] == "string_type"}
    else:
        return root

    def change(loc: Loc, item: Item) -> Item:
        if loc not in texts or item.place.line or item.text is None or item.content is None:
            return item
        return Item(item.text, item.place, item.key_place, item.text)

    return with_scalars(root, change)


class _Pruned:
    """The document's values without what was found wrong; knows where what is left stood."""

    def __init__(self, root: Item) -> None:
        self._root = root
        self.value: Plain = root.plain()
        self._left: dict[Loc, list[int]] = {}
        self._cut: list[Loc] = []

    def cut(self, error: ValidationError) -> list[Problem]:
        """Remove what the error names; returns the problems that are news."""
        problems: list[Problem] = []
        doomed: list[Loc] = []
        for found in error.errors(include_url=False):
            loc = self.original(place_in_document(found["loc"], self._here()))
            if not self._follows(loc, found["type"], found["msg"]):
                problems.append(worded(found, loc, self._root))
            doomed.append(loc[:-1] if found["type"] == "missing" else loc)
        for loc in doomed:
            self._remove(loc)
        self._cut += doomed
        return problems

    def _here(self) -> Item:
        """The pruned values as a document without places."""
        return _unplaced(self.value)

    def _follows(self, loc: Loc, kind: str, message: str) -> bool:
        """Whether the finding only says that something which was cut out is missing."""
        if kind == "missing":
            return loc in self._cut
        below = [cut for cut in self._cut if cut[: len(loc)] == loc and len(cut) > len(loc)]
        return any(re.search(rf"\b{re.escape(str(cut[len(loc)]))}\b", message) for cut in below)

    def original(self, loc: Loc) -> Loc:
        """Where a location of the pruned values stands in the document."""
        found: Loc = ()
        for part in loc:
            left = self._left.get(found)
            found = (*found, left[part] if left and isinstance(part, int) and part < len(left) else part)
        return found

    def _remove(self, loc: Loc) -> None:
        if not loc:
            self.value = {}
            return
        here: Plain = self.value
        for size, part in enumerate(loc[:-1]):
            index = self._index(loc[:size], part)
            if isinstance(here, dict) and part in here:
                here = here[part]
            elif isinstance(here, list) and isinstance(index, int) and 0 <= index < len(here):
                here = here[index]
            else:
                return
        last = self._index(loc[:-1], loc[-1])
        if isinstance(here, dict):
            here.pop(loc[-1], None)
        elif isinstance(here, list) and isinstance(last, int) and 0 <= last < len(here):
            left = self._left.setdefault(loc[:-1], list(range(len(here))))
            del here[last], left[last]

    def _index(self, above: Loc, part: object) -> object:
        left = self._left.get(above)
        if left is None or not isinstance(part, int):
            return part
        return left.index(part) if part in left else -1


def _unplaced(value: Plain) -> Item:
    from app.config.tree import Place

    nowhere = Place("")
    if isinstance(value, dict):
        return Item({key: _unplaced(below) for key, below in value.items()}, nowhere)
    if isinstance(value, list):
        return Item([_unplaced(below) for below in value], nowhere)
    return Item(value, nowhere)
