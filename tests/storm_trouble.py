"""What makes a storm: nodes that die, hang and refuse, a service that is killed, stopped and put to sleep, a source
that goes away, random writers. It knows nothing of what the service is; tests say how it starts and ends.

What the troublemaker and the writers do is a function of the seed; how it interleaves is not.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.conftest import children
from tests.servers_rsync import Daemon
from tests.trees import differences, tree, write

STOP_SECONDS = 5.0
BUSY_SECONDS = 3.0
"""More for a stop where writers, daemons and whatever else runs share the processors; a calm one is timed elsewhere."""


@dataclass
class Trouble(ABC):
    """The stand of a storm: a service over a publish directory and daemons, and everything that happens to it."""

    folder: Path
    root: Path
    daemons: dict[str, Daemon]
    seed: int
    random: random.Random
    service: subprocess.Popen[bytes] | None = None
    writers: list[subprocess.Popen[bytes]] = field(default_factory=list)
    away: dict[str, str] = field(default_factory=dict)
    did: list[str] = field(default_factory=list)
    kills: list[float] = field(default_factory=list)

    # ── the service ──────────────────────────────────────────────────────────────────────────────────────

    @abstractmethod
    def command(self) -> list[str]:
        """What starts the service."""

    @abstractmethod
    def accepting(self) -> bool:
        """Whether the service has started and would end cleanly."""

    def environment(self) -> dict[str, str] | None:
        """The service's environment; None: this process's."""
        return None

    def start(self) -> None:
        with (self.folder / "service.log").open("ab") as log:
            self.service = subprocess.Popen(
                self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=self.environment(), start_new_session=True,
            )  # fmt: skip

    def kill_service(self) -> None:
        """As a power cut would; its rsyncs, in groups of their own, end as their pipes do."""
        if self.service is not None:
            self.kills.append(time.time())
            self.service.send_signal(signal.SIGKILL)
            self.service.wait()
            self.service = None

    def stop_service(self) -> float:
        """How long a SIGTERM took."""
        assert self.service is not None
        began = time.monotonic()
        self.service.terminate()
        self.service.wait(60)
        seconds = time.monotonic() - began
        assert self.service.returncode == 0, f"the service ended with {self.service.returncode}"
        self.service = None
        return seconds

    # ── trouble ──────────────────────────────────────────────────────────────────────────────────────────

    def actions(self) -> list[tuple[Callable[[], None], int]]:
        """What may happen, and how often each does beside the others."""
        return [
            (self.node_goes, 5),
            (self.node_comes, 5),
            (self.service_dies, 2),
            (self.service_sleeps, 2),
            (self.service_ends, 1),
            (self.node_is_tampered_with, 2),
            (self.source_goes, 2),
            (self.rsync_dies, 2),
            (self.nothing, 3),
        ]

    def trouble(self) -> None:
        action = self.random.choices([a for a, _ in self.actions()], [w for _, w in self.actions()])[0]
        self.did.append(action.__name__)
        action()

    def node_goes(self) -> None:
        name = self.random.choice(tuple(self.daemons))
        if name in self.away:
            return
        how = self.random.choice(("killed", "hangs", "refuses"))
        self.away[name] = how
        daemon = self.daemons[name]
        if how == "killed":
            daemon.kill()
        elif how == "hangs":
            daemon.sigstop()
        else:
            (daemon.folder / "rsyncd.conf").write_text("hosts deny = *\n" + daemon.config)

    def node_comes(self, name: str | None = None) -> None:
        name = name or next(iter(self.away), None)
        if name is None:
            return
        how, daemon = self.away.pop(name), self.daemons[name]
        if how == "killed":
            daemon.start()
        elif how == "hangs":
            daemon.sigcont()
        else:
            (daemon.folder / "rsyncd.conf").write_text(daemon.config)

    def node_is_tampered_with(self) -> None:
        """Somebody else writes on a node: drift, found by an audit and repaired."""
        path = self.daemons[self.random.choice(tuple(self.daemons))].module_path
        with contextlib.suppress(OSError):
            files = sorted(p for p in path.iterdir() if p.is_file() and not p.is_symlink())
            if files:
                victim = self.random.choice(files)
                stat = victim.stat()
                victim.write_bytes(b"X" * stat.st_size)
                if self.random.random() < 0.5:  # only a checksum can tell
                    os.utime(victim, ns=(stat.st_atime_ns, stat.st_mtime_ns))
            (path / f"stranger-{len(self.did)}").write_text("not ours")

    def service_dies(self) -> None:
        self.kill_service()
        time.sleep(self.random.random())
        self.start()

    def service_ends(self) -> None:
        if self.accepting():
            assert self.stop_service() < STOP_SECONDS + BUSY_SECONDS
            time.sleep(self.random.random())
            self.start()

    def service_sleeps(self) -> None:
        """Its event queue overflows meanwhile: 16,384 events are not much. The writers leave what is called stable
        the kind it is; of a file of another name they had made a folder, or a link to nowhere.
        """
        assert self.service is not None
        self.service.send_signal(signal.SIGSTOP)
        try:
            folders = [self.root / "stable-0", self.root / "stable-1"]
            for number in range(5000):
                (folders[number % 2] / "stable-busy").write_text(str(number))
            time.sleep(self.random.random())
        finally:
            self.service.send_signal(signal.SIGCONT)

    def source_goes(self) -> None:
        """The whole publish directory is out of sight for a moment, as an unmounted file system is."""
        aside = self.folder / "aside"
        self.root.rename(aside)
        time.sleep(self.random.uniform(0, 1.5))
        with contextlib.suppress(FileNotFoundError):  # a writer made it anew, in the middle of a copy
            shutil.rmtree(self.root)
        aside.rename(self.root)

    def rsync_dies(self) -> None:
        """As the kernel ends what takes too much memory."""
        assert self.service is not None
        for pid in sorted(children(self.service.pid)):
            with contextlib.suppress(OSError):
                if b"rsync" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    os.kill(pid, signal.SIGKILL)
                    return

    def nothing(self) -> None:
        time.sleep(0.5)

    # ── the whole ────────────────────────────────────────────────────────────────────────────────────────

    def rage(self, seconds: float) -> None:
        outside = self.folder / "outside"
        outside.mkdir()
        for number in range(3):
            command = [sys.executable, "-m", "tests.storm_writer", str(self.root), str(outside)]
            command += [str(self.seed * 10 + number), str(seconds), "0.01"]
            self.writers.append(subprocess.Popen(command, stdin=subprocess.DEVNULL))
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(self.random.uniform(0.1, 0.9))
            self.trouble()
        for writer in self.writers:
            assert writer.wait(60) == 0

    def calm(self) -> None:
        for name in list(self.away):
            self.node_comes(name)

    def differing(self) -> list[str]:
        source = tree(self.root)
        source = {path: entry for path, entry in source.items() if not path.endswith(b".tmp")}
        return [
            f"{name}: {line}"
            for name, daemon in self.daemons.items()
            for line in differences(source, tree(daemon.module_path))
        ]

    def end(self) -> None:
        """Ends whatever still runs."""
        for writer in self.writers:
            if writer.poll() is None:
                writer.kill()
                writer.wait()
        self.kill_service()
        for daemon in self.daemons.values():
            daemon.sigcont()


def stable_tree(root: Path) -> None:
    """300 files that the writers leave alone, so that no accident looks like a lost source."""
    root.mkdir()
    for number in range(300):
        write(root, f"stable-{number % 5}/{number}", str(number))


def chroot() -> str:
    """What a module needs so that links are taken as they are: without chroot a daemon rewrites those that lead out
    of it.
    """
    return "    use chroot = yes" if os.getuid() == 0 else ""
