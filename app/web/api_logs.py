"""`/api/v1/logs`: the last log lines, and from which level on there are any. Decides nothing."""

from __future__ import annotations

from flask import Response, request

from app import log_views
from app.operations import Refused
from app.web.answers import document
from app.web.api import blueprint, body
from app.web.audit import note, tells_itself
from app.web.paging import asked_page


@blueprint.get("/logs")
def logs() -> Response:
    """The newest lines first."""
    page = asked_page()
    part, level = request.args.get("part", ""), request.args.get("level") or "debug"
    return document(log_views.lines(part, level, page.limit, page.before))


@blueprint.post("/logs/level")
@tells_itself
def log_level() -> Response:
    """Changes a level while running; null puts back the configuration's."""
    facts = body()
    level, part = facts.get("level", 0), facts.get("part", "")
    if not (level is None or isinstance(level, str)) or not isinstance(part, str):
        raise Refused("bad_request", "level must be a level or null, part the name of a part")
    return document(changed(level, part), 202)


def changed(level: str | None, part: str) -> dict[str, object]:
    """Changes it and writes down who did. Raises Refused."""
    answer = log_views.set_level(level, part)
    of = f"the log level of {part}" if part else "the log level"
    note(f"set {of} to {answer['level']}" if level else f"put back {of}: {answer['level']}")
    return answer
