"""Decides which files a temporary name of rsync's may stand for; looks at names only.

A receiver writes ``name`` as ``.name.XXXXXX``, six random letters and digits, a link or device as
``.name.NUMBER``. A leading dot is not doubled and a long name is cut (receiver.c, get_tmpname), so the way
back is not unique: the way there is taken for every name that the source's directory holds.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

NAME_MAX = 255
SUFFIX = 7  # ".XXXXXX"
_TEMPORARY = re.compile(rb"(|\..*)\.(?:[A-Za-z0-9]{6}|[0-9]{1,6})", re.DOTALL)


def stem(name: bytes) -> bytes:
    """What a temporary name for this name has before its suffix; empty for a long name without ASCII."""
    bare = name[1:] if name.startswith(b".") else name
    kept = bare[: NAME_MAX - 1 - SUFFIX - 1]
    if len(bare) > len(kept) and bare[len(kept)] & 0x80:
        kept = kept.rstrip(bytes(range(0x80, 0x100)))
    result = b"." + kept
    return result[:-1] if result.endswith(b".") else result


def is_temporary(name: bytes) -> bool:
    """Whether the name has the form that rsync gives to a file it is still writing."""
    return _TEMPORARY.fullmatch(name) is not None


def meant(path: bytes, names_in: Callable[[bytes], Iterable[bytes]]) -> list[bytes]:
    """The paths that a receiver's message may be about, at least one.

    ``names_in`` lists a directory of the source. A path that exists there, or has no temporary form, is
    itself; ``.a.XXXXXX`` is ``a`` and ``.a``, those of them that exist there, or else ``a``.
    """
    directory, slash, name = path.rpartition(b"/")
    found = _TEMPORARY.fullmatch(name)
    if found is None:
        return [path]
    names = list(names_in(directory))
    if name in names:
        return [path]
    fitting = [candidate for candidate in names if stem(candidate) == found[1]]
    return [directory + slash + candidate for candidate in fitting or [found[1][1:] or name]]
