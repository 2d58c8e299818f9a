"""Measures how long it takes the service to know that a node's daemon was killed."""

from __future__ import annotations

import random
import time
from pathlib import Path
from statistics import median

from bench.figures import Figure
from bench.ground import Daemon, make_tree
from bench.service import Service

READY_SECONDS = 5.0  # the default of health.sleep_times.ready


def measure(home: Path, nodes: int) -> list[Figure]:
    """Each of ``nodes`` daemons is killed once, at a time of its own."""
    source = home / "source"
    make_tree(source, 20, 10)
    daemons = {f"n{n}": Daemon(home / f"daemon-{n}", {"content": home / f"node-{n}"}) for n in range(nodes)}
    try:
        for each in daemons.values():
            each.start()
        to = {name: (each.port, "content") for name, each in daemons.items()}
        with Service(home / "service", source, to) as service:
            service.wait_in_sync(120)
            time.sleep(2 * READY_SECONDS)
            taken = _kill(service, daemons)
    finally:
        for each in daemons.values():
            each.stop()
    return [
        Figure(
            "death",
            "a node's daemon is killed until the service knows",
            median(taken),
            READY_SECONDS,
            None,
            f"median of {len(taken)}, against the interval between two observations",
            notes=(f"{min(taken):.2f} to {max(taken):.2f} s",),
        )
    ]


def _kill(service: Service, daemons: dict[str, Daemon]) -> list[float]:
    chance = random.Random(7)
    killed: dict[str, float] = {}
    for name, each in daemons.items():
        time.sleep(chance.uniform(0.1, 0.9))
        killed[name] = time.time()
        each.stop()
    flips = "SELECT node, at FROM event WHERE kind = 'flip' ORDER BY id"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        known: dict[str, float] = {}
        for node, at in service.rows(flips):
            if at >= killed[node]:
                known.setdefault(node, at)
        if len(known) == len(killed):
            return [known[name] - killed[name] for name in killed]
        time.sleep(0.5)
    raise TimeoutError("the service did not notice that daemons were killed")
