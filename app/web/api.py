"""`/api/v1`: what programs ask and order, as JSON. Every order goes through Operations; nothing is decided here."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, request

from app.operations import Refused
from app.stores.reading import Reading
from app.web.answers import document, operations, supervisor
from app.web.audit import note, tells_itself
from app.web.paging import MOST, asked_cursor, asked_limit, asked_page, paged

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
    """Every node; with ``limit`` a page of them, by name."""
    if "limit" not in request.args and "before" not in request.args:
        return document(operations().nodes() | {"next_before": None})
    return document(operations().nodes_page(asked_limit(), asked_cursor()))


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
    """What nodes could not take: what is still tried first, then newest first."""
    return document(operations().dustbin(request.args.get("node") or None, asked_limit(), asked_cursor()))


@blueprint.get("/deletions")
def deletions() -> Response:
    """What waits for a person before it is deleted, at the source and on nodes."""
    found = operations().held_deletions(asked_limit(MOST), asked_cursor(), request.args.get("node"))
    return document(found)


@blueprint.get("/source/errors")
def source_errors() -> Response:
    """What cannot be read at the source, by path."""
    return document(operations().source_errors(asked_limit(), asked_cursor()))


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


@blueprint.post("/dustbin/retry")
@tells_itself
def retry_some() -> Response:
    """Some entries, or all: of every node, or of one."""
    ids, node = some()
    answer = operations().retry(ids, node, known=False)
    note(f"tried again {told(ids, node)}: {answer['retried']}")
    return document(answer, 202)


@blueprint.post("/dustbin/discard")
@tells_itself
def discard_some() -> Response:
    """Some entries, or all: of every node, or of one."""
    ids, node = some()
    answer = operations().discard(ids, node, known=False)
    note(f"discarded {told(ids, node)}: {answer['discarded']}")
    return document(answer, 202)


def some() -> tuple[list[str] | None, str | None]:
    """Which dustbin entries the body names; None for all. Raises Refused: naming nothing is not naming all."""
    facts = body()
    ids, node = facts.get("ids"), facts.get("node")
    if node is not None and not isinstance(node, str):
        raise Refused("bad_request", "node must be the name of a node")
    if flag(facts, "all"):
        if ids is not None:
            raise Refused("bad_request", "give ids or all, not both")
        return None, node
    if not isinstance(ids, list) or not ids or not all(isinstance(name, str) for name in ids):
        raise Refused("bad_request", 'name the entries, {"ids": ["…"]}, or say {"all": true}')
    return ids, node


def told(ids: list[str] | None, node: str | None) -> str:
    """Which entries, for the audit trail."""
    what = "all dustbin entries" if ids is None else "some dustbin entries"
    return f"{what} of {node}" if node else what


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
