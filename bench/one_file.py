"""Measures one changed file on its way to N nodes: the service, the same rsyncs by hand, lsyncd, in turns."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path

from bench import byhand
from bench.arrival import Arrivals
from bench.figures import Figure, Samples
from bench.ground import daemon, make_tree
from bench.lsyncd import Lsyncd, is_installed
from bench.service import Service
from sync.core.args import Run
from sync.core.model import Form

AT_ONCE = 16
QUIET_SECONDS = 0.02  # the default of publish.quiet_seconds
PAUSE_SECONDS = 0.3
PAGE = "index.html"
LIMITS = {50: 1.25}
BELOW_LSYNCD = (50, 200)


def measure(home: Path, nodes: int, rounds: int) -> list[Figure]:
    """Figures for this number of nodes."""
    who = ["service", "byhand", *(["lsyncd"] if is_installed() else [])]
    sources = {name: home / f"source-{name}" for name in who}
    for source in sources.values():
        make_tree(source, 40, 10)
        (source / PAGE).write_text("first\n")
    modules = {f"{name}{n}": home / f"nodes-{name}" / str(n) for name in who for n in range(nodes)}
    with daemon(home / "daemon", modules) as rsyncd, contextlib.ExitStack() as stack:
        of = {name: [m for m in modules if m.startswith(name)] for name in who}
        service = Service(
            home / "service",
            sources["service"],
            {m: (rsyncd.port, m) for m in of["service"]},
            {"max_processes": AT_ONCE},
        )
        stack.enter_context(service)
        service.wait_in_sync(180)
        if "lsyncd" in who:
            stack.enter_context(
                Lsyncd(home / "lsyncd", sources["lsyncd"], rsyncd.port, of["lsyncd"], AT_ONCE)
            )
        whole = byhand.commands(Run(Form.EVERYTHING), sources["byhand"], rsyncd.port, of["byhand"])
        byhand.run_all(whole, AT_ONCE)
        samples = _take(sources, {n: [modules[m] for m in of[n]] for n in who}, rsyncd.port, of, rounds, home)
    return _figures(samples, nodes)


def _take(
    sources: dict[str, Path],
    folders: dict[str, list[Path]],
    port: int,
    modules: dict[str, list[str]],
    rounds: int,
    home: Path,
) -> Samples:
    listed = byhand.write_list(home / "list", [PAGE.encode()])
    commands = byhand.commands(Run(Form.FILES, (PAGE.encode(),)), sources["byhand"], port, modules["byhand"])
    watches = {name: Arrivals(there) for name, there in folders.items()}
    after: dict[str, Callable[[], object]] = {"byhand": lambda: byhand.run_all(commands, AT_ONCE, listed)}
    samples = Samples()
    for turn in range(rounds + 1):
        for name, watch in watches.items():
            time.sleep(PAUSE_SECONDS)
            watch.forget()
            began = time.perf_counter()
            # Another size each time: lsyncd's rsync takes two writes within a second for one if they are of one size.
            (sources[name] / PAGE).write_text(f"round {turn} of {name} {'.' * turn}\n")
            after.get(name, lambda: None)()
            ended = watch.wait(PAGE, 60)
            if turn:  # the first round warms caches
                samples.add(name, ended - began)
    for watch in watches.values():
        watch.close()
    return samples


def _figures(samples: Samples, nodes: int) -> list[Figure]:
    ours = samples.median("service")
    what = f"one file to {nodes} node{'s' * (nodes > 1)}"
    figures = [
        Figure(
            f"one-file-{nodes}",
            what,
            ours,
            samples.median("byhand") + QUIET_SECONDS,
            LIMITS.get(nodes),
            f"medians, from the write to the last node, against the same rsyncs by hand, {AT_ONCE} at once, "
            "plus quiet_seconds",
            notes=(samples.spread("service"), samples.spread("byhand")),
        )
    ]
    if "lsyncd" in samples.rounds:
        figures.append(
            Figure(
                f"one-file-{nodes}-lsyncd",
                f"{what}, lsyncd",
                ours,
                samples.median("lsyncd"),
                1.0 if nodes in BELOW_LSYNCD else None,
                f"the same against lsyncd with delay = 0, {AT_ONCE} processes",
                notes=(samples.spread("lsyncd"),),
            )
        )
    return figures
