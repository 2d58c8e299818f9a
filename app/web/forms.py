"""Turns sections of the configuration's schema into forms, and what was filled in into edits of config.yml.

A field shows what stands in the file, as it stands there. What was not changed is not touched. A secret is
never shown: a new one goes into a file of mode 0600 that the configuration names by `_file`, and a `${NAME}`
is shown as such and never overwritten.
"""

from __future__ import annotations

import io
import os
import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from app.config import secret_drafts
from app.config.errors import Problem
from app.config.schema.alerts import AlertsConfig, ChannelConfig, HookConfig
from app.config.schema.base import Section, is_section
from app.config.schema.dns import DnsConfig, ServiceConfig
from app.config.schema.nodes import NodeConfig
from app.config.schema.providers import ProviderConfig
from app.config.schema.root import Config
from app.config.schema.service import LogConfig, PublishConfig, WebConfig
from app.config.schema.shape import fields_of, is_secret, secret_keys
from app.config.schema.sync import HealthConfig, NodeSourceConfig, SyncConfig
from app.config.splice import with_entry
from app.config.tree import Item, Loc, dotted
from app.config.writer import EditError, Editor
from app.config.yaml_text import read

__all__ = ["LISTS", "SECTIONS", "Editor", "Form", "entries", "entry_form", "remove", "section_form"]

SECRET_NAME = re.compile(r"[A-Za-z0-9._-]{1,120}\.[a-f0-9]{16}\Z")
SHIPPED = Path(__file__).resolve().parents[2] / "config.yml"
EXAMPLE = re.compile(r" *# (?:- |  )(\w+):[^#]*#\s*(.+)$")
"""A key of an example of an entry, which stands there as a comment, with what is said of it."""
NUMBER = re.compile(r"-?\d+(\.\d+)?\Z")


@dataclass(frozen=True, slots=True)
class Group:
    """Keys of one section that stand together; ``only`` or ``without`` choose among them."""

    loc: Loc
    section: type[Section]
    without: tuple[str, ...] = ()
    only: tuple[str, ...] = ()


SECTIONS: Mapping[str, tuple[Group, ...]] = {
    "publish": (Group(("publish",), PublishConfig),),
    "sync": (Group(("sync",), SyncConfig),),
    "health": (Group(("health",), HealthConfig),),
    "dns": (Group(("dns",), DnsConfig, ("providers", "services")),),
    "alerts": (Group(("alerts",), AlertsConfig, ("channels",)),),
    "general": (
        Group((), Config, only=("name", "retention_days", "data_dir", "database_url")),
        Group(("web",), WebConfig),
        Group(("log",), LogConfig),
        Group(("node_source",), NodeSourceConfig),
    ),
}


def members(union: Any) -> dict[str, type[Section]]:
    """The classes of a union by their `kind`."""
    found: dict[str, type[Section]] = {}
    for member in get_args(get_args(union)[0]):
        for kind in get_args(member.model_fields["kind"].annotation):
            found[kind] = member
    return found


@dataclass(frozen=True, slots=True)
class Listing:
    """A list or map of entries: where it stands, and of what its entries are made."""

    loc: Loc
    named: bool  # a map: the name is the key
    kinds: Mapping[str, type[Section]]

    def class_of(self, kind: str | None) -> type[Section]:
        """The section of this kind; the only one there is when kinds do not matter."""
        return self.kinds.get(kind or "") or next(iter(self.kinds.values()))


LISTS: Mapping[str, Listing] = {
    "nodes": Listing(("nodes",), False, {"": NodeConfig}),
    "services": Listing(("dns", "services"), False, {"": ServiceConfig}),
    "providers": Listing(("dns", "providers"), True, members(ProviderConfig)),
    "channels": Listing(("alerts", "channels"), True, members(ChannelConfig)),
    "hooks": Listing(("hooks",), False, {"": HookConfig}),
}


@dataclass(slots=True)
class Field:
    """One value of a form. ``kind``: text, number, bool, choice, yaml or secret."""

    loc: Loc
    label: str
    kind: str
    text: str = ""
    default: str = ""
    choices: tuple[str, ...] = ()
    required: bool = False
    locked: bool = False  # shown, not changed here
    standing: str = ""  # of a secret: where it comes from
    error: str = ""
    _before: str = ""
    _plain: Any = None
    _secret_file: str = ""
    name: str = ""  # in the form; it stays when the entry gets its own name

    def __post_init__(self) -> None:
        self.name = dotted(self.loc)

    @property
    def changed(self) -> bool:
        """Whether another value was typed."""
        return not self.locked and self.text.strip() != self._before.strip()


@dataclass(slots=True)
class Form:
    """The fields of one page, and what is wrong with them."""

    prefix: Loc
    groups: list[tuple[str, list[Field]]]
    folder: Path  # of secret files
    base: Path  # of the configuration
    new: Listing | None = None
    kind: str | None = None
    general: list[str] = field(default_factory=list)
    index: int | None = None  # of an entry of a list: problems are named by it

    @property
    def fields(self) -> Iterable[Field]:
        """All of them."""
        return (f for _, fields in self.groups for f in fields)

    @property
    def errors(self) -> bool:
        """Whether a field is wrong."""
        return any(f.error for f in self.fields)

    # ── what was filled in ───────────────────────────────────────────────────────────────────────────────

    def read(self, given: Mapping[str, str]) -> None:
        """Takes what was typed."""
        for f in self.fields:
            if f.locked:
                continue
            if f.kind == "bool":
                f.text = "true" if given.get(f.name) else "false"
            elif f.kind == "secret":
                self._read_secret(f, given)
            else:
                f.text = given.get(f.name, "").replace("\r\n", "\n")
                self._check(f)

    def _read_secret(self, f: Field, given: Mapping[str, str]) -> None:
        f.text = given.get(f.name, "")
        kept = given.get(f.name + ":file", "")
        if not f.text and SECRET_NAME.match(kept) and (self.folder / kept).is_file():
            f._secret_file = kept
        elif f.text:
            f._secret_file = f"{f.name.replace('[', '.').replace(']', '')}.{secrets.token_hex(8)}"
            if not SECRET_NAME.match(f._secret_file):
                f._secret_file = f"secret.{secrets.token_hex(8)}"
            secret_drafts.write(self.folder, f._secret_file, f.text)
        elif kept:
            f.error = "was removed, since nobody agreed to it within an hour: enter it again"
        f.text = ""

    def _check(self, f: Field) -> None:
        if f.required and not f.text.strip():
            f.error = "is needed"
            return
        try:
            f._plain = value_of(f)
        except (YAMLError, ValueError) as error:
            f.error = str(getattr(error, "problem", None) or error).strip() or "is no YAML"

    def settle(self) -> None:
        """The file is written: its secrets stay."""
        secret_drafts.settle(self.folder, [f._secret_file for f in self.fields if f._secret_file])

    def apply(self, edit: Editor, *, dry: bool) -> None:
        """Makes the edits. Raises EditError."""
        if self.new is not None:
            self._add(edit)
            return
        document, _ = read(edit.text, "config.yml")
        for f in self.fields:
            there = document.find(self._found(f.loc, document)) if document else None
            if f.kind == "secret":
                if f._secret_file:
                    self._set_secret(edit, f)
            elif f.changed:
                if f.text.strip() or f.kind == "bool":
                    edit.set_value(f.loc, True if f.text == "true" and f.kind == "bool" else self._typed(f))
                elif there is not None:
                    edit.remove_value(f.loc)

    def _found(self, loc: Loc, document: Item) -> Loc:
        return indexed(loc, document)

    def _typed(self, f: Field) -> Any:
        return False if f.kind == "bool" else value_of(f)

    def _set_secret(self, edit: Editor, f: Field) -> None:
        document, _ = read(edit.text, "config.yml")
        if document is not None and document.find(indexed(f.loc, document)) is not None:
            edit.remove_value(f.loc)
        edit.set_value(file_loc(f.loc), self._file(f))

    def _file(self, f: Field) -> str:
        return os.path.relpath(self.folder / f._secret_file, self.base)

    def _add(self, edit: Editor) -> None:
        assert self.new is not None  # noqa: S101 - the caller looked
        size = len(self.prefix)
        value: dict[str, Any] = {}
        for f in self.fields:
            below = f.loc[size:]
            typed: Any = None
            if f.kind == "secret":
                if not f._secret_file:
                    continue
                below, typed = file_loc(below), self._file(f)
            elif not f.changed or not f.text.strip():
                continue
            else:
                typed = f.text == "true" if f.kind == "bool" else value_of(f)
            here = value
            for part in below[:-1]:
                here = here.setdefault(str(part), {})
            here[str(below[-1])] = typed
        name = str(value.pop("name", "")) if self.new.named else str(value.get("name", ""))
        if self.kind:
            value = {"kind": self.kind, **value}
        if self.new.loc == ("nodes",):
            edit.add_node(value)
        elif self.new.loc == ("dns", "services"):
            edit.add_service(value)
        elif self.new.loc == ("hooks",):
            edit.text = with_entry(edit.text, ("hooks",), value)
        elif edit._names(self.new.loc, name):
            raise EditError(f"there is a {name} already: choose another name")
        else:
            if self.new.loc == ("alerts", "channels") and not entries(edit, "channels"):
                edit.set_value(("alerts", "routes", "default"), [name])  # or the shipped route names nobody
            edit.set_value((*self.new.loc, name), value)
            self.prefix = (*self.new.loc, name)
            for f in self.fields:
                f.loc = (*self.prefix, *f.loc[size:])

    # ── what is wrong ────────────────────────────────────────────────────────────────────────────────────

    def take(self, problems: Iterable[Problem]) -> None:
        """Puts each problem at its field, the others on top."""
        for problem in problems:
            said = problem.message + (f" ({problem.nearest}?)" if problem.nearest else "")
            for f in self.fields:
                key = re.sub(r"\[\d+\]", "[]", problem.key)
                mine = re.sub(r"\[\d+\]", "[]", self._problem_key(f))
                if key in (mine, mine + "_file") or key.startswith((mine + ".", mine + "[")):
                    f.error = f.error or said
                    break
            else:
                self.general.append(str(problem))

    def _problem_key(self, f: Field) -> str:
        """The field's key as problems name it: entries of lists by a number."""
        listing = next((v for v in LISTS.values() if not v.named and f.loc[: len(v.loc)] == v.loc), None)
        if listing is None or len(f.loc) <= len(listing.loc):
            return dotted(f.loc)
        size = len(listing.loc)
        return dotted((*listing.loc, 0, *f.loc[size + 1 :]))

    def hidden(self) -> list[tuple[str, str]]:
        """What the page that asks for agreement carries along; of secrets only the file's name."""
        carried = []
        for f in self.fields:
            if f.kind == "secret":
                if f._secret_file:
                    carried.append((f.name + ":file", f._secret_file))
            elif f.kind != "bool" or f.text == "true":
                carried.append((f.name, f.text))
        return [*carried, *([("kind", self.kind)] if self.kind else [])]


def file_loc(loc: Loc) -> Loc:
    """Where the name of a secret's file stands."""
    return (*loc[:-1], f"{loc[-1]}_file")


# ── making forms ─────────────────────────────────────────────────────────────────────────────────────────


def section_form(edit: Editor, name: str) -> Form:
    """The form of a section of the file."""
    document = document_of(edit)
    groups = []
    for group in SECTIONS[name]:
        fields = list(fields_below(document, group.loc, group.section, group.without, group.only))
        groups.append((dotted(group.loc), fields))
    return Form((), groups, folder_of(edit), edit.path.parent)


def entry_form(edit: Editor, name: str, entry: str | None, kind: str | None) -> Form:
    """The form of one entry; of a new one where ``entry`` is None."""
    listing, document = LISTS[name], document_of(edit)
    if entry is not None:
        loc: Loc = (*listing.loc, int(entry) if name == "hooks" and entry.isdigit() else entry)
        found = document.find(indexed(loc, document))
        if found is None:
            raise EditError(f"there is no {entry}")
        kind_item = found.child("kind")
        kind = str(kind_item.content) if kind_item is not None else None
    else:
        loc = (*listing.loc, "new")
        if kind not in listing.kinds:
            kind = next(iter(listing.kinds))
    section = listing.class_of(kind)
    fields = list(fields_below(document, loc, section, ("kind",), ()))
    if listing.named and entry is None:
        fields.insert(0, Field((*loc, "name"), "name", "text", required=True))
    for f in fields:
        f.label = ".".join(str(part) for part in f.loc[len(loc) :])
        f.locked = f.locked or (entry is not None and f.loc == (*loc, "name"))
    new = listing if entry is None else None
    return Form(loc, [("", fields)], folder_of(edit), edit.path.parent, new, kind or None)


def document_of(edit: Editor) -> Item:
    """The file's document; the editor has made sure that there is one."""
    document, _ = read(edit.text, "config.yml")
    assert document is not None  # noqa: S101 - Editor has read it
    return document


def folder_of(edit: Editor) -> Path:
    """Where secrets' files go: in data_dir."""
    document = document_of(edit)
    item = document.child("data_dir")
    data_dir = str(item.content) if item is not None and item.content else "var"
    return secret_drafts.folder_in(Path(os.path.normpath(edit.path.parent / os.path.expanduser(data_dir))))


def indexed(loc: Loc, document: Item) -> Loc:
    """The location with names of list entries as numbers."""
    here: Item | None = document
    found: list[object] = []
    for part in loc:
        if here is not None and isinstance(here.content, list) and isinstance(part, str):
            number = next(
                (i for i, e in enumerate(here.content) if (n := e.child("name")) and n.content == part), -1
            )
            part = number
        found.append(part)
        here = here.child(part) if here is not None else None
    return tuple(found)


def fields_below(
    document: Item, loc: Loc, section: type[Section], without: tuple[str, ...], only: tuple[str, ...]
) -> Iterable[Field]:
    """The section's fields, those of sections in it included."""
    hidden = secret_keys(section)
    for key, info in fields_of(section).items():
        if key in without or (only and key not in only):
            continue
        here = (*loc, key)
        core = core_of(info.annotation)
        if key in hidden:
            yield secret_field(document, here, info)
        elif is_section(core):
            yield from fields_below(document, here, core, (), ())
        else:
            yield plain_field(document, here, info, core)


def core_of(annotation: Any) -> Any:
    """The annotation without Annotated and None."""
    while True:
        if get_origin(annotation) is Annotated:
            annotation = get_args(annotation)[0]
        elif get_origin(annotation) in (Union, UnionType):
            rest = [a for a in get_args(annotation) if a is not type(None)]
            if len(rest) != 1:
                return annotation
            annotation = rest[0]
        else:
            return annotation


def plain_field(document: Item, loc: Loc, info: FieldInfo, core: Any) -> Field:
    """A field that may be seen."""
    label = ".".join(str(part) for part in loc[1:]) if len(loc) > 2 else str(loc[-1])
    made = Field(loc, label, "text", required=info.is_required())
    if core is bool:
        made.kind = "bool"
    elif get_origin(core) is Literal:
        made.kind, made.choices = "choice", tuple(str(a) for a in get_args(core))
    elif get_origin(core) in (tuple, Mapping, Union, UnionType) or is_section(core):
        made.kind = "yaml"
    item = document.find(indexed(loc, document))
    default = info.get_default(call_default_factory=False)
    if default not in (None, PydanticUndefined) and not isinstance(default, Section):
        made.default = shown(plainly(default))
    if item is not None and item.content is not None:
        if made.kind == "yaml" and holds_secret(document, indexed(loc, document), item):
            made.locked = True
            made.text = "…"
        else:
            made.text = as_text(item)
    elif made.kind == "bool":
        made.text = made.default
    made._before = made.text
    if made.kind == "choice" and made.text.startswith("${"):
        made.kind = "text"
    return made


def secret_field(document: Item, loc: Loc, info: FieldInfo) -> Field:
    """A field that can be set and never seen."""
    made = Field(loc, str(loc[-1]), "secret", required=False)
    item = document.find(indexed(loc, document))
    by_file = document.find(indexed(file_loc(loc), document))
    if by_file is not None and by_file.content:
        made.standing = f"file: {by_file.content}"
    elif item is not None and item.content:
        text = str(item.text or item.content)
        if re.search(r"(?<!\$)\$\{\w+\}", text):
            made.standing, made.locked = ", ".join(re.findall(r"\$\{\w+\}", text)), True
        else:
            made.standing = "set"
    return made


def holds_secret(document: Item, loc: Loc, item: Item) -> bool:
    """Whether a secret stands somewhere in the value."""
    if isinstance(item.content, dict):
        return any(holds_secret(document, (*loc, k), below) for k, below in item.content.items())
    if isinstance(item.content, list):
        return any(holds_secret(document, (*loc, i), below) for i, below in enumerate(item.content))
    return is_secret(document, loc)


def hint(f: Field) -> str:
    """What the shipped config.yml says beside the key; of an entry's key beside that of its examples."""
    for listing in LISTS.values():
        size = len(listing.loc)
        if f.loc[:size] == listing.loc and len(f.loc) > size + 1:
            return hints().get(dotted((*listing.loc, "", *f.loc[size + 1 :])), "")
    return hints().get(dotted(tuple(p for p in f.loc if not isinstance(p, int))), "")


@cache
def hints() -> Mapping[str, str]:
    """The comments of the shipped configuration, by key; an example's stand under the empty name."""
    found: dict[str, str] = {}
    section = below = ""
    for line in SHIPPED.read_text(encoding="utf-8").splitlines():
        if example := EXAMPLE.match(line):
            key, text = example.groups()
            found.setdefault(f"{below}..{key}", text.strip())
            continue
        match = re.match(r"(  )?(\w+):[^#]*(?:#\s*(.+))?$", line)
        if match is None:
            continue
        inner, key, text = match.groups()
        if not inner:
            section = key
        below = f"{section}.{key}" if inner else key
        if text:
            found[below] = text.strip()
    return found


# ── values as text ───────────────────────────────────────────────────────────────────────────────────────


def as_text(item: Item) -> str:
    """The value as one would type it."""
    if isinstance(item.content, dict | list):
        return shown(item.plain())
    if isinstance(item.content, bool):
        return "true" if item.content else "false"
    return str(item.text if item.text is not None else item.content)


def plainly(value: Any) -> Any:
    """A default as plain values."""
    if isinstance(value, Section):
        return {k: plainly(v) for k, v in value.model_dump(exclude_none=True).items()}
    if isinstance(value, Mapping):
        return {k: plainly(v) for k, v in value.items()}
    if isinstance(value, tuple | list):
        return [plainly(v) for v in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def shown(value: Any) -> str:
    """A value as text: scalars plainly, others as YAML, short ones on one line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, dict | list):
        return str(value)
    for flow in (True, False):
        yaml, stream = YAML(), io.StringIO()
        yaml.default_flow_style = flow
        yaml.indent(mapping=2, sequence=4, offset=2)
        yaml.width = 4096
        yaml.dump(value, stream)
        text = stream.getvalue().strip()
        if len(text) <= 60 or not flow:
            return text
    return ""


def value_of(f: Field) -> Any:
    """What was typed as a value of the file. Raises YAMLError or ValueError."""
    text = f.text.strip()
    if not text:
        return None
    if f.kind == "yaml":
        found = YAML(typ="safe", pure=True).load(re.sub(r"\$\{(\w+)\}", r"$<\1>", text))
        return put_back(found)
    if f.kind in ("text", "choice") and NUMBER.match(text) and f.label != "password":
        return float(text) if "." in text else int(text)
    if "\n" in text or any(ord(c) < 32 for c in text):
        raise ValueError("must stand on one line")
    return text


def put_back(value: Any) -> Any:
    """The value with its references to variables as they were typed."""
    if isinstance(value, dict):
        return {k: put_back(v) for k, v in value.items()}
    if isinstance(value, list):
        return [put_back(v) for v in value]
    return re.sub(r"\$<(\w+)>", r"${\1}", value) if isinstance(value, str) else value


# ── entries ──────────────────────────────────────────────────────────────────────────────────────────────


def entries(edit: Editor, name: str) -> list[dict[str, str]]:
    """The entries of a list: id, name, and a few words about each."""
    listing, document = LISTS[name], document_of(edit)
    item = document.find(listing.loc)
    if item is None or not isinstance(item.content, dict | list):
        return []
    found = []
    pairs = item.content.items() if isinstance(item.content, dict) else enumerate(item.content)
    for key, below in pairs:
        child = below.child("name")
        entry = str(child.content) if child is not None and not listing.named else str(key)
        words = [
            f"{k}: {shown(i.plain())[:60]}"
            for k, i in (below.content.items() if isinstance(below.content, dict) else ())
            if k != "name" and not holds_secret(document, indexed((*listing.loc, key, k), document), i)
        ]
        found.append({"id": entry, "name": entry, "words": " · ".join(words[:4])})
    return found


def remove(edit: Editor, name: str, entry: str) -> None:
    """Takes an entry out of the file. Raises EditError."""
    match name:
        case "nodes":
            edit.remove_node(entry)
        case "services":
            edit.remove_service(entry)
        case "providers":
            edit.remove_provider(entry)
        case "hooks":
            edit.remove_value(("hooks", int(entry) if entry.isdigit() else -1))
        case _:
            edit.remove_value((*LISTS[name].loc, entry))
