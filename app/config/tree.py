"""A document as values that know where they were written, and how one document is laid over another. Pure:
never reads a file and never knows what a key means.

Laying one over another: maps merge, everything else (lists too) is replaced, an empty value over a map
changes nothing. One rule looks at names: what a layer says of ``password`` or ``password_file`` replaces
both below, so that a secret can move from one to the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TypeAlias, Union

from app.config.errors import Problem

Loc = tuple[object, ...]
"""Keys and indices from the root of a document down to a value."""

Scalar: TypeAlias = str | int | float | bool | None
Content: TypeAlias = Union["dict[object, Item]", "list[Item]", Scalar]
Plain: TypeAlias = Union["dict[object, Plain]", "list[Plain]", Scalar]


@dataclass(frozen=True, slots=True)
class Place:
    """Where something was written. ``file`` is a path, or an environment variable's name with line 0."""

    file: str
    line: int = 0
    column: int = 0


@dataclass(frozen=True, slots=True)
class Item:
    """A value with its place and, inside a map, the place of its key.

    ``text`` is a scalar as it was typed where that may matter later: ``007`` is a number to YAML and a
    password to its owner.
    """

    content: Content
    place: Place
    key_place: Place | None = None
    text: str | None = None

    def child(self, part: object) -> Item | None:
        """The item below, None when there is none."""
        if isinstance(self.content, dict):
            return self.content.get(part)
        if isinstance(self.content, list) and isinstance(part, int) and 0 <= part < len(self.content):
            return self.content[part]
        return None

    def find(self, loc: Loc) -> Item | None:
        """The item at ``loc`` below this one, None when there is none."""
        found: Item | None = self
        for part in loc:
            found = found.child(part) if found else None
        return found

    def plain(self) -> Plain:
        """The value without places, as new dicts and lists."""
        if isinstance(self.content, dict):
            return {key: item.plain() for key, item in self.content.items()}
        if isinstance(self.content, list):
            return [item.plain() for item in self.content]
        return self.content


def place_of(root: Item, loc: Loc, of_key: bool = False) -> Place:
    """The place of the value (or of its key) at ``loc``; where that is not written, of what is closest
    around it.
    """
    here = root
    for index, part in enumerate(loc):
        below = here.child(part)
        if below is None:
            return here.place if not index or here.key_place is None else here.key_place
        here = below
    return here.key_place if of_key and here.key_place else here.place


def problem_at(
    root: Item, loc: Loc, message: str, *, nearest: str | None = None, of_key: bool = False
) -> Problem:
    """A problem at ``loc``, with its place filled in."""
    place = place_of(root, loc, of_key)
    return Problem(place.file, place.line, place.column, dotted(loc), message, nearest)


def dotted(loc: Loc) -> str:
    """The location as people write it: ``nodes[2].host``."""
    text = ""
    for part in loc:
        text += f"[{part}]" if isinstance(part, int) and not isinstance(part, bool) else f".{part}"
    return text.removeprefix(".")


def merge(below: Item, above: Item) -> Item:
    """``above`` laid over ``below``; each value keeps the place it came from."""
    if not isinstance(below.content, dict):
        return above
    if above.content is None:
        return below
    if not isinstance(above.content, dict):
        return above
    merged = {key: item for key, item in below.content.items() if not _moved(key, above.content)}
    for key, item in above.content.items():
        old = merged.get(key)
        merged[key] = merge(old, item) if old else item
    return replace(above, content=merged)


def _moved(key: object, above: dict[object, Item]) -> bool:
    """Whether the layer above says the same secret another way."""
    if not isinstance(key, str) or key in above:
        return False
    counterpart = key.removesuffix("_file") if key.endswith("_file") else f"{key}_file"
    return counterpart in above


def put(root: Item, loc: Loc, item: Item) -> Item:
    """The document with one value set. Maps on the way are made; an index must exist (IndexError)."""
    if not loc:
        return merge(root, item)
    first, rest = loc[0], loc[1:]
    if isinstance(root.content, list):
        if not isinstance(first, int) or not 0 <= first < len(root.content):
            raise IndexError(f"there is no entry {first}")
        below = put(root.content[first], rest, item)
        return replace(root, content=[*root.content[:first], below, *root.content[first + 1 :]])
    entries = root.content if isinstance(root.content, dict) else {}
    below = put(entries.get(first, Item(None, item.place, item.place)), rest, item)
    kept = {key: old for key, old in entries.items() if not _moved(key, {first: below})}
    return replace(root, content={**kept, first: below})


def walk(item: Item, loc: Loc = ()) -> Iterator[tuple[Loc, Item]]:
    """Every item with its location, parents before their children."""
    yield loc, item
    if isinstance(item.content, dict):
        for key, below in item.content.items():
            yield from walk(below, (*loc, key))
    elif isinstance(item.content, list):
        for index, below in enumerate(item.content):
            yield from walk(below, (*loc, index))


def with_scalars(item: Item, change: Callable[[Loc, Item], Item], loc: Loc = ()) -> Item:
    """The document with every scalar passed through ``change``."""
    if isinstance(item.content, dict):
        content: Content = {k: with_scalars(below, change, (*loc, k)) for k, below in item.content.items()}
    elif isinstance(item.content, list):
        content = [with_scalars(below, change, (*loc, i)) for i, below in enumerate(item.content)]
    else:
        return change(loc, item)
    return replace(item, content=content)
