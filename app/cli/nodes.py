"""`flask nodes …` and `flask dustbin …`."""

from __future__ import annotations

import time
from typing import Any

import click

from app.cli.output import ago, as_json, document, duration, fail, speaks_plainly, state_text, table
from app.cli.service import one_off, refuse_unknown_node, running, running_or_refuse, stored
from app.config import destination
from app.control import NotRunning
from app.installation import configuration


@click.group()
def nodes() -> None:
    """The nodes: list, check, resync, drain."""


@nodes.command("list")
@as_json
@speaks_plainly
def list_nodes(as_json: bool) -> None:
    """Every node; without a running service as configured."""
    try:
        listed: list[dict[str, Any]] = running("status")["nodes"]
    except NotRunning:
        config = configuration()
        listed = [
            {"name": n.name, "title": n.title, "host": destination(config, n).host, "drained": n.drained}
            for n in config.nodes
        ]
    if as_json:
        document({"nodes": listed})
        return
    rows = [
        (
            n["name"],
            n["host"],
            state_text(n["state"]) if "state" in n else "not running",
            "drained" if n["drained"] else "",
        )
        for n in listed
    ]
    table(("NODE", "HOST", "STATE", ""), rows)


@nodes.command()
@click.argument("names", nargs=-1)
@as_json
@speaks_plainly
def check(names: tuple[str, ...], as_json: bool) -> None:
    """Probes nodes now (all, when none is named) and says what came."""
    wanted = list(names) or [n["name"] for n in running_or_refuse("status")["nodes"]]
    running_or_refuse("check", {"names": wanted})
    listed = [n for n in running_or_refuse("status")["nodes"] if n["name"] in wanted]
    if as_json:
        document({"nodes": listed})
        return
    for node in listed:
        probes = ", ".join(
            f"{p['kind']} {'absent' if p['good'] is None else 'good' if p['good'] else 'failed: ' + p['detail']}"
            for p in node["probes"]
        )
        click.echo(f"{node['name']}: {node['state']}: {probes}")


@nodes.command()
@click.argument("names", nargs=-1)
@click.option(
    "--accept-deletions", is_flag=True, help="Take the source and the deletions it means as they are."
)
@as_json
@speaks_plainly
def resync(names: tuple[str, ...], accept_deletions: bool, as_json: bool) -> None:
    """Brings nodes wholly in line with the source (all, when none is named)."""
    answer = running_or_refuse("resync", {"names": list(names), "accept_deletions": accept_deletions})
    if as_json:
        document(answer)
    else:
        click.echo(f"resyncing {', '.join(answer['resyncing']) or 'nobody: there are no nodes'}")


def _drain(name: str, drained: bool, as_json: bool) -> None:
    try:
        answer = running("drain", {"name": name, "drained": drained})
    except NotRunning:
        with one_off("drain", hands_off=True) as supervisor:
            supervisor.engine.call(lambda: setattr(supervisor.engine.node(name), "parked", False))
            answer = supervisor.operations.drain(name, drained)
    if as_json:
        document(answer)
    else:
        click.echo(
            f"{name} is {'drained: still synced, never published' if drained else 'not drained any more'}"
        )


@nodes.command()
@click.argument("name")
@as_json
@speaks_plainly
def drain(name: str, as_json: bool) -> None:
    """Keeps a node synced, but never published; stored, and over the file."""
    _drain(name, True, as_json)


@nodes.command()
@click.argument("name")
@as_json
@speaks_plainly
def undrain(name: str, as_json: bool) -> None:
    """Lets a node be published again."""
    _drain(name, False, as_json)


# ── the dustbin ──────────────────────────────────────────────────────────────────────────────────────────


@click.group()
def dustbin() -> None:
    """What nodes could not take: list, retry, discard."""


@dustbin.command("list")
@click.option("--node", help="Only this node's.")
@as_json
@speaks_plainly
def list_dustbin(node: str | None, as_json: bool) -> None:
    """Every entry with its error and next try."""
    refuse_unknown_node(node)
    try:
        entries = running("dustbin", {"node": node})["entries"]
    except NotRunning:
        entries = stored().dustbin(node)
    if as_json:
        document({"entries": entries})
        return
    if not entries:
        click.echo("the dustbin is empty: every reachable node took what it was sent")
        return
    rows = [
        (
            e["id"],
            e["node"],
            e["path"].replace("\n", "\\n"),
            e["attempts"],
            ago(e["first_failed_at"]),
            "discarded" if e["discarded"] else f"in {duration(max(0.0, _until(e['next_try_at'])))}",
            e["error"],
        )
        for e in entries
    ]
    table(("ID", "NODE", "PATH", "TRIES", "SINCE", "NEXT TRY", "ERROR"), rows)


def _until(at: float | None) -> float:
    return (at or 0.0) - time.time()


def _change(action: str, ids: tuple[str, ...], everything: bool, as_json: bool) -> None:
    if bool(ids) == everything:
        fail(f"name the entries to {action} (flask dustbin list shows their ids), or --all")
    answer = running_or_refuse(action, {"ids": None if everything else list(ids)})
    if as_json:
        document(answer)
    else:
        word, count = next(iter(answer.items()))
        click.echo(f"{word}: {count}")


@dustbin.command()
@click.argument("ids", nargs=-1)
@click.option("--all", "everything", is_flag=True)
@as_json
@speaks_plainly
def retry(ids: tuple[str, ...], everything: bool, as_json: bool) -> None:
    """Tries entries again now."""
    _change("retry", ids, everything, as_json)


@dustbin.command()
@click.argument("ids", nargs=-1)
@click.option("--all", "everything", is_flag=True)
@as_json
@speaks_plainly
def discard(ids: tuple[str, ...], everything: bool, as_json: bool) -> None:
    """Stops trying entries; the nodes go on lacking them."""
    _change("discard", ids, everything, as_json)
