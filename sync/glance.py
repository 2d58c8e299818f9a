"""Cheap questions to the publish directory that a job or a timer asks; changes nothing."""

from __future__ import annotations

import os


def count_below(root: bytes, path: bytes, limit: int) -> int:
    """How many paths lie below a directory, counting no further than ``limit``; -1 when it cannot be read."""
    count = 0
    pending = [os.path.join(root, path) if path else root]
    while pending and count < limit:
        try:
            with os.scandir(pending.pop()) as entries:
                for entry in entries:
                    count += 1
                    if count >= limit:
                        break
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(entry.path)
        except OSError:
            return -1
    return count


def is_readable(root: bytes, path: bytes) -> bool:
    """Whether a file or directory can be opened for reading now, or is not there any more."""
    try:
        descriptor = os.open(os.path.join(root, path), os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    except OSError as error:
        return isinstance(error, FileNotFoundError | NotADirectoryError)
    os.close(descriptor)
    return True
