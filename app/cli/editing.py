"""What commands that write config.yml share: show the change, save it, and let a running service take it up."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from app.cli.output import fail
from app.cli.service import running
from app.config import Config, load
from app.config.writer import EditError, Editor
from app.control import NotRunning
from app.files import write_atomically
from app.naming import unknown
from app.operations import Refused


def edited(config: Config, change: Callable[[Editor], None]) -> str:
    """The change as a diff, saved. Ends the command with status 2, the file as it was, when it cannot be made."""
    try:
        editor = Editor(config.path, config.env)
        change(editor)
        diff = editor.save()
    except EditError as error:
        fail(str(error))
    except OSError as error:
        fail(f"{config.path} could not be written: {error.strerror or error}")
    click.echo(diff, nl=False, err=True)
    return diff


def reread(config: Config) -> Config:
    """The configuration as the files say it now."""
    return load(config.path, config.env)


def reloaded() -> str | None:
    """Lets a running service take the file up: "reloaded", None when none runs. Says on stderr what went wrong."""
    try:
        answer: dict[str, Any] = running("reload")
    except NotRunning:
        return None
    except Refused as refused:
        click.echo(f"config.yml is written, but the running service did not take it:\n{refused}", err=True)
        return "refused"
    for sentence in answer["restart"]:
        click.echo(sentence, err=True)
    return "reloaded"


def known_or_fail(what: str, name: str, known: Iterable[str]) -> None:
    """Ends the command with status 2 and the nearest name when the name is not among the known ones."""
    names = list(known)
    if name not in names:
        fail(unknown(what, name, names))


def afterwards(service: str | None) -> str:
    """What the running service did, as the end of a sentence."""
    return {
        "reloaded": "; the running service has taken it up",
        "refused": "; the running service goes on with the old configuration",
    }.get(service or "", "; no service is running here")


Store = Callable[[str, str], str]
"""Takes a file name and a secret, returns the path for a ``_file`` key."""


@contextmanager
def secret_files(config: Config) -> Iterator[Store]:
    """Stores secrets in ``data_dir/secrets``, each in a file of mode 0600; what a failed edit stored goes again."""
    written: list[Path] = []

    def store(name: str, secret: str) -> str:
        path = config.data_dir / "secrets" / name.replace("/", "_")
        if not path.exists():
            written.append(path)
        write_atomically(path, secret.encode() + b"\n", 0o600)
        folder = config.path.parent
        return str(path.relative_to(folder) if path.is_relative_to(folder) else path)

    try:
        yield store
    except BaseException:
        for path in written:
            with contextlib.suppress(FileNotFoundError):
                path.unlink()
        raise


def ask_secret(what: str) -> str:
    """A secret typed without echo, or the next line of standard input where that is no terminal."""
    if sys.stdin.isatty():
        typed: str = click.prompt(what, hide_input=True, err=True)
        return typed
    line = sys.stdin.readline().rstrip("\n")
    if not line:
        fail(f"{what} is needed: type it on a terminal, or give it as a line on standard input")
    return line
