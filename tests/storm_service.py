"""The content half as a process of its own, to be killed, stopped and started again by the storm.

    python -m tests.storm_service FOLDER

FOLDER/storm.json says what to run; FOLDER/status.json is written anew several times a second; a file
FOLDER/accept or FOLDER/retry is taken as that command and removed. SIGTERM ends it cleanly.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

from sync.core.args import RsyncOptions
from sync.core.health import HealthRules, SleepTimes
from sync.core.model import Destination
from sync.core.scope import Scope
from sync.engine import Engine, EngineSettings
from sync.lanes import LaneLimits
from sync.node import NodeSettings
from sync.orphans import Orphans
from sync.probes import ProbeSeries, ProbeSpec
from sync.survey import SurveySettings
from tests.stand import sql_store, watch

STATUS_SECONDS = 0.15


def settings_of(folder: Path, config: dict[str, Any]) -> EngineSettings:
    (folder / "empty").mkdir(exist_ok=True)
    probes = ProbeSeries([ProbeSpec("rsync", timeout_seconds=1.0, attempts=2)])
    nodes = [
        NodeSettings(n["name"], Destination(n["name"], "127.0.0.1", port=n["port"]), probes)
        for n in config["nodes"]
    ]
    return EngineSettings(
        survey=SurveySettings(os.fsencode(config["root"]), Scope(excludes=("*.tmp",))),
        options=RsyncOptions(connect_seconds=2, timeout_seconds=5, stall_seconds=8),
        sweep_root=os.fsencode(folder / "empty"),
        nodes=tuple(nodes),
        limits=LaneLimits(8, 4, 2, 2),
        rules=HealthRules(sleep=SleepTimes(ready=0.4, dead=0.3, unhealth=0.15, recovery=0.2)),
        dustbin_seconds=0.3,
        max_lag_seconds=3.0,
        audit_seconds=config.get("audit_seconds", 4.0),
        deep_audit_seconds=config.get("deep_audit_seconds", 9.0),
        large_bytes=600_000,
    )


def status_of(engine: Engine) -> dict[str, Any]:
    field = engine.field
    return {
        "pid": os.getpid(),
        "at": time.time(),
        "accepting": engine.accepting.is_set(),
        "head": field.tail.head,
        "tail": len(field.tail),
        "files": engine.surveyor.files,
        "pending": engine.surveyor.pending,
        "held": engine.source.held,
        "fault": engine.source.fault,
        "watch": engine.source.watch,
        "overflows": engine.surveyor.watcher.overflows,
        "nodes": {
            n.name: {
                "state": str(n.state),
                "reason": n.health.reason,
                "in_sync": n.in_sync,
                "cursor": n.cursor,
                "dustbin": [f"{e.path!r}: {e.error}" for e in n.dustbin.values()][:5],
                "work": str(n.work.form) if n.work else None,
                "blocked": n.blocked,
                "held": n.held,
                "out_of_step": n.out_of_step,
                "proven": n.proven,
                "drift": [repr(p) for p in n.drift[:5]],
                "failures": n.failures,
            }
            for n in field.nodes.values()
        },
    }


def take_orders(folder: Path, engine: Engine) -> None:
    if (folder / "accept").exists():
        (folder / "accept").unlink()
        engine.accept_deletions()
    if (folder / "retry").exists():
        (folder / "retry").unlink()
        engine.retry_paths(lambda node, path: True)


def serve(folder: Path, engine: Engine, ending: threading.Event) -> None:
    while not ending.wait(STATUS_SECONDS):
        take_orders(folder, engine)
        fresh = folder / "status.new"
        fresh.write_text(json.dumps(engine.call(lambda: status_of(engine), 30)))
        fresh.replace(folder / "status.json")


def main(folder: Path) -> None:
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(process)d %(levelname)s %(name)s %(message)s"
    )
    config = json.loads((folder / "storm.json").read_text())
    ending = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ending.set())
    with sql_store(folder / "var") as store, contextlib.closing(Orphans(folder / "var/rsyncs")) as orphans:
        orphans.open()
        orphans.wait()
        engine = Engine(settings_of(folder, config), store, make_watcher=watch, orphans=orphans)
        engine.start()
        try:
            serve(folder, engine, ending)
        finally:
            engine.stop()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
