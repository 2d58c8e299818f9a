"""Reads rsync's itemized lines and progress into values; never guesses: a line it does not know is None.

A line is ``%o|%i|%l|%b|%n``. The name stands last and is the only free text. rsync escapes control characters
in it as ``\\#ooo``, and a literal ``\\#`` before three digits likewise, so unescaping is exact.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_ESCAPE = re.compile(rb"\\#([0-7]{3})")
_PROGRESS = re.compile(
    rb"\s*(\d+)\s+(\d+)%\s+([\d.]+)([kMG])B/s\s+\S+(?:\s+\(xfr#(\d+), (ir|to)-chk=(\d+)/(\d+)\))?\s*$"
)
_RATES = {b"k": 1024, b"M": 1024**2, b"G": 1024**3}
_OPERATIONS = frozenset({b"send", b"recv", b"del."})
_ACTIONS = {b"<": "send", b">": "send", b"c": "create", b"h": "link", b".": "attributes", b"*": "delete"}


class Listed(NamedTuple):
    """One itemized line: ``action`` is send, create (also: change of a directory, link or device), link,
    attributes or delete; ``item`` rsync's %i (man rsync, --itemize-changes); ``size`` the file's bytes,
    ``moved`` those that crossed the network for it.
    """

    path: bytes
    action: str
    item: str
    size: int
    moved: int = 0
    is_directory: bool = False


class Progress(NamedTuple):
    """How far a run is. ``percent`` is None while rsync still counts, ``rate`` is bytes per second."""

    bytes: int
    percent: int | None
    rate: float
    files_done: int
    files_total: int
    counting: bool


def unescaped(text: bytes) -> bytes:
    r"""The name behind rsync's ``\#ooo``."""
    if b"\\#" not in text:
        return text
    return _ESCAPE.sub(lambda found: bytes((int(found[1], 8) & 255,)), text)


def listed(line: bytes) -> Listed | None:
    """The line as a value, None when it is not an itemized one."""
    fields = line.split(b"|", 4)
    if len(fields) != 5 or fields[0] not in _OPERATIONS:
        return None
    _, item, size, moved, name = fields
    action = _ACTIONS.get(item[:1])
    if action is None or not (size.isdigit() and moved.isdigit()):
        return None
    directory = name.endswith(b"/")
    path = unescaped(name[:-1] if directory else name)
    shown = item.decode("ascii", "replace").strip()
    return Listed(b"" if path == b"." else path, action, shown, int(size), int(moved), directory)


def counted(line: bytes) -> tuple[bool, bool, int] | None:
    """What counts of a line, None when it is not an itemized one: deleted, is a directory, bytes that crossed.

    The same as ``listed`` says, in a third of its time; a large publish has a line for each file and node.
    """
    fields = line.split(b"|", 4)
    if len(fields) != 5 or fields[0] not in _OPERATIONS or fields[1][:1] not in _ACTIONS:
        return None
    if not (fields[2].isdigit() and fields[3].isdigit()):
        return None
    return fields[1][:1] == b"*", fields[4][-1:] == b"/", int(fields[3])


def progress(text: bytes, before: Progress | None = None, *, counted: bool = False) -> Progress | None:
    """The state of a run from one piece of --info=progress2, None for other text.

    Only the end of a file brings new counts; between two, those of ``before`` stand. ``counted``: rsync was
    given a list of files, and knows their bytes from the start.
    """
    found = _PROGRESS.match(text)
    if found is None:
        return None
    size, percent, rate, unit, done, word, left, total = found.groups()
    if done is None:
        files_done, files_total = (before.files_done, before.files_total) if before else (0, 0)
        counting = before.counting if before else not counted
    else:
        files_total = int(total)
        files_done, counting = files_total - int(left), word == b"ir"
    shown = None if counting else int(percent)
    return Progress(int(size), shown, float(rate) * _RATES[unit], files_done, files_total, counting)
