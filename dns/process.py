"""Runs one program to its end within limits of time and output. Never through a shell, never without an end.

The program leads a process group of its own, so that at the limit its children go with it. Its input comes
from a file, not a pipe: a program that never reads it cannot make us wait.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

GRACE_SECONDS = 1.0  # between SIGTERM and SIGKILL
_TICK_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Finished:
    """How a program ended. ``code`` is None when it did not start or was ended by us; ``trouble`` says why
    then.

    ``output`` and ``errors`` hold the first ``output_bytes`` of each stream.
    """

    code: int | None
    output: bytes
    errors: bytes
    seconds: float
    trouble: str | None = None

    @property
    def ok(self) -> bool:
        """Whether it ended by itself with status 0."""
        return self.code == 0 and self.trouble is None


_PASSED_ON = (
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "TMPDIR",
    "LANG",
    "LANGUAGE",
    "LC_ALL",
    "LC_CTYPE",
    "TZ",
)


def plain_environment(facts: Mapping[str, str]) -> dict[str, str]:
    """The environment for an operator's program: what every program needs, and the facts.

    Not the service's own: that may hold the keys of providers and channels, which are nobody else's business.
    NUL bytes, which no environment can hold, become U+FFFD.
    """
    passed = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    return passed | {name: value.replace("\0", "\ufffd") for name, value in facts.items()}


def run_program(
    argv: Sequence[str],
    *,
    timeout_seconds: float,
    stdin: bytes = b"",
    environment: Mapping[str, str] | None = None,
    directory: Path | None = None,
    output_bytes: int = 4096,
    merge_errors: bool = False,
    stop: threading.Event | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Finished:
    """The program's end; never raises for what the program or the system does.

    ``environment`` is the whole environment when given. ``merge_errors`` sends stderr into ``output``.
    ``stop`` set from another thread ends the program as the time limit would.
    """
    began = clock()
    with tempfile.TemporaryFile() as source:
        source.write(stdin)
        source.seek(0)
        try:
            process = subprocess.Popen(
                list(argv),
                stdin=source,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT if merge_errors else subprocess.PIPE,
                env=None if environment is None else dict(environment),
                cwd=directory,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            return Finished(None, b"", b"", clock() - began, _not_started(argv, error))
    streams = _Streams(process, output_bytes)
    try:
        trouble = _await_end(process, streams, began + timeout_seconds, stop, clock)
        if trouble is not None:
            end_group(process)
            trouble = (
                f"{argv[0]} {trouble} {timeout_seconds:g} s" if trouble == "did not end within" else trouble
            )
        streams.drain()
    finally:
        streams.close()
    code = process.returncode if trouble is None else None
    return Finished(code, bytes(streams.output), bytes(streams.errors), clock() - began, trouble)


def _not_started(argv: Sequence[str], error: OSError | ValueError) -> str:
    if isinstance(error, FileNotFoundError):
        return f"{argv[0]} does not exist; give its full path, or install it"
    if isinstance(error, PermissionError):
        return f"{argv[0]} may not be executed; chmod +x it, or check the service's user"
    return f"{argv[0]} could not be started: {error}"


def _await_end(
    process: subprocess.Popen[bytes],
    streams: _Streams,
    deadline: float,
    stop: threading.Event | None,
    clock: Callable[[], float],
) -> str | None:
    """None when the process ended by itself, else what ended the waiting. Its streams are read meanwhile."""
    while process.poll() is None:
        left = deadline - clock()
        if left <= 0:
            return "did not end within"
        if stop is not None and stop.is_set():
            return "was ended because the service stops"
        streams.read_for(min(left, _TICK_SECONDS), process)
    return None


def end_group(process: subprocess.Popen[bytes]) -> None:
    """Ends the process and its whole group: asks first, then insists. Returns when the process is reaped."""
    for sign, patience in ((signal.SIGTERM, GRACE_SECONDS), (signal.SIGKILL, None)):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, sign)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(patience)
    # the leader is gone; SIGKILL above also reached those of its children that ignored SIGTERM


class _Streams:
    """Both output streams of one process, read without waiting; what exceeds the limit is read and
    dropped.
    """

    def __init__(self, process: subprocess.Popen[bytes], limit: int) -> None:
        self._limit = limit
        self.output = bytearray()
        self.errors = bytearray()
        self._selector = selectors.DefaultSelector()
        self._files: list[IO[bytes]] = []
        for stream, kept in ((process.stdout, self.output), (process.stderr, self.errors)):
            if stream is not None:
                os.set_blocking(stream.fileno(), False)
                self._selector.register(stream, selectors.EVENT_READ, kept)
                self._files.append(stream)

    def read_for(self, seconds: float, process: subprocess.Popen[bytes]) -> None:
        """Reads what comes within this time, or waits for the process when both streams are closed."""
        if not self._selector.get_map():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(seconds)
            return
        for key, _ in self._selector.select(seconds):
            self._take(key)

    def drain(self) -> None:
        """Reads what is already there; a child that outlives the program and holds the pipe is not waited
        for.
        """
        for _ in range(64):
            ready = self._selector.select(0) if self._selector.get_map() else []
            if not ready:
                return
            for key, _events in ready:
                self._take(key)

    def _take(self, key: selectors.SelectorKey) -> None:
        try:
            data = os.read(key.fd, 65536)
        except BlockingIOError:
            return
        if not data:
            self._selector.unregister(key.fileobj)
            return
        kept: bytearray = key.data
        kept += data[: max(0, self._limit - len(kept))]

    def close(self) -> None:
        self._selector.close()
        for file in self._files:
            file.close()
