"""`flask nodes …` and `flask dustbin …`."""

from __future__ import annotations

import sys
import time
from typing import Any

import click

from app.cli.output import Exit, ago, as_json, document, duration, fail, speaks_plainly, state_text, table
from app.cli.service import one_off, refuse_unknown_node, running, stored
from app.cli.sync import Bars, show, status_of
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
        click.echo("no service is running: this is what config.yml says", err=True)
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
            state_text(n["state"]) if "state" in n else "–",
            "yes" if n["drained"] else "",
        )
        for n in listed
    ]
    table(("NODE", "HOST", "STATE", "DRAINED"), rows)


@nodes.command()
@click.argument("names", nargs=-1)
@as_json
@speaks_plainly
def check(names: tuple[str, ...], as_json: bool) -> None:
    """Probes nodes now (all, when none is named) and says what came. Exit status 1: some are not well."""
    try:
        wanted = running("check", {"names": list(names)})["checked"]
        listed = running("status")["nodes"]
    except NotRunning:
        with one_off("check", hands_off=True) as supervisor:
            wanted = supervisor.act("check", {"names": list(names)})["checked"]
            listed = supervisor.operations.status()["nodes"]
    listed = [n for n in listed if n["name"] in wanted]
    well = [bool(n["probes"]) and all(p["good"] is not False for p in n["probes"]) for n in listed]
    if as_json:
        document({"nodes": listed})
    else:
        for node in listed:
            said = ", ".join(_probe_text(p) for p in node["probes"]) or "did not answer in time"
            click.echo(f"{node['name']}: {node['state']}: {said}")
    sys.exit(int(Exit.WELL if all(well) else Exit.SOME_FAILED))


def _probe_text(probe: dict[str, Any]) -> str:
    if probe["good"] is None:
        return f"{probe['kind']} absent"
    return f"{probe['kind']} good" if probe["good"] else f"{probe['kind']} failed: {probe['detail']}"


@nodes.command()
@click.argument("names", nargs=-1)
@click.option(
    "--accept-deletions", is_flag=True, help="Take the source and the deletions it means as they are."
)
@as_json
@speaks_plainly
def resync(names: tuple[str, ...], accept_deletions: bool, as_json: bool) -> None:
    """Brings nodes wholly in line with the source (all, when none is named).

    A running service does it in the background; without one it is done here, as by sync-once --no-dns.
    """
    try:
        answer = running("resync", {"names": list(names), "accept_deletions": accept_deletions})
    except NotRunning:
        _resync_here(names, accept_deletions, as_json)
        return
    if as_json:
        document(answer)
        return
    ill = {n["name"]: n for n in running("status")["nodes"] if n["state"] in ("unhealth", "dead")}
    now = [name for name in answer["resyncing"] if name not in ill]
    if now or not answer["resyncing"]:
        click.echo(f"resyncing {', '.join(now) or 'nobody: there are no nodes'}")
    for name in answer["resyncing"]:
        if name in ill:
            state, reason = ill[name]["state"], ill[name]["reason"]
            click.echo(f"{name} is {state} and is resynced as soon as it is well again: {reason}")


def _resync_here(names: tuple[str, ...], accept_deletions: bool, as_json: bool) -> None:
    request = {"nodes": list(names), "accept_deletions": accept_deletions, "no_dns": True}
    with Bars() as bars, one_off("sync-once") as supervisor:
        answer = supervisor.sync_once(request, bars.show)
    if as_json:
        document({"resyncing": [row["name"] for row in answer["nodes"]], "nodes": answer["nodes"]})
    elif answer["nodes"]:
        show(answer)
    else:
        click.echo("resyncing nobody: there are no nodes")
    sys.exit(int(status_of(answer, dry_run=False, partial=False, differences=0)))


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
    request = {"ids": None if everything else list(ids)}
    try:
        answer = running(action, request)
    except NotRunning:
        with one_off(action, hands_off=True) as supervisor:
            answer = supervisor.act(action, request)
        click.echo("no service is running: it is stored, and counts when one does", err=True)
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
