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
    "api.check": "asked to check {what}",
    "api.resync": "asked for a full resync of {what}",
    "api.drain": "drained {what}",
    "api.undrain": "undrained {what}",
    "api.retry": "tried again the dustbin entry {what}",
    "api.discard": "discarded the dustbin entry {what}",
    "api.test_channel": "sent a test over {what}",
    "api.end_silence": "ended the silence {what}",
    "events.test": "sent a test over {what}",
    "events.end_silence": "ended the silence {what}",
    "api.dns_apply": "applied the DNS plan",
    "api.dns_freeze": "froze DNS",
    "api.dns_unfreeze": "unfroze DNS",
    "pages.node_actions": "asked of nodes: {what}",
    "pages.dustbin_actions": "asked of dustbin entries: {what}",
    "pages.accept_deletions": "accepted the deletions that waited",
    "pages.dns_actions": "asked of DNS: {what}",
    "settings.save_section": "changed the settings of {what}",
    "settings.save_entry": "changed {what}",
    "settings.add_entry": "added to {what}",
    "settings.remove_entry": "removed {what}",
    "settings.users": "changed users: {what}",
    "settings.tokens": "changed tokens: {what}",
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
    words = WORDS.get(endpoint) or endpoint.partition(".")[2].replace("_", " ") + " {what}"
    chosen = [n for key in ("names", "ids", "name") for n in request.form.getlist(key)]
    if action := request.form.get("action"):
        arguments["action"] = action[:20]
    named = ", ".join(re.sub(r"\s+", " ", c)[:80] for c in chosen[:20])
    what = " ".join([*arguments.values(), named]).strip()
    did = words.replace("{what}", what) if "{what}" in words else f"{words}: {what}" if what else words
    name = "token " + who.name if who.kind == "token" else who.name
    node = arguments.get("name") if endpoint.startswith(("api.", "nodes.")) else None
    record(
        current_app._get_current_object(),  # type: ignore[attr-defined]
        name,
        did.strip(),
        node=node,
        action=endpoint,
        address=address(),
        status=status,
    )


def note(did: str) -> None:
    """Writes down what the visitor did, for views that tell it themselves."""
    who = visitor()
    assert who is not None  # noqa: S101 - nobody else is let in
    name = "token " + who.name if who.kind == "token" else who.name
    app = current_app._get_current_object()  # type: ignore[attr-defined]
    record(app, name, re.sub(r"\s+", " ", did)[:500], action=request.endpoint, address=address())


def tells_itself(view: V) -> V:
    """Marks a view that writes down by itself what it did."""
    view._tells_itself = True  # type: ignore[attr-defined]
    return view
