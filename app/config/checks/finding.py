"""What a check across sections says, and what it may know of the document. Never decides anything."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from app.config.tree import Item, Loc


class Finding(NamedTuple):
    """Something that does not fit, at a location of the configuration; ``of_key``: the key itself is wrong."""

    loc: Loc
    message: str
    nearest: str | None = None
    of_key: bool = False


@dataclass(frozen=True, slots=True)
class Declared:
    """The names that the document gives, be the rest of their entries right or wrong."""

    nodes: tuple[str, ...]
    providers: tuple[str, ...]
    channels: tuple[str, ...]

    @classmethod
    def in_document(cls, document: Item) -> Declared:
        """The names of nodes, providers and channels."""
        listed = document.find(("nodes",))
        entries = listed.content if listed and isinstance(listed.content, list) else []
        names = (entry.child("name") for entry in entries)
        return cls(
            tuple(str(name.content) for name in names if name),
            _keys(document, ("dns", "providers")),
            _keys(document, ("alerts", "channels")),
        )


def _keys(document: Item, loc: Loc) -> tuple[str, ...]:
    found = document.find(loc)
    return tuple(map(str, found.content)) if found and isinstance(found.content, dict) else ()
