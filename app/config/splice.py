"""Changes single values in YAML text and leaves every other character as it is. Pure: never touches a file.

ruamel.yaml says where each value begins and ends, and only that span is rewritten. (Dumping its round-trip
document was tried: it rewrites ``null``, aligned comments and long lines nobody touched, and drops the
comment that stands between a removed entry and the next section.)
"""

from __future__ import annotations

from collections.abc import Mapping

from ruamel.yaml import YAML
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from app.config.flow import block, entry, inline
from app.config.lines import Lines
from app.config.tree import Loc, dotted
from app.config.yaml_text import plain_value, shield, unshield


class EditError(Exception):
    """The edit asks for something that is not there, or is there already; nothing was changed."""


def with_value(text: str, loc: Loc, value: object) -> str:
    """The text with the value at ``loc`` set; sections on the way are made. An index or a name finds a
    list's entry.
    """
    if not loc:
        raise EditError("name a key to set")
    document = _Document(text)
    steps = document.steps(loc)
    if len(steps) == len(loc):
        return document.replaced(steps[-1], value)
    above = steps[-1] if steps else document.root
    if isinstance(above.node, SequenceNode):
        raise EditError(f"there is no {dotted(loc[: len(steps) + 1])}")
    for key in reversed(loc[len(steps) + 1 :]):
        value = {key: value}
    return document.with_key(above, loc[len(steps)], value)


def with_entry(text: str, loc: Loc, value: object) -> str:
    """The text with an entry added at the end of the list at ``loc``, which is made where it is missing."""
    document = _Document(text)
    steps = document.steps(loc)
    if len(steps) < len(loc):
        return with_value(text, loc, [value])
    return document.with_entry(steps[-1], value)


def without(text: str, loc: Loc) -> str:
    """The text without the key or entry at ``loc``. Raises EditError when it is not there."""
    document = _Document(text)
    steps = document.steps(loc)
    if len(steps) < len(loc) or not loc:
        raise EditError(f"there is no {dotted(loc)}")
    return document.without(steps[-2] if len(steps) > 1 else document.root, steps[-1])


class _Step:
    """A value on the way: its node, and its key's node inside a map."""

    def __init__(self, node: Node, key: Node | None = None) -> None:
        self.node, self.key = node, key


class _Document(Lines):
    """One text with the spans of its values. The text must be YAML and a map."""

    def __init__(self, text: str) -> None:
        super().__init__(text, "\r\n" if "\r\n" in text else "\n")
        node = YAML().compose(shield(text))
        if node is None:
            node = MappingNode("tag:yaml.org,2002:map", [], flow_style=False)
        self.root = _Step(node)

    # --- looking ---------------------------------------------------------------------------------------

    def steps(self, loc: Loc) -> list[_Step]:
        """The values along ``loc``, as far as they exist."""
        found: list[_Step] = []
        here: _Step | None = self.root
        for part in loc:
            here = self._child(here.node, part) if here else None
            if here is None:
                break
            found.append(here)
        return found

    def _child(self, node: Node, part: object) -> _Step | None:
        if isinstance(node, MappingNode):
            return next((_Step(value, key) for key, value in node.value if _key(key) == part), None)
        if not isinstance(node, SequenceNode):
            return None
        if isinstance(part, int):
            return _Step(node.value[part]) if 0 <= part < len(node.value) else None
        named = (entry for entry in node.value if self._name(entry) == str(part))
        return next((_Step(entry) for entry in named), None)

    def _name(self, node: Node) -> str | None:
        step = self._child(node, "name") if isinstance(node, MappingNode) else None
        return unshield(step.node.value) if step and isinstance(step.node, ScalarNode) else None

    def _end(self, step: _Step) -> int:
        """Where the value's own characters end: before comments, blanks and line breaks behind it."""
        node = step.node
        if isinstance(node, ScalarNode):
            if _is_nothing(node) and step.key is not None:
                return self._colon(step.key)
            start: int = node.start_mark.index
            return start + len(self.text[start : node.end_mark.index].rstrip())
        if _is_flow(node) or not node.value:
            return int(node.end_mark.index)
        last = node.value[-1]
        return self._end(_Step(last[1], last[0]) if isinstance(last, tuple) else _Step(last))

    def _colon(self, key: Node) -> int:
        return self.text.index(":", key.end_mark.index) + 1

    # --- changing --------------------------------------------------------------------------------------

    def replaced(self, step: _Step, value: object) -> str:
        """The text with one value replaced, on one line."""
        node, end = step.node, self._end(step)
        if isinstance(node, ScalarNode) and _is_nothing(node):
            return f"{self.text[:end]} {inline(value)}{self.text[end:]}"
        start = node.start_mark.index
        if not isinstance(node, ScalarNode) and not _is_flow(node) and step.key is not None:
            start = self._colon(step.key)
            return f"{self.text[:start]} {inline(value)}{self.text[end:]}"
        return self.text[:start] + inline(value) + self.text[end:]

    def with_key(self, step: _Step, key: object, value: object) -> str:
        """The text with a key added to a map that lacks it."""
        node = step.node
        if isinstance(node, MappingNode) and node.flow_style:
            return self._into_flow(node, f"{inline(key)}: {inline(value)}")
        if step is self.root:
            lines = (
                [f"{inline(key)}:", *block(value, 2)]
                if isinstance(value, Mapping)
                else block({key: value}, 0)
            )
            return self._after(self._end(step), 0, ["", *lines])
        if isinstance(node, MappingNode) and node.value:
            column = node.value[0][0].start_mark.column
            return self._after(self._end(step), column, block({key: value}, column))
        if _is_null(node) and step.key is not None:
            return self._below_key(step, {key: value}, block({key: value}, step.key.start_mark.column + 2))
        raise EditError(f"{_key(step.key) if step.key else 'this'} is no map: a key cannot be added to it")

    def with_entry(self, step: _Step, value: object) -> str:
        """The text with an entry added to a list."""
        node, key = step.node, step.key
        if isinstance(node, SequenceNode) and node.value and not node.flow_style:
            column = node.start_mark.column
            return self._after(self._end(step), column, entry(value, column))
        if key is not None and (_is_null(node) or (isinstance(node, SequenceNode) and not node.value)):
            return self._below_key(step, [value], entry(value, key.start_mark.column + 2))
        if isinstance(node, SequenceNode):
            return self._into_flow(node, inline(value))
        raise EditError(f"{_key(key) if key else 'this'} is no list: nothing can be added to it")

    def _starts_line(self, node: Node) -> bool:
        index = node.start_mark.index
        return not self.text[self.line_start(index) : index].strip()

    def _into_flow(self, node: Node, addition: str) -> str:
        close = node.end_mark.index - 1
        last = node.value[-1] if node.value else None
        if last is None:
            return self.text[:close].rstrip() + addition + self.text[close:]
        end = self._end(_Step(last[1], last[0]) if isinstance(last, tuple) else _Step(last))
        return f"{self.text[:end]}, {addition}{self.text[end:]}"

    def _below_key(self, step: _Step, value: object, lines: list[str]) -> str:
        """The value put where there is none: as lines below its key, or behind it inside ``{…}``."""
        assert step.key is not None  # noqa: S101 - asked for by both callers
        if not self._starts_line(step.key):
            return self.replaced(step, value)
        colon = self._colon(step.key)
        bare = Lines(self.text[:colon] + self.text[self._end(step) :], self.newline)
        return bare.lines_after(bare.past_comments(colon, step.key.start_mark.column), lines)

    def _after(self, index: int, column: int, lines: list[str]) -> str:
        """The lines put behind the line of ``index`` and the comments under it that are indented deeper."""
        return self.lines_after(self.past_comments(index, column), lines)

    def without(self, above: _Step, step: _Step) -> str:
        """The text without one key or entry."""
        node = above.node
        if _is_flow(node):
            return self._out_of_flow(node, step)
        first = step.key.start_mark.index if step.key is not None else self._dash(node, step)
        start, end = self.line_start(first), self.line_end(self._end(step))
        if self.text[start:first].strip():  # the first key of a list's entry shares its line with the dash
            if len(node.value) == 1:
                raise EditError("the only key of an entry: remove the entry")
            following = node.value[1][0].start_mark.index
            return self.text[:first] + self.text[following:]
        return self.text[:start] + self.text[end:]

    def _dash(self, node: Node, step: _Step) -> int:
        column = node.start_mark.column
        at: int = step.node.start_mark.index
        while at > 0 and not (self.text[at] == "-" and at - self.line_start(at) == column):
            at -= 1
        return at

    def _out_of_flow(self, node: Node, step: _Step) -> str:
        spans = [
            (pair[0].start_mark.index, self._end(_Step(pair[1], pair[0])))
            if isinstance(pair, tuple)
            else (pair.start_mark.index, self._end(_Step(pair)))
            for pair in node.value
        ]
        first: int = (step.key if step.key is not None else step.node).start_mark.index
        here = next(index for index, span in enumerate(spans) if span[0] == first)
        if here + 1 < len(spans):
            return self.text[: spans[here][0]] + self.text[spans[here + 1][0] :]
        start = spans[here - 1][1] if here else spans[here][0]
        return self.text[:start] + self.text[spans[here][1] :]


def _key(node: Node) -> object:
    if not isinstance(node, ScalarNode):
        return None
    text = unshield(node.value)
    return text if node.style else plain_value(str(node.tag), text)


def _is_nothing(node: Node) -> bool:
    """Whether the value is an empty place behind its colon."""
    return isinstance(node, ScalarNode) and node.start_mark.index == node.end_mark.index


def _is_null(node: Node) -> bool:
    return (
        isinstance(node, ScalarNode)
        and not node.style
        and plain_value(str(node.tag), str(node.value)) is None
    )


def _is_flow(node: Node) -> bool:
    return isinstance(node, MappingNode | SequenceNode) and bool(node.flow_style)
