"""Runs one child process to its end in the calling thread, fed, read and limited; knows no rsync.

Three things end it early: somebody cancels it, it makes no progress, or a callback fails.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from sync.process_group import Cancel, Group

__all__ = ["Cancel", "Child", "Ended", "RunHandle", "bytes_moved"]

TICK_SECONDS = 1.0
GRACE_SECONDS = 2.0
KEEPALIVE_BYTES = 1024  # rsync's keepalives alone are no progress
CHUNK = 1 << 16


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
    """One process: what it is given, who takes its lines, and its limits.

    ``on_stdout`` and ``on_stderr`` get lists of whole lines; CR ends a line as LF does. ``stall_seconds``
    0: no limit. ``run`` raises OSError when the process cannot be started.
    """

    command: Sequence[str]
    environment: Mapping[str, str]
    stdin: bytes | None
    on_stdout: Callable[[list[bytes]], None]
    on_stderr: Callable[[list[bytes]], None]
    clock: Callable[[], float]
    stall_seconds: float = 0
    cancel: Cancel | None = None
    handle: RunHandle = field(default_factory=RunHandle)
    inherited: tuple[int, ...] = ()  # descriptors that stay open in it (sync/orphans.py)
    _process: subprocess.Popen[bytes] = field(init=False, repr=False)
    _group: Group = field(init=False, repr=False)
    _stalled: bool = field(init=False, default=False)
    _ending_since: float | None = field(init=False, default=None)
    _seen_bytes: int = field(init=False, default=0)

    def run(self) -> Ended:
        """Returns when the process has ended and everything it said has been taken."""
        self._start()
        try:
            if self.cancel and not self.cancel.watch(self._group):
                self._group.signal(signal.SIGTERM)
            self._read()
            self._await()
        except BaseException:  # a callback failed: the process must not outlive this call
            self._group.signal(signal.SIGKILL)
            raise
        finally:
            code = self._group.reap(self._process)
            for pipe in (self._process.stdout, self._process.stderr):
                if pipe:
                    pipe.close()
            if self.cancel:
                self.cancel.forget(self._group)
        return Ended(code, self._stalled, self.cancel.reason if self.cancel else None)

    def _start(self) -> None:
        """No preexec_fn and no user change: only so does subprocess take the fast vfork way."""
        source = subprocess.DEVNULL if self.stdin is None else _as_file(self.stdin)
        try:
            self._process = subprocess.Popen(
                self.command,
                stdin=source,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                env=self.environment,
                start_new_session=True,
                pass_fds=self.inherited,
            )
        finally:
            if source >= 0:
                os.close(source)
        self._group = Group(self._process.pid)
        self.handle.pid = self._process.pid
        self.handle.last_progress_at = self.clock()

    def _read(self) -> None:
        """Takes both outputs until they are closed, or held open by somebody else than the leader."""
        process = self._process
        assert process.stdout is not None  # noqa: S101  (for the type checker: both are PIPE)
        assert process.stderr is not None  # noqa: S101
        takers = {process.stdout.fileno(): self.on_stdout, process.stderr.fileno(): self.on_stderr}
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
        seen = bytes_moved(self._process.pid)
        if abs(seen - self._seen_bytes) > KEEPALIVE_BYTES:
            self._seen_bytes = seen
            self.handle.last_progress_at = now

    def _has_ended(self) -> bool:
        if not hasattr(os, "waitid"):
            return False
        ended = os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        return ended is not None

    def _await(self) -> None:
        """Waits for the leader without reaping it; the limits hold (it may have closed its outputs)."""
        try:
            descriptor = os.pidfd_open(self._process.pid)
        except (AttributeError, OSError):  # not Linux, a kernel before 5.3, or no descriptor left
            self._await_by_polling()
            return
        try:
            poller = select.poll()
            poller.register(descriptor, select.POLLIN)
            while not poller.poll(self._tick * 1000):
                self._check(self.clock())
        finally:
            os.close(descriptor)

    def _await_by_polling(self) -> None:
        while True:
            try:
                self._process.wait(self._tick)
            except subprocess.TimeoutExpired:
                self._check(self.clock())
            else:
                return


def _as_file(data: bytes) -> int:
    """A descriptor to read the data from: nothing has to be fed while the process runs."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("list", os.MFD_CLOEXEC)
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    with open(descriptor, "wb", closefd=False) as file:
        file.write(data)
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
