"""What a job is given and what it answers: tools, control, batches, reports. Runs nothing."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from sync.core.args import Run
from sync.core.batch import Listed, Steps, plan, resolve
from sync.core.dustbin import Binned
from sync.core.listing import Progress
from sync.core.model import Change, Destination, Kind, Outcome, Stat
from sync.core.result import RunResult
from sync.core.scope import Scope
from sync.ports import Store
from sync.process import Cancel, RunHandle
from sync.rsync import Begun

log = logging.getLogger(__name__)
PROMISE_LOOK_SECONDS = 0.2
UNREADABLE = Stat(Kind.OTHER, 0, 0, 0, 0, 0, 0, 0)
GOES_ON = frozenset({Outcome.DONE, Outcome.VANISHED})
"""Ends of a run after which everything named is confirmed, but for what vanished at the source."""


class RunsRsync(Protocol):
    """The part of sync.rsync.Runner that a job uses."""

    def run(
        self,
        destination: Destination,
        run: Run,
        *,
        stop: Cancel | None = None,
        progress: Callable[[Progress], None] | None = None,
        handle: RunHandle | None = None,
        begun: Begun | None = None,
    ) -> RunResult:
        """Runs one rsync to its end; a node that cannot be reached is a result."""

    def begin(
        self, destination: Destination, run: Run, *, stop: Cancel, handle: RunHandle | None = None
    ) -> Begun | None:
        """Starts one rsync whose list is fed later."""


@dataclass(frozen=True, slots=True)
class Tools:
    """What jobs act with. ``may_delete`` is asked right before every run that deletes: why not, or None.

    ``is_pending`` says whether a change of the path has been noticed and has no seq yet.
    """

    runner: RunsRsync
    sweeper: RunsRsync  # the same over an empty root: deletes what the source still has
    look: Callable[[bytes], Stat]
    glance: Callable[[bytes], Stat]  # the same for a path whose ancestors are known to be directories
    count_below: Callable[[bytes, int], int]
    scope: Scope
    store: Store
    may_delete: Callable[[], str | None]
    is_pending: Callable[[bytes], bool]
    large_bytes: int


@dataclass(frozen=True, slots=True)
class Control:
    """How others reach into a job: to end it, to see that it moves, to be told how far it is.

    ``begun``: an rsync that has been started for the job's first run.
    """

    stop: Cancel = field(default_factory=Cancel)
    handle: RunHandle = field(default_factory=RunHandle)
    progress: Callable[[Progress], None] | None = None
    begun: Begun | None = None


class Batch:
    """Journal rows that go out together, looked at once for all nodes that get the very same batch.

    ``through`` is the seq that a node's cursor has when it has the batch; None for what goes out of turn.
    """

    def __init__(self, changes: Iterable[Change], through: int | None, after: int = 0) -> None:
        """``after``: the cursor of the nodes that get it. What was born later is new to them as a whole."""
        self._gone: Mapping[bytes, bool] | None = None
        self._take(changes, through, after)
        self._lock = threading.Lock()
        self._listed: Listed | None = None
        self._steps: Steps | None = None
        self._kept: threading.Event | None = None

    def _take(self, changes: Iterable[Change], through: int | None, after: int) -> None:
        changes = list(changes)
        self.seqs = {change.path: change.seq for change in changes}
        self._gone = {c.path: c.stat.kind is Kind.GONE for c in changes}
        self._fresh = frozenset(c.path for c in changes if after and c.born > after)
        self.through = through

    @classmethod
    def of_entries(cls, entries: Iterable[Binned]) -> Batch:
        """A retry from the dustbin; what the journal says of the paths is read when it is worked on."""
        batch = cls((), None)
        batch.seqs = {entry.path: entry.seq for entry in entries}
        batch._gone = None
        return batch

    @classmethod
    def promised(cls) -> Batch:
        """A batch of changes that are only settling: a job may get ready for it. Kept, or void, soon."""
        batch = cls((), None)
        batch._kept = threading.Event()
        return batch

    def keep(self, changes: Iterable[Change], through: int | None, after: int = 0) -> None:
        """Says what was promised; nothing at all if nothing came of it. Once, from the thread that promised."""
        assert self._kept is not None  # noqa: S101 - only promised ones are kept
        self._take(changes, through, after)
        self._kept.set()

    def is_known(self, stop: Cancel) -> bool:
        """Waits until the promise is kept; False when the job is ended before, or nothing came of it."""
        while self._kept is not None and not self._kept.wait(PROMISE_LOOK_SECONDS):
            if stop.reason:
                return False
        return bool(self.seqs)

    @property
    def paths(self) -> Collection[bytes]:
        """The dirty paths of the batch."""
        return self.seqs.keys()

    @property
    def newest(self) -> int:
        """The highest seq in the batch, 0 for an empty one."""
        return self.through or max(self.seqs.values(), default=0)

    @property
    def deletes_only(self) -> bool:
        """Whether every row of the batch says gone."""
        return self._gone is not None and all(self._gone.values())

    def steps(self, tools: Tools) -> Steps:
        """What to send, from one look at the tree. Raises StoreError when the journal cannot be read."""
        with self._lock:
            if self._steps is None:
                gone = self._gone if self._gone is not None else self._read(tools)
                self._listed = resolve(gone, _readable(tools.glance), tools.scope.carries)
                self._steps = planned(self._listed, tools, fresh=self._fresh)
            return self._steps

    def _read(self, tools: Tools) -> dict[bytes, bool]:
        """A path without a row is what it is now: something on the node only."""
        rows = tools.store.rows(list(self.seqs))
        look = _readable(tools.look)
        kinds = {path: (rows[path].stat if path in rows else look(path)).kind for path in self.seqs}
        return {path: kind is Kind.GONE for path, kind in kinds.items()}

    def flat_steps(self, tools: Tools) -> Steps:
        """The same without trees, so that the paths of a tree that failed can be told apart."""
        self.steps(tools)
        assert self._listed is not None  # noqa: S101 - steps() has just set it
        return planned(self._listed, tools, trees_above=float("inf"))


def _readable(look: Callable[[bytes], Stat]) -> Callable[[bytes], Stat]:
    """The same for paths in a folder that is closed to us, too: they are listed, and rsync says what is wrong."""

    def looked(path: bytes) -> Stat:
        try:
            return look(path)
        except OSError:
            return UNREADABLE

    return looked


def planned(listed: Listed, tools: Tools, fresh: Collection[bytes] = (), **limits: float) -> Steps:
    """The steps for what is listed, with the tools' settings."""
    return plan(
        listed,
        large_bytes=tools.large_bytes,
        delete=tools.scope.delete,
        count_below=tools.count_below,
        fresh=fresh,
        **limits,
    )


@dataclass(slots=True)
class Report:
    """What a job did. ``outcome`` DONE: everything but ``failed`` is confirmed.

    ``failed``: path → (error, exit code) of what the node did not take; ``source_failed``: what the source
    could not be read at; ``vanished``: what the surveyor should look at again; ``held``: why the job stopped
    before a step that deletes, with ``would_delete``. ``owes_deletions``: everything else was sent.
    """

    outcome: Outcome = Outcome.DONE
    message: str = ""
    failed: dict[bytes, tuple[str, int | None]] = field(default_factory=dict)
    source_failed: dict[bytes, str] = field(default_factory=dict)
    owes_deletions: bool = False
    vanished: list[bytes] = field(default_factory=list)
    held: str | None = None
    would_delete: tuple[bytes, ...] = ()
    needs_person: bool = False
    runs: list[RunResult] = field(default_factory=list)
    moved: bool = False

    def note(self, result: RunResult) -> RunResult:
        """Takes in what one run said, whatever it came to."""
        self.runs.append(result)
        self.moved = self.moved or result.moved
        if not is_source_away(result):
            self.source_failed.update(
                {p: e for p, e in result.source_failed.items() if p not in result.vanished}
            )
            self.vanished += result.vanished
        return result

    def merge(self, part: Report) -> None:
        """Takes in a part of the job; its stop is the whole's."""
        self.runs += part.runs
        self.moved = self.moved or part.moved
        self.failed.update(part.failed)
        self.source_failed.update(part.source_failed)
        self.vanished += part.vanished
        if part.stopped:
            self.outcome, self.message, self.held = part.outcome, part.message, part.held
            self.owes_deletions = part.owes_deletions

    def stop(self, result: RunResult) -> None:
        """The node as a whole did not work: nothing more is tried now. That the source is away is not its fault."""
        if is_source_away(result):
            self.hold(result.message)
        else:
            self.outcome, self.message = result.outcome, result.message

    def hold(self, reason: str) -> None:
        """Stops before a deletion."""
        self.outcome, self.held, self.message = Outcome.KILLED, reason, reason

    @property
    def stopped(self) -> bool:
        return self.outcome is not Outcome.DONE


def run_once(tools: Tools, destination: Destination, run: Run, control: Control) -> RunResult:
    """One rsync run under the job's control."""
    result = tools.runner.run(
        destination,
        run,
        stop=control.stop,
        progress=control.progress,
        handle=control.handle,
        begun=control.begun,
    )
    log.debug(
        "%s: rsync %s of %d paths: %s, exit %s, %d files, %d bytes, %d deleted in %.3f s %s",
        destination.node,
        run.form.value,
        len(run.paths),
        result.outcome.value,
        result.code,
        result.files,
        result.bytes,
        result.deleted,
        result.seconds,
        result.message,
    )
    return result


def can_look(tools: Tools, path: bytes) -> bool:
    """Whether the source says what is there: a folder may be closed to us, and then nothing is known of the path."""
    try:
        tools.look(path)
    except OSError:
        return False
    return True


def is_source_away(result: RunResult) -> bool:
    """Whether the run failed because the publish directory itself could not be entered."""
    return result.code == 3 or b"" in result.source_failed


def is_sources(result: RunResult) -> bool:
    """Whether the run failed in part through the source's fault alone."""
    return (
        result.outcome is Outcome.PARTIAL
        and not is_source_away(result)
        and bool(result.source_failed or result.vanished)
        and not result.failed
    )
