"""The storm: random writes while nodes die, hang and refuse and the service is killed and stopped. It ends alike.

Seeded: STORM_SEED and STORM_SECONDS choose; a failure prints the seed, what differs and how the service ended.
What the writers and the troublemaker do is a function of the seed; how it interleaves is not.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from sync.core.model import Stat
from sync.core.scope import Scope
from sync.scan import scan
from tests.conftest import children
from tests.servers_rsync import Daemon, daemons  # noqa: F401
from tests.stand import sql_store, wait_until
from tests.trees import differences, tree, write

SEED = int(os.environ.get("STORM_SEED", "1"))
SECONDS = float(os.environ.get("STORM_SECONDS", "8"))
NODES = ("a", "b", "c")
SETTLE_SECONDS = 90.0
STOP_SECONDS = 5.0


@dataclass
class Storm:
    folder: Path
    root: Path
    daemons: dict[str, Daemon]
    seed: int
    random: random.Random
    service: subprocess.Popen[bytes] | None = None
    writers: list[subprocess.Popen[bytes]] = field(default_factory=list)
    away: dict[str, str] = field(default_factory=dict)
    did: list[str] = field(default_factory=list)
    overflows: int = 0
    settled_at: tuple[float, int] | None = None

    # ── the service ──────────────────────────────────────────────────────────────────────────────────────

    def start(self) -> None:
        log = (self.folder / "service.log").open("ab")
        self.service = subprocess.Popen(
            [sys.executable, "-m", "tests.storm_service", str(self.folder)],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
        log.close()

    def kill_service(self) -> None:
        """As a power cut would, but for its rsyncs, in groups of their own: the next start ends them."""
        if self.service is not None:
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

    def status(self) -> dict[str, Any]:
        """The present service's newest status; empty before its first."""
        with contextlib.suppress(OSError, ValueError):
            found: dict[str, Any] = json.loads((self.folder / "status.json").read_text())
            if self.service is not None and found["pid"] == self.service.pid:
                self.overflows = max(self.overflows, found["overflows"])
                return found
        return {}

    # ── trouble ──────────────────────────────────────────────────────────────────────────────────────────

    def trouble(self) -> None:
        action = self.random.choices(
            [self.node_goes, self.node_comes, self.service_dies, self.service_sleeps, self.service_ends,
             self.node_is_tampered_with, self.source_goes, self.rsync_dies, self.nothing],
            [5, 5, 2, 2, 1, 2, 2, 2, 3],
        )[0]  # fmt: skip
        self.did.append(action.__name__)
        action()

    def node_goes(self) -> None:
        name = self.random.choice(NODES)
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
        path = self.daemons[self.random.choice(NODES)].module_path
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
        if self.status().get("accepting"):
            assert self.stop_service() < STOP_SECONDS + 3  # on a busy machine
            time.sleep(self.random.random())
            self.start()

    def service_sleeps(self) -> None:
        """Its event queue overflows meanwhile: 16,384 events are not much."""
        assert self.service is not None
        self.service.send_signal(signal.SIGSTOP)
        try:
            folders = [self.root / "stable-0", self.root / "stable-1"]
            for number in range(5000):
                (folders[number % 2] / "busy").write_text(str(number))
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

    def is_settled(self) -> bool:
        """Whether all is alike and at head, and was so already in an earlier status: one may be from before."""
        status = self.status()
        if not self._looks_settled(status):
            self.settled_at = None
            return False
        if self.settled_at is None or status["head"] != self.settled_at[1]:
            self.settled_at = (status["at"], status["head"])
        return bool(status["at"] > self.settled_at[0])

    def _looks_settled(self, status: dict[str, Any]) -> bool:
        if not status or not status["accepting"] or status["pending"] or status["held"]:
            if status and status["fault"]:
                (self.folder / "accept").touch()
            return False
        if any(n["dustbin"] for n in status["nodes"].values()):
            (self.folder / "retry").touch()
        return (
            all(
                n["state"] == "ready" and n["in_sync"] and n["cursor"] == status["head"] and not n["dustbin"]
                for n in status["nodes"].values()
            )
            and not self.differing()
        )

    def differing(self) -> list[str]:
        source = tree(self.root)
        source = {path: entry for path, entry in source.items() if not path.endswith(b".tmp")}
        return [
            f"{name}: {line}"
            for name, daemon in self.daemons.items()
            for line in differences(source, tree(daemon.module_path))
        ]

    def story(self) -> str:
        log = (self.folder / "service.log").read_text(errors="replace").splitlines()
        lines = [f"STORM_SEED={self.seed} STORM_SECONDS={SECONDS}", f"did: {' '.join(self.did)}"]
        lines += [json.dumps(self.status(), indent=1), "differences (source / node):", *self.differing()[:20]]
        return "\n".join([*lines, "…", *log[-60:]])


@pytest.fixture
def storm(tmp_path: Path, daemons: Callable[..., Daemon]) -> Iterator[Storm]:  # noqa: F811
    root = tmp_path / "publish"
    root.mkdir()
    for number in range(300):  # so that no accident looks like a lost source
        write(root, f"stable-{number % 5}/{number}", str(number))
    # Without chroot a daemon rewrites the targets of symlinks that lead out of the module.
    chroot = "    use chroot = yes" if os.getuid() == 0 else ""
    running = {name: daemons(module_extra=chroot) for name in NODES}
    config = {"root": str(root), "nodes": [{"name": n, "port": d.port} for n, d in running.items()]}
    (tmp_path / "storm.json").write_text(json.dumps(config))
    made = Storm(tmp_path, root, running, SEED, random.Random(SEED))
    yield made
    for writer in made.writers:
        if writer.poll() is None:
            writer.kill()
            writer.wait()
    made.kill_service()
    for daemon in running.values():
        daemon.sigcont()


def manifest_differences(folder: Path, root: Path) -> list[str]:
    """Where the stored manifest is not what stands in the tree."""
    with sql_store(folder / "var") as store:
        rows = {row.path: row.stat for row in store.manifest()}
    found = dict(scan(os.fsencode(root), Scope(excludes=("*.tmp",))))
    lines = [f"{p!r} is not in the manifest" for p in found.keys() - rows.keys()]
    lines += [f"{p!r} is only in the manifest ({s.kind})" for p, s in rows.items() if p not in found]
    lines += [f"{p!r}: {rows[p]} / {s}" for p, s in found.items() if p in rows and not same(rows[p], s)]
    return lines


def same(row: Stat, now: Stat) -> bool:
    """Whether the row is right. What comes through another name of the file is found by the next audit only, and
    that another name came and went, at once, changes nothing but its ctime.
    """
    if row.links > 1 or now.links > 1:
        return row.kind is now.kind
    return row.same_as(now._replace(ctime_ns=row.ctime_ns))


@pytest.mark.storm
@pytest.mark.timeout(SECONDS + SETTLE_SECONDS + 120)
def test_whatever_happens_in_a_storm_all_nodes_end_up_alike(storm: Storm) -> None:
    storm.start()
    wait_until(lambda: storm.status().get("accepting"), 30, "the service started")
    storm.rage(SECONDS)
    storm.calm()
    if storm.service is None:
        storm.start()
    try:
        wait_until(storm.is_settled, SETTLE_SECONDS, "calm after the storm")
        assert storm.stop_service() < STOP_SECONDS
    except AssertionError as error:
        pytest.fail(f"{error}\n{storm.story()}")
    wrong = manifest_differences(storm.folder, storm.root)
    assert not wrong, "\n".join([storm.story(), "the manifest:", *wrong[:20]])


def test_changes_during_an_overflow_of_the_event_queue_arrive(storm: Storm) -> None:
    storm.start()
    wait_until(storm.is_settled, 60, "all alike")
    assert storm.service is not None
    storm.service.send_signal(signal.SIGSTOP)
    try:
        limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
        one, other = storm.root / "stable-0/busy", storm.root / "stable-1/busy"
        one.touch()
        other.touch()
        for _ in range(limit // 2 + 100):  # neighbours that are alike would be one event
            one.chmod(0o600)
            other.chmod(0o600)
        write(storm.root, "told/to/nobody.txt", "x")
        (storm.root / "stable-2").rename(storm.root / "moved")
        (storm.root / "stable-3/3").unlink()
    finally:
        storm.service.send_signal(signal.SIGCONT)
    wait_until(storm.is_settled, 60, "all alike again", storm.story)
    assert storm.overflows >= 1
    assert storm.stop_service() < STOP_SECONDS
    assert not manifest_differences(storm.folder, storm.root)
