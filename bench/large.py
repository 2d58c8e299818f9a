"""Measures what a large tree and many nodes cost: full resync, idling, clean restart, start after a crash.

All modules of the daemon lead to one copy of the tree, since nothing is written there: fifty copies would be
five million files. rsync on both sides does for every node what it would do for a copy of its own.
"""

from __future__ import annotations

import contextlib
import resource
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench import byhand
from bench.figures import Figure, Samples
from bench.ground import Daemon, daemon, make_tree
from bench.service import ROOT, Service
from sync.core.args import Run
from sync.core.model import Form

NODES, RESYNC_NODES = 50, 10
AT_ONCE_RECOVERY, AT_ONCE_INIT = 6, 12  # the defaults of sync.max_recovery and sync.max_init
AUDIT_SECONDS, DEEP_AUDIT_SECONDS = 1800, 86_400  # the defaults
RESYNC_LIMIT, IDLE_LIMIT = 1.1, 0.04
RESIDENT_MB = 200.0
PER_DIRECTORY = 10

SCAN = """
import sys, time
from sync.scan import scan
from sync.core.scope import Scope
began = time.perf_counter()
for _ in scan(sys.argv[1].encode(), Scope(excludes=("*.git", "*.svn", "*.tmp", ".~tmp~/"))): pass
print(time.perf_counter() - began)
"""


@dataclass(frozen=True)
class Large:
    """A large tree, and its copy behind fifty modules."""

    home: Path
    publish: Path
    rsyncd: Daemon
    files: int
    seconds: float

    def service(self, name: str, nodes: int) -> Service:
        """A service over the tree with so many nodes."""
        to = {f"n{n}": (self.rsyncd.port, f"n{n}") for n in range(nodes)}
        return Service(self.home / name, self.publish, to)


@contextmanager
def ground(home: Path, files: int, seconds: float) -> Iterator[Large]:
    """The tree and the daemon; ``seconds`` is how long idling is watched."""
    publish, copy = home / "publish", home / "copy"
    make_tree(publish, files, PER_DIRECTORY)
    with daemon(home / "daemon", {f"n{n}": copy for n in range(NODES)}) as rsyncd:
        first = byhand.commands(Run(Form.EVERYTHING), publish, rsyncd.port, ["n0"])
        byhand.run_all(first, 1)
        yield Large(home, publish, rsyncd, files, seconds)


def resync(on: Large, rounds: int) -> list[Figure]:
    """A full resync of unchanged files to ten nodes."""
    samples = Samples()
    modules = [f"n{n}" for n in range(RESYNC_NODES)]
    run = Run(Form.EVERYTHING, max_delete=100)
    commands = byhand.commands(run, on.publish, on.rsyncd.port, modules, progress=True)
    with on.service("resync", RESYNC_NODES) as service:
        service.wait_in_sync(600)
        for _ in range(rounds):
            samples.add("service", _resynced(service))
            samples.add("byhand", byhand.timed(commands, AT_ONCE_RECOVERY))
    return [
        Figure(
            "resync",
            f"full resync of {on.files} unchanged files to {RESYNC_NODES} nodes",
            samples.median("service"),
            samples.median("byhand"),
            RESYNC_LIMIT,
            f"medians, against the same rsyncs by hand, as many at once ({AT_ONCE_RECOVERY})",
            notes=(samples.spread("service"), samples.spread("byhand")),
        )
    ]


def _resynced(service: Service) -> float:
    """Seconds from asking until the last run has ended, by the service's own record."""
    count = "SELECT count(*), max(at) FROM transfer WHERE form = 'everything'"
    before, began = service.rows(count)[0][0], time.time()
    service.ask("resync", names=[])
    while True:
        done, ended = service.rows(count)[0]
        if done - before >= len(service.nodes):
            return float(ended) - began
        time.sleep(0.1)


def crowd(on: Large, rounds: int, wanted: Sequence[str]) -> list[Figure]:
    """Idling, clean restart and start after kill -9, with fifty nodes."""
    figures: list[Figure] = []
    with contextlib.ExitStack() as stack:
        service = stack.enter_context(on.service("crowd", NODES))
        service.wait_in_sync(1800)
        if "idle" in wanted:
            figures += _idle(on, service)
        if "restart" in wanted:
            figures.append(_restart(on, service, rounds))
        if "crash" in wanted:
            figures.append(_crash(on, service))
    return figures


def _idle(on: Large, service: Service) -> list[Figure]:
    service.stop()  # idling after an ordinary start, not after the first introduction of fifty nodes
    service.start()
    service.wait_in_sync(600)
    time.sleep(5)
    before, began = service.cpu_seconds(), time.perf_counter()
    time.sleep(on.seconds)
    watched = (service.cpu_seconds() - before) / (time.perf_counter() - began)
    resident = service.resident_mb()
    audit, deep = (_audit_cpu(on, form) for form in (Form.AUDIT, Form.DEEP_AUDIT))
    audits = NODES * audit / AUDIT_SECONDS
    deeps = NODES * deep / DEEP_AUDIT_SECONDS
    what = f"idle with {NODES} nodes and {on.files} files"
    return [
        Figure(
            "idle",
            f"{what}: processor",
            watched + audits + deeps,
            1.0,
            IDLE_LIMIT,
            f"service and its children over {on.seconds:.0f} s with default probes, in which no audit fell, "
            f"plus the audits' share by their measured cost, against one core",
            unit="cores",
            notes=(
                f"watched: {watched * 100:.2f} % of a core",
                f"audits: {audit:.2f} s each for {NODES} nodes every {AUDIT_SECONDS} s: {audits * 100:.2f} %",
                f"deep audits: {deep:.2f} s each every {DEEP_AUDIT_SECONDS} s: {deeps * 100:.2f} %",
            ),
        ),
        Figure(
            "resident",
            f"{what}: resident memory",
            resident,
            RESIDENT_MB,
            1.0,
            f"VmRSS of the service's process, against {RESIDENT_MB:.0f} MB",
            unit="MB",
        ),
    ]


def _audit_cpu(on: Large, form: Form) -> float:
    """Processor seconds of one audit's rsync on this side."""
    commands = byhand.commands(Run(form, delete=True), on.publish, on.rsyncd.port, ["n0"])
    taken = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        byhand.run_all(commands, 1)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        taken.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return median(taken)


def _scan_seconds(on: Large) -> float:
    """One scan of the tree by the service's own code, in a process of its own."""
    said = subprocess.run(
        [sys.executable, "-c", SCAN, str(on.publish)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return float(said.stdout)


def _restart(on: Large, service: Service, rounds: int) -> Figure:
    samples, stops = Samples(), []
    for _ in range(rounds):
        stops.append(service.stop())
        samples.add("scan", _scan_seconds(on))
        began = service.start()
        samples.add("service", service.wait_in_sync(600) - began)
    scan = samples.median("scan")
    return Figure(
        "restart",
        f"clean restart with {on.files} files and {NODES} nodes until all are in sync",
        samples.median("service"),
        2 * scan + 3,
        1.0,
        f"medians, from starting the process, against 2 × one scan of the tree ({scan:.2f} s) + 3 s",
        notes=(
            samples.spread("service"),
            samples.spread("scan"),
            f"stopping took at most {max(stops):.2f} s",
        ),
    )


def _crash(on: Large, service: Service) -> Figure:
    commands = byhand.commands(
        Run(Form.EVERYTHING), on.publish, on.rsyncd.port, [f"n{n}" for n in range(NODES)]
    )
    service.kill()
    hand = byhand.timed(commands, AT_ONCE_INIT)
    began = service.start()
    ours = service.wait_in_sync(1800) - began
    return Figure(
        "crash",
        f"start after kill -9 with {on.files} files and {NODES} nodes until all are in sync",
        ours,
        hand,
        None,
        f"from starting the process, against full resyncs of all nodes by hand, {AT_ONCE_INIT} at once",
    )
