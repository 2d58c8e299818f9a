"""Answers whether the process lives and whether its parts work, to load balancers and monitors. Open to everyone;
says nothing of nodes.
"""

from __future__ import annotations

from flask import Blueprint, Response

from app.installation import installed
from app.version import VERSION
from app.web.answers import document

blueprint = Blueprint("health", __name__)


@blueprint.get("/healthz")
def healthz() -> Response:
    """The process lives."""
    return document({"ok": True, "version": VERSION})


@blueprint.get("/readyz")
def readyz() -> Response:
    """Database, watcher and dispatcher work; 503 with the part that does not."""
    parts = checks()
    ok = all(part["ok"] for part in parts.values())
    return document({"ok": ok, "checks": parts}, 200 if ok else 503)


def checks() -> dict[str, dict[str, object]]:
    """Each part with whether it works and, if not, why."""
    supervisor = installed().supervisor
    engine = getattr(supervisor, "engine", None)
    if engine is None:
        return {"service": part("the service is not running, or still starting")}
    watcher = engine.surveyor.fault or engine.source.watch
    waits = None if engine.accepting.is_set() else "the publish directory is still being compared"
    dispatcher = waits or engine.waits_for
    if not engine._thread.is_alive():
        dispatcher = "the engine's thread has ended: restart the service, and report its log"
    return {
        "database": part(engine.store.trouble()),
        "watcher": part(watcher),
        "dispatcher": part(dispatcher),
    }


def part(trouble: str | None) -> dict[str, object]:
    """One check."""
    return {"ok": trouble is None, "error": trouble}
