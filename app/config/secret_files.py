"""Reads secrets that stand in files of their own (``password_file``). Never shows what a file holds."""

from __future__ import annotations

import os
import stat
from dataclasses import replace
from pathlib import Path

from app.config.errors import Problem
from app.config.schema.shape import fields_of, secret_keys, section_at
from app.config.tree import Content, Item, Loc, problem_at

_LARGEST_BYTES = 65536


class SecretFiles:
    """One pass over a document; `problems` (by the secret's place) and `warnings` say what was met."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.problems: dict[Loc, Problem] = {}
        self.warnings: list[str] = []

    def resolved(self, root: Item) -> Item:
        """The document with each ``<secret>_file`` replaced by the secret it holds, blanks at its ends
        removed.
        """
        return self._below(root, root, ())

    def _below(self, root: Item, item: Item, loc: Loc) -> Item:
        if isinstance(item.content, list):
            return replace(
                item, content=[self._below(root, i, (*loc, n)) for n, i in enumerate(item.content)]
            )
        if not isinstance(item.content, dict):
            return item
        entries = {key: self._below(root, below, (*loc, key)) for key, below in item.content.items()}
        if any(str(key).endswith("_file") for key in entries):
            entries = self._map(root, loc, entries)
        return replace(item, content=entries)

    def _map(self, root: Item, loc: Loc, entries: dict[object, Item]) -> dict[object, Item]:
        section = section_at(root, loc)
        if section is None:
            return entries
        fields = fields_of(section)
        changed = dict(entries)
        for key, is_list in secret_keys(section).items():
            file_key = f"{key}_file"
            if file_key in fields or file_key not in entries:
                continue
            item = changed.pop(file_key)
            if item.content is None:
                continue
            here = (*loc, file_key)
            if key in entries and entries[key].content is not None:
                said = f"stands beside {key}: give one of the two"
                self.problems[(*loc, key)] = problem_at(root, here, said, of_key=True)
                continue
            try:
                content = self._content(item, is_list)
            except (OSError, ValueError) as error:
                said = getattr(error, "strerror", None) or str(error)
                self.problems[(*loc, key)] = problem_at(root, here, f"cannot be read: {said}")
                content = None
            changed[key] = replace(item, content=content, text=None)
        return changed

    def _content(self, item: Item, is_list: bool) -> Content:
        if not isinstance(item.content, str) or not item.content:
            raise ValueError("it must be the path of a file")
        path = Path(os.path.normpath(self._folder / os.path.expanduser(item.content)))
        text = self._read(path)
        if is_list:
            return [
                replace(item, content=line.strip(), text=None) for line in text.splitlines() if line.strip()
            ]
        return text

    def _read(self, path: Path) -> str:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            data = file.read(_LARGEST_BYTES + 1)
        if len(data) > _LARGEST_BYTES:
            raise ValueError("it is far too long for a secret")
        try:
            text = data.decode("utf-8").strip()
        except UnicodeDecodeError:
            raise ValueError("it is not UTF-8 text") from None
        if not text:
            raise ValueError("it is empty")
        if status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            self.warnings.append(f"{path} can be read by others than its owner: chmod 600 {path}")
        return text
