"""`/api/v1/alerts`: what holds, silences, tests of channels, what was sent where. Decides nothing."""

from __future__ import annotations

import time
from typing import Any

from flask import Response, request

from app.alert_operations import TOO_LONG
from app.operations import Refused
from app.stores.rows import storable
from app.web.answers import document, operations
from app.web.api import blueprint, body
from app.web.audit import note, tells_itself
from app.web.paging import asked_cursor, asked_limit


@blueprint.get("/alerts")
def alerts() -> Response:
    """What holds now, the silences, the channels."""
    return document(operations().alerts())


@blueprint.get("/alerts/deliveries")
def deliveries() -> Response:
    """What was sent where and how it went, newest first."""
    asked = (request.args.get("channel") or None, request.args.get("state") or None)
    return document(operations().deliveries(asked_limit(), asked_cursor(), *asked))


@blueprint.post("/alerts/channels/<channel>/test")
def test_channel(channel: str) -> Response:
    """Sends a test and says in full what happened."""
    return document(operations().test_channel(channel), 202)


@blueprint.post("/alerts/silences")
@tells_itself
def silence() -> Response:
    """Tells nothing of some alerts for so many seconds, or until then."""
    facts = body()
    seconds, until = facts.get("seconds"), facts.get("until")
    given = until if seconds is None else seconds
    if (seconds is None) == (until is None) or isinstance(given, bool) or not isinstance(given, int | float):
        raise Refused("bad_request", "say how long: seconds, or until as seconds since 1970; one of the two")
    try:
        lasts = float(given) if until is None else float(given) - time.time()
    except OverflowError:  # JSON's whole numbers have no end
        raise Refused("usage", TOO_LONG) from None
    return document(
        silenced(lasts, *(words(facts, name) for name in ("condition", "object", "comment"))), 202
    )


@blueprint.post("/alerts/silences/<silence_id>/end")
def end_silence(silence_id: str) -> Response:
    """Ends it early."""
    return document(operations().end_silence(silence_id), 202)


def words(facts: dict[str, Any], name: str) -> str:
    """A text of the body as every page and database takes it; empty where there is none. Raises Refused."""
    value = facts.get(name)
    if value is not None and not isinstance(value, str):
        raise Refused("bad_request", f"{name} must be a text")
    return storable(value or "")


def silenced(seconds: float, condition: str, name: str, comment: str) -> dict[str, Any]:
    """Begins a silence and writes down who did. Raises Refused."""
    answer = operations().silence(seconds, condition or None, name or None, comment)
    what = " ".join(filter(None, (condition, name))) or "every alert"
    until = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(answer["until"]))
    note(f"silenced {what} until {until}" + (f": {comment}" if comment else ""))
    return answer
