"""`/api/v1`: what programs ask and order, as JSON. Every order goes through Operations; nothing is decided here."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, request

from app.operations import Refused
from app.stores.reading import Reading
from app.web.answers import document, operations, supervisor
from app.web.paging import asked_page, paged

blueprint = Blueprint("api", __name__, url_prefix="/api/v1")


def reading() -> Reading:
    """The queries on the history."""
    return supervisor().reading


def body() -> dict[str, Any]:
    """The request's JSON object; empty where there is no body. Raises Refused for anything else."""
    if not request.get_data(cache=True):
        return {}
    found = request.get_json(force=True, silent=True)
    if not isinstance(found, dict):
        raise Refused("bad_request", "the body must be a JSON object")
    return found


def flag(facts: dict[str, Any], name: str) -> bool:
    """A yes or no of the body. Raises Refused for what is neither."""
    value = facts.get(name, False)
    if not isinstance(value, bool):
        raise Refused("bad_request", f"{name} must be true or false")
    return value


# ── looking ──────────────────────────────────────────────────────────────────────────────────────────────


@blueprint.get("/status")
def status() -> Response:
    return document(operations().status())


@blueprint.get("/nodes")
def nodes() -> Response:
    return document(operations().nodes())


@blueprint.get("/nodes/<name>")
def node(name: str) -> Response:
    return document(operations().node(name))


@blueprint.get("/changes")
def changes() -> Response:
    """The journal, newest first; with ``node`` what is still on its way to it."""
    page = asked_page()
    above = None
    if page.node is not None:
        above = operations().node(page.node)["cursor"] or 0
    rows = reading().changes(page.limit, page.before, above=above)
    return document(paged("changes", rows, page.limit, "seq"))


@blueprint.get("/events")
def events() -> Response:
    page = asked_page()
    rows = reading().events(
        page.limit,
        page.before,
        page.node,
        request.args.getlist("kind") or None,
        severity=request.args.getlist("severity") or None,
    )
    return document(paged("events", rows, page.limit))


@blueprint.get("/transfers")
def transfers() -> Response:
    page = asked_page()
    return document(paged("transfers", reading().transfers(page.limit, page.before, page.node), page.limit))


@blueprint.get("/dustbin")
def dustbin() -> Response:
    return document(operations().dustbin(request.args.get("node") or None))


@blueprint.get("/deletions")
def deletions() -> Response:
    """What waits for a person before it is deleted, at the source and on nodes."""
    return document(operations().held_deletions())


# ── acting ───────────────────────────────────────────────────────────────────────────────────────────────


@blueprint.post("/nodes/<name>/check")
def check(name: str) -> Response:
    return document(operations().check([name]), 202)


@blueprint.post("/nodes/<name>/resync")
def resync(name: str) -> Response:
    return document(operations().resync([name], flag(body(), "accept_deletions")), 202)


@blueprint.post("/nodes/<name>/drain")
def drain(name: str) -> Response:
    return document(operations().drain(name, True), 202)


@blueprint.post("/nodes/<name>/undrain")
def undrain(name: str) -> Response:
    return document(operations().drain(name, False), 202)


@blueprint.post("/dustbin/<entry>/retry")
def retry(entry: str) -> Response:
    return document(operations().retry([entry]), 202)


@blueprint.post("/dustbin/<entry>/discard")
def discard(entry: str) -> Response:
    return document(operations().discard([entry]), 202)


# ── DNS ──────────────────────────────────────────────────────────────────────────────────────────────────


@blueprint.get("/dns/plan")
def dns_plan() -> Response:
    """What would be done now."""
    return document(operations().dns_plan())


@blueprint.post("/dns/apply")
def dns_apply() -> Response:
    """One pass now. ``confirmed``: a person says yes to what is held; ``adopt``: services that take over."""
    facts = body()
    adopt = facts.get("adopt", [])
    if not isinstance(adopt, list) or not all(isinstance(name, str) for name in adopt):
        raise Refused("bad_request", "adopt must be a list of services")
    return document(operations().dns_apply(flag(facts, "confirmed"), adopt), 202)


@blueprint.post("/dns/freeze")
def dns_freeze() -> Response:
    """Nothing is written until it is unfrozen."""
    reason = body().get("reason", "")
    if not isinstance(reason, str) or len(reason) > 200:
        raise Refused("bad_request", "reason must be a text of at most 200 characters")
    return document(operations().freeze(reason), 202)


@blueprint.post("/dns/unfreeze")
def dns_unfreeze() -> Response:
    """Goes on."""
    return document(operations().unfreeze(), 202)


@blueprint.get("/dns/history")
def dns_history() -> Response:
    """Operations at the providers, newest first."""
    page = asked_page()
    rows = operations().dns_history(page.limit, page.before, request.args.get("service") or None)["history"]
    return document(paged("history", rows, page.limit))
