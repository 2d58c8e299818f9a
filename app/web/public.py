"""What everybody may see: the public status page and badges. Tells no host, no address, no error's text.

A node that has a title is known by it alone; its name is not told.
"""

from __future__ import annotations

import hashlib
from typing import Any

from flask import Blueprint, Response, abort, jsonify, make_response, render_template, request
from flask_babel import gettext as _

from app.operations import Refused
from app.web.access import needs
from app.web.answers import operations, wants_json
from app.web.context import current_config

blueprint = Blueprint("public", __name__, url_prefix="/v1")
COLOURS = {"good": "#1a7f55", "part": "#9a6200", "bad": "#b3261e", "unknown": "#5b6472"}
SHIELDS = {"good": "brightgreen", "part": "yellow", "bad": "red", "unknown": "lightgrey"}
MAX_AGE_SECONDS = 10
WIDE = frozenset("MWmw@%")


def allowed() -> None:
    """404 where the configuration keeps this page to itself."""
    config = current_config()
    if config is None or not config.web.public_status:
        abort(404)


def public_node(node: dict[str, Any]) -> dict[str, Any]:
    """What a stranger may know of a node."""
    return {
        "name": node["title"] or node["name"],
        "state": node["state"],
        "in_sync": node["in_sync"],
        "published": node["published"],
    }


def public_service(service: dict[str, Any]) -> dict[str, Any]:
    """What a stranger may know of a service: how many records each line answers with."""
    lines: dict[str, int] = {}
    for line in service.get("lines", ()):
        lines[line["line"]] = lines.get(line["line"], 0) + len(line.get("values") or ())
    return {"name": service["name"], "lines": [{"line": k, "answers": v} for k, v in lines.items()]}


def verdict(facts: dict[str, Any]) -> str:
    """good, part or bad: all, some or none of the nodes are in sync."""
    nodes = facts["nodes"]
    well = sum(n["in_sync"] for n in nodes)
    return "unknown" if not nodes else "good" if well == len(nodes) else "part" if well else "bad"


def public_facts() -> dict[str, Any]:
    """The page's facts."""
    status = operations().status()
    config = current_config()
    facts: dict[str, Any] = {
        "name": config.name if config else "Lockstep",
        "nodes": [public_node(n) for n in status["nodes"]],
        "services": [public_service(s) for s in status["services"]],
    }
    return facts | {"status": verdict(facts)}


@blueprint.get("/status")
@needs("public")
def status() -> Response:
    """HTML to a browser, JSON when asked."""
    allowed()
    facts = public_facts()
    if request.args.get("format") == "json" or wants_json():
        response = jsonify(facts)
        response.headers["Access-Control-Allow-Origin"] = "*"
    else:
        response = make_response(render_template("public.html", facts=facts, section="public", poll=30))
    response.headers["Cache-Control"] = f"public, max-age={MAX_AGE_SECONDS}"
    response.vary.add("Accept")
    response.vary.add("Accept-Language")
    response.vary.add("Cookie")
    return response


# ── badges ───────────────────────────────────────────────────────────────────────────────────────────────


@blueprint.get("/badge")
@blueprint.get("/badge.svg")
@blueprint.get("/badge.json")
@needs("public")
def badge_of_all() -> Response:
    """How many nodes are ready."""
    allowed()
    nodes = operations().status()["nodes"]
    ready = sum(n["state"] == "ready" for n in nodes)
    tone = "unknown" if not nodes else "good" if ready == len(nodes) else "part" if ready else "bad"
    config = current_config()
    return badge(
        config.name if config else "Lockstep", f"{ready}/{len(nodes)} {_('ready')}", tone, request.path
    )


@blueprint.get("/badge/<path:name>")
@needs("public")
def badge_of(name: str) -> Response:
    """A service's or node's badge: `.svg`, or `.json` in the shields.io endpoint form."""
    allowed()
    name, dot, kind = name.rpartition(".")
    if not dot or kind not in ("svg", "json"):
        raise Refused("not_found", "ask for a badge as NAME.svg or NAME.json")
    status = operations().status()
    for node in status["nodes"]:
        if node["name"] == name or (node["title"] and node["title"] == name):
            return node_badge(node, kind)
    for service in status["services"]:
        if service["name"] == name:
            shown = public_service(service)
            answers = sum(line["answers"] for line in shown["lines"])
            text = _("%(n)s answers", n=answers) if answers else _("no answer")
            return badge(name, text, "good" if answers else "bad", f".{kind}")
    raise Refused("not_found", "there is no node or service of this name")


def node_badge(node: dict[str, Any], kind: str) -> Response:
    """The node's state, and whether it is in sync."""
    words = {"ready": _("ready"), "recovery": _("recovery"), "unhealth": _("unhealth"), "dead": _("dead")}
    text, tone = words[node["state"]], "bad"
    if node["state"] == "ready":
        tone = "good" if node["in_sync"] else "part"
        text = _("in sync") if node["in_sync"] else _("ready, not in sync")
    elif node["state"] == "recovery":
        tone = "part"
    return badge(node["title"] or node["name"], text, tone, f".{kind}")


def badge(label: str, text: str, tone: str, path: str) -> Response:
    """The badge as SVG, or as JSON when the path ends so."""
    if path.endswith(".json") or request.args.get("format") == "json":
        shown = {"schemaVersion": 1, "label": label, "message": text, "color": SHIELDS[tone]}
        response = jsonify(shown | ({"isError": True} if tone == "bad" else {}))
    else:
        left, right = width(label), width(text)
        drawn = render_template(
            "badge.svg", label=label, text=text, left=left, right=right, colour=COLOURS[tone]
        )
        response = make_response(drawn)
        response.mimetype = "image/svg+xml"
        response.headers["Content-Security-Policy"] = "default-src 'none'; style-src 'unsafe-inline'"
    response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    response.headers["Access-Control-Allow-Origin"] = "*"
    response.headers["Cache-Control"] = f"public, max-age={MAX_AGE_SECONDS}"
    response.set_etag(hashlib.sha256(response.get_data()).hexdigest()[:16])
    return response.make_conditional(request)  # type: ignore[return-value]


def width(text: str) -> int:
    """Roughly how many pixels the text takes in 11 px Verdana, with its margins."""
    return 12 + round(sum(11 if ord(c) > 0x2E80 else 9 if c in WIDE else 6.6 for c in text))
