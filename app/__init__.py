"""The Flask application that wires the content half and the DNS half together.

`create_app` builds the application and starts nothing: commands import it. `wsgi.py` is the service.
"""

from __future__ import annotations

from pathlib import Path

from flask import Flask

from app.config import Config, ConfigError, load
from app.database import init_db
from app.installation import Installation

ROOT = Path(__file__).resolve().parent.parent


def create_app(config: Config | None = None) -> Flask:
    """The application over the configuration (default: as `app.config.load` finds it). Starts no thread.

    A configuration with mistakes does not raise: commands that need it say what is wrong (`installed`), and
    `flask check-config` lists it.
    """
    app = Flask(
        __name__, template_folder=str(ROOT / "templates"), static_folder=str(ROOT / "app" / "web" / "static")
    )
    installation = Installation(app)
    app.extensions["lockstep"] = installation
    try:
        installation.config = config or load()
    except ConfigError as error:
        installation.error = error
    else:
        with_database(app, installation.config)
    from app.cli import register as register_commands
    from app.web import register as register_pages

    register_commands(app)
    register_pages(app)
    return app


def with_database(app: Flask, config: Config) -> None:
    """Binds the models to the configured database; connects to nothing."""
    url = config.database_url.get_secret_value() if config.database_url else None
    init_db(app, DatabaseSettings(config.data_dir, url))


class DatabaseSettings:
    """What app.database reads of the configuration, the URL in clear."""

    def __init__(self, data_dir: Path, database_url: str | None) -> None:
        self.data_dir = data_dir
        self.database_url = database_url
