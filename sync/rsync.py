"""Runs rsync towards one node and says what came of it; decides nothing about what is sent or what follows.

One call is one process in the caller's thread. A node that is down is a result, never an exception.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from sync.core.args import AUDITS, Remote, RsyncOptions, Run, argv, file_list
from sync.core.audit import without_blind
from sync.core.complaints import Complaints, shown
from sync.core.listing import Listed, Progress, counted, listed, progress
from sync.core.model import Destination, Form, Outcome
from sync.core.outcome import verdict
from sync.core.result import RunResult
from sync.core.scope import Scope
from sync.process import FED_LATER_BYTES, Child, Ended, RunHandle
from sync.process_group import Cancel
from sync.rsync_version import RsyncError, RsyncVersion, check_rsync
from sync.scan import root_identity
from sync.transports import DestinationError, reach

Line = bytes  # _Reading has a field of the name bytes, which hides the type
_ANSWERED = frozenset({Outcome.DONE, Outcome.PARTIAL, Outcome.VANISHED, Outcome.NO_SPACE})
FEW_PATHS = 64
PATIENCE_SECONDS = 0.15
_WITHHELD = ("RSYNC_", "LOCKSTEP_")


class Runner:
    """Runs rsync from one publish directory. Any number of threads may share one.

    ``root`` is absolute; ``environ`` what rsync and ssh inherit, less what would change rsync's meaning;
    ``inherited`` the descriptors that stay open in rsync.
    """

    def __init__(
        self,
        options: RsyncOptions,
        root: str | bytes | os.PathLike[str],
        scope: Scope,
        *,
        environ: Mapping[str, str] = os.environ,
        clock: Callable[[], float] = time.monotonic,
        inherited: tuple[int, ...] = (),
    ) -> None:
        program = shutil.which(options.program, path=environ.get("PATH")) or options.program
        self._options = replace(options, program=program)
        self._root = os.fsdecode(os.path.abspath(root))
        self._scope = scope
        self._clock = clock
        self._inherited = inherited
        given = {k: v for k, v in environ.items() if k == "RSYNC_PROXY" or not k.startswith(_WITHHELD)}
        self._environment = given | {"LC_ALL": "C"}  # the messages are read, and -8 needs no locale

    def begin(
        self, destination: Destination, run: Run, *, stop: Cancel, handle: RunHandle | None = None
    ) -> Begun | None:
        """Starts rsync for a run whose paths are not known yet, to have it ready when they are.

        ``run`` is a guess: as many paths, of the same form. None where it cannot be started; ``run`` says why.
        Whoever begins it hands it to ``run`` or drops it.
        """
        try:
            child = self._child(run, reach(destination, self._options), self._root, stop, None, handle)
            entered = root_identity(Path(self._root))
            if entered is None:
                return None
            child.begin_unfed()
        except (DestinationError, OSError):
            return None
        return Begun(child, lambda: root_identity(Path(self._root)) == entered)

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
        """The result of one rsync run to its end, stopped, stalled or refused ones included.

        ``progress`` is called in this thread about once a second, where something is sent. ``begun`` is used if it
        was guessed right, else it is ended first: one rsync at a time. Raises nothing.
        """
        began = self._clock()
        if stop and stop.reason:
            return RunResult(run.form, Outcome.KILLED, None, 0, message=f"not started: {stop.reason}")
        if run.is_listed and not run.paths:
            return RunResult(run.form, Outcome.DONE, None, 0)
        try:
            remote = reach(destination, self._options)
        except DestinationError as error:
            return RunResult(run.form, Outcome.CONFIGURATION, None, 0, message=str(error))
        if run.purge:
            if begun is not None:
                begun.drop()
            with tempfile.TemporaryDirectory(prefix="lockstep-purge-") as empty:
                child = self._child(run, remote, empty, stop, None, handle)
                return _without_parents(self._run(run, remote, empty, began, child, None), run)
        child = self._child(run, remote, self._root, stop, progress, handle)
        return self._run(run, remote, self._root, began, child, progress, begun)

    def _child(
        self,
        run: Run,
        remote: Remote,
        root: str,
        stop: Cancel | None,
        progress: Callable[[Progress], None] | None,
        handle: RunHandle | None,
    ) -> Child:
        return Child(
            command=argv(run, self._options, self._scope, root, remote, progress=progress is not None),
            environment={**self._environment, **remote.environment},
            clock=self._clock,
            stall_seconds=self._options.stall_seconds,
            cancel=stop,
            handle=handle or RunHandle(),
            inherited=self._inherited,
            patience_seconds=PATIENCE_SECONDS if run.is_listed and len(run.paths) <= FEW_PATHS else 0,
        )

    def _run(
        self,
        run: Run,
        remote: Remote,
        root: str,
        began: float,
        child: Child,
        progress: Callable[[Progress], None] | None,
        begun: Begun | None = None,
    ) -> RunResult:
        stdin = file_list(run.paths) if run.is_listed else None
        early = begun.take(child, stdin) if begun is not None else None
        try:
            if early is None:
                child.begin(stdin)
        except OSError as error:
            return _not_started(run.form, self._options.program, error)
        child = early or child
        reading = _Reading(run, _complaints(root, remote), progress, child.handle)
        ended = child.run(reading.take_output, reading.take_errors)
        return reading.result(ended, self._clock() - began, self._options)


class Begun:
    """An rsync that has been started and waits for its list. Used by one thread, once.

    It has entered the publish directory already. If another one stands there since then (``is_still`` says no), it
    would send what nobody looked at, and nobody would notice.
    """

    def __init__(self, child: Child, is_still: Callable[[], bool]) -> None:
        self._child: Child | None = child
        self._is_still = is_still

    def take(self, wanted: Child, stdin: bytes | None) -> Child | None:
        """The process with its list, if it is what is wanted; else it is ended."""
        child = self._child
        if child is None:
            return None
        same = (child.command, child.environment) == (wanted.command, wanted.environment)
        if not same or stdin is None or len(stdin) > FED_LATER_BYTES or not self._is_still():
            self.drop()
            return None
        self._child = None
        child.feed(stdin)
        return child

    def drop(self) -> None:
        """Ends it, unless it was taken: an empty list, with which rsync does nothing and complains of nothing."""
        child, self._child = self._child, None
        if child is not None:
            child.run(_ignore, _ignore)


def _ignore(lines: list[Line]) -> None:
    """What an rsync without a list says is of no interest."""


def _complaints(root: str, remote: Remote) -> Complaints:
    source = os.fsencode(root).rstrip(b"/") + b"/"
    return Complaints(source, remote.prefix, _Names(source))


def _above(path: bytes) -> Iterator[bytes]:
    return (path[:at] for at in range(len(path)) if path[at : at + 1] == b"/")


def _without_parents(result: RunResult, run: Run) -> RunResult:
    """A purge's result without the complaint that the empty source lacks the parents of what is deleted."""
    parents = {above for path in run.paths for above in _above(path)}
    if result.outcome is not Outcome.VANISHED or not result.source_failed.keys() <= parents:
        return result
    return replace(result, outcome=Outcome.DONE, source_failed={}, vanished=frozenset(), message="")


class _Names:
    """The names in a directory of the source, each directory read once."""

    def __init__(self, root: bytes) -> None:
        self._root = root
        self._read: dict[bytes, list[bytes]] = {}

    def __call__(self, directory: bytes) -> Iterable[bytes]:
        if directory not in self._read:
            try:
                self._read[directory] = os.listdir(self._root + directory)
            except OSError:
                self._read[directory] = []
        return self._read[directory]


@dataclass
class _Reading:
    """What one run says, while it runs. Owned by the thread that runs it."""

    run: Run
    complaints: Complaints
    progress: Callable[[Progress], None] | None
    handle: RunHandle
    files: int = 0
    bytes: int = 0
    deleted: int = 0
    lines: list[Listed] = field(default_factory=list)
    last: Progress | None = None

    def take_output(self, lines: Iterable[Line]) -> None:
        for line in lines:
            if found := counted(line):
                self._count(*found)
                if self.run.form in AUDITS and (item := listed(line)):
                    self.lines.append(item)
            elif self.progress and (now := progress(line, self.last, counted=self.run.form is Form.FILES)):
                self.last = now
                self.handle.moved = self.handle.moved or now.bytes > 0
                self.progress(now)
            elif line:
                self.complaints.feed(line)

    def take_errors(self, lines: Iterable[Line]) -> None:
        for line in lines:
            self.complaints.feed(line)

    def _count(self, deleted: bool, is_directory: bool, moved: int) -> None:
        self.handle.moved = True
        if deleted:
            self.deleted += 1
        elif not is_directory:
            self.files += 1
        self.bytes += moved

    def result(self, ended: Ended, seconds: float, options: RsyncOptions) -> RunResult:
        said = self.complaints
        _add_skipped(said, self.run)
        outcome, message = _judged(ended, said, options)
        return RunResult(
            form=self.run.form,
            outcome=outcome,
            code=ended.code,
            seconds=seconds,
            files=self.files,
            bytes=self.bytes,
            deleted=self.deleted,
            listed=tuple(without_blind(self.lines, said.source_failed)),
            failed=said.failed,
            source_failed=said.source_failed,
            blocked=frozenset(said.blocked),
            vanished=frozenset(said.vanished),
            not_empty=tuple(said.not_empty),
            deletions_skipped=said.deletions_skipped,
            moved=self.handle.moved or outcome in _ANSWERED,
            message=message,
        )


def _add_skipped(said: Complaints, run: Run) -> None:
    """Names the listed paths below a directory that could not be made: rsync skips them without a word."""
    for path in run.paths if said.blocked else ():
        above = next((above for above in _above(path) if above in said.blocked), None)
        if above is not None:
            said.failed.setdefault(path, f"its directory {shown(above)} could not be made")


def _judged(ended: Ended, said: Complaints, options: RsyncOptions) -> tuple[Outcome, str]:
    if ended.code == 0:
        return Outcome.DONE, ""
    if ended.stalled:
        limit = f"{options.stall_seconds:g} s"
        return Outcome.UNREACHABLE, f"rsync made no progress for {limit} and was ended; look at the node"
    if ended.cancelled:
        return Outcome.KILLED, f"ended: {ended.cancelled}"
    found = verdict(ended.code, said)
    return found.outcome, str(found)


def _not_started(form: Form, program: str, error: OSError) -> RunResult:
    """A lack of memory, processes or descriptors passes; a program that is not there does not."""
    if error.errno in (errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE):
        what, outcome, code = "raise the limits of processes and descriptors", Outcome.BROKEN, None
    elif error.errno == errno.E2BIG:
        what, outcome, code = "shorten publish.exclude and publish.paths", Outcome.CONFIGURATION, None
    else:
        what, outcome, code = "install rsync, or mend sync.rsync", Outcome.CONFIGURATION, 127
    return RunResult(
        form, outcome, code, 0, message=f"{program} cannot be started ({error.strerror}); {what}"
    )


__all__ = [
    "Begun",
    "Cancel",
    "Progress",
    "RsyncError",
    "RsyncVersion",
    "Run",
    "RunHandle",
    "RunResult",
    "Runner",
    "check_rsync",
]
