"""`flask nodes add` and `flask nodes remove`: they write config.yml and never touch a node's content."""

from __future__ import annotations

from typing import Any

import click

from app.cli.editing import (
    Store,
    afterwards,
    ask_secret,
    edited,
    known_or_fail,
    reloaded,
    reread,
    secret_files,
)
from app.cli.nodes import nodes
from app.cli.output import Exit, as_json, document, fail, speaks_plainly
from app.cli.service import running
from app.config import Config
from app.config.writer import EditError, Editor
from app.control import NotRunning
from app.installation import configuration
from app.node_check import NodeCheck, advice, check_node

__all__ = ["nodes"]


@nodes.command("add")
@click.argument("name")
@click.argument("host", required=False)
@click.option("--host", "also_host", metavar="HOST", help="The same as HOST.")
@click.option("--title", help="What the public page and badges show.")
@click.option("--address", "addresses", multiple=True, help="An IPv4 or IPv6 address that records point to.")
@click.option("--line", "lines", multiple=True, help="For services that list no lines: telecom, unicom …")
@click.option("--port", type=int)
@click.option("--module", help="The module in the node's rsyncd.conf.")
@click.option("--transport", type=click.Choice(["daemon", "ssh"]))
@click.option("--user", help="The rsync daemon's user; its password is asked for.")
@click.option("--password-file", type=click.Path(dir_okay=False), help="Instead of being asked for it.")
@click.option("--ssh-user")
@click.option("--ssh-path", help="The folder on the node, with --transport ssh.")
@click.option("--drained", is_flag=True, help="Synced, but not published.")
@click.option("--anyway", is_flag=True, help="Write it even if the node cannot be sent to yet.")
@as_json
@speaks_plainly
def add_node(
    name: str, host: str | None, also_host: str | None, anyway: bool, as_json: bool, **given: Any
) -> None:
    """Asks the node whether it can be sent to, then writes it into config.yml.

    Exit status 1, and nothing written, when it cannot; what to put into its rsyncd.conf is printed then.
    """
    if host is not None and also_host not in (None, host):
        fail(f"{host} and --host {also_host} are two hosts: give one")
    host = host or also_host
    config = configuration()
    if any(node.name == name for node in config.nodes):
        fail(f"there is a node {name} already: choose another name, or remove it first")
    with secret_files(config) as store:
        entry = node_entry(name, host, given, store)
        config_then, node = _as_it_would_be(config, entry)
        check = check_node(config_then, node)
        if check.trouble is not None and not anyway:
            if as_json:
                document({"added": False, "node": name, **_facts(check)})
            click.echo(f"{name} cannot be sent to: {check.trouble}\n", err=True)
            click.echo(advice(config_then, node), err=True)
            fail("nothing was written; mend it and try again, or write it --anyway", Exit.SOME_FAILED)
        edited(config, lambda editor: editor.add_node(entry))
    service = reloaded()
    if as_json:
        document({"added": True, "node": name, "service": service, **_facts(check)})
        return
    said = f"answers, {check.version}, its module can be written" if check.ok else f"not yet: {check.trouble}"
    click.echo(f"{name}: {said}")
    click.echo(f"{name} is added to {config.path}{afterwards(service)}")


def node_entry(name: str, host: str | None, given: dict[str, Any], store: Store) -> dict[str, Any]:
    """The node as one would type it under ``nodes``; a password goes into a file of its own (mode 0600)."""
    entry: dict[str, Any] = {"name": name}
    if host is not None:
        entry["host"] = host
    for key in ("title", "port", "module", "transport", "user"):
        if given[key] is not None:
            entry[key] = given[key]
    ssh = {key: given[f"ssh_{key}"] for key in ("user", "path") if given[f"ssh_{key}"] is not None}
    if ssh:
        entry["ssh"] = ssh
    if given["addresses"]:
        entry["addresses"] = [{"static": address} for address in given["addresses"]]
    if given["lines"]:
        entry["lines"] = list(given["lines"])
    if given["drained"]:
        entry["drained"] = True
    if given["password_file"]:
        entry["password_file"] = given["password_file"]
    elif given["user"]:
        password = ask_secret(f"password of {given['user']} on {name}")
        entry["password_file"] = store(f"node-{name}.password", password)
    return entry


def _as_it_would_be(config: Config, entry: dict[str, Any]) -> tuple[Config, Any]:
    """The configuration with the node in it, validated but not written."""
    try:
        editor = Editor(config.path, config.env)
        editor.add_node(entry)
        then = editor.validate()
    except EditError as error:
        fail(str(error))
    return then, next(node for node in then.nodes if node.name == entry["name"])


def _facts(check: NodeCheck) -> dict[str, Any]:
    return {
        "reachable": check.reachable,
        "version": check.version,
        "writable": check.writable,
        "trouble": check.trouble,
    }


@nodes.command("remove")
@click.argument("name")
@as_json
@speaks_plainly
def remove_node(name: str, as_json: bool) -> None:
    """Takes a node out of config.yml. What it holds stays there; its records are withdrawn."""
    config = reread(configuration())
    if name not in (node.name for node in config.nodes) and name in _of_source():
        fail(
            f"{name} comes from the node source ({' '.join(config.node_source.command or ())}): remove it there"
        )
    known_or_fail("node", name, (node.name for node in config.nodes))
    edited(config, lambda editor: editor.remove_node(name))
    service = reloaded()
    if as_json:
        document({"removed": True, "node": name, "service": service})
    else:
        click.echo(f"{name} is removed from {config.path}{afterwards(service)}")


def _of_source() -> set[str]:
    try:
        return {node["name"] for node in running("status")["nodes"]}
    except NotRunning:
        return set()
