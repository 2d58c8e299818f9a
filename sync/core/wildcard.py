"""Translates one rsync wildcard into a bytes regular expression; it decides no scope and reads no file.

The grammar is rsync's own matcher, not the shell's (man rsync, "PATTERN MATCHING RULES"):

    *       any run without a slash            [a-z]  [!a]  [^a]  [[:digit:]]   one byte, never a slash
    **      any run, slashes too               \\x     the byte x itself
    ?       one byte, never a slash            anything malformed matches nothing
"""

from __future__ import annotations

import re
import string

_NOTHING = rb"(?!)"
_SLASH = ord("/")

_NAMED = {
    b"alnum": string.ascii_letters + string.digits,
    b"alpha": string.ascii_letters,
    b"blank": " \t",
    b"cntrl": "".join(map(chr, (*range(32), 127))),
    b"digit": string.digits,
    b"graph": "".join(map(chr, range(33, 127))),
    b"lower": string.ascii_lowercase,
    b"print": "".join(map(chr, range(32, 127))),
    b"punct": string.punctuation,
    b"space": string.whitespace,
    b"upper": string.ascii_uppercase,
    b"xdigit": string.hexdigits,
}


class _MalformedError(Exception):
    """The wildcard can match nothing, as rsync sees it."""


def has_wildcard(pattern: bytes) -> bool:
    """Whether rsync takes the pattern as a wildcard; only then does a backslash escape."""
    return any(mark in pattern for mark in (b"*", b"?", b"["))


def expression(pattern: bytes) -> tuple[bytes, int]:
    """The regular expression (for ``re.DOTALL``) of a wildcard, and how many slashes it matches literally."""
    try:
        return _translate(pattern)
    except _MalformedError:
        return _NOTHING, pattern.count(b"/")


def _translate(pattern: bytes) -> tuple[bytes, int]:
    out: list[bytes] = []
    slashes = at = 0
    while at < len(pattern):
        byte = pattern[at : at + 1]
        if byte == b"*":
            stars = len(pattern[at:]) - len(pattern[at:].lstrip(b"*"))
            out.append(rb".*" if stars > 1 else rb"[^/]*")
            at += stars
        elif byte == b"?":
            out.append(rb"[^/]")
            at += 1
        elif byte == b"[":
            members, at = _members(pattern, at + 1)
            out.append(_one_of(members))
        else:
            if byte == b"\\":
                at += 1
                byte = pattern[at : at + 1]
                if not byte:
                    raise _MalformedError
            slashes += byte == b"/"
            out.append(re.escape(byte))
            at += 1
    return b"".join(out), slashes


def _one_of(members: set[int]) -> bytes:
    if not members:
        return _NOTHING
    return b"[" + b"".join(b"\\x%02x" % byte for byte in sorted(members)) + b"]"


def _members(pattern: bytes, at: int) -> tuple[set[int], int]:
    """The bytes a class takes and where the pattern goes on; ``at`` stands behind the opening bracket."""
    negated = pattern[at : at + 1] in (b"!", b"^")
    at += negated
    members: set[int] = set()
    before: int | None = None  # the low end, should a range follow
    first = True
    while first or pattern[at : at + 1] != b"]":
        first = False
        if pattern[at : at + 2] == b"[:" and (named := _named(pattern, at)) is not None:
            more, at = named
            members |= more
            before = None
        elif (
            pattern[at : at + 1] == b"-"
            and before is not None
            and pattern[at + 1 : at + 2] not in (b"", b"]")
        ):
            high, at = _literal(pattern, at + 1)
            members |= set(range(before, high + 1))
            before = None
        else:
            before, at = _literal(pattern, at)
            members.add(before)
    members = set(range(1, 256)) - members if negated else members
    return members - {_SLASH}, at + 1


def _literal(pattern: bytes, at: int) -> tuple[int, int]:
    if pattern[at : at + 1] == b"\\":
        at += 1
    if at >= len(pattern):
        raise _MalformedError
    return pattern[at], at + 1


def _named(pattern: bytes, at: int) -> tuple[set[int], int] | None:
    """``[:name:]`` as its bytes; None when it is no such thing and the bracket stands for itself."""
    end = pattern.find(b"]", at + 2)
    if end < 0:
        raise _MalformedError
    if end - 1 < at + 2 or pattern[end - 1 : end] != b":":
        return None
    members = _NAMED.get(pattern[at + 2 : end - 1])
    if members is None:
        raise _MalformedError
    return {ord(char) for char in members}, end + 1
