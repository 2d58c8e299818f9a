"""Says what is wrong with a configuration, where, and what was probably meant. Never reads a file and never
shows a value of a secret.

    ConfigError            the configuration cannot be used; carries every problem found, not just the first
    └── (one) Problem      file, line, column, key, message, nearest valid key
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing that is wrong. ``line`` and ``column`` count from 1; 0 where the place is not in a file
    (``file`` is then the name of an environment variable).
    """

    file: str
    line: int
    column: int
    key: str
    message: str
    nearest: str | None = None

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        key = f"{self.key}: " if self.key else ""
        hint = f" (did you mean {self.nearest!r}?)" if self.nearest else ""
        return f"{place}: {key}{self.message}{hint}"


class ConfigError(Exception):
    """The configuration cannot be used. ``problems`` holds all of them, in the order of files and lines.

    The caller shows ``str(error)`` (one line per problem) and keeps what it had; exit status 2.
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: tuple[Problem, ...] = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


def nearest(word: object, valid: Iterable[object]) -> str | None:
    """The valid word that was probably meant, or None when nothing is close."""
    close = difflib.get_close_matches(str(word).lower(), [str(v) for v in valid], n=1, cutoff=0.6)
    return close[0] if close else None
