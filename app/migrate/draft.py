"""A config.yml in the making: values, what to know of them, what had no counterpart. Writes no file by itself."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.config import Config, ConfigError, Problem, load
from app.config.flow import inline
from app.files import write_atomically

WIDTH = 100


@dataclass
class Draft:
    """``values`` by section; ``remarks`` and ``secrets`` by dotted key and by file; ``left_out``: (key, reason)."""

    program: str
    values: dict[str, Any] = field(default_factory=dict)
    remarks: dict[str, str] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)
    left_out: list[tuple[str, str]] = field(default_factory=list)
    advice: list[str] = field(default_factory=list)

    def set(self, key: str, value: Any, remark: str = "") -> None:
        """Sets a dotted key; None is no value. The remark is put behind it."""
        if value is None:
            return
        *above, last = key.split(".")
        here = self.values
        for part in above:
            here = here.setdefault(part, {})
        here[last] = literal(value)
        if remark:
            self.remarks[key] = remark

    def secret(self, name: str, value: str) -> str:
        """Keeps a secret for a file of its own; returns its path, for a ``_file`` key."""
        path = f"secrets/{name}"
        self.secrets[path] = value
        return path

    def leave_out(self, key: str, reason: str) -> None:
        """Accounts for a key that has no counterpart."""
        self.left_out.append((key, reason))

    def text(self) -> str:
        """config.yml: the values with their remarks, then what has no counterpart, then what to do next."""
        lines = [
            f"# Made of {self.program}'s configuration by `flask config migrate`.",
            "# What is not here has its default.",
        ]
        for key, value in self.values.items():
            lines += ["", *_lines(key, value, 0, key, self.remarks)]
        if self.left_out:
            lines += ["", f"# {self.program}'s keys without a counterpart here:"]
            for key, reason in self.left_out:
                lines += _folded(f"#   {key}: {reason}")
        if self.advice:
            lines += ["", "# Next:"]
            for sentence in self.advice:
                lines += _folded(f"#   {sentence}")
        return "\n".join(lines) + "\n"

    def checked(self, name: str) -> Config:
        """The result under the rules of check-config. Raises ConfigError with ``name`` for the file."""
        with tempfile.TemporaryDirectory(prefix="lockstep-migrate-") as folder:
            self.write(Path(folder) / "config.yml")
            try:
                return load(Path(folder) / "config.yml", "prod", environ={})
            except ConfigError as error:
                raise ConfigError(
                    Problem(name, p.line, p.column, p.key, p.message, p.nearest) for p in error.problems
                ) from None

    def write(self, path: Path) -> None:
        """Writes the file and beside it the secrets it names, all of mode 0600. Raises OSError."""
        for name, secret in self.secrets.items():
            write_atomically(path.parent / name, secret.encode() + b"\n", 0o600)
        write_atomically(path, self.text().encode(), 0o600)


def literal(value: Any) -> Any:
    """The value so that config.yml reads it as it is: ``${`` is doubled."""
    if isinstance(value, str):
        return value.replace("${", "$${")
    if isinstance(value, Mapping):
        return {key: literal(below) for key, below in value.items()}
    if isinstance(value, list | tuple):
        return [literal(below) for below in value]
    return value


def _lines(key: str, value: Any, indent: int, loc: str, remarks: Mapping[str, str]) -> list[str]:
    """A key with its value: maps by line down to the second level, lists of maps entry by entry."""
    pad, remark = " " * indent, remarks.get(loc)
    behind = f"   # {remark}" if remark else ""
    if isinstance(value, dict) and value and indent < 4:
        lines = [f"{pad}{inline(key)}:{behind}"]
        for below, item in value.items():
            lines += _lines(below, item, indent + 2, f"{loc}.{below}", remarks)
        return lines
    if isinstance(value, list) and value and isinstance(value[0], dict):
        lines = [f"{pad}{inline(key)}:{behind}"]
        for item in value:
            lines += _entry(item, indent + 2, f"{loc}.{item.get('name', '')}", remarks)
        return lines
    return [f"{pad}{inline(key)}: {inline(value)}{behind}"]


def _entry(item: Mapping[str, Any], indent: int, loc: str, remarks: Mapping[str, str]) -> list[str]:
    lines: list[str] = []
    for number, (key, value) in enumerate(item.items()):
        remark = remarks.get(f"{loc}.{key}")
        start = "- " if number == 0 else "  "
        lines.append(
            f"{' ' * indent}{start}{inline(key)}: {inline(value)}" + (f"   # {remark}" if remark else "")
        )
    return lines


def _folded(line: str) -> Iterable[str]:
    """A long comment as several lines, indented below the first."""
    words, here = line.split(" "), ""
    for word in words:
        if here and len(here) + 1 + len(word) > WIDTH and here.strip("# "):
            yield here
            here = f"#     {word}"
        else:
            here = f"{here} {word}" if here else word
    yield here
