"""Takes what nodes say about where they are: `POST …/address`, and dyndns2 at `/nic/update`.

A `report` token names one node and can move only that one; an operator's token or session may report for any.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

from flask import Blueprint, Response, current_app, make_response, request

from app.access.audit import record
from app.access.visitor import Visitor
from app.operations import Refused
from app.web.access import bearer, door, limiter, needs, visitor
from app.web.answers import document, operations
from app.web.api import body
from app.web.audit import tells_itself
from app.web.origin import address

blueprint = Blueprint("reports", __name__)
RATE = "60 per minute"
TRY_LATER = frozenset({"busy", "not_running", "database", "not_available", "bad_address"})
"""What a client shall not take as final. After `nohost` it stops until a person helps, after `911` it asks again later:
the address that its page or router names may be right then."""


def reporter() -> Visitor | None:
    """Who reports: a bearer token, a session, or basic auth with any user and a token as the password."""
    if bearer() is None and (token := basic_token()):
        return door().token(token)
    return visitor()


def basic_token() -> str | None:
    """The password of basic auth."""
    kind, _, value = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() != "basic":
        return None
    try:
        return base64.b64decode(value, validate=True).decode().partition(":")[2] or None
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return None


def rate_key() -> str:
    """Each reporter has a limit of its own."""
    who = reporter()
    return f"reporter {who.kind} {who.id}" if who is not None else f"address {address()}"


def may_move(who: Visitor, node: str) -> bool:
    """Whether this visitor may say where that node is."""
    if who.kind == "token" and "report" in who.may:
        return who.node == node or "operate" in who.may
    return "operate" in who.may


def report(who: Visitor, node: str, addresses: list[str]) -> dict[str, Any]:
    """Hands the report on. Raises Refused."""
    take = getattr(operations(), "report_address", None)
    if take is None:
        raise Refused("not_available", "addresses cannot be reported to this installation")
    answer: dict[str, Any] = take(node, addresses)
    if answer.get("changed"):
        app = current_app._get_current_object()  # type: ignore[attr-defined]
        name = f"token {who.name}" if who.kind == "token" else who.name
        record(app, name, f"reported {', '.join(addresses)}", node=node, address=address())
    return answer


@blueprint.post("/api/v1/nodes/<name>/address")
@needs("public")
@tells_itself
@limiter.limit(RATE, key_func=rate_key)
def report_address(name: str) -> Response:
    """A node reports where it is; without addresses: where it asks from."""
    who = reporter()
    if who is None:
        raise Refused("unauthorized", "send a token with the scope report: Authorization: Bearer …")
    if not may_move(who, name):
        raise Refused("forbidden", f"{who.name} may not say where {name} is")
    if who.kind == "user":
        from app.web.access import csrf

        csrf.protect()
    given = body().get("addresses")
    if given is None or given == []:
        given = [address()]
    if not isinstance(given, list) or not all(isinstance(a, str) for a in given) or len(given) > 20:
        raise Refused("bad_request", "addresses must be a list of up to 20 texts")
    return document(report(who, name, given), 202)


@blueprint.get("/nic/update")
@needs("public")
@limiter.limit(RATE, key_func=rate_key, on_breach=lambda limit: said("abuse", 429))
def dyndns() -> Response:
    """The same in the dyndns2 protocol: good, nochg, badauth, nohost, notfqdn, abuse, 911."""
    who = reporter()
    if who is None or who.kind != "token":
        answer = said("badauth", 401)
        answer.headers["WWW-Authenticate"] = 'Basic realm="Lockstep"'
        return answer
    node = request.args.get("hostname", "")
    if not node or "," in node:
        return said("notfqdn" if not node else "numhost")
    if not may_move(who, node):
        return said("nohost")
    addresses = given_addresses() or [address()]
    try:
        answer_facts = report(who, node, addresses[:20])
    except Refused as problem:
        current_app.logger.warning("/nic/update: %s was refused for %s: %s", who.name, node, problem)
        return said("911" if problem.code in TRY_LATER else "nohost")
    word = "good" if answer_facts.get("changed") else "nochg"
    return said(f"{word} {','.join(addresses)}")


def given_addresses() -> list[str]:
    """What `myip` and `myipv6` name; a router that has no IPv6 sends the latter empty."""
    named = ",".join([*request.args.getlist("myip"), *request.args.getlist("myipv6")])
    return [one.strip() for one in named.split(",") if one.strip()]


def said(text: str, status: int = 200) -> Response:
    """A dyndns2 answer: one line of plain text."""
    response = make_response(text + "\n", status)
    response.mimetype = "text/plain"
    return response
