"""The Events pages: the timeline, alerts with what was sent where, and the log. They show and order, and decide
nothing.
"""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, flash, make_response, redirect, request, url_for
from flask_babel import gettext as _

from app import log_levels, log_views
from app.alerts.entry import EntryState
from app.alerts.model import Condition
from app.operations import Refused
from app.web.access import may
from app.web.answers import operations, supervisor
from app.web.api_alerts import silenced
from app.web.api_logs import changed
from app.web.audit import tells_itself
from app.web.context import IDLE_SECONDS, WORKING_SECONDS, page
from app.web.paging import asked_cursor, asked_page

blueprint = Blueprint("events", __name__, url_prefix="/events")
KINDS = (
    *("flip", "batch", "resync", "audit", "drift", "dustbin", "source", "watch", "held", "out_of_step"),
    *("dns", "unfrozen", "address", "alert", "hook", "inventory", "nodes", "config", "access", "probe"),
    *("start", "stop"),
)
UNITS = {"minutes": 60.0, "hours": 3600.0, "days": 86_400.0}
LOG_LINES = 200
TOLD = [condition for condition in Condition if condition is not Condition.RECOVERED]


def older(before: object) -> str | None:
    """This page's address, further back; None at the end."""
    if before is None:
        return None
    asked = {name: values for name, values in request.args.lists() if name not in ("before", "tested")}
    return url_for(request.endpoint or "", **{**(request.view_args or {}), **asked, "before": before})


# ── the timeline ─────────────────────────────────────────────────────────────────────────────────────────


@blueprint.get("")
def timeline() -> Response:
    """What happened, with filters; beside it what holds now and what was sent."""
    asked = asked_page()
    kinds = [k for k in request.args.getlist("kind") if k in KINDS]
    severity = request.args.get("severity", "")
    levels = {"error": ["error"], "warning": ["warning", "error"]}.get(severity)
    rows = supervisor().reading.events(100, asked.before, asked.node, kinds or None, severity=levels)
    return page(
        "events/timeline.html",
        "events",
        poll=None if asked.before else IDLE_SECONDS,
        events=rows,
        kinds=KINDS,
        chosen=kinds,
        severity=severity,
        node=asked.node,
        names=[n["name"] for n in operations().status()["nodes"]],
        alerts=operations().alerts()["alerts"],
        deliveries=operations().deliveries(8)["deliveries"],
        older=older(rows[-1]["id"] if len(rows) == 100 else None),
    )


# ── alerts ───────────────────────────────────────────────────────────────────────────────────────────────


@blueprint.get("/alerts")
def alerts() -> Response:
    """What holds, silences, channels, and what was sent where and how it went."""
    do = operations()
    known = do.alerts()
    channel, state = request.args.get("channel") or None, request.args.get("state") or None
    before = asked_cursor()
    sent = do.deliveries(50, before, channel, state if state in list(EntryState) else None)
    tested = request.args.get("tested")
    moving = any(a["phase"] != "firing" for a in known["alerts"])
    moving |= any(d["state"] == "waiting" for d in sent["deliveries"])
    return page(
        "events/alerts.html",
        "events",
        poll=None if before else WORKING_SECONDS if moving else IDLE_SECONDS,
        **known,
        kinds={name: config.kind for name, config in supervisor().config.alerts.channels.items()},
        conditions=TOLD,
        units=list(UNITS),
        sent=sent["deliveries"],
        states=list(EntryState),
        channel=channel,
        state=state,
        tested=do.delivery(tested) if tested else None,
        older=older(sent["next_before"]),
    )


@blueprint.post("/alerts/test/<channel>")
def test(channel: str) -> Response:
    """Sends a test; the page says in full what happened."""
    answer = operations().test_channel(channel)
    return make_response(redirect(url_for("events.alerts", tested=answer["delivery"]), 303))


@blueprint.post("/alerts/silences")
@tells_itself
def silence() -> Response:
    """Tells nothing of some alerts for a while."""
    unit = UNITS.get(request.form.get("unit", ""))
    try:
        length = float(request.form.get("length", ""))
    except ValueError:
        length = 0.0
    if unit is None or not 0 < length < 1e9:
        raise Refused("bad_request", _("Say how long: a silence has an end."))
    asked = (request.form.get(name, "").strip() for name in ("condition", "object", "comment"))
    silenced(length * unit, *asked)
    flash(_("Silenced. What still holds when it ends is told then."), "good")
    return make_response(redirect(url_for("events.alerts"), 303))


@blueprint.post("/alerts/silences/<silence_id>/end")
def end_silence(silence_id: str) -> Response:
    """Ends it early."""
    operations().end_silence(silence_id)
    flash(_("The silence is over."), "good")
    return make_response(redirect(url_for("events.alerts"), 303))


# ── the log ──────────────────────────────────────────────────────────────────────────────────────────────


@blueprint.get("/logs")
def logs() -> Response:
    """The last lines by part and level, and from which level on there are any."""
    asked = asked_page()
    part, level = request.args.get("part", ""), request.args.get("level", "")
    level = level if level in log_levels.LEVELS else "debug"
    found = log_views.lines(part, level, LOG_LINES, asked.before)
    seen = log_views.seen_parts()
    return page(
        "events/logs.html",
        "events",
        poll=None if asked.before else WORKING_SECONDS,
        lines=found["lines"],
        part=part,
        parts=sorted({*seen, *([part] if part else [])}),
        level=level,
        levels=log_levels.LEVELS,
        standings=[s for s in found["levels"] if not s["part"] or s["until"] or is_told_apart(s)],
        is_changed=any(s["until"] for s in found["levels"]),
        own_parts=grouped(log_levels.parts()) if may("operate") else {},
        older=older(found["next_before"]),
    )


def is_told_apart(standing: dict[str, Any]) -> bool:
    """Whether the configuration names a level of this part."""
    return standing["part"] in supervisor().config.log.levels


def grouped(parts: list[str]) -> dict[str, list[str]]:
    """The parts below the ones they stand in."""
    found: dict[str, list[str]] = {}
    for part in parts:
        found.setdefault(part.partition(".")[0], []).append(part)
    return found


@blueprint.post("/logs/level")
@tells_itself
def level() -> Response:
    """Changes a level while running; an empty one puts back the configuration's."""
    part, wanted = request.form.get("part", ""), request.form.get("level", "")
    answer = changed(wanted or None, part)
    if wanted:
        what = answer["part"] or _("everything")
        flash(_("%(part)s: from %(level)s on.", part=what, level=answer["level"]), "good")
    else:
        flash(_("The configuration's levels hold again."), "good")
    shown = {name: request.form.get(f"show_{name}") or None for name in ("part", "level")}
    return make_response(redirect(url_for("events.logs", part=shown["part"], level=shown["level"]), 303))
