"""`flask check-config` and `flask config …`."""

from __future__ import annotations

import click

from app.cli.output import as_json, document, fail, speaks_plainly
from app.cli.service import running_or_refuse
from app.config import effective
from app.installation import configuration, installed


@click.command("check-config")
@click.option("--print", "show", is_flag=True, help="Print the effective configuration, secrets hidden.")
@as_json
@speaks_plainly
def check_config(show: bool, as_json: bool) -> None:
    """Lists every mistake in the configuration with its place; exit status 2 when there is one."""
    error = installed().error
    if as_json:
        problems = [
            {k: getattr(p, k) for k in ("file", "line", "column", "key", "message", "nearest")}
            for p in (error.problems if error else ())
        ]
        document({"ok": error is None, "problems": problems})
        if error is not None:
            raise SystemExit(2)
        return
    if error is not None:
        fail(str(error))
    config = configuration()
    for warning in config.warnings:
        click.echo(f"warning: {warning}", err=True)
    if show:
        click.echo(effective(config), nl=False)
        return
    click.echo(f"{config.path}: all right: {len(config.nodes)} nodes, {len(config.dns.services)} services")


@click.group()
def config() -> None:
    """The configuration of a running service, and those of other programs."""


@config.command("reload")
@as_json
@speaks_plainly
def reload(as_json: bool) -> None:
    """Makes the running service read config.yml again; a bad file leaves the old configuration running."""
    answer = running_or_refuse("reload")
    if as_json:
        document(answer)
        return
    for sentence in answer["restart"]:
        click.echo(sentence, err=True)
    click.echo("reloaded")
