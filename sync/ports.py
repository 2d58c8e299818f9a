"""What the engine asks of its surroundings, as protocols and plain values. Nothing here does anything.

The store is written first in, first out: what it holds is at every moment a prefix of what the engine has
done. A crash therefore loses the newest facts only, never an older one under a newer; the scan at the next
start finds what the lost rows would have said, because the tree still differs from the manifest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from sync.core.dustbin import Binned
from sync.core.model import Change, State


@dataclass(frozen=True, slots=True)
class NodeRecord:
    """What is kept of a node over a restart. Times are seconds since the epoch.

    ``cursor`` is None while the node has none that can be used: only a full resync gives it one.
    ``proof_seq``/``proof_at`` are the last proof (a finished full resync or an audit without drift).
    ``introduced`` says that the node's first full resync has ended: from then on what it lacks or has too
    much is ours to mend.
    """

    name: str
    spec_key: str
    state: State
    since: float
    reason: str = ""
    cursor: int | None = None
    proof_seq: int | None = None
    proof_at: float | None = None
    deep_proof_at: float | None = None
    introduced: bool = False
    drift: int = 0
    drained: bool | None = None  # a drain made by command goes over the file's
    recoveries: int = 0
    last_in_sync_at: float | None = None
    last_audit_at: float | None = None


@dataclass(frozen=True, slots=True)
class Meta:
    """What is kept of the journal as a whole; a manifest belongs to (machine, root)."""

    machine: str
    root: str  # os.fsdecode of the configured root's real path
    root_inode: int = 0
    scope: str = ""  # Scope.fingerprint
    scope_paths: tuple[str, ...] = ()
    scope_excludes: tuple[str, ...] = ()
    delete: bool = True
    mounts: tuple[str, ...] = ()  # mount points seen inside the root, os.fsdecode of their relative paths
    head: int = 0
    trimmed: int = 0  # tombstones up to this seq are gone: a lower cursor cannot be used
    files: int = 0  # live rows, for the source check at start
    clean_stop: bool = False
    marks: tuple[tuple[float, int], ...] = ()  # (when, head then), hourly for a day: how old tombstones are


@dataclass(frozen=True, slots=True)
class Event:
    """One line of the timeline. ``kind``: flip, start, stop, source, watch, drift, audit, resync, held,
    inventory, dustbin, config, dns, alert, access. ``severity``: info, warning, error.
    """

    at: float
    kind: str
    message: str
    node: str | None = None
    severity: str = "info"
    facts: Mapping[str, object] = field(default_factory=dict)  # JSON values only


@dataclass(frozen=True, slots=True)
class Transfer:
    """One rsync run as it ended."""

    at: float
    node: str
    form: str
    outcome: str
    code: int | None
    seconds: float
    files: int
    bytes: int
    deleted: int
    message: str = ""


@dataclass(frozen=True, slots=True)
class Saved:
    """Everything a start needs, except the manifest's rows. ``meta`` is None for a new installation."""

    meta: Meta | None
    nodes: tuple[NodeRecord, ...] = ()
    dustbin: tuple[Binned, ...] = ()


# ── writes, in the order in which they were put ──────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class SaveChanges:
    """Rows of the journal; a path's older row is replaced."""

    changes: Sequence[Change]


@dataclass(frozen=True, slots=True)
class SaveMeta:
    meta: Meta


@dataclass(frozen=True, slots=True)
class SaveNode:
    record: NodeRecord


@dataclass(frozen=True, slots=True)
class ForgetNode:
    """Removes the node's record and its dustbin; its transfers and events stay until retention takes them."""

    name: str


@dataclass(frozen=True, slots=True)
class SaveBinned:
    entries: Sequence[Binned]


@dataclass(frozen=True, slots=True)
class ClearBinned:
    """Removes a node's dustbin entries; ``paths`` None: all of them."""

    node: str
    paths: Sequence[bytes] | None = None


@dataclass(frozen=True, slots=True)
class SaveEvent:
    event: Event


@dataclass(frozen=True, slots=True)
class SaveTransfer:
    transfer: Transfer


@dataclass(frozen=True, slots=True)
class DropRows:
    """Removes rows outright, tombstones included (paths that left the scope, or the whole manifest: None)."""

    paths: Sequence[bytes] | None = None


@dataclass(frozen=True, slots=True)
class TrimTombstones:
    """Removes tombstones with a seq at or below this."""

    seq: int


Write = (
    SaveChanges | SaveMeta | SaveNode | ForgetNode | SaveBinned | ClearBinned
    | SaveEvent | SaveTransfer | DropRows | TrimTombstones
)  # fmt: skip


class Store(Protocol):
    """The durable side. Reads may block and raise StoreError; ``put`` never blocks and never raises."""

    def load(self) -> Saved:
        """What a start needs."""

    def manifest(self, under: bytes = b"") -> Iterator[Change]:
        """All live rows (no tombstones) at or below ``under``, in any order, streamed.

        Sees everything that was put before the call (it waits for the writer).
        """

    def since(self, seq: int) -> list[Change]:
        """Rows with a higher seq, tombstones included, in the order of seq."""

    def rows(self, paths: Sequence[bytes]) -> dict[bytes, Change]:
        """The rows of these paths, tombstones included; a path never seen is missing from the answer."""

    def linked(self, dev: int, inode: int) -> list[bytes]:
        """The live paths that were last seen with this inode."""

    def symlinks(self, limit: int) -> list[Change]:
        """Some rows of symlinks, at most so many."""

    def put(self, *writes: Write) -> None:
        """Queues the writes as one transaction, behind all earlier ones."""

    def flush(self, timeout_seconds: float) -> bool:
        """Waits until everything put so far is committed; False when that did not happen in time."""

    def trouble(self) -> str | None:
        """None while writes are going through, else what is wrong and what to do (no secrets)."""


class StoreError(Exception):
    """The store could not be read; the message says what to do."""


class NoStore:
    """A store that keeps nothing: for one-off tools and tests of the engine."""

    def load(self) -> Saved:
        return Saved(None)

    def manifest(self, under: bytes = b"") -> Iterator[Change]:
        return iter(())

    def since(self, seq: int) -> list[Change]:
        return []

    def rows(self, paths: Sequence[bytes]) -> dict[bytes, Change]:
        return {}

    def linked(self, dev: int, inode: int) -> list[bytes]:
        return []

    def symlinks(self, limit: int) -> list[Change]:
        return []

    def put(self, *writes: Write) -> None:
        return None

    def flush(self, timeout_seconds: float) -> bool:
        return True

    def trouble(self) -> str | None:
        return None
