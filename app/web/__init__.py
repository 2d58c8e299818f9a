"""Pages, API and metrics over HTTP."""

from __future__ import annotations

from flask import Flask


def register(app: Flask) -> None:
    """Adds every blueprint."""
    from app.web import api, health, pages

    app.register_blueprint(health.blueprint)
    app.register_blueprint(api.blueprint)
    app.register_blueprint(pages.blueprint)
