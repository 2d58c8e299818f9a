"""Finds every sentence in the code that a page or a mail may show, as templates: ``could not take {path}: {error}``.

The content half, the DNS half and the application write their reasons in English wherever they arise, store
them so, and know nothing of languages. Nobody keeps a list of them: they are read out of the code, so that
one that has no Chinese yet fails a test. A sentence is a constant or f-string with at least two words, or with
a word beside a value, that is no docstring, no argument of a log call and not in NOT_SHOWN.

    f"{n} path{'s' if n > 1 else ''}"         {n} path{s|}
    f"{who} may not {'add' if x else 'go'}"   {who} may not add · {who} may not go
    more = f" and {n} more" if n else ""      f"{name}{more}: {error}" becomes both: {name} and {n} more: …
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import product
from pathlib import Path

from tools.shown import NOT_SHOWN, NOT_SHOWN_FILES, libraries, words

ROOT = Path(__file__).resolve().parents[1]
HALVES = ("sync", "dns", "app")
MOST_VARIANTS = 24
FEWEST_LETTERS = 4  # `{a} at {b}` would be found in what others say, too
PLACE = re.compile(r"\{([^{}]*)\}")
WORD = re.compile(r"[A-Za-z]{2,}")
FRAGMENT = re.compile(r"[\s;,(·]|:$|…")
LOGS = frozenset({"log", "logging", "logger"})
TRANSLATED = frozenset({"_", "_l", "gettext", "ngettext", "lazy_gettext"})


def templates(root: Path = ROOT) -> dict[str, set[str]]:
    """Every template with the files it stands in."""
    found: dict[str, set[str]] = {}
    for half in HALVES:
        for path in sorted((root / half).rglob("*.py")):
            name = path.relative_to(root).as_posix()
            if not name.startswith(NOT_SHOWN_FILES):
                for template in of_source(path.read_text(encoding="utf-8")):
                    found.setdefault(template, set()).add(name)
    for template, where in (*libraries(), *words()):
        found.setdefault(template, set()).add(where)
    return unlike(found)


def unlike(found: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """The same without templates that differ from an earlier one in the names of their values only."""
    first: dict[str, str] = {}
    kept: dict[str, set[str]] = {}
    for template, where in found.items():
        shape = PLACE.sub(lambda p: p[0] if "|" in p[1] else "{}", template)
        kept.setdefault(first.setdefault(shape, template), set()).update(where)
    return kept


def of_source(text: str) -> list[str]:
    """The templates of one module, in its order."""
    found = Module(ast.parse(text)).templates()
    return [t for t in dict.fromkeys(found) if is_sentence(t) and not NOT_SHOWN.fullmatch(t)]


def is_sentence(template: str) -> bool:
    """Whether two words stand in it, or a word beside a value, that are enough to know it by."""
    plain = PLACE.sub("\0", template).strip()
    words_ = [w for w in plain.split() if "\0" in w or WORD.search(w)]
    fewest = FEWEST_LETTERS - bool(FRAGMENT.match(template))
    return len(words_) > 1 and len(re.findall(r"[A-Za-z]", plain)) >= fewest


class Module:
    """The strings of one module, read once."""

    def __init__(self, tree: ast.Module) -> None:
        self._tree = tree
        self._used: set[int] = set()  # fragments that stand in the sentence they belong to
        self._assigned: dict[int, dict[str, list[ast.expr]]] = {}

    def templates(self) -> list[str]:
        """Every string's templates, in order."""
        pairs = list(self._strings(self._tree, (self._scope(self._tree),)))
        return [
            t for node, found in pairs for t in found if id(node) not in self._used or not FRAGMENT.match(t)
        ]

    # ── where strings stand ──────────────────────────────────────────────────────────────────────────────

    def _strings(self, node: ast.AST, scopes: tuple[Scope, ...]) -> Iterator[tuple[ast.AST, list[str]]]:
        if _is_mute(node):
            return
        if isinstance(node, ast.JoinedStr):
            yield node, self._of(node, scopes)
            for value in node.values:
                if isinstance(value, ast.FormattedValue) and not _is_text(value.value):
                    yield from self._strings(value.value, scopes)
            return
        if isinstance(node, ast.Constant):
            if isinstance(node.value, str):
                yield node, self._of(node, scopes)
            return
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add) and _is_text(node):
            yield node, self._of(node, scopes)
            return
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            scopes = (*scopes, self._scope(node))
        for child in _children(node):
            yield from self._strings(child, scopes)

    def _scope(self, node: ast.AST) -> Scope:
        return Scope.of(node)

    # ── what they say ────────────────────────────────────────────────────────────────────────────────────

    def _of(self, node: ast.expr, scopes: tuple[Scope, ...], depth: int = 0) -> list[str]:
        """The templates of an expression that is a text."""
        match node:
            case ast.Constant(value=str(text)):
                return [text if re.search(r"\{[a-z_0-9]*\}", text) else _escaped(text)]
            case ast.JoinedStr(values=values):
                return _joined([self._part(v, scopes, depth) for v in values])
            case ast.IfExp(body=body, orelse=orelse):
                return [*self._of(body, scopes, depth), *self._of(orelse, scopes, depth)]
            case ast.BinOp(left=left, right=right):
                return _joined([self._operand(left, scopes, depth), self._operand(right, scopes, depth)])
        return []

    def _operand(self, node: ast.expr, scopes: tuple[Scope, ...], depth: int) -> list[str]:
        return self._of(node, scopes, depth) if _is_text(node) else self._value(node, scopes, depth)

    def _part(self, node: ast.expr, scopes: tuple[Scope, ...], depth: int) -> list[str]:
        if isinstance(node, ast.FormattedValue):
            return self._value(node.value, scopes, depth)
        return [_escaped(str(getattr(node, "value", "")))]

    def _value(self, node: ast.expr, scopes: tuple[Scope, ...], depth: int) -> list[str]:
        """What may stand where a value is put in: its name as a place, or texts where they are known."""
        if isinstance(node, ast.IfExp) and _is_text(node):
            found = self._of(node, scopes, depth)
            return ["{" + "|".join(found) + "}"] if _is_ending(found) else found
        if isinstance(node, ast.Name) and depth < 3:
            for scope in reversed(scopes):
                if node.id in scope.names:
                    known = scope.texts.get(node.id, [])
                    found = list(dict.fromkeys(t for x in known for t in self._of(x, scopes, depth + 1)))
                    if not found or all(is_sentence(t) and not FRAGMENT.match(t) for t in found):
                        break  # they are found by themselves
                    self._used.update(id(below) for text in known for below in ast.walk(text))
                    return ["{" + "|".join(found) + "}"] if _is_ending(found) else found
        return ["{" + _name(node) + "}"]


class Scope:
    """The names a function or module gives values to, and the texts of those that are texts only."""

    def __init__(self, names: set[str], texts: dict[str, list[ast.expr]]) -> None:
        self.names, self.texts = names, texts

    @classmethod
    def of(cls, node: ast.AST) -> Scope:
        """Reads one function's or module's own statements, not those of functions in it."""
        given: dict[str, list[ast.expr | None]] = {}
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            a = node.args
            for arg in (*a.posonlyargs, *a.args, *a.kwonlyargs, *filter(None, (a.vararg, a.kwarg))):
                given[arg.arg] = [None]
        for below in _own(node):
            match below:
                case ast.Assign(targets=[ast.Name(id=name)], value=value):
                    given.setdefault(name, []).append(value)
                case ast.AnnAssign(target=ast.Name(id=name), value=value) if value is not None:
                    given.setdefault(name, []).append(value)
                case ast.Assign(targets=[ast.Tuple(elts=names)], value=ast.Tuple(elts=values)):
                    for one, value in zip(names, values, strict=False):
                        if isinstance(one, ast.Name):
                            given.setdefault(one.id, []).append(value)
                case ast.Name(id=name, ctx=ast.Store()):
                    given.setdefault(name, [])
                case ast.AugAssign(target=ast.Name(id=name)):
                    given.setdefault(name, []).append(None)
        texts = {
            name: [v for v in values if v is not None]
            for name, values in given.items()
            if values and all(v is not None and _is_text(v) for v in values)
        }
        return cls(set(given), texts)


def _own(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            yield child
            yield from _own(child)


def _children(node: ast.AST) -> Iterable[ast.AST]:
    """The node's children without a docstring and without f-strings' format."""
    body = getattr(node, "body", None)
    if not isinstance(body, list):
        return ast.iter_child_nodes(node)
    return [
        c
        for c in ast.iter_child_nodes(node)
        if not (isinstance(c, ast.Expr) and isinstance(c.value, ast.Constant))
    ]


def _is_mute(node: ast.AST) -> bool:
    """Whether nobody but a log or gettext is told what stands in the node."""
    if not isinstance(node, ast.Call):
        return False
    f = node.func
    if isinstance(f, ast.Attribute):
        if isinstance(f.value, ast.Name) and f.value.id in (*LOGS, "re"):
            return True
        return isinstance(f.value, ast.Attribute) and f.value.attr in ("_log", "logger", "log")
    return isinstance(f, ast.Name) and f.id in (*TRANSLATED, "getLogger", "TypeVar")


def _is_text(node: ast.expr) -> bool:
    """Whether the expression is a text whatever happens."""
    match node:
        case ast.Constant(value=value):
            return isinstance(value, str)
        case ast.JoinedStr():
            return True
        case ast.IfExp(body=body, orelse=orelse):
            return _is_text(body) and _is_text(orelse)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return _is_text(left) or _is_text(right)
    return False


def _is_ending(found: list[str]) -> bool:
    """Whether these only make a word plural or agree with it."""
    return 1 < len(found) <= 3 and all(len(t) <= 4 and re.fullmatch(r"[a-z]*", t) for t in found)


def _joined(parts: list[list[str]]) -> list[str]:
    count = 1
    for part in parts:
        count *= len(part) or 1
    chosen = product(*(p or [""] for p in parts)) if count <= MOST_VARIANTS else [tuple(p[0] for p in parts)]
    return [_numbered("".join(pieces)) for pieces in chosen]


def _numbered(template: str) -> str:
    """The template with a number behind names that stand twice."""
    seen: dict[str, int] = {}

    def name(found: re.Match[str]) -> str:
        if "|" in found[1]:
            return found[0]
        seen[found[1]] = seen.get(found[1], 0) + 1
        return found[0] if seen[found[1]] == 1 else "{" + f"{found[1]}{seen[found[1]]}" + "}"

    return PLACE.sub(name, template)


def _escaped(text: str) -> str:
    """Braces of the text itself, as they must not be taken for places."""
    return text.replace("{", "⦃").replace("}", "⦄")


def _name(node: ast.expr) -> str:
    """A name for the value that a person who translates understands."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name.strip("_").lower() if name.strip("_") not in ("name",) else _of_name(node)
        case ast.Subscript(slice=ast.Constant(value=str(key))):
            return key
        case ast.Subscript(value=value) | ast.Await(value=value) | ast.Starred(value=value):
            return _name(value)
        case ast.Call(func=ast.Attribute(attr="join"), args=[first, *_]):
            return _name(first)
        case ast.Call(func=ast.Attribute(attr="get"), args=[ast.Constant(value=str(key)), *_]):
            return key
        case ast.Call(func=ast.Attribute(value=value), args=[]):
            return _name(value)
        case ast.Call(func=ast.Name(id="map"), args=[_, what]):
            return _name(what)
        case ast.Call(func=func, args=args):
            return _name(args[0]) if args else _name(func)
        case ast.GeneratorExp(generators=[g, *_]) | ast.ListComp(generators=[g, *_]):
            return _name(g.iter)
        case ast.BinOp(left=left, right=right):
            return _name(left) if not isinstance(left, ast.Constant) else _name(right)
        case ast.BoolOp(values=[first, *_]):
            return _name(first)
        case ast.IfExp(body=body):
            return _name(body)
        case ast.UnaryOp(operand=operand):
            return _name(operand)
    return "value"


def _of_name(node: ast.Name | ast.Attribute) -> str:
    """`node.name` is a node, `type(x).__name__` a class."""
    if (
        isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name | ast.Attribute)
        and node.attr == "name"
    ):
        owner = _name(node.value)
        return "name" if owner == "self" else owner
    return "name"
