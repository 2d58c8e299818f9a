"""Measures a large publish of new small files to ten nodes: the service, a copy and rsync -a by hand, lsyncd."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

from bench import byhand
from bench.arrival import wait_for_files
from bench.figures import Figure, Samples
from bench.ground import Daemon, daemon, make_tree
from bench.lsyncd import Lsyncd, is_installed
from bench.service import Service

AT_ONCE = 16
LIMIT = 1.5
PAUSE_SECONDS = 1.5


def measure(home: Path, files: int, directories: int, nodes: int, rounds: int) -> list[Figure]:
    """Figures for one publish of so many files."""
    original = home / "original"
    make_tree(original, files, files // directories)
    names = sorted(str(p.relative_to(original)) for p in original.rglob("*") if p.is_file())
    who = ["service", "byhand", *(["lsyncd"] if is_installed() else [])]
    sources = {name: home / f"source-{name}" for name in who}
    for source in sources.values():
        make_tree(source, 40, 10)
    modules = {f"{name}{n}": home / f"nodes-{name}" / str(n) for name in who for n in range(nodes)}
    of = {name: [m for m in modules if m.startswith(name)] for name in who}
    samples, runs = Samples(), dict.fromkeys(who, 0)
    with daemon(home / "daemon", modules) as rsyncd, contextlib.ExitStack() as stack:
        to = {m: (rsyncd.port, m) for m in of["service"]}
        service = Service(home / "service", sources["service"], to, {"max_processes": AT_ONCE})
        stack.enter_context(service)
        service.wait_in_sync(120)
        for turn in range(rounds + 1):
            for name in who:
                folders = [modules[m] for m in of[name]]
                with contextlib.ExitStack() as rival:
                    if name == "lsyncd":
                        if not 1 <= turn <= max(1, rounds // 3):
                            continue  # it takes long, and is far away
                        at = home / f"lsyncd-{turn}"
                        rival.enter_context(Lsyncd(at, sources[name], rsyncd.port, of[name], AT_ONCE))
                    seconds, took = _round(
                        name, turn, original, sources[name], folders, names, rsyncd, of[name]
                    )
                if turn:
                    samples.add(name, seconds)
                    runs[name] = took
    return _figures(samples, runs, files, directories, nodes)


def _round(
    name: str,
    turn: int,
    original: Path,
    source: Path,
    folders: list[Path],
    names: list[str],
    rsyncd: Daemon,
    modules: list[str],
) -> tuple[float, int]:
    """Seconds from the first write to the last node, and the rsync runs it took."""
    time.sleep(PAUSE_SECONDS)
    new, before = f"publish-{turn}", rsyncd.runs()
    began = time.time()
    byhand.run_all([["cp", "-r", str(original), str(source / new)]], 1)
    if name == "byhand":
        options = ["-a", "--sockopts=TCP_NODELAY"]
        commands = [
            ["rsync", *options, f"{source / new}", f"rsync://127.0.0.1:{rsyncd.port}/{m}/"] for m in modules
        ]
        byhand.run_all(commands, AT_ONCE)
    ended = wait_for_files([folder / new for folder in folders], names, 300)
    time.sleep(PAUSE_SECONDS)  # runs that follow count as well
    return ended - began, rsyncd.runs() - before


def _figures(
    samples: Samples, runs: dict[str, int], files: int, directories: int, nodes: int
) -> list[Figure]:
    what = f"{files} new files in {directories} directories to {nodes} nodes"
    ours = samples.median("service")
    figures = [
        Figure(
            "burst",
            what,
            ours,
            samples.median("byhand"),
            LIMIT,
            "medians, from the first write to the last node, against the copy and then one rsync -a per node",
            notes=(
                samples.spread("service"),
                samples.spread("byhand"),
                f"rsync runs: {runs['service']} of the service, {runs['byhand']} by hand",
            ),
        )
    ]
    if "lsyncd" in samples.rounds:
        figures.append(
            Figure(
                "burst-lsyncd",
                f"{what}, lsyncd",
                ours,
                samples.median("lsyncd"),
                1.0,
                f"the same against lsyncd with delay = 0, {AT_ONCE} processes",
                notes=(samples.spread("lsyncd"), f"rsync runs of lsyncd: {runs['lsyncd']}"),
            )
        )
    return figures
