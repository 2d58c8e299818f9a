"""How commands speak: facts on stdout, everything else on stderr, and what each exit status means."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import IntEnum
from functools import wraps
from typing import Any, NoReturn, TypeVar

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from app.config import ConfigError
from app.lock import Held
from app.operations import Refused
from app.stores.lease import LeaseHeld
from sync.ports import StoreError
from sync.rsync_version import RsyncError

F = TypeVar("F", bound=Callable[..., Any])

as_json = click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")


class Exit(IntEnum):
    """The exit status of every command."""

    WELL = 0
    SOME_FAILED = 1
    USAGE = 2
    NONE_IN_SYNC = 3
    LOCKED = 4
    CHANGES_DUE = 5


def document(facts: Any) -> None:
    """Prints one JSON document on stdout."""
    click.echo(json.dumps(facts, ensure_ascii=False, indent=None))


def fail(message: str, status: Exit = Exit.USAGE) -> NoReturn:
    """Ends the command with a message on stderr."""
    click.echo(message, err=True)
    sys.exit(int(status))


def speaks_plainly(command: F) -> F:
    """Turns what can go wrong into a message that says what to do and the right exit status."""

    @wraps(command)
    def spoken(*args: Any, **kwargs: Any) -> Any:
        from app.supervisor import CannotStart

        try:
            return command(*args, **kwargs)
        except ConfigError as error:
            fail(str(error))
        except (Held, LeaseHeld) as error:
            fail(str(error), Exit.LOCKED)
        except (CannotStart, RsyncError) as error:
            fail(str(error))
        except StoreError as error:
            fail(str(error), Exit.SOME_FAILED)
        except Refused as error:
            fail(str(error), Exit.USAGE if error.code in USAGE_CODES else Exit.SOME_FAILED)

    return spoken  # type: ignore[return-value]


USAGE_CODES = frozenset(
    {
        "unknown_node",
        "unknown_service",
        "unknown_entry",
        "unknown_channel",
        "unknown_silence",
        "unknown_path",
        "bad_request",
        "configuration",
        "usage",
        "conflict",
        "not_found",
    }
)

STATE_STYLES = {"ready": "green", "unhealth": "yellow", "dead": "red", "recovery": "cyan"}
STATE_SIGNS = {"ready": "●", "unhealth": "◐", "dead": "○", "recovery": "↻"}


def state_text(state: str) -> Text:
    """A state with its sign and colour."""
    return Text(f"{STATE_SIGNS.get(state, '?')} {state}", style=STATE_STYLES.get(state, ""))


def table(columns: Sequence[str], rows: Iterator[Sequence[Any]] | Sequence[Sequence[Any]]) -> None:
    """Prints a table; on something that is no terminal nothing is cut."""
    console = Console(soft_wrap=not sys.stdout.isatty(), highlight=False)
    if not sys.stdout.isatty():
        console.width = 400
    made = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        made.add_column(column, overflow="fold")
    for row in rows:
        made.add_row(*[cell if isinstance(cell, Text) else str(cell) for cell in row])
    console.print(made)


def duration(seconds: float | None) -> str:
    """Seconds for people: 0.3 s, 45 s, 12 min, 3 h, 2 d."""
    if seconds is None:
        return "–"
    for limit, divisor, unit in ((10, 1, "s"), (120, 1, "s"), (7200, 60, "min"), (172_800, 3600, "h")):
        if seconds < limit:
            return f"{seconds / divisor:.1f} {unit}" if limit == 10 else f"{seconds / divisor:.0f} {unit}"
    return f"{seconds / 86_400:.0f} d"


def ago(at: float | None) -> str:
    """A time for people, relative to now."""
    return "never" if at is None else f"{duration(max(0.0, time.time() - at))} ago"


def size(count: float | None) -> str:
    """Bytes for people, in powers of 1024."""
    if count is None:
        return "–"
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


@contextmanager
def interruptible() -> Iterator[None]:
    """Ctrl-C ends a command quietly."""
    try:
        yield
    except KeyboardInterrupt:
        sys.exit(130)
