"""Finds everything that is wrong with a document at once. Never reads files or the environment.

pydantic stops checking a section at its first kind of error, so: what is wrong is reported and cut out, and
the rest is validated again, until a configuration remains that the checks across sections can look at. A
finding that only says that something cut out is missing is dropped.
"""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import ValidationError

from app.config.checks import findings
from app.config.errors import Problem
from app.config.pruning import Pruned
from app.config.schema.base import Base
from app.config.schema.root import Config
from app.config.tree import Item, Loc, problem_at, with_scalars
from app.config.wording import place_in_document

_ROUNDS = 20


def validated(root: Item, base: Base, wrong: Iterable[Loc] = ()) -> tuple[Config | None, list[Problem]]:
    """The configuration and what is wrong with it; it may be used only if nothing is.

    ``wrong`` are places that are known to be wrong, and told, already.
    """
    root = _as_typed(root, base)
    pruned = Pruned(root, wrong)
    problems: list[Problem] = []
    for _ in range(_ROUNDS):
        try:
            config = Config.model_validate(pruned.value, context=base)
        except ValidationError as error:
            problems += pruned.cut(error)
        else:
            config._files = base.files
            return config, problems + _unfit(config, root, pruned)
    return None, problems


def _unfit(config: Config, root: Item, pruned: Pruned) -> list[Problem]:
    """What does not fit together, except where the value itself was found wrong already."""
    found = ((pruned.original(finding.loc), finding) for finding in findings(config, root))
    return [
        problem_at(root, loc, finding.message, nearest=finding.nearest, of_key=finding.of_key)
        for loc, finding in found
        if not pruned.is_cut(loc)
    ]


def _as_typed(root: Item, base: Base) -> Item:
    """Values of variables that YAML took for numbers but that must be text, as they were typed: ``007``."""
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
