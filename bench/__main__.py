"""The benchmarks: `python -m bench` runs all and writes bench/RESULTS.md, `python -m bench NAME…` runs some.

Every figure is a ratio taken in one run, ours and the baseline in turns on the same machine.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from bench import burst, dashboard, death, dns_failover, dns_plan, large, machine, one_file
from bench.figures import Figure, details, table
from bench.ground import folder

RESULTS = Path(__file__).with_name("RESULTS.md")
NAMES = (
    "one-file",
    "burst",
    "resync",
    "idle",
    "restart",
    "crash",
    "death",
    "dns",
    "dns-failover",
    "dashboard",
)


def main() -> int:
    """0: all limits kept; 1: some were not."""
    options = _options()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(143))  # ends what was started
    began = datetime.now(UTC)
    machine_facts = machine.facts()
    figures: list[Figure] = []
    for name, measure in _chosen(options):
        say(f"{name} …")
        started = time.monotonic()
        with folder(options.folder) as home:
            found = measure(home)
        figures += found
        say(table(found))
        say(f"({name} took {time.monotonic() - started:.0f} s)")
    text = report(figures, machine_facts, began)
    print(text)
    if options.write or not options.names:
        RESULTS.write_text(text, encoding="utf-8")
    return 1 if any(figure.met is False for figure in figures) else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"any of {', '.join(NAMES)}; none: all")
    parser.add_argument("--quick", action="store_true", help="smaller sizes and fewer rounds")
    parser.add_argument("--nodes", type=int, action="append", help="one-file: so many nodes (1, 10, 50, 200)")
    parser.add_argument("--rounds", type=int, help="rounds of each contender")
    parser.add_argument("--files", type=int, help="files of the large tree (100,000)")
    parser.add_argument("--burst-files", type=int, help="files of the burst (5,000)")
    parser.add_argument("--idle-seconds", type=float, help="how long idling is watched (90)")
    parser.add_argument("--folder", type=Path, help="where to make the trees (default: the system's)")
    parser.add_argument("--write", action="store_true", help="write RESULTS.md though only some were run")
    options = parser.parse_args()
    if unknown := set(options.names) - set(NAMES):
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}; there are: {', '.join(NAMES)}")
    return options


def _chosen(options: argparse.Namespace) -> list[tuple[str, Callable[[Path], list[Figure]]]]:
    wanted = options.names or list(NAMES)
    quick = options.quick
    chosen: list[tuple[str, Callable[[Path], list[Figure]]]] = []
    if "one-file" in wanted:
        for nodes in options.nodes or [1, 10, 50, 200]:
            rounds = options.rounds or (5 if quick else max(10, min(30, 1500 // nodes)))
            chosen.append((f"one-file {nodes}", lambda home, n=nodes, r=rounds: one_file.measure(home, n, r)))
    if "burst" in wanted:
        files = options.burst_files or (1000 if quick else 5000)
        rounds = options.rounds or (2 if quick else 7)
        chosen.append(("burst", lambda home: burst.measure(home, files, max(1, files // 25), 10, rounds)))
    if among := [name for name in wanted if name in ("resync", "idle", "restart", "crash")]:
        chosen.append((" ".join(among), lambda home: _large(home, options, among)))
    if "death" in wanted:
        chosen.append(("death", lambda home: death.measure(home, 5 if quick else 20)))
    if "dns" in wanted:
        chosen.append(("dns", lambda home: dns_plan.measure()))
    if "dns-failover" in wanted:
        chosen.append(("dns-failover", lambda home: dns_failover.measure(home, 5 if quick else 20)))
    if "dashboard" in wanted:
        rounds, seconds = (2, 10.0) if quick else (options.rounds or 4, 20.0)
        chosen.append(("dashboard", lambda home: dashboard.measure(home, rounds, seconds)))
    return chosen


def _large(home: Path, options: argparse.Namespace, wanted: list[str]) -> list[Figure]:
    files = options.files or (10_000 if options.quick else 100_000)
    seconds = options.idle_seconds or (20 if options.quick else 90)
    rounds = options.rounds or (2 if options.quick else 5)
    figures: list[Figure] = []
    with large.ground(home, files, seconds) as on:
        if "resync" in wanted:
            figures += large.resync(on, rounds)
        if set(wanted) != {"resync"}:
            figures += large.crowd(on, rounds, wanted)
    return figures


def report(figures: list[Figure], machine_facts: list[str], began: datetime) -> str:
    """RESULTS.md."""
    facts = "\n".join(f"- {fact}" for fact in machine_facts)
    return (
        "# Benchmarks\n\n"
        "Written by `make bench`. Each figure is a ratio: ours over the baseline, taken in turns in one run on one\n"
        "machine, with the service, the rsync daemons and what they are compared with all on that machine.\n\n"
        f"{began:%Y-%m-%d %H:%M} UTC\n\n{facts}\n\n{table(figures)}\n\n## How\n\n{details(figures)}\n"
    )


def say(text: str) -> None:
    """Progress, for people."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
