"""Pages, API and metrics over HTTP."""

from __future__ import annotations

from flask import Flask


def register(app: Flask) -> None:
    """Adds everything that is served."""
    from app.installation import Installation
    from app.web import (
        access,
        answers,
        api,
        api_alerts,  # noqa: F401 - adds its views to api's blueprint
        api_logs,  # noqa: F401
        audit,
        context,
        events,
        format,  # noqa: A004 - the module is named for what it does
        grid,
        headers,
        health,
        language,
        login,
        metrics,
        openapi,
        pages,
        public,
        reports,
        requests,
        settings,
        sharing,
        wording,
    )

    installation: Installation = app.extensions["lockstep"]
    headers.register(app)
    answers.register(app)
    language.register(app)
    access.register(app, installation.config)
    metrics.register(app)
    for part in (audit, context, format, grid, requests, wording):
        part.register(app)
    for module in (health, api, openapi, reports, pages, events, settings, login, public):
        app.register_blueprint(module.blueprint)
    sharing.register(app, "pages", "events")
    access.limiter.limit(access.TOKEN_RATE, exempt_when=access.is_no_token)(api.blueprint)
