"""`flask check-config` and `flask config …`."""

from __future__ import annotations

from pathlib import Path

import click
import sqlalchemy as sa

from app.cli.output import as_json, document, fail, speaks_plainly
from app.cli.service import running_or_refuse
from app.config import Config, ConfigError, effective, machine
from app.installation import configuration, installed
from app.migrate import PROGRAMS, Draft, ForeignError, migrate
from app.models import READ, db
from app.models.journal import MetaRow


@click.command("check-config")
@click.option("--print", "show", is_flag=True, help="Print the effective configuration, secrets hidden.")
@as_json
@speaks_plainly
def check_config(show: bool, as_json: bool) -> None:
    """Lists every mistake in the configuration with its place; exit status 2 when there is one."""
    error = installed().error
    warnings: tuple[str, ...] = ()
    if error is None:
        error, warnings = machine_error(configuration())
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
    for warning in (*config.warnings, *warnings):
        click.echo(f"warning: {warning}", err=True)
    if show:
        click.echo(effective(config), nl=False)
        return
    click.echo(f"{config.path}: all right: {len(config.nodes)} nodes, {len(config.dns.services)} services")


def machine_error(config: Config) -> tuple[ConfigError | None, tuple[str, ...]]:
    """What would keep a start from going well, and what it would sit out.

    A publish directory that was there once is missing for now, not by mistake: a start waits for it.
    """
    found = machine.problems(config)
    waits = [p for p in found if p.key == "publish.root"] if has_started_before() else []
    found = [p for p in found if p not in waits]
    return ConfigError(found) if found else None, tuple(str(p) for p in waits)


def has_started_before() -> bool:
    """Whether the database knows a publish directory; False where it cannot be asked."""
    try:
        with db.engines[READ].connect() as connection:
            return connection.execute(sa.select(MetaRow.id)).first() is not None
    except sa.exc.SQLAlchemyError:
        return False


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


@config.command("migrate")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--from", "program", type=click.Choice(list(PROGRAMS)), help="Default: by the file's keys.")
@click.option(
    "--output", type=click.Path(path_type=Path), help="Default: standard output, without the secrets."
)
@click.option("--force", is_flag=True, help="Replace an output file that is there.")
@as_json
@speaks_plainly
def migrate_config(file: Path, program: str | None, output: Path | None, force: bool, as_json: bool) -> None:
    """Turns fileSyncGo's config.YML, ddns-go's .ddns_go_config.yaml or CocoaSyncer's config.yaml into config.yml.

    What has no counterpart stands as a comment with the reason. Secrets go into files of their own beside the output.
    """
    try:
        draft = migrate(file.read_text(encoding="utf-8-sig"), program)
    except OSError as error:
        fail(f"{file} cannot be read: {error.strerror}")
    except UnicodeDecodeError:
        fail(f"{file} is not UTF-8 text")
    except ForeignError as error:
        fail(f"{file}: {error}")
    if output is not None and output.exists() and not force:
        fail(f"{output} is there already: name another file, or --force")
    text = draft.text()
    if output is None and not as_json:
        click.echo(text, nl=False)
    warnings = draft.checked(str(output or "(the result)")).warnings
    if output is not None:
        draft.write(output)
    if as_json:
        document(_migration(draft, output, text))
        return
    for warning in warnings:
        click.echo(f"warning: {warning}", err=True)
    if output is not None:
        click.echo(
            f"{output} is written from {draft.program}'s {file}; {len(draft.left_out)} keys have no counterpart",
            err=True,
        )
    elif draft.secrets:
        click.echo("the secrets were not printed: --output FILE writes them beside it, mode 0600", err=True)


def _migration(draft: Draft, output: Path | None, text: str) -> dict[str, object]:
    return {
        "program": draft.program,
        "output": str(output) if output else None,
        "text": text,
        "left_out": [{"key": key, "reason": reason} for key, reason in draft.left_out],
    }
