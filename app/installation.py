"""What belongs to one application object: its configuration or why there is none, and the running service, if any."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flask import Flask, current_app

from app.config import Config, ConfigError

if TYPE_CHECKING:
    from app.supervisor import Supervisor


@dataclass
class Installation:
    """Kept in ``app.extensions["lockstep"]``."""

    app: Flask
    config: Config | None = None
    error: ConfigError | None = None
    supervisor: Supervisor | None = None


def installed() -> Installation:
    """The current application's."""
    installation: Installation = current_app.extensions["lockstep"]
    return installation


def configuration() -> Config:
    """The current application's configuration. Raises ConfigError with every mistake it has."""
    installation = installed()
    if installation.config is None:
        assert installation.error is not None  # noqa: S101 - create_app sets one of the two
        raise installation.error
    return installation.config
