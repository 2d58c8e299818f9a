"""`flask alerts …`: what holds, a test of a channel, silences."""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from datetime import datetime

import click

from app.alerts.channels import make_channel
from app.alerts.configured import language_of
from app.alerts.model import Condition, test_notice
from app.cli.output import Exit, ago, as_json, document, fail, speaks_plainly, table
from app.cli.service import running, running_or_refuse
from app.config.durations import seconds as seconds_of
from app.config.values import values_of
from app.control import NotRunning
from app.installation import configuration


@click.group()
def alerts() -> None:
    """Alerts: list, test a channel, silence."""


@alerts.command("list")
@as_json
@speaks_plainly
def list_alerts(as_json: bool) -> None:
    """What holds now, and what is silenced."""
    answer = running_or_refuse("alerts")
    if as_json:
        document(answer)
        return
    if not answer["alerts"]:
        click.echo("no alert holds")
    rows = [
        (a["severity"], a["condition"], a["object"], ago(a["since"]), a["summary"], a["advice"])
        for a in answer["alerts"]
    ]
    if rows:
        table(("SEVERITY", "CONDITION", "OBJECT", "SINCE", "WHAT", "WHAT TO DO"), rows)
    for silence in answer["silences"]:
        until = datetime.fromtimestamp(silence["until"]).astimezone().strftime("%Y-%m-%d %H:%M")
        what = " ".join(filter(None, (silence["condition"], silence["object"]))) or "everything"
        click.echo(f"silenced until {until}: {what} (id {silence['id']}) {silence['comment']}")


@alerts.command()
@click.argument("channel")
@as_json
@speaks_plainly
def test(channel: str, as_json: bool) -> None:
    """Sends a test over a channel and says in full what happened; exit status 1 when it failed."""
    try:
        answer = running("alerts-test", {"channel": channel})
    except NotRunning:
        answer = _test_here(channel)
    document(answer) if as_json else click.echo(
        f"{channel}: {'sent' if answer['ok'] else 'failed'}: {answer['detail']}"
    )
    if not answer["ok"]:
        sys.exit(int(Exit.SOME_FAILED))


def _test_here(name: str) -> dict[str, object]:
    config = configuration()
    section = config.alerts.channels.get(name)
    if section is None:
        names = ", ".join(sorted(config.alerts.channels)) or "none are configured"
        fail(f"there is no channel {name!r}; the channels are: {names}")
    channel = make_channel(name, {"kind": section.kind, **values_of(section)})
    notice = test_notice("test", name, time.time(), config.name)
    delivery = channel.send(replace(notice, language=language_of(config)))
    return {"channel": name, "ok": delivery.ok, "detail": delivery.detail}


@alerts.command()
@click.option("--for", "length", default="1h", show_default=True, help="How long: 30m, 2h, 8h.")
@click.option("--condition", type=click.Choice([c.value for c in Condition]), help="Only this condition.")
@click.option("--object", "name", help="Only this node or service; * and ? stand for any letters.")
@click.option("--comment", default="", help="Why, for the others.")
@click.option("--end", "silence_id", help="Ends the silence with this id instead.")
@as_json
@speaks_plainly
def silence(
    length: str, condition: str | None, name: str | None, comment: str, silence_id: str | None, as_json: bool
) -> None:
    """Tells nothing of some alerts for a while; they still show on the page."""
    if silence_id:
        answer = running_or_refuse("alerts-end-silence", {"id": silence_id})
        document(answer) if as_json else click.echo(f"silence {silence_id} ended")
        return
    try:
        seconds = seconds_of(length)
    except ValueError as error:
        fail(f"--for {length}: {error}")
    request = {"seconds": seconds, "condition": condition, "object": name, "comment": comment}
    answer = running_or_refuse("alerts-silence", request)
    if as_json:
        document(answer)
        return
    until = datetime.fromtimestamp(answer["until"]).astimezone().strftime("%Y-%m-%d %H:%M")
    click.echo(
        f"silenced until {until} (id {answer['id']}; ends early with: flask alerts silence --end {answer['id']})"
    )
