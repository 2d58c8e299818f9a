"""Brings the environment into the configuration: ``${NAME}`` in values and ``LOCKSTEP__SECTION__KEY`` over
them.

Never looks at variables that nobody names, and never repeats a variable's value in a problem.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from app.config.errors import Problem, nearest
from app.config.schema.shape import is_free_map, keys_of, section_at
from app.config.tree import Item, Loc, Place, dotted, problem_at, put, with_scalars
from app.config.yaml_text import read, scalar

PREFIX = "LOCKSTEP__"
_REFERENCE = re.compile(r"\$?\$\{([^{}\n]*)\}")


def substitute(root: Item, environ: Mapping[str, str]) -> tuple[Item, dict[Loc, Problem]]:
    """The document with every ``${NAME}`` read from the environment (``$${`` stands for ``${``), and what
    could not be, by place.

    Only values from files are read so: what came from a variable is taken as it is.
    """
    problems: dict[Loc, Problem] = {}

    def change(loc: Loc, item: Item) -> Item:
        if not isinstance(item.content, str) or "${" not in item.content or not item.place.line:
            return item
        return replace(item, content=_REFERENCE.sub(lambda found: _value(found, loc), item.content))

    def _value(found: re.Match[str], loc: Loc) -> str:
        name = found.group(1)
        if found.group().startswith("$$"):
            return found.group()[1:]
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            said = f"${{{name}}} names no environment variable; $${{ writes a plain ${{"
            problems.setdefault(loc, problem_at(root, loc, said))
        elif name not in environ:
            problems.setdefault(loc, problem_at(root, loc, f"the environment variable {name} is not set"))
        return environ.get(name, "")

    return with_scalars(root, change), problems


def override(root: Item, environ: Mapping[str, str]) -> tuple[Item, list[Problem]]:
    """The document with every ``LOCKSTEP__…`` variable laid over it, shorter names first."""
    problems: list[Problem] = []
    for name in sorted(name for name in environ if name.startswith(PREFIX)):
        loc, problem = _loc(root, name)
        if problem is None:
            item, problem = _item(name, environ[name])
            if problem is None and item is not None:
                root = put(root, loc, item)
        if problem is not None:
            problems.append(problem)
    return root, problems


def _item(name: str, text: str) -> tuple[Item | None, Problem | None]:
    """The variable's value: YAML where it looks like a list, a map or quoted text, else a scalar."""
    place = Place(name)
    if not text.lstrip().startswith(("[", "{", '"', "'")):
        return Item(scalar(text.strip()), place, place, text), None
    document, problems = read(f"value: {text}", name)
    value = document.child("value") if document else None
    if problems or value is None:
        return None, Problem(name, 0, 0, "", "cannot be read as YAML: check its brackets and quotes")
    return _placed(value, place), None


def _placed(item: Item, place: Place) -> Item:
    """The same value with the variable as the place of all of it."""
    if isinstance(item.content, dict):
        return Item({key: _placed(below, place) for key, below in item.content.items()}, place, place)
    if isinstance(item.content, list):
        return Item([_placed(below, place) for below in item.content], place, place)
    return Item(item.content, place, place, item.text)


def _loc(root: Item, name: str) -> tuple[Loc, Problem | None]:
    """What the variable names in the document."""
    loc: Loc = ()
    for part in name.removeprefix(PREFIX).split("__"):
        choices = _choices(root, loc)
        key = next((choice for choice in choices if _folded(choice) == _folded(part)), None)
        if key is None and part and is_free_map(root, loc):
            key = int(part) if part.isdigit() else part.lower()
        if key is None:
            meant = nearest(_folded(part), [_folded(choice) for choice in choices])
            close = (
                "__".join([PREFIX[:-2], *(_folded(above).upper() for above in loc), meant.upper()])
                if meant
                else None
            )
            return (), Problem(name, 0, 0, dotted((*loc, part.lower())), "names no key", close)
        loc = (*loc, key)
    return loc, None


def _choices(root: Item, loc: Loc) -> list[object]:
    section = section_at(root, loc)
    here = root.find(loc)
    if section:
        return list(keys_of(section))
    if here and isinstance(here.content, dict):
        return list(here.content)
    return list(range(len(here.content))) if here and isinstance(here.content, list) else []


def _folded(key: object) -> str:
    return re.sub(r"[^a-z0-9]", "_", str(key).lower())
