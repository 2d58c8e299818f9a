"""Makes up an installation of 300 nodes: their configuration, and a month of history in the database."""

from __future__ import annotations

import json
import random
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from app.history import DAY, HOUR, MINUTE, NAMES

NODES, SERVICES = 300, 10
LINES = ("default", "telecom", "unicom", "mobile")
EVENTS, TRANSFERS = 100_000, 100_000
MINUTES, HOURS, DAYS = 26 * 60, 32 * 24, 365

Json = dict[str, Any]


def name(number: int) -> str:
    """The name of a made-up node."""
    return f"made-up-{number:03d}"


def with_crowd(config: Json, real: int) -> Json:
    """The configuration with so many nodes that there are 300, and services that are answered with them.

    None of them answers: their addresses are loopback's, where nothing listens at that port.
    """
    others = [
        {"name": name(n), "host": f"127.{1 + n // 250}.0.{1 + n % 250}", "port": 1}
        for n in range(NODES - real)
    ]
    zone = {"zone": {"kind": "zonefile", "path": str(Path(config["data_dir"]) / "zones")}}
    names = [node["name"] for node in config["nodes"]]
    services = [
        {
            "name": f"service-{n}", "provider": "zone", "zone": "example.com", "record": f"www{n}",
            "types": ["A"], "lines": {line: {"nodes": names} for line in LINES}, "allow_private": True,
        }
        for n in range(SERVICES)
    ]  # fmt: skip
    return {**config, "nodes": config["nodes"] + others, "dns": {"providers": zone, "services": services}}


def history(database: Path, now: float, name: Callable[[int], str] = name, minutes: int = MINUTES) -> None:
    """Events, transfers and samples of a month, as 300 nodes leave them; nothing else writes meanwhile."""
    with sqlite3.connect(database) as connection:
        connection.executemany(
            "INSERT INTO event (at, kind, severity, node, message, facts) VALUES (?, ?, ?, ?, ?, ?)",
            _events(now, name),
        )
        connection.executemany(
            "INSERT INTO transfer (at, node, form, outcome, code, seconds, files, bytes, deleted, message) "
            "VALUES (?, ?, 'files', 'done', 0, 0.3, 2, 4000, 0, '')",
            ((now - 30 * DAY * (1 - n / TRANSFERS), name(n % NODES)) for n in range(TRANSFERS)),
        )
        marks = ", ".join("?" * (3 + len(NAMES)))
        connection.executemany(
            f"INSERT OR IGNORE INTO sample (node, span, at, {', '.join(NAMES)}) VALUES ({marks})",
            _samples(int(now), name, minutes),
        )
    connection.close()


def _events(now: float, name: Callable[[int], str]) -> Iterator[tuple[object, ...]]:
    chance = random.Random(3)
    facts = json.dumps({"from": "ready", "to": "unhealth"})
    for n in range(EVENTS):
        at = now - 30 * DAY * (1 - n / EVENTS)
        kind = chance.choice(("flip", "flip", "audit", "batch", "resync"))
        yield at, kind, "warning", name(chance.randrange(NODES)), "rsync: no answer at 127.0.0.1:1", facts


def _samples(now: int, name: Callable[[int], str], minutes: int) -> Iterator[tuple[object, ...]]:
    for span, count in ((MINUTE, minutes), (HOUR, HOURS), (DAY, DAYS)):
        values = [float(span) if field == "ready" else 1 for field in NAMES]
        for number in range(NODES):
            for back in range(1, count):
                yield name(number), span, now // span * span - back * span, *values
