"""`flask dns …`: what would change, change it, take records over, stop and go on, and what was done."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import click

from app.cli.output import Exit, as_json, document, fail, speaks_plainly
from app.cli.service import one_off, running
from app.control import NotRunning

SIGNS = {"add": ("+", "green"), "remove": ("-", "red"), "replace": ("~", "yellow")}


@click.group()
def dns() -> None:
    """The records: plan, apply, adopt, freeze, history."""


def _ask(do: str, arguments: Mapping[str, Any] | None = None) -> Any:
    """The running service's answer; without one this command stands in for it under the lock."""
    try:
        return running(do, arguments)
    except NotRunning:
        with one_off(do, hands_off=True) as supervisor:
            return supervisor.act(do, arguments or {})


@dns.command()
@click.option("--exit-code", "exit_code", is_flag=True, help="Exit status 5 when changes are due.")
@as_json
@speaks_plainly
def plan(exit_code: bool, as_json: bool) -> None:
    """What would be done now, and what is held and why. Writes nothing."""
    answer = _ask("dns-plan")
    if as_json:
        document(answer)
    else:
        show(answer)
    if exit_code and answer["operations"]:
        sys.exit(int(Exit.CHANGES_DUE))


def show(answer: Mapping[str, Any]) -> None:
    """A plan, coloured like a diff."""
    for operation in answer["operations"]:
        sign, colour = SIGNS[operation["action"]]
        old, new = ", ".join(operation["old_values"]), ", ".join(operation["values"])
        values = f"{old} → {new}" if old and new else old or new
        click.secho(
            f"{sign} {operation['name']} {operation['type']} ({operation['line']})  {values}", fg=colour
        )
        click.echo(f"    {operation['reason']}")
    if answer["held"]:
        click.secho(f"held: {answer['held']}", fg="yellow")
    if not answer["operations"]:
        click.echo(
            "nothing to do: every record stands as it should" if not answer["held"] else "nothing else to do"
        )


@dns.command()
@click.option(
    "--yes",
    is_flag=True,
    help="Also what waits for a person: records of services that are gone, and large withdrawals.",
)
@as_json
@speaks_plainly
def apply(yes: bool, as_json: bool) -> None:
    """Makes a pass over every zone now."""
    _done(_ask("dns-apply", {"confirmed": yes}), as_json)


@dns.command()
@click.argument("service")
@as_json
@speaks_plainly
def adopt(service: str, as_json: bool) -> None:
    """Takes over the records that stand in a service's record sets, whoever made them."""
    _done(_ask("dns-apply", {"adopt": [service]}), as_json)


def _done(answer: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        document(answer)
    else:
        click.echo(f"{answer['applied']} records changed" if answer["applied"] else "nothing changed")
        if answer["held"]:
            click.secho(f"held: {answer['held']}", fg="yellow", err=True)
    if answer["failed"]:
        fail(f"{answer['failed']} operations failed: flask dns history says why", Exit.SOME_FAILED)


@dns.command()
@click.option("--reason", default="", help="Shown on the page and in the log.")
@as_json
@speaks_plainly
def freeze(reason: str, as_json: bool) -> None:
    """Stops every change of records until `flask dns unfreeze`, over restarts too."""
    answer = _ask("dns-freeze", {"reason": reason})
    document(answer) if as_json else click.echo("frozen: no record is changed until `flask dns unfreeze`")


@dns.command()
@as_json
@speaks_plainly
def unfreeze(as_json: bool) -> None:
    """Changes records again."""
    answer = _ask("dns-unfreeze")
    document(answer) if as_json else click.echo("records are changed again")


@dns.command()
@click.option("--limit", default=50, show_default=True)
@click.option("--service", help="Only this service's.")
@as_json
@speaks_plainly
def history(limit: int, service: str | None, as_json: bool) -> None:
    """Every operation with its time, reason and answer, newest first."""
    answer = _ask("dns-history", {"limit": limit, "service": service})
    if as_json:
        document(answer)
        return
    if not answer["history"]:
        click.echo("no record was ever changed")
    for row in answer["history"]:
        at = datetime.fromtimestamp(row["at"]).astimezone().strftime("%Y-%m-%d %H:%M:%S")
        values = ", ".join(row["values"]) or ", ".join(row["old_values"])
        click.secho(
            f"{at}  {row['action']:<7} {row['name']} {row['type']} ({row['line']})  {values}",
            fg=None if row["ok"] else "red",
        )
        click.echo(f"    {row['reason']}  [{row['answer']}]")
