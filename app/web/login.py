"""Login, logout, the first administrator, one's own account, and each visitor's language and colours."""

from __future__ import annotations

import math
from urllib.parse import urlsplit

from flask import (
    Blueprint,
    Response,
    abort,
    current_app,
    flash,
    make_response,
    redirect,
    render_template,
    request,
    session,
    url_for,
)
from flask_babel import gettext as _
from flask_login import login_user

from app.access.audit import record
from app.access.errors import AccessError
from app.access.visitor import Role
from app.web.access import door, forget_session, limiter, needs, visitor
from app.web.audit import tells_itself
from app.web.origin import address

blueprint = Blueprint("login", __name__)
LANGUAGES = ("en", "zh")
THEMES = ("light", "dark")


def note(who: str, did: str, severity: str = "info") -> None:
    """Writes down what happened at the door."""
    app = current_app._get_current_object()  # type: ignore[attr-defined]
    record(app, who, did, severity=severity, address=address())


def safe_next(target: str | None) -> str:
    """Where to go on: a path of ours, or the overview. Never another site."""
    parts = urlsplit(target or "")
    plain = target and target.startswith("/") and target[1:2] not in ("/", "\\") and "\\" not in target
    if not plain or parts.scheme or parts.netloc or any(ord(c) < 32 for c in target or ""):
        return url_for("pages.overview")
    return request.script_root + str(target)


def begin(user_id: int) -> None:
    """A new session in this browser."""
    key = door().store.begin_session(user_id, address(), request.headers.get("User-Agent", ""))
    door().forget()
    found = door().session(key)
    forget_session()
    session.permanent = True
    login_user(found)


@blueprint.get("/login")
@needs("public")
def login() -> Response:
    """The form; straight on for one who is in already."""
    if visitor() is not None:
        return make_response(redirect(safe_next(request.args.get("next"))))
    return make_response(render_template("login.html", name="", error=None))


@blueprint.post("/login")
@needs("public")
@limiter.limit("30 per minute")
def log_in() -> Response:
    """Takes name and password; wrong ones cost growing pauses, by account and by address."""
    from app.web.access import csrf

    csrf.protect()
    name, password = request.form.get("name", "")[:64], request.form.get("password", "")
    lockout = door().lockout
    wait = lockout.wait_seconds(address(), name)
    if wait > 0:
        return refused(
            name, _("Too many failed attempts. Try again in %(n)s seconds.", n=math.ceil(wait)), 429, wait
        )
    user_id = door().store.check_password(name, password)
    if user_id is None:
        wait = lockout.failed(address(), name)
        shown = name if name.isprintable() else "?"
        note(shown or "?", f"failed to log in from {address()}", "warning")
        return refused(name, _("Name or password are not right."), 401, wait)
    lockout.succeeded(address(), name)
    begin(user_id)
    note(name, f"logged in from {address()}")
    return make_response(redirect(safe_next(request.args.get("next")), 303))


def refused(name: str, message: str, status: int, wait: float = 0.0) -> Response:
    """The form again, with what is wrong."""
    answer = make_response(render_template("login.html", name=name, error=message), status)
    if wait > 0:
        answer.headers["Retry-After"] = str(math.ceil(wait))
    return answer


@blueprint.post("/logout")
@needs("public")
def logout() -> Response:
    """Ends the session here and on the server."""
    from app.web.access import csrf

    csrf.protect()
    found = visitor()
    if found is not None and found.session is not None:
        door().store.end_session(found.session)
        door().forget()
        note(found.name, "logged out")
    forget_session()
    return make_response(redirect(url_for("login.login"), 303))


# ── the first administrator ──────────────────────────────────────────────────────────────────────────────


@blueprint.route("/first", methods=["GET", "POST"])
@needs("public")
@limiter.limit("30 per minute", methods=["POST"])
def first() -> Response:
    """Makes the first administrator for one who has the one-time token of the log. From this machine only."""
    if door().has_administrator():
        abort(404)
    token = request.values.get("token", "")
    if request.method == "GET":
        return make_response(render_template("first.html", token=token, name="", error=None))
    from app.web.access import csrf

    csrf.protect()
    name, password = request.form.get("name", ""), request.form.get("password", "")
    try:
        if not door().is_first_token(token):
            raise AccessError(_("This is not the token that the service's log shows."), "forbidden")
        if password != request.form.get("again", ""):
            raise AccessError(_("The two passwords differ."))
        door().store.add_user(name, Role.ADMINISTRATOR.value, password, first=True)
    except AccessError as error:
        page = render_template("first.html", token=token, name=name, error=str(error))
        return make_response(page, 403 if error.code == "forbidden" else 400)
    door().first_is_made()
    note(name, f"became the first administrator from {address()}")
    user_id = door().store.check_password(name, password)
    assert user_id is not None  # noqa: S101 - it was just added
    begin(user_id)
    return make_response(redirect(url_for("pages.overview"), 303))


# ── one's own ────────────────────────────────────────────────────────────────────────────────────────────


@blueprint.get("/account")
@needs("read")
def account() -> Response:
    """One's own sessions and password."""
    return account_page()


def account_page(error: str | None = None, status: int = 200) -> Response:
    """The page, with what is wrong."""
    found = visitor()
    own = door().store.sessions(found.id) if found is not None and found.kind == "user" else []
    return make_response(render_template("account.html", sessions=own, error=error), status)


@blueprint.post("/account/password")
@needs("read")
@tells_itself
def change_password() -> Response:
    """Another password for oneself; every session ends but a new one here."""
    found = visitor()
    if found is None or found.kind != "user":
        abort(403)
    wait = door().lockout.wait_seconds(address(), found.name)
    if wait > 0:
        return account_page(
            _("Too many failed attempts. Try again in %(n)s seconds.", n=math.ceil(wait)), 429
        )
    if door().store.check_password(found.name, request.form.get("old", "")) is None:
        door().lockout.failed(address(), found.name)
        return account_page(_("The present password is not right."), 403)
    new = request.form.get("password", "")
    if new != request.form.get("again", ""):
        return account_page(_("The two passwords differ."), 400)
    try:
        door().store.set_password(found.name, new)
    except AccessError as error:
        return account_page(str(error), 400)
    begin(found.id)
    note(found.name, "changed their password")
    flash(_("The password is changed; all other sessions have ended."), "good")
    return make_response(redirect(url_for("login.account"), 303))


@blueprint.post("/account/sessions/<int:number>/end")
@needs("read")
@tells_itself
def end_own_session(number: int) -> Response:
    """Ends one of one's own sessions."""
    found = visitor()
    if found is None or found.kind != "user" or not door().store.end_session(number, found.id):
        abort(404)
    door().forget()
    note(found.name, "ended a session of their own")
    return make_response(redirect(url_for("login.account"), 303))


@blueprint.post("/preferences")
@needs("public")
def preferences() -> Response:
    """Language and colours of this browser."""
    language, theme = request.form.get("language"), request.form.get("theme")
    if language in LANGUAGES:
        session["language"] = language
    if theme in THEMES:
        session["theme"] = theme
    elif theme == "auto":
        session.pop("theme", None)
    return make_response(redirect(safe_next(request.form.get("next")), 303))
