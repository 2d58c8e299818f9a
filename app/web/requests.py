"""Logs each request at debug: who asked for which path, and what came of it. Never a query or a body: tokens stand in
them.
"""

from __future__ import annotations

import logging
import time

from flask import Flask, Response, g, request

from app.web.access import visitor

log = logging.getLogger(__name__)


def register(app: Flask) -> None:
    """Sets the clock before each request and tells of it afterwards, but for a page's polls of itself."""

    @app.before_request
    def began() -> None:
        g.began = time.monotonic()

    @app.after_request
    def tell(response: Response) -> Response:
        if log.isEnabledFor(logging.DEBUG) and "X-Poll" not in request.headers:
            who = visitor() if "visitor" in g else None
            took = (time.monotonic() - g.get("began", time.monotonic())) * 1000
            name = who.name if who is not None else "nobody known"
            log.debug(
                "%s: %s %s: %d, %.0f ms", name, request.method, request.path, response.status_code, took
            )
        return response
