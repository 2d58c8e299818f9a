"""One round over chosen nodes: probe, then a full resync of those that answer, a row per node. Used inside a
service and by a command that has taken the lock alike; it never touches DNS itself.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from app.naming import unknown
from app.operations import Refused
from app.views import Json, Published, node_view
from sync import jobs
from sync.batches import GOES_ON, is_sources
from sync.core.args import Run
from sync.core.health import Health
from sync.core.model import Change, Form, Observation, Outcome, ProbeResult, State, text_of
from sync.engine import Engine
from sync.jobs import Batch, Control, Report
from sync.node import Node
from sync.probes import ProbeTarget
from sync.scan import scan

PROGRESS_SECONDS = 0.2
SCAN_SECONDS = 3600.0
CHECK_SECONDS = 60.0
CHECK_POLL_SECONDS = 0.05


@dataclass(slots=True)
class Row:
    """What came of one node."""

    node: str
    ok: bool = False
    message: str = ""
    files: int = 0
    bytes: int = 0
    deleted: int = 0
    differences: int | None = None  # of a comparison that is whole
    seconds: float = 0.0
    silent: bool = False  # it was asked, and did not answer
    ended: threading.Event = field(default_factory=threading.Event)


def chosen(engine: Engine, names: Sequence[str]) -> list[str]:
    """The names asked for, all when none are. Raises Refused for one that is not configured."""
    known = list(engine.field.nodes)
    for name in names:
        if name not in known:
            raise Refused("unknown_node", unknown("node", name, known))
    return list(names) or known


def resync_all(
    engine: Engine, names: Sequence[str], accept_deletions: bool, say: Callable[[Any], None]
) -> list[Row]:
    """Full resyncs of the nodes that answer; waits until each has ended one way or another."""
    if not engine.accepting.wait(SCAN_SECONDS):
        raise Refused("source", engine.surveyor.fault or "the publish directory could not be compared")
    rows = {name: Row(name) for name in chosen(engine, names)}
    began = time.monotonic()
    before = transfer_counts(engine)
    answering = _observe(engine, rows)
    if engine.at_once:
        engine.call(lambda: _note_silent(engine, [row for row in rows.values() if row.silent]))

    def done(name: str, ok: bool, message: str) -> None:
        row = rows[name]
        row.ok, row.message, row.seconds = ok, message, time.monotonic() - began
        row.ended.set()

    refused = engine.resync(answering, accept_deletions=accept_deletions, done=done)
    if refused is not None:
        raise Refused("source", refused)
    _wait(engine, rows, say)
    after = transfer_counts(engine)
    for name, row in rows.items():
        row.files, row.bytes, row.deleted = (
            after[name, k] - before[name, k] for k in ("files", "bytes", "deleted")
        )
    return list(rows.values())


def transfer_counts(engine: Engine) -> Counter[tuple[str, str]]:
    """Files, bytes and deletions that went to each node since the engine's start."""
    return engine.call(
        lambda: Counter({(k[1], k[2]): n for k, n in engine.field.counts.items() if k[0] == "carried"})
    )


def check(engine: Engine, names: Sequence[str]) -> list[str]:
    """Observes these nodes (all, when none is named) and waits for what comes of it; their names.

    A service takes it in as its own observation, a one-off run only notes it.
    """
    wanted = chosen(engine, names)
    if engine.at_once:
        observed = _ask(engine, wanted)
        nodes = engine.call(lambda: {name: engine.field.nodes[name] for name in wanted})
        for name, observation in observed.items():
            nodes[name].observed = observation
        return wanted
    waiting = _observations_wanted(engine, wanted)
    deadline = time.monotonic() + CHECK_SECONDS
    while waiting and time.monotonic() < deadline:
        waiting = _look_anew(engine, waiting)
        time.sleep(CHECK_POLL_SECONDS)
    return wanted


def _observations_wanted(engine: Engine, names: Sequence[str]) -> dict[str, int]:
    """How often each will have been observed when an observation has ended that begins after now."""

    def look() -> dict[str, int]:
        nodes = [engine.field.nodes[name] for name in names if name in engine.field.nodes]
        return {node.name: node.observations + (2 if node.observing else 1) for node in nodes}

    return engine.call(look)


def _look_anew(engine: Engine, waiting: dict[str, int]) -> dict[str, int]:
    """Those that have not been observed often enough yet; who is not being asked just now is asked."""

    def look() -> dict[str, int]:
        nodes = [engine.field.nodes[name] for name in waiting if name in engine.field.nodes]
        left = {node.name: waiting[node.name] for node in nodes if node.observations < waiting[node.name]}
        for name in left:
            engine.course.observe(engine.field.nodes[name])
        return left

    return engine.call(look)


def _observe(engine: Engine, rows: dict[str, Row]) -> list[str]:
    """Asks every node at once; those that do not answer get their row."""
    observed = _ask(engine, rows)
    answering = []
    for name, row in rows.items():
        observation = observed.get(name)
        if observation is not None and observation.good:
            answering.append(name)
        else:
            row.message = f"does not answer: {observation.detail if observation else 'no answer in time'}"
            row.ended.set()
            row.silent = observation is not None
    return answering


def _ask(engine: Engine, names: Iterable[str]) -> dict[str, Observation]:
    """What the probes of each say, all asked at once; a node that took too long is missing."""
    observed: dict[str, Observation] = {}
    names = list(names)
    settings = engine.call(lambda: {n: engine.field.nodes[n].settings for n in names})

    def look(name: str) -> None:
        d = settings[name].destination
        port = d.ssh_port if d.transport == "ssh" else d.port
        target = ProbeTarget(name, d.host, settings[name].address or d.host, port, d.transport)
        try:
            observed[name] = settings[name].probes.observe(target)
        except Exception as error:  # noqa: BLE001 - one node's probe must not end the round
            observed[name] = Observation(time.time(), False, (ProbeResult("probe", False, None, str(error)),))

    threads = [
        threading.Thread(target=look, args=(name,), name=f"look {name}", daemon=True) for name in names
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return observed.copy()


def _note_silent(engine: Engine, rows: Iterable[Row]) -> None:
    """A one-off run has asked these, and got no answer: evidence against what may be published (promise 3)."""
    for row in rows:
        node = engine.field.nodes[row.node]
        node.parked = False
        node.health = Health(State.DEAD, engine.wall(), row.message, node=row.node)


def _wait(engine: Engine, rows: dict[str, Row], say: Callable[[Any], None]) -> None:
    while not all(row.ended.is_set() for row in rows.values()):
        waiting = next(row for row in rows.values() if not row.ended.is_set())
        waiting.ended.wait(PROGRESS_SECONDS)
        _end_those_that_wait_for_the_source(engine, rows)
        say({"nodes": progress(engine, rows)})
    say({"nodes": progress(engine, rows)})


def _end_those_that_wait_for_the_source(engine: Engine, rows: dict[str, Row]) -> None:
    """While deletion is stopped no full resync begins, and nobody knows for how long: say so and end."""
    fault = engine.surveyor.fault if engine.settings.survey.scope.delete else None
    if fault is None:
        return

    def look() -> None:
        for name, row in rows.items():
            node = engine.field.nodes.get(name)
            if not row.ended.is_set() and node is not None and node.work is None:
                node.resync_due = False
                row.message = f"not synced, deletion is stopped: {fault}"
                row.ended.set()

    engine.call(look)


def progress(engine: Engine, rows: dict[str, Row]) -> list[Json]:
    """How far each node is."""

    def look() -> list[Json]:
        return [
            {
                "name": name,
                "ended": row.ended.is_set(),
                "ok": row.ok,
                "message": row.message,
                "work": node_view(engine, engine.field.nodes[name], Published())["work"]
                if name in engine.field.nodes
                else None,
            }
            for name, row in rows.items()
        ]

    return engine.call(look)


def result_rows(
    engine: Engine, rows: Iterable[Row], publications: dict[str, Published], *, compared: bool = False
) -> list[Json]:
    """The rows as `sync-once --json` gives them; ``compared``: with what a dry run found.

    A run of its own that only compares knows nothing else of a node: without a difference it is in sync.
    """

    def look() -> list[Json]:
        result = []
        for row in rows:
            node = engine.field.nodes[row.node]
            result.append(
                {
                    "name": row.node,
                    "host": node.settings.destination.host,
                    "state": node.state.value,
                    "ok": row.ok,
                    "in_sync": node.in_sync,
                    "published": publications.get(row.node, Published()).published,
                    "files": row.files,
                    "bytes": row.bytes,
                    "deleted": row.deleted,
                    "seconds": round(row.seconds, 3),
                    "error": row.message or None,
                }
            )
            if compared:
                result[-1]["differences"] = row.differences
                if engine.hands_off:
                    result[-1]["in_sync"] = row.differences == 0
        return result

    return engine.call(look)


# ── chosen paths, and the dry run ────────────────────────────────────────────────────────────────────────


def send_paths(engine: Engine, names: Sequence[str], paths: Sequence[str]) -> list[Row]:
    """Sends these subtrees to the nodes that answer; proves nothing and moves no cursor."""
    engine.accepting.wait(SCAN_SECONDS)
    changes = [c for path in paths for c in _below(engine, os.fsencode(path.strip("/")))]
    batch = Batch(changes, None)

    def act(node: Node) -> Row:
        if engine.hands_off:
            return _row(node, jobs.send(engine.dispatcher.tools, node.settings.destination, batch, Control()))
        reports: queue.SimpleQueue[Report] = queue.SimpleQueue()
        engine.send_paths(node.name, batch, reports.put)
        return _row(node, reports.get())

    return _each(engine, names, act)


def _below(engine: Engine, path: bytes) -> list[Change]:
    survey = engine.settings.survey
    found = [Change(p, stat, 0) for p, stat in scan(survey.root, survey.scope, path)]
    if not found:
        raise Refused("unknown_path", f"there is nothing at {text_of(path)} in the publish directory")
    return found


def _row(node: Node, report: Report) -> Row:
    row = Row(node.name, ok=not report.stopped and not report.failed, message=report.message)
    if report.failed:
        path, (error, _) = next(iter(report.failed.items()))
        row.message = f"{len(report.failed)} paths failed, {text_of(path)}: {error}"
    row.files = sum(run.files for run in report.runs)
    row.bytes = sum(run.bytes for run in report.runs)
    row.deleted = sum(run.deleted for run in report.runs)
    return row


def compare(engine: Engine, names: Sequence[str]) -> tuple[list[Row], int]:
    """Audits the nodes without changing anything: the rows and how many paths differ in all."""
    engine.accepting.wait(SCAN_SECONDS)
    tools = engine.dispatcher.tools
    differing: dict[str, int] = {}

    def look(node: Node) -> Row:
        run = Run(Form.AUDIT, delete=tools.scope.delete)
        result = tools.runner.run(node.settings.destination, run)
        ok = result.outcome is Outcome.DONE
        deleted = sum(1 for found in result.listed if found.action == "delete")
        differing[node.name] = found = len(result.listed)
        row = Row(node.name, ok, result.message, files=found - deleted, deleted=deleted)
        row.differences = found if result.outcome in GOES_ON or is_sources(result) else None
        return row

    rows = _each(engine, names, look)
    return rows, sum(differing.values())


def _each(engine: Engine, names: Sequence[str], act: Callable[[Node], Row]) -> list[Row]:
    rows = {name: Row(name) for name in chosen(engine, names)}
    answering = set(_observe(engine, rows))
    nodes = engine.call(lambda: {name: engine.field.nodes[name] for name in rows})

    def work(name: str) -> None:
        began = time.monotonic()
        row = act(nodes[name])
        row.seconds = time.monotonic() - began
        rows[name] = row

    with ThreadPoolExecutor(engine.settings.limits.max_init, thread_name_prefix="once") as pool:
        for ended in [pool.submit(work, name) for name in answering]:
            ended.result()
    return list(rows.values())
