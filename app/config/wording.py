"""Turns pydantic's findings into problems in the words of people. Never shows a value that is or may be a
secret.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.config.errors import Problem, nearest
from app.config.schema.shape import is_secret, keys_of, section_at
from app.config.tree import Item, Loc, problem_at

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

_TAGGED = ("probes", "providers", "channels")


def place_in_document(loc: tuple[int | str, ...], root: Item) -> Loc:
    """pydantic's location without the names of union members and ``[key]`` that it puts in between."""
    found: list[object] = []
    here: Item | None = root
    tag_follows = False
    for part in loc:
        if part == "[key]":
            continue
        if tag_follows and part == _kind(here):
            tag_follows = False
            continue
        below = here.child(part) if here else None
        if below is None and here is not None and not isinstance(here.content, dict):
            continue
        found.append(part)
        here = below
        tag_follows = len(found) > 1 and found[-2] in _TAGGED
    return tuple(found)


def _kind(item: Item | None) -> object:
    kind = item.child("kind") if item else None
    return kind.content if kind else None


def worded(error: ErrorDetails, loc: Loc, root: Item) -> Problem:
    """The problem at ``loc``, which is the error's location in the document."""
    kind, context = error["type"], error.get("ctx", {})
    if kind == "extra_forbidden":
        section = section_at(root, loc[:-1])
        close = nearest(loc[-1], keys_of(section)) if section else None
        return problem_at(root, loc, "unknown key", nearest=close, of_key=True)
    if kind == "missing":
        return problem_at(root, loc, "is missing")
    if kind in ("union_tag_not_found", "union_tag_invalid"):
        return _kind_problem(context, loc, root)
    of_key = "[key]" in error["loc"]
    said, close = _sentence(kind, error, context), None
    if kind == "literal_error":
        item = root.find(loc)
        typed = loc[-1] if of_key else item.content if item else ""
        close = nearest(typed, _words(str(context.get("expected", ""))))
    if of_key:
        said = "unknown key" if close else said
    else:
        said += _shown(root, loc, kind)
    return problem_at(root, loc, said, nearest=close, of_key=of_key)


def _kind_problem(context: dict[str, object], loc: Loc, root: Item) -> Problem:
    item = root.find((*loc, "kind"))
    valid = _words(str(context.get("expected_tags", "")))
    choice = f"must be one of {', '.join(valid)}" if valid else "is missing"
    close = nearest(item.content, valid) if item else None
    return problem_at(root, (*loc, "kind"), choice if item else "is missing", nearest=close)


def _words(expected: str) -> list[str]:
    return [word.strip(" '") for word in expected.replace(" or ", ", ").split(",") if word.strip(" '")]


_SENTENCES = {
    "string_type": "must be text: put it in quotes",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "path_type": "must be a path",
    "tuple_type": "must be a list",
    "mapping_type": "must be a map",
    "dict_type": "must be a map",
    "model_type": "must be a map of keys",
    "model_attributes_type": "must be a map of keys",
    "too_short": "must not be empty",
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "literal_error": "must be {expected}",
}


def _sentence(kind: str, error: ErrorDetails, context: dict[str, object]) -> str:
    if error["input"] is None:
        return "must not be empty"
    if kind == "value_error":
        return str(context.get("error", error["msg"]))
    template = _SENTENCES.get(kind)
    return template.format_map(context) if template else error["msg"][:1].lower() + error["msg"][1:]


def _shown(root: Item, loc: Loc, kind: str) -> str:
    """``, not 'what was typed'``: only for a value from a file that is no secret, as it stands there."""
    item = root.find(loc)
    if kind == "value_error" or item is None or not item.text or not item.place.line or is_secret(root, loc):
        return ""
    return f", not {item.text[:60]!r}"
