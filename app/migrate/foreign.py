"""Reads another program's YAML and remembers which keys were taken, so that none is forgotten."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

Path = tuple[object, ...]
_MISSING = object()


class ForeignError(Exception):
    """The file cannot be migrated; the message says why."""


class Foreign:
    """A tree of maps and lists whose keys are found whatever their case, as Go's readers find them."""

    def __init__(self, tree: Any) -> None:
        self._tree = tree
        self._taken: set[Path] = set()

    def has(self, *path: object) -> bool:
        """Whether there is such a key; does not take it."""
        return self._find(path)[0] is not _MISSING

    def take(self, *path: object, default: Any = None) -> Any:
        """The value at the path, with everything below it, marked as accounted for; ``default`` where there is none."""
        value, spelled = self._find(path)
        if value is _MISSING:
            return default
        self._taken.add(spelled)
        return default if value is None else value

    def peek(self, *path: object) -> Any:
        """The value at the path without taking it, or None."""
        value, _ = self._find(path)
        return None if value is _MISSING else value

    def count(self, *path: object) -> int:
        """How many entries the list at the path has."""
        value = self.peek(*path)
        return len(value) if isinstance(value, list) else 0

    def left(self) -> Iterator[tuple[str, Any]]:
        """Every key with a value that was not taken, as it is spelled in the file."""
        return ((key, value) for key, value in self._left(self._tree, ()) if value not in (None, "", [], {}))

    def _left(self, value: Any, here: Path) -> Iterator[tuple[str, Any]]:
        if here in self._taken:
            return
        if isinstance(value, dict) and value:
            for key, below in value.items():
                yield from self._left(below, (*here, key))
        elif isinstance(value, list) and any(isinstance(below, dict) for below in value):
            for index, below in enumerate(value):
                yield from self._left(below, (*here, index))
        else:
            yield ".".join(str(part) for part in here), value

    def _find(self, path: Path) -> tuple[Any, Path]:
        value: Any = self._tree
        spelled: Path = ()
        for part in path:
            if isinstance(value, list) and isinstance(part, int) and 0 <= part < len(value):
                value, spelled = value[part], (*spelled, part)
                continue
            if not isinstance(value, dict):
                return _MISSING, ()
            key = next((k for k in value if str(k).lower() == str(part).lower()), _MISSING)
            if key is _MISSING:
                return _MISSING, ()
            value, spelled = value[key], (*spelled, key)
        return value, spelled


def read(text: str) -> Foreign:
    """The file's tree. Tabs are taken as Go's reader takes them: in comments anywhere, else as two blanks.

    Raises ForeignError with the place.
    """
    try:
        tree = YAML(typ="safe", pure=True).load("\n".join(map(_without_tabs, text.splitlines())) + "\n")
    except YAMLError as error:
        raise ForeignError(f"it is no YAML: {' '.join(str(error).split())}") from None
    if not isinstance(tree, dict):
        raise ForeignError("it holds no keys")
    return Foreign(tree)


def _without_tabs(line: str) -> str:
    indent = re.match(r"[ \t]*", line)
    blanks = indent[0] if indent else ""
    return blanks.replace("\t", "  ") + line[len(blanks) :]
