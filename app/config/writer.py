"""Writes changes into config.yml with everything else in it as it was: comments, order, blanks. Never
writes a configuration that could not be loaded.

Edits gather in memory; `Editor.save` reads the file again, validates the result in all its layers and
replaces the file at once (a temporary file beside it, synced, renamed).
"""

from __future__ import annotations

import contextlib
import difflib
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from app.config.loader import display, layered, load_texts, sources
from app.config.schema.root import Config
from app.config.splice import EditError, with_entry, with_value, without
from app.config.tree import Item, Loc, dotted
from app.config.yaml_text import read

__all__ = ["EditError", "Editor"]


class Editor:
    """One round of edits of one configuration file; not for use by two threads.

    Values are as one would type them in the file (a Secret's text, ``5s``, ``${NAME}``). Raises `EditError`
    for what is not there (or is there already), `ConfigError` for a file that cannot be read or a result
    that is not valid.
    """

    def __init__(
        self,
        path: Path | str | None = None,
        env: str | None = None,
        environ: Mapping[str, str] | None = None,
        *,
        file: Path | str | None = None,
    ) -> None:
        """``path``, ``env`` and ``environ`` as for `load`; ``file`` is the one to edit, if not the main
        file.
        """
        self._environ = os.environ if environ is None else environ
        self._sources = sources(path, env, self._environ)
        self.path = Path(os.path.abspath(file)) if file else self._sources.main
        load_texts(self._sources, {}, self._environ)
        self._before = self.path.read_bytes()
        self._bom = self._before.startswith(b"\xef\xbb\xbf")
        self.text = self._before.decode("utf-8-sig")
        self._set: list[Loc] = []
        self._removed: list[Loc] = []

    # --- edits -----------------------------------------------------------------------------------------

    def set_value(self, loc: Loc, value: object) -> None:
        """Set one key, like ``("sync", "port")`` or ``("nodes", "sh-telecom", "drained")``."""
        self.text = with_value(self.text, loc, value)
        self._set.append(loc)

    def remove_value(self, loc: Loc) -> None:
        """Remove one key, so that its default holds."""
        self.text = without(self.text, loc)

    def add_node(self, node: Mapping[str, object]) -> None:
        """Add a node at the end of nodes."""
        self._add(("nodes",), node)

    def remove_node(self, name: str) -> None:
        """Remove the node of this name; what a service says of it must be removed in the same round."""
        self._remove(("nodes",), name)

    def add_service(self, service: Mapping[str, object]) -> None:
        """Add a service at the end of dns.services."""
        self._add(("dns", "services"), service)

    def remove_service(self, name: str) -> None:
        """Remove the service of this name."""
        self._remove(("dns", "services"), name)

    def add_provider(self, name: str, provider: Mapping[str, object]) -> None:
        """Add a provider under dns.providers."""
        self._add_named(("dns", "providers"), name, provider)

    def remove_provider(self, name: str) -> None:
        """Remove the provider of this name."""
        self._remove(("dns", "providers"), name)

    def _add(self, loc: Loc, value: Mapping[str, object]) -> None:
        name = value.get("name")
        if self._names(loc, name):
            raise EditError(f"{dotted(loc)} has a {name} already: choose another name, or remove it first")
        self.text = with_entry(self.text, loc, value)
        self._set.append((*loc, name))

    def _add_named(self, loc: Loc, name: str, value: Mapping[str, object]) -> None:
        if self._names(loc, name):
            raise EditError(f"{dotted(loc)} has a {name} already: choose another name, or remove it first")
        self.text = with_value(self.text, (*loc, name), value)
        self._set.append((*loc, name))

    def _remove(self, loc: Loc, name: str) -> None:
        if not self._names(loc, name):
            raise EditError(f"{display(self.path)} has no {name} under {dotted(loc)}")
        self.text = without(self.text, (*loc, name))
        self._removed.append((*loc, name))

    def _names(self, loc: Loc, name: object) -> bool:
        document, _ = read(self.text, display(self.path))
        found = document.find(loc) if document else None
        if found is None or not isinstance(found.content, dict | list):
            return False
        if isinstance(found.content, dict):
            return name in found.content
        names = (item.child("name") for item in found.content)
        return any(item is not None and item.content == name for item in names)

    # --- the result ------------------------------------------------------------------------------------

    def validate(self) -> Config:
        """The configuration as it would be, in all its layers. Raises `ConfigError` with every problem, and
        `EditError` when another layer goes over what was edited, so that the edit would change nothing.
        """
        texts = {self.path: self.text}
        document, _, _ = layered(self._sources, texts, self._environ)
        for loc in self._set:
            item = _found(document, loc)
            if item is None or item.place.file != display(self.path):
                raise EditError(f"{_rival(document, loc)} goes over {dotted(loc)}: change it there")
        for loc in self._removed:
            if _found(document, loc) is not None:
                raise EditError(f"{_rival(document, loc)} has {dotted(loc)} too: remove it there")
        return load_texts(self._sources, texts, self._environ)

    def diff(self) -> str:
        """What changes, as a unified diff; empty when nothing does."""
        name = display(self.path)
        lines = difflib.unified_diff(
            self._before.decode("utf-8-sig").splitlines(keepends=True),
            self.text.splitlines(keepends=True),
            name,
            name,
        )
        return "".join(
            line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines
        )

    def save(self) -> str:
        """Validate and write; returns the diff. Raises `ConfigError`, `EditError` or OSError, and then the
        file is as it was.
        """
        self.validate()
        changes = self.diff()
        if self.path.read_bytes() != self._before:
            raise EditError(f"{display(self.path)} was changed by somebody else meanwhile: try again")
        if changes:
            data = self.text.encode("utf-8")
            replace_file(self.path, b"\xef\xbb\xbf" + data if self._bom else data)
        return changes


def _found(document: Item, loc: Loc) -> Item | None:
    """The item at ``loc``, where a name finds a list's entry."""
    here: Item | None = document
    for part in loc:
        if here is None:
            return None
        if isinstance(here.content, list) and not isinstance(part, int):
            here = next((i for i in here.content if (n := i.child("name")) and n.content == part), None)
        else:
            here = here.child(part)
    return here


def _rival(document: Item, loc: Loc) -> str:
    """The file or variable that says what holds at ``loc``."""
    while loc and _found(document, loc) is None:
        loc = loc[:-1]
    item = _found(document, loc)
    return item.place.file if item else "another layer"


def replace_file(path: Path, data: bytes) -> None:
    """Give a file new content at once, keeping mode and, where allowed, owner; a link stays a link."""
    real = Path(os.path.realpath(path))
    status = real.stat()
    descriptor, name = tempfile.mkstemp(prefix=f".{real.name}.", dir=real.parent)
    try:
        with open(descriptor, "wb") as file:
            file.write(data)
            os.fchmod(file.fileno(), status.st_mode & 0o7777)
            with contextlib.suppress(PermissionError):
                os.fchown(file.fileno(), status.st_uid, status.st_gid)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, real)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
        raise
    folder = os.open(real.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
