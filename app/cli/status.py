"""`flask status` and `flask events`: what is, and what was."""

from __future__ import annotations

import re
import time
from datetime import datetime
from typing import Any

import click

from app.cli.output import (
    ago,
    as_json,
    document,
    duration,
    fail,
    interruptible,
    speaks_plainly,
    state_text,
    table,
)
from app.cli.service import one_off, refuse_unknown_node, running, stored
from app.control import NotRunning
from sync.results import ALTERS_LINKS

WATCH_SECONDS = 2.0
SCAN_SECONDS = 60.0
FOLLOW_SECONDS = 1.0


@click.command()
@as_json
@click.option("--watch", is_flag=True, help="Show it again every two seconds.")
@speaks_plainly
def status(as_json: bool, watch: bool) -> None:
    """Every node with its state, lag, whether it is in sync, published, and why not."""
    with interruptible():
        while True:
            facts = _status()
            if watch and not as_json:
                click.clear()
            if as_json:
                document(facts)
            else:
                _show(facts)
            if not watch:
                return
            time.sleep(WATCH_SECONDS)


def _status() -> dict[str, Any]:
    try:
        answer: dict[str, Any] = running("status")
    except NotRunning:
        with one_off("status", hands_off=True) as supervisor:
            supervisor.engine.accepting.wait(SCAN_SECONDS)
            answer = supervisor.operations.status()
        click.echo("no service is running: this is what was stored, nothing was probed", err=True)
    return answer


def _show(facts: dict[str, Any]) -> None:
    nodes, publish = facts["nodes"], facts["publish"]
    ready = sum(1 for n in nodes if n["state"] == "ready")
    in_sync = sum(1 for n in nodes if n["in_sync"])
    published = sum(1 for n in nodes if n["published"])
    click.echo(
        f"{ready} of {len(nodes)} ready · {in_sync} in sync · {published} published · "
        f"{publish['files']} paths, head {facts['head']}"
    )
    for trouble in (publish["error"], facts["database"]["error"], facts["frozen"], facts.get("nodes_gone")):
        if trouble:
            click.secho(f"! {trouble}", fg="red")
    columns = ("NODE", "STATE", "SINCE", "IN SYNC", "LAG", "DUSTBIN", "PUBLISHED", "WHY")
    table(columns, [_row(node) for node in nodes])


def in_sync_text(node: dict[str, Any]) -> str:
    """Yes, no, or unproven: nothing is known against it, and nothing for it since the start."""
    if node["in_sync"]:
        return "yes"
    unknown = node["state"] == "ready" and not (node["proven"] or node["drift"] or node["out_of_step"])
    return "unproven" if unknown else "no"


def _row(node: dict[str, Any]) -> tuple[Any, ...]:
    lag = "–" if node["lag_changes"] is None else f"{node['lag_changes']}"
    if node["lag_changes"]:
        lag += f" ({duration(node['lag_seconds'])})"
    well = node["state"] == "ready" and node["in_sync"]
    reason = "" if well and node["reason"] != ALTERS_LINKS else node["reason"]
    return (
        node["name"] + (" (drained)" if node["drained"] else ""),
        state_text(node["state"]),
        ago(node["state_since"]),
        in_sync_text(node),
        lag,
        node["dustbin"] or "",
        "yes" if node["published"] else "no",
        reason or node["unpublished_reason"] or "",
    )


@click.command()
@click.option("--follow", "-f", is_flag=True, help="Go on printing what happens.")
@click.option("--node", help="Only this node's.")
@click.option("--since", help="Only newer ones: 15m, 2h, 1d, or a time like 2026-11-20T10:00.")
@click.option("--limit", default=100, show_default=True)
@as_json
@speaks_plainly
def events(follow: bool, node: str | None, since: str | None, limit: int, as_json: bool) -> None:
    """The timeline: flips, faults, resyncs, drift and what people did, oldest first."""
    reading = stored()
    since_at = _moment(since)
    rows = list(reversed(reading.events(limit, node=node, since_at=since_at)))
    if not rows and not reading.events(1, node=node):  # one that is gone has its history still
        refuse_unknown_node(node)
    if as_json and not follow:
        document({"events": rows})
        return
    newest = 0
    with interruptible():
        while True:
            for row in rows:
                newest = max(newest, row["id"])
                if as_json:
                    document(row)
                else:
                    _print_event(row)
            if not follow:
                return
            time.sleep(FOLLOW_SECONDS)
            rows = list(reversed(reading.events(1000, node=node, since_at=since_at, after=newest)))


def _print_event(row: dict[str, Any]) -> None:
    at = datetime.fromtimestamp(row["at"]).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    colour = {"warning": "yellow", "error": "red"}.get(row["severity"])
    who = f"{row['node']}: " if row["node"] else ""
    click.secho(f"{at}  {row['kind']:<11} {who}{row['message']}", fg=colour)


def _moment(text: str | None) -> float | None:
    """An age (15m, 2h, 1d) or an ISO time as seconds since the epoch. Ends the command for anything else."""
    if text is None:
        return None
    age = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", text)
    if age:
        return time.time() - float(age[1]) * {"s": 1, "m": 60, "h": 3600, "d": 86_400}[age[2]]
    try:
        return datetime.fromisoformat(text).astimezone().timestamp()
    except ValueError:
        fail(f"--since {text}: write an age like 15m, 2h, 1d, or a time like 2026-11-20T10:00")
