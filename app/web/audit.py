"""Sees to it that every order that was taken is written down with who gave it. Changes no answer."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

from flask import Flask, Response, current_app, request

from app.access.audit import record
from app.web.access import visitor
from app.web.origin import SAFE, address

V = TypeVar("V", bound=Callable[..., Any])
WORDS = {
    "api.check": "asked to check",
    "api.resync": "asked for a full resync of",
    "api.drain": "drained",
    "api.undrain": "undrained",
    "api.retry": "tried again the dustbin entry",
    "api.discard": "discarded the dustbin entry",
    "api.dns_apply": "applied the DNS plan",
    "api.dns_freeze": "froze DNS",
    "api.dns_unfreeze": "unfroze DNS",
    "pages.node_actions": "asked of nodes:",
    "pages.dustbin_actions": "asked of dustbin entries:",
    "pages.accept_deletions": "accepted the deletions that waited",
    "pages.dns_actions": "asked of DNS:",
    "settings.save_section": "changed the settings of",
    "settings.save_entry": "changed",
    "settings.add_entry": "added to",
    "settings.remove_entry": "removed",
    "settings.users": "changed users:",
    "settings.tokens": "changed tokens:",
}
UNTOLD = frozenset({"login.login", "login.logout", "login.first", "login.preferences"})
"""They say themselves what happened, or change nothing anybody else sees."""


def register(app: Flask) -> None:
    """Adds the trail behind every request that changes something."""

    @app.after_request
    def trail(response: Response) -> Response:
        if request.method in SAFE or response.status_code >= 400 or request.endpoint is None:
            return response
        who = None if request.endpoint in UNTOLD else visitor()
        view = current_app.view_functions.get(request.endpoint)
        if who is None or getattr(view, "_tells_itself", False) or is_preview():
            return response
        tell(request.endpoint, response.status_code)
        return response


def is_preview() -> bool:
    """Whether a form was only checked and shown as a diff."""
    asks = request.endpoint in (
        "settings.save_section",
        "settings.save_entry",
        "settings.add_entry",
        "settings.remove_entry",
    )
    return asks and request.form.get("step") != "save"


def tell(endpoint: str, status: int) -> None:
    """Writes the request down."""
    who = visitor()
    assert who is not None  # noqa: S101 - the caller looked
    arguments = {name: str(value)[:200] for name, value in (request.view_args or {}).items()}
    words = WORDS.get(endpoint) or endpoint.partition(".")[2].replace("_", " ")
    chosen = [n for key in ("names", "ids", "name") for n in request.form.getlist(key)]
    if action := request.form.get("action"):
        arguments["action"] = action[:20]
    what = " ".join([words, *arguments.values(), ", ".join(re.sub(r"\s+", " ", c)[:80] for c in chosen[:20])])
    name = "token " + who.name if who.kind == "token" else who.name
    node = arguments.get("name") if endpoint.startswith(("api.", "nodes.")) else None
    record(
        current_app._get_current_object(),  # type: ignore[attr-defined]
        name,
        what.strip(),
        node=node,
        action=endpoint,
        address=address(),
        status=status,
    )


def tells_itself(view: V) -> V:
    """Marks a view that writes down by itself what it did."""
    view._tells_itself = True  # type: ignore[attr-defined]
    return view
