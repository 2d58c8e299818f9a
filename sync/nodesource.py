"""Runs the node source, a program that prints the nodes; never judges what it printed, leaves nothing behind.

The program gets no shell, no stdin and a process group of its own. However the run ends, the whole group is
killed: a child it left in the background would pile up with every cycle.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence

from sync.core.nodelist import Failure, Fetch

TIMEOUT_SECONDS = 30.0
MOST_BYTES = 1_048_576
STDERR_BYTES = 2_000
POLL_SECONDS = 0.05
EXIT_SECONDS = 1.0


def fetch(
    argv: Sequence[str],
    *,
    timeout_seconds: float = TIMEOUT_SECONDS,
    most_bytes: int = MOST_BYTES,
    stop: threading.Event | None = None,
    cwd: str | None = None,
    env: Mapping[str, str] | None = None,
    timer: Callable[[], float] = time.monotonic,
) -> Fetch | Failure:
    """What the program printed, or why there is no answer: not started, failed, too late, too much, stopped.

    Blocks for at most timeout_seconds plus a second. The arguments stand in no message: they may be secrets.
    """
    if not argv:
        return Failure("the node source has no command")
    try:
        process = subprocess.Popen(
            list(argv),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            cwd=cwd,
            env=None if env is None else dict(env),
        )
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "the command holds a null byte"
        return Failure(f"the node source {argv[0]!r} could not be started: {reason}")
    run = _Run(process, most_bytes)
    try:
        reason = run.read(timer() + timeout_seconds, timer, stop or threading.Event())
    finally:
        run.end()
    if reason == _LATE:
        reason = f"did not end in {timeout_seconds:g} s and was killed"
    if reason is None and process.returncode != 0:
        reason = _status(process.returncode)
    if reason is not None:
        return Failure(f"the node source {argv[0]!r} {reason}", run.stderr_tail)
    return Fetch(bytes(run.stdout))


_LATE = "late"


def _status(code: int) -> str:
    if code > 0:
        return f"ended with status {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"


class _Run:
    """One process with its two pipes; owned by the thread that calls `fetch`."""

    def __init__(self, process: subprocess.Popen[bytes], most_bytes: int) -> None:
        self.stdout = bytearray()
        self._stderr = bytearray()
        self._process = process
        self._most_bytes = most_bytes
        self._selector = selectors.DefaultSelector()
        for pipe in (process.stdout, process.stderr):
            assert pipe is not None  # noqa: S101 - for the type checker: both are pipes
            os.set_blocking(pipe.fileno(), False)
            self._selector.register(pipe, selectors.EVENT_READ)

    @property
    def stderr_tail(self) -> str:
        """The last lines of stderr, printable."""
        text = bytes(self._stderr).decode("utf-8", "replace").strip()
        return "".join(c if c.isprintable() or c == "\n" else "?" for c in text)

    def read(self, deadline: float, timer: Callable[[], float], stop: threading.Event) -> str | None:
        """Reads until the program has ended; says why not, or None.

        The end of the program counts, not that of its pipes: a child in the background may hold them open.
        """
        while True:
            ended = self._has_ended()
            if not self._take(0.0 if ended else min(POLL_SECONDS, max(deadline - timer(), 0.0))) and ended:
                return None
            if len(self.stdout) > self._most_bytes:
                return f"printed more than {self._most_bytes} bytes and was killed"
            if stop.is_set():
                return "was ended, because the service is stopping"
            if timer() >= deadline:
                return _LATE

    def _has_ended(self) -> bool:
        """Whether the program has ended; it is not reaped yet, so that its group's id stays its own."""
        options = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, self._process.pid, options) is not None

    def end(self) -> None:
        """Kills the group and closes the pipes; idempotent."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._selector.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(EXIT_SECONDS)
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()

    def _take(self, seconds: float) -> bool:
        """Reads what there is, waiting for it that long; whether there was anything."""
        found = False
        for key, _ in self._selector.select(seconds):
            data = os.read(key.fd, 65536)
            if not data:
                self._selector.unregister(key.fileobj)
            elif key.fileobj is self._process.stdout:
                self.stdout += data
            else:
                self._stderr = (self._stderr + data)[-STDERR_BYTES:]
            found = found or bool(data)
        return found
