"""What the surveyor is told and tells: settings, settled changes, the source's standing. Nothing here acts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sync.core.model import Stat
from sync.core.quiet import QuietRules
from sync.core.rails import Identity
from sync.core.scope import Scope


@dataclass(frozen=True, slots=True)
class SurveySettings:
    """The ``publish`` section as the surveyor needs it; ``root`` is absolute, not resolved."""

    root: bytes
    scope: Scope
    quiet: QuietRules = QuietRules()
    max_shrink_percent: float = 50
    rescan_seconds: float = 0


@dataclass(frozen=True, slots=True)
class Settled:
    """Paths whose change may go out now; GONE ones have passed the rails. ``new``: directories never seen before."""

    changes: Sequence[tuple[bytes, Stat]]
    new: frozenset[bytes] = frozenset()


@dataclass(frozen=True, slots=True)
class Stirring:
    """So many files are being changed and will have settled within these seconds, if nothing else comes."""

    paths: int
    within_seconds: float


@dataclass(frozen=True, slots=True)
class SourceNews:
    """The source's standing: ``fault`` (why nothing may be deleted) and how many deletions wait."""

    fault: str | None
    held: int
    mass: bool
    root: Identity | None
    mounts: tuple[bytes, ...]
    unreadable: tuple[bytes, ...]
    watch: str | None


@dataclass(frozen=True, slots=True)
class FirstScanDone:
    """Watches stand, the tree was compared with the manifest, and what differed has been sent before this."""

    files: int
    seconds: float


Tell = Callable[[Settled | Stirring | SourceNews | FirstScanDone], None]


class Watching:
    """What the surveyor asks of a watcher; this one watches nothing, for a one-off run that scans instead."""

    events = 0
    overflows = 0
    directories = 0
    unwatched: frozenset[bytes] = frozenset()

    def start(self) -> bool:
        """Sets the watches; False when the root cannot be watched now."""
        return True

    def stop(self) -> None:
        """Ends every thread; may be called twice."""

    def restart(self, reason: str = "") -> bool:
        """Builds all watches anew and doubts everything; False when the root cannot be watched now."""
        return True

    def retry(self) -> int:
        """Tries the unwatched directories again; how many are watched now."""
        return 0

    def broken(self) -> str | None:
        """What ``restart`` would cure."""
        return None

    def healthy(self) -> str | None:
        """None, or what is wrong and what to do."""
        return None
