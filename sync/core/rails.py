"""Decides whether the publish directory may be believed when it says that paths are gone. Never looks itself.

Deletion stops (promise 6) while the root is

    missing, unreadable or not a directory    until it is back
    another directory than before (replaced)  until it is back, lacks nothing, or a person accepts
    empty, though it was not                  until it is filled again, or a person accepts
    without a mount that was inside it        until it is mounted again, or a person accepts
    much smaller: by more than max_shrink_percent AND by more than 100 paths, against its peak of ten minutes
    (at a start: against the stored manifest) until it has grown again, or a person accepts

Beyond MASS deletions in MASS_SECONDS all wait until the tree was still for STILL_SECONDS, and are then judged
as a whole: an ``rm -rf`` and an unmount begin alike. A tree that never rests (a log is written somewhere) holds
them no longer than BUSY_SECONDS after the last deletion.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

SHRINK_FLOOR = 100
PEAK_SECONDS = 600.0
MASS = 100
MASS_SECONDS = 10.0
STILL_SECONDS = 2.0
BUSY_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Identity:
    """Which directory stands at a path; the device number may change over a reboot."""

    dev: int
    inode: int


@dataclass(frozen=True, slots=True)
class Source:
    """What was seen of the source at one time.

    ``root``: None when it is missing or no directory. ``mounts``: mount points once seen inside, each with
    whether something is still mounted there. ``files`` would be left if every deletion on its way went
    through; ``peak`` is the largest number of the last ten minutes. ``missing_paths``: configured sub-folders
    that were there and are not.
    """

    root: Identity | None
    expected: Identity | None
    lacks: int = 0
    files: int = 0
    peak: int = 0
    is_empty: bool = False
    mounts: Mapping[bytes, bool] = field(default_factory=dict)
    missing_paths: tuple[bytes, ...] = ()


def fault(source: Source, max_shrink_percent: float) -> str | None:
    """Why nothing may be deleted now, in a sentence that says what to do; None when deletions may go."""
    accept = "put it right, or confirm with: flask nodes resync --accept-deletions"
    if source.root is None:
        return "the publish directory is missing or is no directory: mount or restore it"
    if source.missing_paths:
        names = ", ".join(p.decode("utf-8", "backslashreplace") for p in source.missing_paths)
        return f"publish.paths names folders that are not in the publish directory: {names}: correct it, or {accept}"
    if source.is_empty and source.peak > 0:
        return f"the publish directory is empty, it held {source.peak} paths: {accept}"
    if source.expected is not None and source.root != source.expected and source.lacks:
        return f"the publish directory was replaced by another one that lacks {source.lacks} paths: {accept}"
    for path, mounted in source.mounts.items():
        if not mounted:
            name = path.decode("utf-8", "backslashreplace")
            return (
                f"nothing is mounted any more at {name} in the publish directory: mount it again, or {accept}"
            )
    lost = source.peak - source.files
    if lost > SHRINK_FLOOR and lost * 100 > max_shrink_percent * source.peak:
        return f"the publish directory shrank from {source.peak} to {source.files} paths: {accept}"
    return None


class Peak:
    """The largest number of paths within the last ten minutes, in at most one sample a second."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque()

    def add(self, now: float, files: int) -> None:
        """Notes the number now; samples that a later and larger one makes useless go."""
        while self._samples and self._samples[-1][1] <= files:
            self._samples.pop()
        self._samples.append((now, files))
        self._drop(now)

    def _drop(self, now: float) -> None:
        while len(self._samples) > 1 and self._samples[0][0] < now - PEAK_SECONDS:
            self._samples.popleft()

    def value(self, now: float) -> int:
        """The peak, 0 before the first sample."""
        self._drop(now)
        return max((files for _, files in self._samples), default=0)

    def reset(self, now: float, files: int) -> None:
        """A person has accepted the tree as it is."""
        self._samples.clear()
        self._samples.append((now, files))


class MassDeletion:
    """Whether deletions are coming in such numbers that they must wait for the tree to come to rest."""

    def __init__(self) -> None:
        self._times: deque[tuple[float, int]] = deque()
        self._count = 0
        self._holding = False
        self._last_event = float("-inf")
        self._last_deletion = float("-inf")

    def note(self, now: float, deletions: int) -> None:
        """Counts deletions that were seen now."""
        if deletions:
            self._last_deletion = now
            self._times.append((now, deletions))
            self._count += deletions
        while self._times and self._times[0][0] < now - MASS_SECONDS:
            self._count -= self._times.popleft()[1]
        if self._count > MASS:
            self._holding = True

    def moved(self, now: float) -> None:
        """Something happened in the tree now: it is not still."""
        self._last_event = now

    def holds(self, now: float) -> bool:
        """Whether deletions must wait."""
        if self._holding and now >= self._ends_at():
            self._holding = False
            self._times.clear()
            self._count = 0
        return self._holding

    def is_waiting(self, now: float) -> bool:
        """The same without taking notice: for other threads than the owner's."""
        return self._holding and now < self._ends_at()

    def next_at(self) -> float | None:
        """When the waiting may end."""
        return self._ends_at() if self._holding else None

    def _ends_at(self) -> float:
        still = max(self._last_event, self._last_deletion) + STILL_SECONDS
        return min(still, self._last_deletion + BUSY_SECONDS)
