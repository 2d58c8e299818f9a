"""What the engine knows of one node while it runs; owned by the engine's thread, decides nothing by itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from sync.batches import Batch, Control, Report
from sync.core.dustbin import Binned, lacking
from sync.core.health import Health
from sync.core.instep import Cursors, NodeStanding
from sync.core.listing import Progress
from sync.core.model import Destination, Form, Observation, State
from sync.ports import NodeRecord
from sync.probes import ProbeSeries


@dataclass(frozen=True, slots=True)
class NodeSettings:
    """A node as configured. ``address`` is what ``{address}`` in a probe's URL means; ``origin`` file or source."""

    name: str
    destination: Destination
    probes: ProbeSeries
    title: str | None = None
    address: str | None = None
    drained: bool = False
    origin: str = "file"


@dataclass(slots=True)
class Work:
    """A job under way on a node. ``number`` tells its end from that of an earlier one."""

    number: int
    form: Form
    control: Control
    began: float
    total: int = 0
    watermark: int | None = None  # of a full resync: the tail must keep what lies above it
    writes_to: str | None = None  # the destination's spec_key, None for an audit
    batch: Batch | None = None


@dataclass(frozen=True, slots=True)
class Order:
    """A list of paths to send out of turn; ``done`` gets the report."""

    batch: Batch
    done: Callable[[Report], None]


@dataclass(slots=True)
class Node:
    """A node's standing. Times ``*_at`` of records are wall-clock seconds, ``*_mono`` steady ones."""

    settings: NodeSettings
    health: Health
    cursor: int | None = None
    ring: Cursors = field(default_factory=Cursors)
    proven: bool = False
    renewable: bool = False  # its stored proof renews itself with the first good observation
    proof_seq: int | None = None
    proof_at: float | None = None
    deep_proof_at: float | None = None
    introduced: bool = False
    drained_by_command: bool | None = None
    dustbin: dict[bytes, Binned] = field(default_factory=dict)
    cleared: dict[bytes, float] = field(default_factory=dict)
    drift: tuple[bytes, ...] = ()
    drift_count: int = 0
    leftovers: tuple[bytes, ...] = ()
    alters_links: bool = False  # its daemon stores other symlinks than are sent, which no comparison sees
    work: Work | None = None
    audit: Work | None = None
    audit_due: bool = False
    deep_due: bool = False
    resync_due: bool = False  # an in-place resync of a ready node was asked for
    at_start: bool = False  # its first resync belongs to the start (lane max_init)
    target: int | None = None  # recovery: the head that must be confirmed before it is ready
    recovery_mono: float = 0.0  # not before this
    retry_mono: float = 0.0
    sent_through: int = 0  # what is there up to this seq has been sent, but deletions below it are held
    audit_mono: float = 0.0  # no audit before this
    failures: int = 0  # runs that failed as a whole, since the last that did not
    blocked: str | None = None  # why it cannot be sent to, though it answers
    held: str | None = None  # waits for a person
    would_delete: tuple[bytes, ...] = ()
    accepted: bool = False  # a person has agreed to the deletions of its next full resync
    parked: bool = False  # a one-off run that was not asked about this node leaves it alone
    orders: list[Order] = field(default_factory=list)  # lists that somebody wants sent out of turn
    ordered: Order | None = None  # the one that is being sent
    observing: bool = False
    observations: int = 0
    observed: Observation | None = None
    moved_mono: float = float("-inf")
    last_in_sync_at: float | None = None
    last_audit_at: float | None = None
    out_of_step: str | None = None
    late_at_start: str | None = None  # the same where it is not held against it yet, see Field.judge
    in_sync: bool = False
    progress: Progress | None = None
    bytes_sent: int = 0

    @property
    def name(self) -> str:
        return self.settings.name

    @property
    def state(self) -> State:
        return self.health.state

    @property
    def drained(self) -> bool:
        """A drain made by command goes over the file's."""
        return self.settings.drained if self.drained_by_command is None else self.drained_by_command

    @property
    def receives(self) -> bool:
        """Whether changes go to it one by one now: it is ready, or catches up after its full resync."""
        return self.cursor is not None and (
            self.state is State.READY or (self.state is State.RECOVERY and self.target is not None)
        )

    def move_cursor(self, cursor: int, mono: float, keep_seconds: float) -> None:
        """The node has confirmed everything up to this seq."""
        self.cursor = cursor
        self.ring = self.ring.with_sample(mono, cursor, keep_seconds)

    def standing(self) -> NodeStanding:
        """What promise 2 needs to know of it."""
        return NodeStanding(
            name=self.name,
            state=self.state,
            drained=self.drained,
            cursor=self.cursor or 0,
            ring=self.ring,
            lacking=lacking(self.dustbin.values()) if self.dustbin else {},
            cleared=dict(self.cleared) if self.cleared else {},
        )

    def start_recovery(self) -> None:
        """What a node must begin anew when it enters RECOVERY."""
        self.target = None
        self.resync_due = False

    def record(self) -> NodeRecord:
        """What is stored of it."""
        return NodeRecord(
            name=self.name,
            spec_key=self.settings.destination.spec_key,
            state=self.state,
            since=self.health.since,
            reason=self.health.reason,
            cursor=self.cursor,
            proof_seq=self.proof_seq,
            proof_at=self.proof_at,
            deep_proof_at=self.deep_proof_at,
            introduced=self.introduced,
            drift=self.drift_count,
            drained=self.drained_by_command,
            recoveries=self.health.recoveries,
            last_in_sync_at=self.last_in_sync_at,
            last_audit_at=self.last_audit_at,
        )

    @classmethod
    def restored(cls, settings: NodeSettings, record: NodeRecord, trimmed: int) -> Node:
        """The node as it was stored; its cursor counts only at or above what the tombstones still cover."""
        usable = record.cursor is not None and record.cursor >= trimmed
        state = record.state if usable or record.state is not State.READY else State.RECOVERY
        reason = record.reason if state is record.state else "its cursor is older than the journal reaches"
        health = Health(state, record.since, reason or "restored", node=settings.name)
        if state is not State.READY:
            health = replace(health, recoveries=record.recoveries)
        return cls(
            settings,
            health,
            cursor=record.cursor if usable else None,
            proof_seq=record.proof_seq,
            proof_at=record.proof_at,
            deep_proof_at=record.deep_proof_at,
            introduced=record.introduced,
            drift_count=record.drift,
            drained_by_command=record.drained,
            last_in_sync_at=record.last_in_sync_at,
            last_audit_at=record.last_audit_at,
        )
