"""`flask user …` and `flask token …`: they work on the database, whether a service runs or not."""

from __future__ import annotations

import getpass
import sys
import time
from typing import Any

import click
from flask import current_app

from app.access.audit import record
from app.access.errors import AccessError
from app.access.store import AccessStore
from app.access.visitor import Role, Scope
from app.cli.output import as_json, document, fail, speaks_plainly, table
from app.cli.service import refuse_unknown_node
from app.installation import configuration
from app.schema import upgrade


def store() -> AccessStore:
    """The people and tokens of this installation, its tables made when missing."""
    configuration()
    app = current_app._get_current_object()  # type: ignore[attr-defined]
    upgrade(app)
    return AccessStore(app)


def note(did: str, **facts: object) -> None:
    """Writes down who typed what."""
    app = current_app._get_current_object()  # type: ignore[attr-defined]
    record(app, f"{getpass.getuser()} (command)", did, **facts)  # type: ignore[arg-type]


def asked_password() -> str:
    """From the terminal without echo, twice; from standard input when that is no terminal: its first line."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    return str(click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True))


def when(at: float | None) -> str:
    """A time for people."""
    return "never" if at is None else time.strftime("%Y-%m-%d %H:%M", time.localtime(at))


@click.group()
def user() -> None:
    """Who may log in: add, passwd, list, remove."""


@user.command("add")
@click.argument("name")
@click.option(
    "--role",
    type=click.Choice([r.value for r in Role]),
    help="Default: administrator for the first, else viewer.",
)
@as_json
@speaks_plainly
def add_user(name: str, role: str | None, as_json: bool) -> None:
    """Adds a person; the password is asked for, or read from standard input."""
    people = store()
    role = role or (Role.VIEWER if people.has_administrator() else Role.ADMINISTRATOR).value
    people.add_user(name, role, asked_password())
    note(f"added the user {name} as {role}")
    if as_json:
        document({"name": name, "role": role})
    else:
        click.echo(f"{name} may log in as {role}")


@user.command("passwd")
@click.argument("name")
@speaks_plainly
def change_password(name: str) -> None:
    """Gives a person another password and ends their sessions."""
    people = store()
    if name not in {u["name"] for u in people.users()}:
        fail(f"there is no user {name}")
    people.set_password(name, asked_password())
    note(f"changed the password of {name}")
    click.echo(f"{name} has another password; their sessions have ended")


@user.command("list")
@as_json
@speaks_plainly
def list_users(as_json: bool) -> None:
    """Everybody who may log in."""
    people = store().users()
    if as_json:
        document({"users": people})
        return
    if not people:
        click.echo(
            "nobody may log in yet: only this machine is served. flask user add NAME makes the administrator"
        )
        return
    rows = [(u["name"], u["role"], when(u["last_login_at"]), u["sessions"]) for u in people]
    table(("NAME", "ROLE", "LAST LOGIN", "SESSIONS"), rows)


@user.command("remove")
@click.argument("name")
@speaks_plainly
def remove_user(name: str) -> None:
    """Removes a person and ends their sessions."""
    store().remove_user(name)
    note(f"removed the user {name}")
    click.echo(f"{name} may not log in any more")


@click.group()
def token() -> None:
    """What programs may do: add, list, revoke."""


@token.command("add")
@click.argument("name")
@click.option(
    "--scope", "scopes", multiple=True, type=click.Choice([s.value for s in Scope]), help="Default: read."
)
@click.option("--node", help="The only node a report token may move.")
@as_json
@speaks_plainly
def add_token(name: str, scopes: tuple[str, ...], node: str | None, as_json: bool) -> None:
    """Makes a token and prints it; it is shown this once."""
    wanted = list(scopes) or [Scope.READ.value]
    if Scope.REPORT.value in wanted and node is None:
        raise AccessError("the scope report needs --node: whom the token may move")
    refuse_unknown_node(node)
    made = store().add_token(name, wanted, node)
    note(f"made the token {name} with {', '.join(sorted(set(wanted)))}")
    if as_json:
        shown: dict[str, Any] = {"name": name, "token": made, "scopes": sorted(set(wanted))}
        document(shown | ({"node": node} if node else {}))
    else:
        click.echo("keep it now, it is not shown again:", err=True)
        click.echo(made)


@token.command("list")
@as_json
@speaks_plainly
def list_tokens(as_json: bool) -> None:
    """Every token: what it may do and when it was last used."""
    tokens = store().tokens()
    if as_json:
        document({"tokens": tokens})
        return
    if not tokens:
        click.echo("there are no tokens: flask token add NAME makes one")
        return
    rows = [(t["name"], " ".join(t["scopes"]), t["node"] or "", when(t["used_at"])) for t in tokens]
    table(("NAME", "SCOPES", "NODE", "LAST USED"), rows)


@token.command("revoke")
@click.argument("name")
@speaks_plainly
def revoke_token(name: str) -> None:
    """Ends a token at once."""
    store().revoke_token(name)
    note(f"revoked the token {name}")
    click.echo(f"the token {name} is worth nothing any more")
