"""The storm: random writes while nodes die, hang and refuse and the service is killed and stopped. It ends alike.

Seeded: STORM_SEED and STORM_SECONDS choose; a failure prints the seed, what differs and how the service ended.
What the writers and the troublemaker do is a function of the seed; how it interleaves is not.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sync.core.model import Kind, Stat
from sync.core.scope import Scope
from sync.scan import scan
from tests.servers_rsync import Daemon, daemons  # noqa: F401
from tests.stand import sql_store, wait_until
from tests.storm_trouble import BUSY_SECONDS, STOP_SECONDS, Trouble, chroot, stable_tree
from tests.trees import write

SEED = int(os.environ.get("STORM_SEED", "1"))
SECONDS = float(os.environ.get("STORM_SECONDS", "8"))
NODES = ("a", "b", "c")
SETTLE_SECONDS = 90.0 + SECONDS / 4  # the longer it rages, the more there is to bring in line


@dataclass
class Storm(Trouble):
    """The content half by itself (tests/storm_service.py)."""

    overflows: int = 0
    settled_at: tuple[float, int] | None = None

    def command(self) -> list[str]:
        return [sys.executable, "-m", "tests.storm_service", str(self.folder)]

    def accepting(self) -> bool:
        return bool(self.status().get("accepting"))

    def status(self) -> dict[str, Any]:
        """The present service's newest status; empty before its first."""
        with contextlib.suppress(OSError, ValueError):
            found: dict[str, Any] = json.loads((self.folder / "status.json").read_text())
            if self.service is not None and found["pid"] == self.service.pid:
                self.overflows = max(self.overflows, found["overflows"])
                return found
        return {}

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

    def story(self) -> str:
        log = (self.folder / "service.log").read_text(errors="replace").splitlines()
        lines = [f"STORM_SEED={self.seed} STORM_SECONDS={SECONDS}", f"did: {' '.join(self.did)}"]
        lines += [json.dumps(self.status(), indent=1), "differences (source / node):", *self.differing()[:20]]
        return "\n".join([*lines, "…", *log[-60:]])


@pytest.fixture
def storm(tmp_path: Path, daemons: Callable[..., Daemon]) -> Iterator[Storm]:  # noqa: F811
    root = tmp_path / "publish"
    stable_tree(root)
    running = {name: daemons(module_extra=chroot()) for name in NODES}
    config = {"root": str(root), "nodes": [{"name": n, "port": d.port} for n, d in running.items()]}
    (tmp_path / "storm.json").write_text(json.dumps(config))
    made = Storm(tmp_path, root, running, SEED, random.Random(SEED))
    yield made
    made.end()


def manifest_differences(folder: Path, root: Path) -> tuple[list[str], list[str]]:
    """Where the stored manifest is not what stands in the tree, and apart from it where no event could tell.

    A write through another name of a file tells nothing of this one, and where that name came and went at once
    nobody knows of it: an audit finds it on a node that differs, and the next start in any case.
    """
    with sql_store(folder / "var") as store:
        rows = {row.path: row.stat for row in store.manifest()}
    found = dict(scan(os.fsencode(root), Scope(excludes=("*.tmp",))))
    lines = [f"{p!r} is not in the manifest" for p in found.keys() - rows.keys()]
    lines += [f"{p!r} is only in the manifest ({s.kind})" for p, s in rows.items() if p not in found]
    stale = [p for p, s in found.items() if p in rows and not rows[p].same_as(s)]
    linked = {p for p in stale if is_untold(rows[p], found[p], ever_linked(folder))}
    said = {p: f"{p!r}: {rows[p]} / {found[p]}" for p in stale}
    return lines + [said[p] for p in stale if p not in linked], [said[p] for p in stale if p in linked]


def ever_linked(folder: Path) -> set[int]:
    """The inodes that had several names at some time."""
    log = folder / "outside.linked"
    return {int(line) for line in log.read_text().split()} if log.exists() else set()


def is_untold(row: Stat, now: Stat, linked: set[int]) -> bool:
    return row.kind is now.kind is Kind.FILE and row.inode == now.inode and now.inode in linked


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
        assert storm.stop_service() < STOP_SECONDS + BUSY_SECONDS
    except AssertionError as error:
        pytest.fail(f"{error}\n{storm.story()}")
    wrong, untold = manifest_differences(storm.folder, storm.root)
    assert not wrong, "\n".join([storm.story(), "the manifest:", *wrong[:20]])
    if untold:
        storm.start()
        wait_until(storm.is_settled, SETTLE_SECONDS, "calm after another start", storm.story)
        assert storm.stop_service() < STOP_SECONDS + BUSY_SECONDS
        wrong, untold = manifest_differences(storm.folder, storm.root)
        assert not wrong + untold, "\n".join([storm.story(), "the manifest:", *wrong[:20], *untold[:20]])


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
    assert manifest_differences(storm.folder, storm.root) == ([], [])
