"""Decides which file a temporary name of rsync's stood for; looks at names only.

A receiver writes ``name`` as ``.name.XXXXXX``, six random letters and digits, a link or device as
``.name.NUMBER``. A leading dot is not doubled and a long name is cut (receiver.c, get_tmpname), so the way
back is not unique: the way there is taken for every name that the source's directory holds.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

NAME_MAX = 255
SUFFIX = 7  # ".XXXXXX"
_TEMPORARY = re.compile(rb"(\..*)\.(?:[A-Za-z0-9]{6}|[0-9]{1,6})", re.DOTALL)


def stem(name: bytes) -> bytes:
    """What a temporary name for this name has before its suffix."""
    bare = name[1:] if name.startswith(b".") else name
    kept = bare[: NAME_MAX - 1 - SUFFIX - 1]
    if len(bare) > len(kept) and bare[len(kept)] & 0x80:
        while kept and kept[-1] & 0x80:
            kept = kept[:-1]
    result = b"." + kept
    return result[:-1] if result.endswith(b".") and len(result) > 1 else result


def is_temporary(name: bytes) -> bool:
    """Whether the name has the form that rsync gives to a file it is still writing."""
    return _TEMPORARY.fullmatch(name) is not None


def genuine(path: bytes, names_in: Callable[[bytes], Iterable[bytes]]) -> bytes:
    """The path that a receiver's message is about; a path of no temporary form, or that exists, is itself.

    ``names_in`` lists a directory of the source. Where none fits: the simplest one.
    """
    directory, slash, name = path.rpartition(b"/")
    found = _TEMPORARY.fullmatch(name)
    if found is None:
        return path
    fitting = b""
    for candidate in names_in(directory):
        if candidate == name:
            return path
        if not fitting and stem(candidate) == found[1]:
            fitting = candidate
    return directory + slash + (fitting or found[1][1:])
