"""The commands. Each asks a running service over its control socket, or takes the installation's lock."""

from __future__ import annotations

import click
from flask import Flask
from flask.cli import with_appcontext

from app.cli.access import token, user
from app.cli.alerts import alerts
from app.cli.config import check_config, config
from app.cli.dns import dns
from app.cli.install import install, uninstall
from app.cli.inventory import nodes
from app.cli.nodes import dustbin
from app.cli.providers import providers
from app.cli.serve import demo, serve
from app.cli.services import services
from app.cli.status import events, status
from app.cli.sync import sync_once

COMMANDS = (
    serve,
    demo,
    check_config,
    config,
    status,
    events,
    nodes,
    dustbin,
    services,
    providers,
    dns,
    alerts,
    sync_once,
    user,
    token,
    install,
    uninstall,
)


def _within_the_application(command: click.Command) -> None:
    """Lets a command find its application however it is invoked: ``flask`` sees to it, a test runner does not."""
    if isinstance(command, click.Group):
        for part in command.commands.values():
            _within_the_application(part)
    elif command.callback is not None:
        command.callback = with_appcontext(command.callback)


for _command in COMMANDS:
    _within_the_application(_command)


def register(app: Flask) -> None:
    """Adds every command to ``flask``."""
    for command in COMMANDS:
        app.cli.add_command(command)
