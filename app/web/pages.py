"""The dashboard's pages, rendered here and refreshed by polling. They show and order, and decide nothing."""

from __future__ import annotations

import base64
import time
from typing import Any

from flask import Blueprint, Response, current_app, flash, make_response, redirect, request, url_for
from flask_babel import gettext as _
from flask_babel import ngettext

from app import history
from app.alerts.model import Condition
from app.operations import Refused
from app.stores.reading import Reading
from app.web.access import may, needs
from app.web.answers import document, operations, supervisor
from app.web.context import IDLE_SECONDS, WORKING_SECONDS, is_working, page
from app.web.format import duration
from app.web.paging import asked_cursor, asked_page
from app.web.wording import reason
from sync.core.model import text_of

blueprint = Blueprint("pages", __name__)
STATES = ("ready", "recovery", "unhealth", "dead")
SORTS = ("name", "state", "lag", "dustbin", "rtt")
OTHERS = (Condition.SYSTEM, Condition.INVENTORY)
BANNERS = ("database", "configuration", "node source")
"""Of those alerts the objects that have a banner of their own; all other conditions have banners or lists."""
MATRIX_NODES = 30
MATRIX_CHANGES = 25
BINNED, HELD_PATHS, PATHS = 100, 200, 500
ACTIONS = ("check", "resync", "drain", "undrain")


def reading() -> Reading:
    """The queries on the history."""
    return supervisor().reading


def rhythm(status: dict[str, Any]) -> int:
    """How often the page asks again."""
    return WORKING_SECONDS if is_working(status) else IDLE_SECONDS


def with_time_left(nodes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The nodes at work, with the files, bytes and seconds left where they can be told."""
    busy = [n for n in nodes if n["work"]]
    for n in busy:
        w = n["work"]
        w["bytes_left"] = w["left"] = None
        if w["percent"] and w["bytes"] and w["percent"] < 100:
            w["bytes_left"] = w["bytes"] * (100 - w["percent"]) / w["percent"]
            w["left"] = w["bytes_left"] / w["rate"] if w["rate"] else None
        w["files_left"] = w["files_total"] - w["files_done"] if w["files_total"] else None
    return busy


# ── overview ─────────────────────────────────────────────────────────────────────────────────────────────


@blueprint.get("/")
def overview() -> Response:
    """Everything at a glance."""
    status = operations().status()
    nodes = status["nodes"]
    counts = {state: sum(1 for n in nodes if n["state"] == state) for state in STATES}
    in_step = [n["last_in_sync_at"] for n in nodes if n["last_in_sync_at"]]
    return page(
        "overview.html",
        "overview",
        poll=rhythm(status),
        status=status,
        counts=counts,
        in_sync=sum(n["in_sync"] for n in nodes),
        published=sum(n["published"] for n in nodes),
        in_step_at=max(in_step, default=None),
        work=with_time_left(nodes),
        attention=[n for n in nodes if not n["in_sync"] or n["drained"] or n["dustbin"] or n["held"]],
        flips=reading().events(8, kind=("flip", "out_of_step", "drift", "source", "held")),
        steps=first_steps(status),
        administered=administered(),
        reload_error=supervisor().reload_error,
        alerts=[a for a in operations().alerts_up() if a.condition in OTHERS and a.object not in BANNERS][:5],
        node_source=supervisor().inventory.standing,
        dns_errors=dns_errors(status),
        waiting=[n for n in nodes if n["held"] and n["would_delete"]],
    )


def dns_errors(status: dict[str, Any]) -> dict[str, list[str]]:
    """What keeps services from being written as they should, with the services."""
    found: dict[str, list[str]] = {}
    for service in status["services"]:
        if service["error"]:
            found.setdefault(service["error"], []).append(service["name"])
    return found


def administered() -> bool:
    """Whether people log in."""
    from app.web.access import door

    return door().has_administrator()


def first_steps(status: dict[str, Any]) -> list[dict[str, Any]] | None:
    """What a new installation still lacks, in order; None once everything was done.

    A step is done when it is seen to work, not when it is written down; else ``trouble`` says why it does not.
    """
    config = supervisor().config
    nodes, services, publish = status["nodes"], status["services"], status["publish"]
    broken = next((s["error"] for s in services if s["error"]), None)
    waits = next((f"{n['name']}: {n['reason']}" for n in nodes if n["state"] != "ready"), None)
    reached = any(n["in_sync"] for n in nodes)
    steps = [
        step("provider", config.dns.providers or not config.dns.enabled, broken),
        step("node", any(n["state"] == "ready" for n in nodes), waits),
        step("service", config.dns.services or not config.dns.enabled, broken),
        step("publish", publish["files"] and reached, publish["fault"] if not publish["ok"] else None),
    ]
    answered = any(line["values"] for s in services for line in s["lines"]) or not config.dns.enabled
    if answered and any(n["last_in_sync_at"] for n in nodes):
        return None  # it has worked: what goes wrong from now on is a banner, not a first step
    return None if all(one["done"] for one in steps[:3]) and nodes else steps


def step(name: str, there: object, trouble: str | None) -> dict[str, Any]:
    """One of them; what stands in the way counts only once there is something."""
    if name == "node":
        return {"id": name, "done": bool(there), "trouble": None if there else trouble}
    return {"id": name, "done": bool(there) and not trouble, "trouble": trouble if there else None}


# ── nodes ────────────────────────────────────────────────────────────────────────────────────────────────


@blueprint.get("/nodes")
def nodes() -> Response:
    """The nodes as a table, filtered by the address."""
    status = operations().status()
    wanted = request.args.get("q", "").strip()
    state, sort = request.args.get("state", ""), request.args.get("sort", "name")
    found = [n for n in status["nodes"] if matches(n, wanted, state)]
    found.sort(key=lambda n: sort_key(n, sort))
    recorder = getattr(supervisor(), "history", None)
    sparks = {n["name"]: spark(recorder.recent_lag(n["name"])) for n in found} if recorder else {}
    source = supervisor().inventory.standing
    return page(
        "nodes.html",
        "nodes",
        poll=rhythm(status),
        nodes=found,
        total=len(status["nodes"]),
        counts={s: sum(1 for n in status["nodes"] if n["state"] == s) for s in STATES},
        wanted=wanted,
        wanted_state=state,
        sort=sort if sort in SORTS else "name",
        sparks=sparks,
        source=source if source.command else None,
    )


def matches(node: dict[str, Any], wanted: str, state: str) -> bool:
    """Whether a node passes the filters."""
    text = " ".join(str(x) for x in (node["name"], node["title"] or "", node["host"], *node["addresses"]))
    if wanted.casefold() not in text.casefold():
        return False
    match state:
        case "in_sync":
            return bool(node["in_sync"])
        case "trouble":
            return not node["in_sync"]
        case "published":
            return bool(node["published"])
        case "drained":
            return bool(node["drained"])
    return state not in STATES or node["state"] == state


def sort_key(node: dict[str, Any], sort: str) -> tuple[Any, ...]:
    """What the table is ordered by; the name breaks ties."""
    value: Any = 0
    match sort:
        case "state":
            value = -STATES.index(node["state"])
        case "lag":
            value = -(node["lag_seconds"] if node["lag_seconds"] is not None else 1e12)
        case "dustbin":
            value = -node["dustbin"]
        case "rtt":
            value = -(node["rtt_ms"] or 0)
    return (value, node["name"])


def spark(points: list[tuple[int, float]]) -> dict[str, str] | None:
    """A sparkline's two paths in a box of 92 × 22."""
    if len(points) < 2:
        return None
    first, top = points[0][0], max(1.0, *(value for _, value in points))
    length = max(60, points[-1][0] - first)
    spots = [f"{(at - first) / length * 92:.1f} {20.5 - value / top * 19:.1f}" for at, value in points]
    line = "M" + "L".join(spots)
    return {"line": line, "area": f"{line}L92 22L0 22Z"}


@blueprint.post("/nodes/actions")
def node_actions() -> Response:
    """Check, resync, drain or undrain: one node or several."""
    names, action = request.form.getlist("names"), request.form.get("action", "")
    if action not in ACTIONS or not names:
        raise Refused("bad_request", _("Choose at least one node and what to do."))
    do = operations()
    if action == "check":
        do.check(names)
    elif action == "resync":
        do.resync(names, request.form.get("accept_deletions") == "yes")
    else:
        for name in names:
            do.drain(name, action == "drain")
    said = {
        "check": ngettext("Checking %(num)s node.", "Checking %(num)s nodes.", len(names)),
        "resync": ngettext("Resyncing %(num)s node.", "Resyncing %(num)s nodes.", len(names)),
        "drain": ngettext("%(num)s node is drained.", "%(num)s nodes are drained.", len(names)),
        "undrain": ngettext("%(num)s node is back.", "%(num)s nodes are back.", len(names)),
    }
    flash(said[action], "good")
    return go_back("pages.nodes")


def go_back(default: str, **values: Any) -> Response:
    """To the page the form stood on."""
    from app.web.login import safe_next

    target = request.form.get("next")
    return make_response(redirect(safe_next(target) if target else url_for(default, **values), 303))


@blueprint.get("/nodes/<name>")
def node(name: str) -> Response:
    """One node with its history."""
    found = operations().node(name)
    with_time_left([found])
    window = request.args.get("span", "24h")
    window = window if window in history.WINDOWS else "24h"
    busy = found["work"] or found["lag_changes"] or found["state"] in ("unhealth", "recovery")
    return page(
        "node.html",
        "nodes",
        poll=WORKING_SECONDS if busy else IDLE_SECONDS,
        n=found,
        window=window,
        windows=list(history.WINDOWS),
        bars=titled(node_cells(name, window), window),
        uptime=uptime(node_cells(name, window)),
        flips=reading().events(12, node=name, kind=("flip", "out_of_step", "nodes")),
        audits=reading().events(6, node=name, kind=("audit", "drift", "resync", "held")),
        transfers=reading().transfers(12, node=name),
        dustbin=operations().dustbin(name, 20)["entries"],
        probe_limit=supervisor().config.health.sleep_times.ready,
    )


def node_cells(name: str, window: str) -> list[dict[str, Any]]:
    """The node's history bar."""
    now = time.time()
    length, span, _cell = history.WINDOWS[window]
    app = current_app._get_current_object()  # type: ignore[attr-defined]
    return history.cells(history.read(app, name, span, int(now) - length), now, window)


def titled(cells: list[dict[str, Any]], window: str) -> list[dict[str, Any]]:
    """The cells with what a pointer over them says."""
    words = {"ready": _("ready"), "recovery": _("recovery"), "unhealth": _("unhealth"), "dead": _("dead")}
    for cell in cells:
        back = duration(max(0.0, time.time() - cell["at"]))
        if cell["state"] == "none":
            cell["title"] = _("%(time)s ago: nothing recorded", time=back)
        else:
            share = round(cell["ready"] * 100)
            cell["title"] = _(
                "%(time)s ago: %(state)s, ready %(share)s %%",
                time=back,
                state=words[cell["state"]],
                share=share,
            )
    return cells


def uptime(cells: list[dict[str, Any]]) -> float | None:
    """The share of the recorded time in which the node was ready, in per cent."""
    known = [cell["ready"] for cell in cells if cell["ready"] is not None]
    return round(sum(known) / len(known) * 100, 2) if known else None


@blueprint.get("/nodes/<name>/plot/<what>.json")
def plot(name: str, what: str) -> Response:
    """The points of one plot: lag, rtt or rate."""
    operations().node(name)
    window = request.args.get("span", "24h")
    if window not in history.WINDOWS or what not in ("lag", "rtt", "rate"):
        raise Refused("not_found", "there is no such plot")
    length, span, _cell = history.WINDOWS[window]
    now = int(time.time())
    first = (now - length) // span * span + span
    app = current_app._get_current_object()  # type: ignore[attr-defined]
    rows = {row["at"]: row for row in history.read(app, name, span, first)}
    at = list(range(first, now + 1, span))
    return document({"at": at, **curves(what, span, [rows.get(t) for t in at])})


def curves(what: str, span: int, rows: list[dict[str, Any] | None]) -> dict[str, Any]:
    """The plot's unit and series; None where nothing was recorded."""

    def mean(r: dict[str, Any]) -> float | None:
        return r[f"{what}_sum"] / r[f"{what}_count"] if r[f"{what}_count"] else None

    if what == "rate":
        values = [r["bytes"] / span if r else None for r in rows]
        return {"unit": "B", "series": [{"label": _("sent"), "values": values}]}
    means = [mean(r) if r else None for r in rows]
    longest = [r[f"{what}_max"] if r and r[f"{what}_count"] else None for r in rows]
    series = [{"label": _("mean"), "values": means}, {"label": _("longest"), "values": longest}]
    return {"unit": "s", "series": series}


# ── content ──────────────────────────────────────────────────────────────────────────────────────────────


@blueprint.get("/content")
def content() -> Response:
    """What is published, how far it is, and what could not be taken."""
    status = operations().status()
    do = operations()
    changes = reading().changes(MATRIX_CHANGES, asked_page().before)
    failed = {(node, text_of(path)) for node, path in do.failed_on(map(bytes_of, changes))}
    binned = do.dustbin(None, BINNED, asked_cursor("bin"))
    nodes = sorted(status["nodes"], key=lambda n: (n["cursor"] is None, n["cursor"] or 0, n["name"]))
    shown = {"before": asked_page().before, "bin": asked_cursor("bin")}
    return page(
        "content.html",
        "content",
        poll=rhythm(status),
        status=status,
        changes=changes,
        matrix=nodes[:MATRIX_NODES],
        reached=[reach(change, nodes, failed) for change in changes],
        older=url_for("pages.content", **{**shown, "before": changes[-1]["seq"]})
        if len(changes) == MATRIX_CHANGES
        else None,
        failed=failed,
        entries=binned["entries"],
        entries_total=binned["total"],
        entries_older=url_for("pages.content", **{**shown, "bin": binned["next_before"]}) + "#dustbin"
        if binned["next_before"]
        else None,
        held=do.held_groups(HELD_PATHS) if any_held(status) else None,
        scope=supervisor().config.publish,
        behind=[n["lag_changes"] for n in nodes if n["lag_changes"] and n["state"] == "ready"],
    )


def bytes_of(change: dict[str, Any]) -> bytes:
    """The path of a row of the journal."""
    exact = change.get("path_b64")
    return base64.b64decode(exact) if exact else str(change["path"]).encode()


@blueprint.get("/content/deletions")
def deletions() -> Response:
    """All paths that would go, of the source or of one node."""
    node = request.args.get("node", "")
    found = operations().held_deletions(PATHS, asked_cursor(), node)
    rows = found["nodes"].get(node, []) if node else found["source"]
    title = _("What would be deleted from %(node)s", node=node) if node else _("What is gone from the source")
    return paths_page("pages.deletions", title, rows, found, node=node or None)


@blueprint.get("/content/unreadable")
def unreadable() -> Response:
    """Everything that cannot be read at the source."""
    found = operations().source_errors(PATHS, asked_cursor())
    title = _("What cannot be read at the source")
    return paths_page("pages.unreadable", title, found["errors"], found)


def paths_page(
    endpoint: str, title: str, rows: list[dict[str, Any]], found: dict[str, Any], **asked: Any
) -> Response:
    """A long list of paths, page by page."""
    more = found["next_before"]
    older = url_for(endpoint, **asked, before=more) if more else None
    return page("paths.html", "content", heading=title, rows=rows, total=found["total"], older=older)


def any_held(status: dict[str, Any]) -> bool:
    """Whether deletions wait for a person."""
    return bool(status["publish"]["held_deletions"] or any(n["would_delete"] for n in status["nodes"]))


def reach(
    change: dict[str, Any], nodes: list[dict[str, Any]], failed: set[tuple[str, str]]
) -> dict[str, int]:
    """How many nodes have a change, failed on it, or wait for it."""
    bad = sum(1 for n in nodes if (n["name"], change["path"]) in failed)
    has = sum(1 for n in nodes if n["cursor"] is not None and n["cursor"] >= change["seq"])
    return {"has": max(0, has - bad), "failed": bad, "of": len(nodes)}


@blueprint.post("/content/dustbin")
def dustbin_actions() -> Response:
    """Retry or discard: one, some or all."""
    ids: list[str] | None = request.form.getlist("ids")
    action = request.form.get("action", "")
    if action.endswith("_all"):
        ids, action = None, action.removesuffix("_all")
    if action not in ("retry", "discard") or ids == []:
        raise Refused("bad_request", _("Choose at least one entry and what to do."))
    do = operations()
    answer = do.retry(ids, known=False) if action == "retry" else do.discard(ids, known=False)
    count = answer["retried" if action == "retry" else "discarded"]
    if ids and not count:
        flash(_("What you chose is in the dustbin no more."), "good")
        return go_back("pages.content")
    said = {
        "retry": ngettext("Trying %(num)s entry again.", "Trying %(num)s entries again.", count),
        "discard": ngettext("%(num)s entry is discarded.", "%(num)s entries are discarded.", count),
    }
    flash(said[action], "good")
    return go_back("pages.content")


@blueprint.post("/content/accept")
def accept_deletions() -> Response:
    """A person takes the source and the deletions it means as they are."""
    names = request.form.getlist("names")
    operations().resync(names, accept_deletions=True)
    flash(_("The deletions are accepted and on their way."), "good")
    return go_back("pages.content")


# ── DNS ──────────────────────────────────────────────────────────────────────────────────────────────────


@blueprint.get("/dns")
def dns() -> Response:
    """Services by line, published against desired."""
    status = operations().status()
    before = asked_page().before
    found = getattr(operations(), "dns_history", None)
    rows = found(30, before)["history"] if found else []
    return page(
        "dns.html",
        "dns",
        poll=rhythm(status),
        status=status,
        history=rows,
        older=rows[-1]["id"] if len(rows) == 30 else None,
        enabled=supervisor().config.dns.enabled,
        providers=sorted(supervisor().config.dns.providers),
        drift=drift_events(),
        plan=operations().dns_plan() if request.args.get("plan") else None,
    )


def drift_events() -> list[dict[str, Any]]:
    """The last times that a record set of ours was changed by somebody else."""
    warned = reading().events(200, kind="dns", severity="warning")
    return [event for event in warned if event["facts"].get("drift")][:8]


@blueprint.post("/dns/<action>")
def dns_actions(action: str) -> Response:
    """Apply, freeze, unfreeze, adopt."""
    do = operations()
    match action:
        case "apply":
            answer = do.dns_apply(confirmed=request.form.get("confirmed") == "yes")
        case "adopt":
            answer = do.dns_apply(adopt=[request.form.get("service", "")])
        case "freeze":
            do.freeze(request.form.get("reason", "").strip()[:200])
            flash(_("DNS is frozen: nothing changes until you unfreeze it."), "good")
            return go_back("pages.dns")
        case "unfreeze":
            do.unfreeze()
            flash(_("DNS goes on."), "good")
            return go_back("pages.dns")
        case _:
            raise Refused("not_found", "there is no such action")
    done = ngettext("%(num)s operation applied.", "%(num)s operations applied.", answer["applied"])
    flash(f"{done} {reason(answer['held'])}".strip(), "bad" if answer["held"] else "good")
    return go_back("pages.dns")


@blueprint.get("/favicon.ico")
@needs("public")
def favicon() -> Response:
    """For browsers that ask without being told where it is."""
    return make_response(redirect(url_for("static", filename="favicon-none.svg")))


@blueprint.app_template_test("operable")
def operable(_value: object) -> bool:
    """Whether the viewer may operate."""
    return may("operate")
