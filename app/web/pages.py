"""The dashboard's pages, rendered here and refreshed by polling. They show and order, and decide nothing."""

from __future__ import annotations

from flask import Blueprint, Response, make_response, render_template

from app.web.answers import operations

blueprint = Blueprint("pages", __name__)


@blueprint.get("/")
def overview() -> Response:
    """Everything at a glance."""
    return make_response(render_template("overview.html", status=operations().status()))
