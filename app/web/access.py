"""Lets a request in or not: who asks, what the view needs, whether it was sent on purpose.

    no administrator yet   only this machine, which may look and operate, but change no settings
    bearer token           what its scopes say; no cookie and no CSRF token are looked at
    session cookie         what the person's role says; changes need the CSRF token
    nobody                 public views only

Every view needs `read` to look and `operate` to change unless it says otherwise: nothing is open by oversight.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from flask import Flask, Response, current_app, g, make_response, redirect, request, session, url_for
from flask.sessions import SecureCookieSessionInterface
from flask_babel import gettext as _
from flask_limiter import Limiter
from flask_login import LoginManager, current_user
from flask_wtf.csrf import CSRFError, CSRFProtect

from app.access.door import Door
from app.access.visitor import LOCAL, Visitor
from app.config import Config
from app.files import write_atomically
from app.web.answers import failure, wants_json
from app.web.origin import SAFE, address, is_cross_site, is_local

V = TypeVar("V", bound=Callable[..., Any])
KEY_FILE = "session.key"
OPEN = frozenset({"health.healthz", "health.readyz", "static"})
"""What even a stranger may see before there is an administrator."""
NOBODY = "public"
TOKEN_RATE = "600 per minute"  # noqa: S105 - no secret
BODY_BYTES = 1 << 20

csrf = CSRFProtect()
limiter = Limiter(key_func=lambda: rate_key(), storage_uri="memory://", headers_enabled=True)


def needs(permission: str) -> Callable[[V], V]:
    """What a view asks of its visitor: read, operate, administer, report, or public."""

    def mark(view: V) -> V:
        view._needs = permission  # type: ignore[attr-defined]
        return view

    return mark


def needed() -> str:
    """What the view of this request asks."""
    view = current_app.view_functions.get(request.endpoint or "")
    marked = getattr(view, "_needs", None)
    if marked is not None:
        return str(marked)
    if request.endpoint in OPEN or request.endpoint == "prometheus_metrics":
        return NOBODY
    return "read" if request.method in SAFE else "operate"


def door() -> Door:
    """Who is who."""
    found: Door = current_app.extensions["lockstep.door"]
    return found


def visitor() -> Visitor | None:
    """Who asks; None for nobody we know."""
    if "visitor" not in g:
        g.visitor = find_visitor()
    found: Visitor | None = g.visitor
    return found


def find_visitor() -> Visitor | None:
    """By token, by session, or because nobody is in charge yet and this is the machine itself."""
    token = bearer()
    if token is not None:
        return door().token(token)
    if current_user.is_authenticated:
        found: Visitor = current_user._get_current_object()
        return found
    if not door().has_administrator() and is_local():
        return LOCAL
    return None


def bearer() -> str | None:
    """The token of the Authorization header."""
    kind, _blank, value = request.headers.get("Authorization", "").partition(" ")
    return value.strip() if kind.lower() == "bearer" else None


def may(permission: str) -> bool:
    """Whether who asks may do this; for templates."""
    found = visitor()
    return found is not None and permission in found.may


def rate_key() -> str:
    """Whom a rate limit counts: a token, else an address."""
    found = visitor()
    return f"token {found.id}" if found is not None and found.kind == "token" else f"address {address()}"


def is_no_token() -> bool:
    """Pages and people are not rated by the API's limit."""
    found = visitor()
    return found is None or found.kind != "token"


# ── the check before every request ───────────────────────────────────────────────────────────────────────


def enter() -> Response | None:
    """None to let the request in, else the answer that refuses it."""
    permission = needed()
    if request.endpoint not in OPEN and not is_local() and not door().has_administrator():
        return failure(
            "forbidden",
            "only this machine is served until there is an administrator: make one there with `flask user add`",
            403,
        )
    if request.method not in SAFE and bearer() is None and is_cross_site():
        return failure("csrf", "this was sent by a page of another site", 403)
    if permission == NOBODY or request.endpoint is None:
        return None
    found = visitor()
    if found is None:
        return ask_to_log_in()
    if permission not in found.may and found is LOCAL:
        return failure("forbidden", _("Settings and users need an administrator: make the first one."), 403)
    if permission not in found.may:
        return failure("forbidden", f"{found.name} may not do this: it takes the right to {permission}", 403)
    if request.method not in SAFE and not (found.kind == "token" or (found is LOCAL and is_api())):
        csrf.protect()
    return None


def is_api() -> bool:
    """Whether the request is a program's."""
    return request.path.startswith("/api/")


def ask_to_log_in() -> Response:
    """401 to a program, the login page to a person."""
    if wants_json() or request.method not in SAFE:
        answer = failure("unauthorized", "log in, or send a token: Authorization: Bearer …", 401)
        answer.headers["WWW-Authenticate"] = "Bearer"
        return answer
    here = request.full_path.rstrip("?")
    return make_response(redirect(url_for("login.login", next=None if here == "/" else here)))


class CookieInterface(SecureCookieSessionInterface):
    """Flask's cookie, marked Secure wherever the browser came by HTTPS."""

    def get_cookie_secure(self, app: Flask) -> bool:
        return request.is_secure


def secret_key(config: Config | None) -> bytes:
    """The key that signs cookies: made once, kept in data_dir with mode 0600."""
    if config is None:
        return secrets.token_bytes(32)
    path: Path = config.data_dir / KEY_FILE
    try:
        return path.read_bytes()
    except FileNotFoundError:
        config.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomically(path, secrets.token_bytes(32))
        return path.read_bytes()


def register(app: Flask, config: Config | None) -> None:
    """Sets up cookies, logins, CSRF, limits and the check before every request."""
    app.secret_key = secret_key(config)
    app.session_interface = CookieInterface()
    app.config.update(
        SESSION_COOKIE_NAME="lockstep",
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_HTTPONLY=True,
        PERMANENT_SESSION_LIFETIME=30 * 86_400,
        SESSION_REFRESH_EACH_REQUEST=False,
        WTF_CSRF_CHECK_DEFAULT=False,
        WTF_CSRF_TIME_LIMIT=None,
        MAX_CONTENT_LENGTH=BODY_BYTES,
    )
    app.extensions["lockstep.door"] = Door(app)
    logins = LoginManager(app)
    logins.session_protection = None  # the row on the server is the protection; addresses change on the way
    logins.user_loader(lambda key: app.extensions["lockstep.door"].session(key))
    csrf.init_app(app)
    app.before_request(enter)
    limiter.init_app(app)
    app.context_processor(lambda: {"may": may, "visitor": visitor})

    @app.errorhandler(CSRFError)
    def no_token(problem: CSRFError) -> Response:
        message = f"{problem.description} Reload the page and try again."
        return failure("csrf", message, 403)


def forget_session() -> None:
    """Empties the cookie, but for the language."""
    kept = {name: session[name] for name in ("language", "theme") if name in session}
    session.clear()
    session.update(kept)
