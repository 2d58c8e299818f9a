"""Decides whether an rsync program is one that Lockstep can work with; it only asks for its version."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from typing import NamedTuple

OLDEST = (3, 2, 3)
BROKEN = frozenset({(3, 4, 3)})  # its receiver rejects --delete-missing-args; mended in 3.4.4
ASK_SECONDS = 10
_INSTALL = "install rsync 3.2.3 or newer (apt install rsync, brew install rsync) and name it in sync.rsync"
_VERSION = re.compile(r"^rsync\s+version\s+v?(\d+)\.(\d+)(?:\.(\d+))?", re.MULTILINE)


class RsyncError(Exception):
    """The rsync program cannot be used; the message says why and what to install."""

    permanent = True


class RsyncVersion(NamedTuple):
    """A usable rsync: its version, and the first line of what it says about itself."""

    major: int
    minor: int
    patch: int
    text: str

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"


def check_rsync(program: str, ask: Callable[[str], str] | None = None) -> RsyncVersion:
    """The program's version. Raises RsyncError when it is missing, too old, 3.4.3 or openrsync."""
    text = (ask or _ask)(program)
    first = text.strip().splitlines()[0] if text.strip() else ""
    if "openrsync" in text:
        raise RsyncError(f"{program} is openrsync, which lacks what is needed; {_INSTALL}")
    found = _VERSION.search(text)
    if found is None:
        raise RsyncError(f"{program} is no rsync (it says {first[:80]!r}); {_INSTALL}")
    numbers = (int(found[1]), int(found[2]), int(found[3] or 0))
    if numbers < OLDEST:
        raise RsyncError(f"{program} is rsync {'.'.join(map(str, numbers))}, which is too old; {_INSTALL}")
    if numbers in BROKEN:
        raise RsyncError(f"{program} is rsync 3.4.3, whose deletions fail; install 3.4.4 or newer")
    return RsyncVersion(*numbers, first)


def _ask(program: str) -> str:
    try:
        said = subprocess.run(
            [program, "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=ASK_SECONDS,
            check=False,
        )
    except FileNotFoundError:
        raise RsyncError(f"{program} is not there; {_INSTALL}") from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RsyncError(f"{program} cannot be started ({error}); {_INSTALL}") from None
    return said.stdout + said.stderr
