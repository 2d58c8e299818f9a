"""Writes down who did what, as events of the kind "access". Never holds up what was done."""

from __future__ import annotations

import logging
import time

from flask import Flask

from app.database import writing
from app.installation import Installation
from app.models import EventRow
from app.stores.rows import event_row
from sync.ports import Event

log = logging.getLogger(__name__)


def record(
    app: Flask, who: str, did: str, *, node: str | None = None, severity: str = "info", **facts: object
) -> None:
    """One line of the timeline: through the running service, or straight into the database by a command."""
    installation: Installation = app.extensions["lockstep"]
    engine = getattr(installation.supervisor, "engine", None)
    message = f"{who} {did}"
    facts = {"who": who, **{k: v for k, v in facts.items() if v is not None}}
    if engine is not None:
        engine.post(lambda: engine.field.emit("access", message, node=node, severity=severity, **facts))
        return
    event = Event(time.time(), "access", message, node, severity, facts)
    try:
        with app.app_context(), writing() as session:
            session.add(EventRow(**event_row(event)))
    except Exception:
        log.exception("who did what could not be written down: %s", message)
