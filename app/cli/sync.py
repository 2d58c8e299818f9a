"""`flask sync-once`: one round of probing, full resyncs and DNS, with a row per node."""

from __future__ import annotations

import sys
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from app.cli.output import Exit, as_json, document, duration, size, speaks_plainly, state_text, table
from app.cli.service import one_off, running
from app.control import NotRunning


@click.command("sync-once")
@click.option("--node", "nodes", multiple=True, help="Only this node; may be given several times.")
@click.option("--path", "paths", multiple=True, help="Only this path and what is below; proves nothing.")
@click.option("--dry-run", is_flag=True, help="Only compare; exit status 5 when something differs.")
@click.option("--no-dns", is_flag=True, help="Leave DNS as it is.")
@click.option(
    "--accept-deletions", is_flag=True, help="Take the source and the deletions it means as they are."
)
@as_json
@speaks_plainly
def sync_once(
    nodes: tuple[str, ...],
    paths: tuple[str, ...],
    dry_run: bool,
    no_dns: bool,
    accept_deletions: bool,
    as_json: bool,
) -> None:
    """Probes the nodes, fully resyncs those that answer, then brings DNS in line."""
    request = {
        "nodes": list(nodes),
        "paths": list(paths),
        "dry_run": dry_run,
        "no_dns": no_dns,
        "accept_deletions": accept_deletions,
    }
    with Bars() as bars:
        try:
            answer = running("sync-once", request, bars.show)
        except NotRunning:
            with one_off("sync-once", hands_off=dry_run or bool(paths)) as supervisor:
                answer = supervisor.sync_once(request, bars.show)
    differences = answer.pop("differences")
    if as_json:
        document(answer)
    elif not answer["nodes"]:
        click.echo("there are no nodes: add one with `flask nodes add`, or under nodes: in config.yml")
    elif dry_run:
        show_comparison(answer, differences)
    else:
        show(answer)
    sys.exit(int(status_of(answer, dry_run, bool(paths), differences)))


def status_of(answer: dict[str, Any], dry_run: bool, partial: bool, differences: int) -> Exit:
    """The exit status: no node in sync outranks failed nodes, which outrank differences."""
    rows = answer["nodes"]
    if not dry_run and not partial and rows and not any(row["in_sync"] for row in rows):
        return Exit.NONE_IN_SYNC
    if dry_run and rows and not any(row["ok"] for row in rows):
        return Exit.NONE_IN_SYNC
    if not all(row["ok"] for row in rows):
        return Exit.SOME_FAILED
    return Exit.CHANGES_DUE if differences else Exit.WELL


def show(answer: dict[str, Any]) -> None:
    """A row per node of what was sent, and what came of DNS."""
    columns = (
        "NODE",
        "HOST",
        "STATE",
        "OK",
        "IN SYNC",
        "PUBLISHED",
        "FILES",
        "BYTES",
        "DELETED",
        "TIME",
        "ERROR",
    )
    rows = [
        (
            row["name"],
            row["host"],
            state_text(row["state"]),
            "yes" if row["ok"] else "no",
            "yes" if row["in_sync"] else "no",
            "yes" if row["published"] else "no",
            row["files"],
            size(row["bytes"]),
            row["deleted"],
            duration(row["seconds"]),
            row["error"] or "",
        )
        for row in answer["nodes"]
    ]
    table(columns, rows)
    dns = answer["dns"]
    if dns["applied"]:
        click.echo(f"DNS: {dns['applied']} records changed")
    if dns["held"]:
        click.echo(f"DNS is held: {dns['held']}")
    for name, sentence in dns.get("waiting", {}).items():
        click.echo(f"DNS: {name} {sentence}")


def show_comparison(answer: dict[str, Any], differences: int) -> None:
    """A row per node of what a dry run found; a node that could not be compared is no node without differences."""
    rows = [
        (
            row["name"],
            row["host"],
            state_text(row["state"]),
            _found(row["differences"]),
            "–" if row["differences"] is None else row["files"],
            "–" if row["differences"] is None else row["deleted"],
            duration(row["seconds"]),
            row["error"] or "",
        )
        for row in answer["nodes"]
    ]
    table(("NODE", "HOST", "STATE", "FOUND", "TO SEND", "TO DELETE", "TIME", "ERROR"), rows)
    missing = sum(1 for row in answer["nodes"] if row["differences"] is None)
    more = f", {missing} of {len(rows)} nodes could not be compared" if missing else ""
    paths = "1 path differs" if differences == 1 else f"{differences} paths differ"
    click.echo(f"{paths} in all{more}; nothing was changed")


def _found(differences: int | None) -> str:
    if differences is None:
        return "not compared"
    return "differs" if differences else "as the source"


class Bars:
    """A bar per node on a terminal, nothing elsewhere; stderr, so that stdout stays facts."""

    def __init__(self) -> None:
        console = Console(stderr=True)
        self._shown = sys.stderr.isatty()
        self._progress = Progress(
            TextColumn("{task.fields[name]}"),
            BarColumn(),
            TextColumn("{task.fields[said]}"),
            console=console,
            transient=True,
            disable=not self._shown,
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Bars:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def show(self, facts: dict[str, Any]) -> None:
        """Takes one progress message."""
        for node in facts["nodes"]:
            name = node["name"]
            if name not in self._tasks:
                self._tasks[name] = self._progress.add_task("", total=None, name=name, said="")
            self._progress.update(self._tasks[name], **bar(node))


def bar(node: dict[str, Any]) -> dict[str, Any]:
    """What a node's bar shows: files, bytes, rate and time left, or "counting" while rsync still counts."""
    if node["ended"]:
        return {"total": 100, "completed": 100, "said": "done" if node["ok"] else node["message"]}
    work = node["work"]
    if work is None:
        return {"total": None, "completed": 0, "said": "waiting"}
    if work["counting"]:
        sent = f", {size(work['bytes'])} sent" if work["bytes"] else ""
        return {"total": None, "completed": 0, "said": f"counting{sent}"}
    percent, rate = work["percent"] or 0, work["rate"] or 0
    left = work["bytes"] * (100 - percent) / percent / rate if percent and rate else None
    return {
        "total": 100,
        "completed": percent,
        "said": f"{work['files_done']} of {work['files_total']} files, {size(work['bytes'])}, "
        f"{size(rate)}/s, {duration(left)} left",
    }
