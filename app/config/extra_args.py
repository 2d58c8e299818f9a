"""Decides which rsync arguments of one's own may be appended. Never builds a command line.

A list of what is allowed, not of what is forbidden: rsync grows options, and every one that is not known
here could delete, skip, rename or hide something that a promise speaks of. Meanings are those of rsync(1),
"OPTION SUMMARY".
"""

from __future__ import annotations

import re

FLAGS = frozenset(
    {
        "-o", "--owner", "-g", "--group", "-A", "--acls", "-X", "--xattrs", "-H", "--hard-links",
        "-U", "--atimes", "-N", "--crtimes", "--fake-super", "--numeric-ids",
        "-W", "--whole-file", "--no-whole-file", "--no-W", "-S", "--sparse", "--preallocate", "--fsync",
        "-4", "--ipv4", "-6", "--ipv6", "--open-noatime", "-E", "--executability",
    }
)  # fmt: skip

WITH_VALUE = frozenset(
    {
        "--chown", "--usermap", "--groupmap", "--bwlimit", "--address",
        "--compress-choice", "--zc", "--compress-level", "--zl", "--skip-compress",
        "--checksum-choice", "--cc", "--checksum-seed", "--block-size",
    }
)  # fmt: skip

_SHORT = {flag[1] for flag in FLAGS if len(flag) == 2}


def allowed(arguments: tuple[str, ...]) -> tuple[str, ...]:
    """The arguments themselves. Raises ValueError naming all that could break a promise, and what is allowed."""
    refused = [argument for argument in arguments if not _is_allowed(argument)]
    if refused:
        names = ", ".join(repr(argument) for argument in refused)
        raise ValueError(f"{names} could break a promise; allowed are {_allowed_text()}")
    return arguments


def _is_allowed(argument: str) -> bool:
    if argument in FLAGS:
        return True
    if re.fullmatch(r"-[A-Za-z0-9]+", argument):
        return set(argument[1:]) <= _SHORT
    option, equals, value = argument.partition("=")
    if option in ("--checksum-choice", "--cc") and "none" in value:
        return False  # every event batch and every deep audit compares checksums
    return bool(equals and value) and option in WITH_VALUE and not re.search(r"[\x00-\x1f\x7f]", value)


def _allowed_text() -> str:
    return " ".join(sorted(FLAGS, key=str.lower)) + " " + " ".join(f"{o}=…" for o in sorted(WITH_VALUE))
