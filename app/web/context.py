"""What every page needs: what is wrong (for title, favicon and navigation), the viewer's colours, links to files."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from flask import Flask, Response, make_response, render_template, request, session, url_for

from app.alerts.alert import Alert
from app.alerts.model import Severity
from app.config import Config
from app.installation import installed
from app.operations import Refused
from app.version import VERSION
from app.web.access import visitor
from app.web.answers import operations
from app.web.origin import SAFE

THEMES = ("light", "dark")
WORKING_SECONDS, IDLE_SECONDS = 2, 10
VOLATILE = re.compile(rb'(<time [^>]*>)[^<]*|name="csrf_token" value="[^"]*"')
"""What differs between two renderings that say the same: relative times and the form's token."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """How many things are not in order, and how bad it is: ok, warn, bad, or none (nothing to say)."""

    level: str = "none"
    count: int = 0
    nodes: int = 0
    content: int = 0
    alerts: int = 0


def trouble() -> Trouble:
    """Of the service as it is now; nothing for a visitor who may not look."""
    who = visitor()
    if who is None or "read" not in who.may:
        return Trouble()
    try:
        return trouble_of(operations().status(), operations().alerts_up())
    except Refused:
        return Trouble("bad", 1)


def trouble_of(status: dict[str, Any], alerts: Sequence[Alert] = ()) -> Trouble:
    """The same of a status, and of the alerts that hold and are not silenced."""
    nodes = sum(1 for n in status["nodes"] if not n["in_sync"])
    publish = status["publish"]
    faults = [publish["fault"], publish["watch"], status["frozen"], status["database"]["error"]]
    faults += [s.get("error") for s in status["services"]]
    bad = sum(1 for fault in faults if fault)
    bad += publish["held_deletions"] > 0
    content = sum(n["dustbin"] for n in status["nodes"]) + publish["source_errors_total"]
    content += publish["held_deletions"] > 0
    dead = any(n["state"] == "dead" for n in status["nodes"])
    critical = any(alert.severity is Severity.CRITICAL for alert in alerts)
    level = "bad" if bad or dead or critical else "warn" if nodes or content or alerts else "ok"
    return Trouble(level, nodes + bad or len(alerts), nodes, content, len(alerts))


def is_working(status: dict[str, Any]) -> bool:
    """Whether something is under way that is worth watching closely."""
    if status["publish"]["pending"] or not status["publish"]["ok"]:
        return True
    return any(
        n["work"] or n["lag_changes"] or n["state"] in ("unhealth", "recovery") for n in status["nodes"]
    )


def page(template: str, section: str, *, poll: int | None = None, **facts: Any) -> Response:
    """The page with an ETag, which says whether it says something else; `app.web.sharing` answers polls by it."""
    text = render_template(template, section=section, poll=poll, **facts)
    response = make_response(text)
    if request.method == "GET":
        tag = hashlib.sha256(VOLATILE.sub(rb"\1", text.encode())).hexdigest()[:24]
        response.set_etag(tag)
    return response


def here() -> str:
    """The path of this page with its query, for coming back."""
    if request.method != "GET":
        return url_for("pages.overview")[len(request.script_root) :]
    return request.full_path.rstrip("?")


@cache
def stamp(path: Path) -> str:
    """A few letters that change with the file, so that browsers may keep it."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:10]


def asset(name: str) -> str:
    """The address of one of our files."""
    folder = Path(__file__).parent / "static"
    return url_for("static", filename=name, v=stamp(folder / name))


def current_config() -> Config | None:
    """The configuration that runs, or the one that was read."""
    installation = installed()
    return installation.supervisor.config if installation.supervisor else installation.config


def register(app: Flask) -> None:
    """Gives templates what they need."""

    @app.context_processor
    def everywhere() -> dict[str, Any]:
        config = current_config()
        theme = session.get("theme")
        return {
            "trouble": trouble,
            "here": here,
            "asset": asset,
            "version": VERSION,
            "site_name": config.name if config else "Lockstep",
            "theme": theme if theme in THEMES else None,
            "public_status": bool(config and config.web.public_status),
        }

    @app.after_request
    def see_what_was_ordered(response: Response) -> Response:
        running = installed().supervisor
        if request.method not in SAFE and running is not None and hasattr(running, "operations"):
            running.operations.forget_status()
        return response

    @app.after_request
    def keep_files(response: Response) -> Response:
        if request.endpoint == "static" and request.args.get("v"):
            response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        return response
