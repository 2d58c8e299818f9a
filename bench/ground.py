"""The ground that benchmarks stand on: a folder, source trees, one rsync daemon with a module per node."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

START_SECONDS = 20.0


@contextmanager
def folder(where: Path | None) -> Iterator[Path]:
    """A new folder on the ordinary disk, removed at the end."""
    path = Path(tempfile.mkdtemp(prefix="lockstep-bench-", dir=where))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def free_port() -> int:
    """A TCP port that is free just now."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port: int = s.getsockname()[1]
        return port


def make_tree(root: Path, files: int, per_directory: int, *, size_bytes: int = 600) -> None:
    """``files`` small files, ``per_directory`` to a directory, ten directories below each of the top level."""
    text = b"<!doctype html><title>page</title>" + b"x" * (size_bytes - 50)
    for number in range((files + per_directory - 1) // per_directory):
        directory = root / f"part-{number // 10:04d}" / f"section-{number % 10}"
        directory.mkdir(parents=True)
        for page in range(min(per_directory, files - number * per_directory)):
            (directory / f"page-{page:03d}.html").write_bytes(
                b"%08d" % (number * per_directory + page) + text
            )


class Daemon:
    """One rsyncd with many modules, on loopback. Ended by its process id."""

    def __init__(self, home: Path, modules: Mapping[str, Path], port: int | None = None) -> None:
        self.home, self.modules = home, dict(modules)
        self.port = port or free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Daemon:
        """Returns when it greets."""
        self.home.mkdir(parents=True, exist_ok=True)
        config = self.home / "rsyncd.conf"
        config.write_text(self._config())
        command = ["rsync", "--daemon", "--no-detach", f"--config={config}", "--address=127.0.0.1"]
        self._process = subprocess.Popen(
            [*command, f"--port={self.port}"], stdin=subprocess.DEVNULL, start_new_session=True
        )
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            try:
                with socket.create_connection(("127.0.0.1", self.port), 1) as connection:
                    if connection.recv(8) == b"@RSYNCD:":
                        return self
            except OSError:
                time.sleep(0.01)
        self.stop()
        raise RuntimeError(f"the benchmark's rsync daemon does not greet; see {self.home}/rsyncd.log")

    def stop(self) -> None:
        """Ends it with the processes of its connections."""
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def _config(self) -> str:
        lines = [
            "use chroot = no",
            "munge symlinks = no",
            "reverse lookup = no",
            "socket options = TCP_NODELAY",
            "listen backlog = 512",
            f"log file = {self.home}/rsyncd.log",
            f"lock file = {self.home}/rsyncd.lock",
        ]
        if os.getuid() == 0:
            lines += ["uid = 0", "gid = 0"]
        for name, path in self.modules.items():
            path.mkdir(parents=True, exist_ok=True)
            lines += [f"[{name}]", f"path = {path}", "read only = no"]
        return "\n".join(lines) + "\n"

    def runs(self) -> int:
        """How many rsync runs have reached a module so far (the daemon's log tells)."""
        log = self.home / "rsyncd.log"
        return log.read_bytes().count(b"] rsync to ") if log.exists() else 0


@contextmanager
def daemon(home: Path, modules: Mapping[str, Path]) -> Iterator[Daemon]:
    """A running daemon, ended at the end."""
    running = Daemon(home, modules).start()
    try:
        yield running
    finally:
        running.stop()
