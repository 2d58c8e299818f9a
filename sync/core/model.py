"""The words of the content half as frozen values. Nothing here acts, reads a clock or knows a database."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


class Kind(StrEnum):
    """What a path is, by lstat; GONE is a tombstone: the path was there and is not any more."""

    FILE = "file"
    DIRECTORY = "dir"
    SYMLINK = "symlink"
    OTHER = "other"
    GONE = "gone"


class Stat(NamedTuple):
    """What a path was last seen to be. A tuple, because a scan makes one for each of 100,000 paths.

    Sizes are bytes, times nanoseconds since the epoch; ``mode`` holds the permission bits only.
    For GONE all numbers are 0.
    """

    kind: Kind
    size: int
    mtime_ns: int
    ctime_ns: int
    dev: int
    inode: int
    mode: int
    links: int

    def same_as(self, other: Stat) -> bool:
        """Whether nothing happened between the two looks.

        Neither the device number (it can change over a reboot) nor the link count is part of the answer:
        a new hard link elsewhere changes ctime as well, which is.
        Directories are compared by kind, inode and mode alone: their times and sizes change with every entry.
        """
        if self.kind is Kind.DIRECTORY and other.kind is Kind.DIRECTORY:
            return self.inode == other.inode and self.mode == other.mode
        return (
            self.kind == other.kind
            and self.size == other.size
            and self.mtime_ns == other.mtime_ns
            and self.ctime_ns == other.ctime_ns
            and self.inode == other.inode
            and self.mode == other.mode
        )


GONE = Stat(Kind.GONE, 0, 0, 0, 0, 0, 0, 0)


class Change(NamedTuple):
    """One row of the journal: a path, relative to the publish root and as bytes, with the seq of its last change.

    The root itself is ``b""``; there is never a leading or trailing slash. ``born``: the seq with which a directory
    came to be that was never there before; 0 when that is not known, as of every row that was stored.
    """

    path: bytes
    stat: Stat
    seq: int
    born: int = 0


class State(StrEnum):
    """A node's health, in fileSyncGo's words."""

    READY = "ready"
    UNHEALTH = "unhealth"
    DEAD = "dead"
    RECOVERY = "recovery"


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What one probe said: ``good`` is None where the probe counts as absent (ICMP not permitted or filtered).

    ``rtt_seconds`` is the round trip of a good answer; ``detail`` one sentence a person can act upon.
    """

    kind: str
    good: bool | None
    rtt_seconds: float | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Observation:
    """One probe series' result at one time (``at``: seconds since the epoch). Good when no present probe failed."""

    at: float
    good: bool
    results: tuple[ProbeResult, ...] = ()

    @property
    def rtt_seconds(self) -> float | None:
        """The shortest round trip of the series, None when nothing answered."""
        return min((r.rtt_seconds for r in self.results if r.rtt_seconds is not None), default=None)

    @property
    def detail(self) -> str:
        """Why the observation failed, in one sentence; empty when it is good."""
        return "; ".join(f"{r.kind}: {r.detail}" for r in self.results if r.good is False)


@dataclass(frozen=True, slots=True)
class Flip:
    """A change of state, with its reason."""

    node: str
    at: float
    old: State
    new: State
    reason: str


class Outcome(StrEnum):
    """What an rsync run's end means for the node; see sync/core/outcome.py for the table."""

    DONE = "done"  # 0: everything named was carried
    PARTIAL = "partial"  # 23: some paths failed
    VANISHED = "vanished"  # 24 (or 23 with only vanished paths): the source changed meanwhile
    NO_SPACE = "no_space"  # 11 with "No space left": the batch was aborted
    UNREACHABLE = "unreachable"  # 10, 30, 35, 255 …: a failed observation
    BUSY = "busy"  # 5 with "max connections": try again quickly
    BROKEN = "broken"  # 12 to 16, 21, 22: stream or memory; try again, and look at the node
    CONFIGURATION = "configuration"  # 1, 2, 4, 5, 127 …: somebody must mend something; try again slowly
    KILLED = "killed"  # 20, 137, or ended by us: queue it again


class Form(StrEnum):
    """What one rsync run carries; the argv of each is in sync/core/args.py."""

    FILES = "files"  # the listed paths as they are now; none of them is deleted
    GONE = "gone"  # the listed paths, which the source lacks, are deleted on the node
    SUBTREES = "subtrees"  # the listed directories with everything below; deletes what the source lacks there
    EVERYTHING = "everything"  # a full resync
    AUDIT = "audit"  # a dry-run comparison by metadata
    DEEP_AUDIT = "deep_audit"  # the same with checksums


@dataclass(frozen=True, slots=True)
class Destination:
    """Where rsync reaches a node. Secrets are paths of files or environment, never arguments.

    ``spec_key`` names the destination for the check that no two nodes share one, and for noticing that a
    node now points somewhere else.
    """

    node: str
    host: str
    transport: str = "daemon"  # daemon | ssh
    module: str = "content"  # for ssh: with ssh_path as the remote folder
    port: int = 873
    user: str | None = None
    password: str | None = None  # handed over in the environment (RSYNC_PASSWORD), never in argv
    bwlimit: str | None = None
    ssh_user: str | None = None
    ssh_port: int = 22
    ssh_key_file: str | None = None
    ssh_known_hosts: str | None = None
    ssh_path: str | None = None

    @property
    def spec_key(self) -> str:
        """Equal for two destinations that name the same folder on the same host."""
        if self.transport == "ssh":
            return f"ssh://{self.ssh_user or ''}@{self.host}:{self.ssh_port}{self.ssh_path or ''}"
        return f"rsync://{self.host}:{self.port}/{self.module}"

    def __repr__(self) -> str:  # a dataclass would print the password
        return f"Destination({self.node!r}, {self.spec_key!r})"


def text_of(path: bytes) -> str:
    """The path for people: UTF-8, with what is not UTF-8 shown as ``\\xNN``."""
    return path.decode("utf-8", "backslashreplace")


def base64_of(path: bytes) -> str | None:
    """The path's bytes as base64 when the text alone does not say them, else None."""
    try:
        path.decode("utf-8")
    except UnicodeDecodeError:
        return base64.b64encode(path).decode("ascii")
    return None
