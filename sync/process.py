"""Runs one child process to its end in the calling thread, fed, read and limited; knows no rsync.

Three things end it early: somebody cancels it, it makes no progress, or a callback fails. It may be begun before
it is known what it is to be fed: then it starts up while that is found out.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from sync.process_group import Cancel, Group

__all__ = ["Cancel", "Child", "Ended", "RunHandle", "bytes_moved"]

TICK_SECONDS = 1.0
GRACE_SECONDS = 2.0
KEEPALIVE_BYTES = 1024  # rsync's keepalives alone are no progress
CHUNK = 1 << 16
FED_LATER_BYTES = 1 << 12
"""What a new pipe holds at least (pipe(7), pipe-user-pages-soft): so much a process need not have read yet."""

_PIPES: contextlib.AbstractContextManager[object] = (
    contextlib.nullcontext() if hasattr(os, "pipe2") else threading.RLock()
)
"""Without pipe2 (macOS) a pipe is inherited for a moment: nobody may start a process then, or it keeps it open."""
IGNORED = (signal.SIGPIPE, signal.SIGXFSZ)
"""Python ignores these, and a child would go on doing so."""

Take = Callable[[list[bytes]], None]


@dataclass
class RunHandle:
    """What another thread may see of a run in progress. Written by the running thread only.

    ``last_progress_at`` is by the runner's (monotonic) clock; ``moved``: the other side has answered.
    """

    pid: int | None = None
    last_progress_at: float | None = None
    moved: bool = False


@dataclass(frozen=True, slots=True)
class Ended:
    """How a process ended: its code (negative: signal), whether for lack of progress, why cancelled."""

    code: int
    stalled: bool = False
    cancelled: str | None = None


@dataclass
class Child:
    """One process: what it is given and its limits. ``begin``, or ``begin_unfed`` and ``feed``, then ``run``.

    ``stall_seconds`` 0: no limit. ``patience_seconds``: its outputs are not looked at before. Beginning raises
    OSError when the process cannot be started; after it ``run`` must be called, or it is never reaped.
    """

    command: Sequence[str]
    environment: Mapping[str, str] = field(repr=False)  # may hold the password
    clock: Callable[[], float]
    stall_seconds: float = 0
    cancel: Cancel | None = None
    handle: RunHandle = field(default_factory=RunHandle)
    inherited: tuple[int, ...] = ()  # descriptors that stay open in it (sync/orphans.py)
    patience_seconds: float = 0
    _group: Group = field(init=False, repr=False)
    _stdin: int | None = field(init=False, default=None)
    _outputs: tuple[int, int] = field(init=False, repr=False)
    _stalled: bool = field(init=False, default=False)
    _ending_since: float | None = field(init=False, default=None)
    _seen_bytes: int = field(init=False, default=0)

    def begin(self, stdin: bytes | None) -> None:
        """Starts the process with this on its standard input."""
        source = os.open(os.devnull, os.O_RDONLY) if stdin is None else _as_file(stdin)
        try:
            self._start(source)
        finally:
            os.close(source)

    def begin_unfed(self) -> None:
        """Starts the process; what is on its standard input comes with ``feed``."""
        with _PIPES:
            source, self._stdin = os.pipe()
        try:
            self._start(source)
        except BaseException:
            self._close_stdin()
            raise
        finally:
            os.close(source)

    def feed(self, stdin: bytes) -> None:
        """All of the standard input of a process begun unfed: at most FED_LATER_BYTES. Does not wait."""
        if self._stdin is not None:
            with contextlib.suppress(BrokenPipeError):  # it has ended already; its code says why
                left = memoryview(stdin)
                while left:
                    left = left[os.write(self._stdin, left) :]
            self._close_stdin()

    def _close_stdin(self) -> None:
        if self._stdin is not None:
            os.close(self._stdin)
            self._stdin = None

    def run(self, on_stdout: Take, on_stderr: Take) -> Ended:
        """Returns when the process has ended and everything it said has been taken.

        Both get lists of whole lines; CR ends a line as LF does.
        """
        try:
            self._close_stdin()
            self._wait_a_little()
            self._read(dict(zip(self._outputs, (on_stdout, on_stderr), strict=True)))
            self._await()
        except BaseException:  # a callback failed: the process must not outlive this call
            self._group.signal(signal.SIGKILL)
            raise
        finally:
            code = self._group.reap()
            for descriptor in self._outputs:
                os.close(descriptor)
            if self.cancel:
                self.cancel.forget(self._group)
        return Ended(code, self._stalled, self.cancel.reason if self.cancel else None)

    def _start(self, source: int) -> None:
        """posix_spawn: half of subprocess's time, which counts where one change starts a process per node.

        A session of its own: nothing asks on a terminal, and its group can be ended as a whole.
        """
        with _PIPES:
            self._group = Group(self._spawn(source))
        self.handle.pid = self._group.pid
        self.handle.last_progress_at = self.clock()
        if self.cancel and not self.cancel.watch(self._group):
            self._group.signal(signal.SIGTERM)

    def _spawn(self, source: int) -> int:
        output, output_end = os.pipe()
        try:
            errors, errors_end = os.pipe()
        except OSError:
            os.close(output)
            os.close(output_end)
            raise
        self._outputs = output, errors
        try:
            return os.posix_spawnp(
                self.command[0],
                list(self.command),
                self.environment,
                file_actions=[
                    (os.POSIX_SPAWN_DUP2, source, 0),
                    (os.POSIX_SPAWN_DUP2, output_end, 1),
                    (os.POSIX_SPAWN_DUP2, errors_end, 2),
                    *((os.POSIX_SPAWN_DUP2, kept, kept) for kept in self.inherited),
                ],
                setsid=True,
                setsigdef=IGNORED,
            )
        except BaseException:
            os.close(output)
            os.close(errors)
            raise
        finally:
            os.close(output_end)
            os.close(errors_end)

    def _wait_a_little(self) -> None:
        """Lets a short run end before its outputs are looked at: being woken for each line costs more than it.

        What it says meanwhile is in the pipes; if they are full it waits for us, and not for long.
        """
        if self.patience_seconds and (descriptor := _process_descriptor(self._group.pid)) is not None:
            _is_readable(descriptor, self.patience_seconds)
            os.close(descriptor)

    def _read(self, takers: dict[int, Take]) -> None:
        """Takes both outputs until they are closed, or held open by somebody else than the leader."""
        rests = dict.fromkeys(takers, b"")
        poller = select.poll()
        for descriptor in takers:
            poller.register(descriptor, select.POLLIN)
        checked = self.clock()
        while takers:
            ready = poller.poll(self._tick * 1000)
            for descriptor, _ in ready:
                chunk = os.read(descriptor, CHUNK)
                if chunk:
                    self.handle.last_progress_at = self.clock()
                    text = (rests[descriptor] + chunk).replace(b"\r", b"\n")
                    *lines, rests[descriptor] = text.split(b"\n")
                    takers[descriptor](lines)
                else:
                    poller.unregister(descriptor)
                    takers.pop(descriptor)([rests[descriptor]] if rests[descriptor] else [])
            if self.clock() - checked >= self._tick:
                checked = self.clock()
                self._check(checked)
            if not ready and self._has_ended():
                return

    @property
    def _tick(self) -> float:
        return min(TICK_SECONDS, self.stall_seconds / 4) if self.stall_seconds else TICK_SECONDS

    def _check(self, now: float) -> None:
        """Ends what makes no progress, and kills what was told to end and did not."""
        self._look_at_counters(now)
        if self._ending_since is None:
            silent_since = self.handle.last_progress_at or now
            self._stalled = bool(self.stall_seconds) and now - silent_since >= self.stall_seconds
            if self._stalled:
                self._group.signal(signal.SIGTERM)
            if self._stalled or (self.cancel and self.cancel.reason):
                self._ending_since = now
        elif now - self._ending_since >= GRACE_SECONDS:
            self._group.signal(signal.SIGKILL)

    def _look_at_counters(self, now: float) -> None:
        seen = bytes_moved(self._group.pid)
        if abs(seen - self._seen_bytes) > KEEPALIVE_BYTES:
            self._seen_bytes = seen
            self.handle.last_progress_at = now

    def _has_ended(self) -> bool:
        if not hasattr(os, "waitid"):
            return False
        ended = os.waitid(os.P_PID, self._group.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        return ended is not None

    def _await(self) -> None:
        """Waits for the leader without reaping it; the limits hold (it may have closed its outputs)."""
        if self._has_ended():
            return
        descriptor = _process_descriptor(self._group.pid)
        if descriptor is None:
            while not self._group.has_ended(self._tick):
                self._check(self.clock())
            return
        try:
            while not _is_readable(descriptor, self._tick):
                self._check(self.clock())
        finally:
            os.close(descriptor)


def _process_descriptor(pid: int) -> int | None:
    """Becomes readable when the process ends; None on other systems, kernels before 5.3, or if none is left."""
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):
        return None


def _is_readable(descriptor: int, seconds: float) -> bool:
    poller = select.poll()
    poller.register(descriptor, select.POLLIN)
    return bool(poller.poll(seconds * 1000))


def _as_file(data: bytes) -> int:
    """A descriptor to read the data from: nothing has to be fed while the process runs."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("list", os.MFD_CLOEXEC)
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def bytes_moved(pid: int) -> int:
    """Bytes read and written by a process and its descendants (proc(5), io); 0 where there is no /proc."""
    total, waiting = 0, [str(pid)]
    while waiting:
        process = waiting.pop()
        with contextlib.suppress(OSError, ValueError, IndexError):
            with open(f"/proc/{process}/io", "rb") as file:
                total += sum(int(line.split()[1]) for line in file.read().splitlines()[:2])
            with open(f"/proc/{process}/task/{process}/children", "rb") as file:
                waiting += file.read().decode().split()
    return total
