"""`flask serve`, the service, and `flask demo`, the service in the demo environment."""

from __future__ import annotations

import click
from flask import current_app

from app.cli.output import speaks_plainly


@click.command()
@speaks_plainly
def serve() -> None:
    """Runs the service, as `python wsgi.py` does."""
    from app.serving import serve as run

    run(current_app._get_current_object())  # type: ignore[attr-defined]


@click.command()
@speaks_plainly
def demo() -> None:
    """Runs the service over three real rsync daemons on this machine."""
    from app.demo import run

    run()
