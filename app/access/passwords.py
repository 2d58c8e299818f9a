"""Hashes passwords with Argon2 and compares them, a few at a time. Keeps none."""

from __future__ import annotations

import threading

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from app.access.errors import AccessError

SHORTEST = 10
LONGEST = 512
AT_ONCE = 2
"""Each takes 64 MiB and some 50 ms of a core; more at once would let strangers fill the memory."""

_hasher = PasswordHasher()
_turn = threading.BoundedSemaphore(AT_ONCE)
_nobody = ""


def hashed(password: str) -> str:
    """The hash to keep. Raises AccessError for a password that is too short or too long."""
    if len(password) < SHORTEST:
        raise AccessError(f"the password needs at least {SHORTEST} characters", field="password")
    if len(password) > LONGEST:
        raise AccessError(f"the password may have at most {LONGEST} characters", field="password")
    with _turn:
        return _hasher.hash(password)


def matches(kept: str | None, password: str) -> bool:
    """Whether the password is the one; None (no such person) takes as long and is never right."""
    global _nobody
    if len(password) > LONGEST:
        return False
    with _turn:
        if not _nobody:
            _nobody = _hasher.hash("nobody's")
        try:
            return _hasher.verify(kept or _nobody, password) and kept is not None
        except (VerificationError, InvalidHashError):
            return False


def is_outdated(kept: str) -> bool:
    """Whether the hash was made with older parameters and should be made anew at this login."""
    return _hasher.check_needs_rehash(kept)
