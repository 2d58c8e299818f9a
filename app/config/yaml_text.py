"""Reads YAML text into items that know their places. Never decides what a key means.

What it adds to YAML: a reference ``${NAME}`` may stand unquoted inside ``{…}`` and ``[…]``, where YAML
itself would take the brace for a map; duplicate keys are problems; dates stay text.
"""

from __future__ import annotations

import re

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

from app.config.errors import Problem
from app.config.tree import Content, Item, Loc, Place, Scalar, dotted

# no quotes or blanks: in {a: '${'} the last brace is the map's
_REFERENCE = re.compile(r"\$\{([A-Za-z0-9_.:?+=-]*)\}")
_SHIELDED = re.compile("\\$\ue000([^{}\n\ue000\ue001]*)\ue001")


def shield(text: str) -> str:
    """The text with the braces of ``${NAME}`` replaced by as many private characters, so that columns stay
    true.
    """
    return _REFERENCE.sub("$\ue000\\1\ue001", text)


def unshield(text: str) -> str:
    """The inverse of `shield`."""
    return _SHIELDED.sub(r"${\1}", text)


def read(text: str, file: str) -> tuple[Item | None, list[Problem]]:
    """The document (a map; None when it cannot be read) and what is wrong with it: syntax, tabs, duplicate
    keys.
    """
    empty = Item({}, Place(file, 1, 1))
    try:
        root = YAML().compose(shield(text))
    except (MarkedYAMLError, ReaderError, YAMLError) as error:
        return None, [_syntax_problem(error, text, file)]
    if root is None:
        return empty, []
    reader = _Reader(file)
    item = reader.item(root, ())
    if item.content is None:
        return empty, reader.problems
    if not isinstance(item.content, dict):
        return None, [Problem(file, item.place.line, item.place.column, "", "must be a map of sections")]
    return item, reader.problems


def _syntax_problem(error: YAMLError, text: str, file: str) -> Problem:
    if isinstance(error, ReaderError):
        start = text.rfind("\n", 0, error.position) + 1
        line, column = text.count("\n", 0, error.position) + 1, error.position - start + 1
        return Problem(file, line, column, "", "a character that YAML does not allow: remove it")
    mark = isinstance(error, MarkedYAMLError) and (error.problem_mark or error.context_mark)
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    tab = _tab(text.splitlines(), line)
    if tab:
        return Problem(file, line, tab, "", "a tab indents this line: YAML takes blanks only")
    said = getattr(error, "problem", None) or getattr(error, "context", None) or "cannot be read"
    return Problem(file, line, column, "", f"not YAML: {unshield(' '.join(str(said).split()))}")


def _tab(lines: list[str], line: int) -> int:
    """The column of a tab in the line's indentation, 0 when there is none."""
    here = lines[line - 1] if line <= len(lines) else ""
    return here[: len(here) - len(here.lstrip())].find("\t") + 1


class _Reader:
    """Turns composed nodes into items. Aliases become copies; a map's ``<<`` fills in what it lacks."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._open: set[int] = set()
        self.problems: list[Problem] = []

    def item(self, node: Node, loc: Loc, key: Node | None = None) -> Item:
        key_place = self._place(key) if key is not None else None
        if isinstance(node, ScalarNode):
            text = unshield(node.value)
            value = text if node.style else plain_value(str(node.tag), text)
            return Item(value, self._place(node), key_place, text)
        if id(node) in self._open:
            self._report(node, loc, "an alias inside its own anchor")
            return Item(None, self._place(node), key_place)
        self._open.add(id(node))
        content: Content = self._map(node, loc) if isinstance(node, MappingNode) else self._list(node, loc)
        self._open.discard(id(node))
        return Item(content, self._place(node), key_place)

    def _list(self, node: Node, loc: Loc) -> list[Item]:
        assert isinstance(node, SequenceNode)  # noqa: S101 - the one kind of node that is left
        return [self.item(below, (*loc, index)) for index, below in enumerate(node.value)]

    def _map(self, node: MappingNode, loc: Loc) -> dict[object, Item]:
        result: dict[object, Item] = {}
        inherited: dict[object, Item] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, ScalarNode):
                self._report(key_node, loc, "a key must be a single word")
                continue
            text = unshield(key_node.value)
            key = text if key_node.style else plain_value(str(key_node.tag), text)
            if key == "<<" and not key_node.style:
                inherited.update(self._inherited(value_node, loc))
            elif key in result:
                first = result[key].key_place
                twice = f"stands here twice (first in line {first.line if first else 0}): keep one"
                self._report(key_node, (*loc, key), twice)
            else:
                result[key] = self.item(value_node, (*loc, key), key_node)
        return {**inherited, **result}

    def _inherited(self, node: Node, loc: Loc) -> dict[object, Item]:
        sources = reversed(node.value) if isinstance(node, SequenceNode) else iter((node,))
        merged: dict[object, Item] = {}
        for source in sources:
            found = self.item(source, loc).content
            if isinstance(found, dict):
                merged.update(found)
            else:
                self._report(source, loc, "'<<' takes a map")
        return merged

    def _place(self, node: Node) -> Place:
        return Place(self._file, node.start_mark.line + 1, node.start_mark.column + 1)

    def _report(self, node: Node, loc: Loc, message: str) -> None:
        place = self._place(node)
        self.problems.append(Problem(self._file, place.line, place.column, dotted(loc), message))


_TRUE = {"true", "True", "TRUE"}
_INTEGER = re.compile(r"[-+]?(?:0b[01_]+|0o[0-7_]+|0x[0-9a-fA-F_]+|[0-9][0-9_]*)")
_BASES = (("0b", 2), ("0o", 8), ("0x", 16))


def scalar(text: str) -> Scalar:
    """The value of a plain scalar: null, a truth value, a number or text."""
    return plain_value(str(YAML().resolver.resolve(ScalarNode, text, (True, False))), text)


def plain_value(tag: str, text: str) -> Scalar:
    """The value of unquoted text whose YAML tag is known; what is no null, truth value or number stays
    text.
    """
    kind = tag.rpartition(":")[2]
    if kind == "null":
        return None
    if kind == "bool":
        return text in _TRUE
    if kind == "int" and _INTEGER.fullmatch(text):
        return _integer(text.replace("_", ""))
    if kind == "float":
        return float(re.sub(r"\.(?=inf|nan)", "", text.replace("_", "").lower()))
    return text


def _integer(text: str) -> int:
    sign, digits = (-1 if text.startswith("-") else 1), text.lstrip("+-")
    for prefix, base in _BASES:
        if digits.startswith(prefix):
            return sign * int(digits[2:], base)
    return sign * int(digits)
