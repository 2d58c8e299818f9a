"""Pages, API and metrics over HTTP."""

from __future__ import annotations

from flask import Flask


def register(app: Flask) -> None:
    """Adds every blueprint."""
    from app.web import answers, api, guard, health, metrics, pages

    guard.register(app)
    answers.register(app)
    metrics.register(app)
    for part in (health, api, pages):
        app.register_blueprint(part.blueprint)
