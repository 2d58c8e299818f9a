"""Decides whether rsync's exclude patterns match a path; it never looks at a file.

Checked against rsync itself by the tests (man rsync, "PATTERN MATCHING RULES"):

    foo      the last component is foo            /foo     foo in the root only
    a/b      the last components are a/b          foo/     only a directory
    **       crosses slashes, and is tried        dir/***  the directory and everything below
             behind every slash
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass

from sync.core.wildcard import expression, has_wildcard

LONGEST_BYTES = 4000  # rsync drops a longer rule with a warning, which would silently carry what it excludes


class PatternError(ValueError):
    """A pattern that is not taken, with the reason; mend the configuration."""


@dataclass(frozen=True, slots=True)
class _Rule:
    """One pattern as expressions: ``file`` and ``directory`` for full match, None where it cannot match.

    ``by_name``: matched with the last component, else with ``/`` + path; a directory with a ``/`` behind.
    """

    by_name: bool
    file: bytes | None
    directory: bytes


def refusal(pattern: str) -> str | None:
    """Why the pattern is not taken, or None; the sentence says what to write instead."""
    if not pattern:
        return "an empty pattern excludes nothing; remove it"
    if "\0" in pattern or "\n" in pattern or "\r" in pattern:
        return f"{pattern!r}: a pattern cannot hold a line break or NUL; use ? for such a byte"
    if pattern.startswith(("+ ", "- ")):
        return f"{pattern!r}: patterns only exclude; write it without the leading {pattern[:2]!r}"
    if pattern == "!":
        return "'!' would clear rsync's list; write [!] to exclude a file of that name"
    if len(os.fsencode(pattern)) > LONGEST_BYTES:
        return f"{pattern[:40]!r}…: longer than {LONGEST_BYTES} bytes, which rsync would drop"
    return None


def _rule(pattern: bytes) -> _Rule:
    """rsync's ``add_rule`` and ``rule_matches`` for an exclude, as expressions."""
    only_directories = len(pattern) > 1 and pattern.endswith(b"/")
    if only_directories:
        pattern = pattern[:-1]
    wild = has_wildcard(pattern)
    crossing = wild and b"**" in pattern
    slashes = pattern.count(b"/")
    anchored = pattern.startswith(b"/")
    bare = pattern[1:] if anchored else pattern
    body, literal_slashes = expression(bare) if wild else (re.escape(bare), slashes)
    by_name = not slashes and not crossing
    if by_name or (crossing and pattern.startswith(b"**")):
        lead = b""
    elif anchored:
        lead = b"/"
    else:
        lead = b".*/"
    file, directory = lead + body, lead + body + (b"" if crossing and pattern.endswith(b"***") else b"/")
    if lead == b".*/" and not crossing and literal_slashes != slashes:
        # A slash inside a class is never matched, but rsync counts it for how many components it compares.
        components = rb".*/(?=[^/]*(?:/[^/]*){%d}" % slashes
        file, directory = components + rb"\Z)" + body, components + rb"/\Z)" + body + b"/"
    return _Rule(by_name, None if only_directories else file, directory)


def _joined(expressions: Sequence[bytes | None]) -> re.Pattern[bytes] | None:
    present = [each for each in expressions if each is not None]
    return re.compile(b"|".join(b"(?:%s)" % each for each in present), re.DOTALL) if present else None


class Patterns:
    """A list of excludes as one question. The order has no meaning, as there are no includes."""

    __slots__ = ("_directory_name", "_directory_path", "_file_name", "_file_path")

    def __init__(self, excludes: Sequence[str]) -> None:
        """Raises PatternError, naming the pattern and the remedy, for what is not taken."""
        for pattern in excludes:
            if problem := refusal(pattern):
                raise PatternError(problem)
        rules = [_rule(os.fsencode(pattern)) for pattern in excludes]
        self._file_name = _joined([rule.file for rule in rules if rule.by_name])
        self._file_path = _joined([rule.file for rule in rules if not rule.by_name])
        self._directory_name = _joined([rule.directory for rule in rules if rule.by_name])
        self._directory_path = _joined([rule.directory for rule in rules if not rule.by_name])

    def excludes(self, path: bytes, is_dir: bool) -> bool:
        """Whether a pattern matches the path itself; its ancestors are not looked at."""
        by_name = self._directory_name if is_dir else self._file_name
        by_path = self._directory_path if is_dir else self._file_path
        if by_name is not None:
            name = path[path.rfind(b"/") + 1 :]
            if by_name.fullmatch(name + b"/" if is_dir else name):
                return True
        return by_path is not None and bool(by_path.fullmatch(b"/" + path + b"/" if is_dir else b"/" + path))

    def hides(self, path: bytes, is_dir: bool) -> bool:
        """Whether the path or a directory above it is excluded: what rsync would not send."""
        at = path.find(b"/")
        while at >= 0:
            if self.excludes(path[:at], True):
                return True
            at = path.find(b"/", at + 1)
        return self.excludes(path, is_dir)
