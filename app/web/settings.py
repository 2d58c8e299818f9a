"""The Settings pages: forms that write config.yml, and who may use Lockstep. Administrators only.

A form is shown, checked as a whole, shown as a diff, and only then written and taken up; a mistake stands at
its field and nothing is changed.
"""

from __future__ import annotations

from typing import Any

from flask import (
    Blueprint,
    Response,
    abort,
    flash,
    make_response,
    redirect,
    render_template,
    request,
    url_for,
)
from flask_babel import gettext as _

from app.access.errors import AccessError
from app.access.visitor import Role, Scope
from app.config import ConfigError
from app.config.writer import EditError
from app.naming import unknown
from app.operations import Refused
from app.web import forms
from app.web.access import door, needs, visitor
from app.web.answers import operations, supervisor

blueprint = Blueprint("settings", __name__, url_prefix="/settings")


def sections() -> list[tuple[str, str]]:
    """The pages in order, with their names."""
    return [
        ("nodes", _("Nodes")),
        ("services", _("Services")),
        ("providers", _("DNS providers")),
        ("publish", _("Publish")),
        ("sync", _("Sync")),
        ("health", _("Health")),
        ("dns", _("DNS")),
        ("alerts", _("Alerts")),
        ("channels", _("Alert channels")),
        ("hooks", _("Hooks")),
        ("general", _("General")),
        ("users", _("Users")),
        ("tokens", _("Tokens")),
    ]


def show(template: str, name: str, status: int = 200, **facts: Any) -> Response:
    """A Settings page."""
    page = render_template(
        template, section="settings", sections=sections(), here_name=name, hint=forms.hint, **facts
    )
    return make_response(page, status)


@blueprint.get("/")
@needs("administer")
def index() -> Response:
    """The first page."""
    return make_response(redirect(url_for("settings.section", name="nodes")))


@blueprint.get("/<name>")
@needs("administer")
def section(name: str) -> Response:
    """A form, or a list of entries."""
    if name == "users":
        return users_page()
    if name == "tokens":
        return tokens_page()
    if name in forms.LISTS:
        entries = forms.entries(editor(), name)
        return show("settings/list.html", name, entries=entries, kinds=forms.LISTS[name].kinds)
    if name not in forms.SECTIONS:
        abort(404)
    return show("settings/form.html", name, form=forms.section_form(editor(), name), entry=None)


def editor() -> forms.Editor:
    """A round of edits of the running service's file."""
    config = supervisor().config
    try:
        return forms.Editor(config.path, config.env)
    except ConfigError as error:
        raise Refused("configuration", str(error)) from error


@blueprint.post("/<name>")
@needs("administer")
def save_section(name: str) -> Response:
    """Checks, shows the diff, or writes."""
    if name not in forms.SECTIONS:
        abort(404)
    edit = editor()
    form = forms.section_form(edit, name)
    return finish(name, edit, form, None, url_for("settings.section", name=name))


@blueprint.get("/<name>/new")
@needs("administer")
def new_entry(name: str) -> Response:
    """The form of a new node, service, provider, channel or hook."""
    if name not in forms.LISTS:
        abort(404)
    form = forms.entry_form(editor(), name, None, request.args.get("kind"))
    return show("settings/form.html", name, form=form, entry="")


@blueprint.get("/<name>/<path:entry>/edit")
@needs("administer")
def edit_entry(name: str, entry: str) -> Response:
    """The form of one there is."""
    if name not in forms.LISTS:
        abort(404)
    return show("settings/form.html", name, form=forms.entry_form(editor(), name, entry, None), entry=entry)


@blueprint.post("/<name>/new")
@needs("administer")
def add_entry(name: str) -> Response:
    """Checks, shows the diff, or writes a new entry."""
    if name not in forms.LISTS:
        abort(404)
    edit = editor()
    form = forms.entry_form(edit, name, None, request.form.get("kind") or request.args.get("kind"))
    return finish(name, edit, form, "", url_for("settings.section", name=name))


@blueprint.post("/<name>/<path:entry>/edit")
@needs("administer")
def save_entry(name: str, entry: str) -> Response:
    """The same for one there is."""
    if name not in forms.LISTS:
        abort(404)
    edit = editor()
    form = forms.entry_form(edit, name, entry, None)
    return finish(name, edit, form, entry, url_for("settings.section", name=name))


@blueprint.post("/<name>/<path:entry>/remove")
@needs("administer")
def remove_entry(name: str, entry: str) -> Response:
    """Removes a node, service, provider, channel or hook."""
    if name not in forms.LISTS:
        abort(404)
    edit = editor()
    try:
        forms.remove(edit, name, entry)
        diff = edit.diff()
        if request.form.get("step") == "save":
            edit.save()
            take_up()
            flash(_("%(entry)s is removed.", entry=entry), "good")
            return make_response(redirect(url_for("settings.section", name=name), 303))
        edit.validate()
    except (EditError, ConfigError) as error:
        entries = forms.entries(editor(), name)
        kinds = forms.LISTS[name].kinds
        return show("settings/list.html", name, 422, entries=entries, kinds=kinds, error=str(error))
    return show("settings/diff.html", name, diff=diff, fields=[], action=request.path)


def finish(name: str, edit: forms.Editor, form: forms.Form, entry: str | None, back: str) -> Response:
    """What comes of a form: mistakes at their fields, a diff to agree to, or a written file."""
    form.read(request.form)
    try:
        if not form.errors:
            form.apply(edit, dry=request.form.get("step") != "save")
            edit.validate()
    except ConfigError as error:
        form.take(error.problems)
    except EditError as error:
        form.general.append(str(error))
    if form.errors or form.general:
        return show("settings/form.html", name, 422, form=form, entry=entry)
    diff = edit.diff()
    if not diff:
        flash(_("Nothing was changed."), "info")
        return make_response(redirect(back, 303))
    if request.form.get("step") != "save":
        action = request.full_path.rstrip("?")
        return show(
            "settings/diff.html", name, diff=diff, fields=form.hidden(), action=request.script_root + action
        )
    try:
        edit.save()
        form.settle()
    except (EditError, OSError) as error:
        form.general.append(str(error))
        return show("settings/form.html", name, 409, form=form, entry=entry)
    take_up()
    return make_response(redirect(back, 303))


def take_up() -> None:
    """Lets the running service read its file again, and says what came of it."""
    for sentence in operations().reload():
        flash(sentence, "info")
    flash(_("Saved and taken up."), "good")


# ── people ───────────────────────────────────────────────────────────────────────────────────────────────


def users_page(error: str | None = None, status: int = 200) -> Response:
    """Everybody, and a form for one more."""
    store = door().store
    return show(
        "settings/users.html",
        "users",
        status,
        users=store.users(),
        sessions=store.sessions(),
        roles=[r.value for r in Role],
        error=error,
    )


@blueprint.post("/users/<action>")
@needs("administer")
def users(action: str) -> Response:
    """Adds, changes and removes people, and ends their sessions."""
    store, f = door().store, request.form
    try:
        match action:
            case "add":
                store.add_user(f.get("name", ""), f.get("role", ""), f.get("password", ""))
            case "role":
                store.set_role(f.get("name", ""), f.get("role", ""))
            case "password":
                store.set_password(f.get("name", ""), f.get("password", ""))
            case "remove":
                store.remove_user(f.get("name", ""))
            case "end":
                store.end_session(int(f.get("session", "0")) if f.get("session", "").isdigit() else 0)
            case _:
                abort(404)
    except AccessError as error:
        return users_page(str(error), 409 if error.code == "conflict" else 400)
    door().forget()
    if visitor() is None:
        return make_response(redirect(url_for("login.login"), 303))
    return make_response(redirect(url_for("settings.section", name="users"), 303))


def tokens_page(error: str | None = None, made: tuple[str, str] | None = None, status: int = 200) -> Response:
    """Every token, and a form for one more."""
    return show(
        "settings/tokens.html",
        "tokens",
        status,
        tokens=door().store.tokens(),
        scopes=[s.value for s in Scope],
        nodes=[n["name"] for n in operations().status()["nodes"]],
        error=error,
        made=made,
    )


def known_node(name: str | None) -> str | None:
    """The node a token is for; None for none. Raises AccessError for one that is not there."""
    known = [node["name"] for node in operations().status()["nodes"]]
    if name and name not in known:
        raise AccessError(unknown("node", name, known))
    return name or None


@blueprint.post("/tokens/<action>")
@needs("administer")
def tokens(action: str) -> Response:
    """Makes and revokes tokens; a new one is shown this once."""
    f = request.form
    try:
        if action == "add":
            made = door().store.add_token(f.get("name", ""), f.getlist("scopes"), known_node(f.get("node")))
            door().forget()
            return tokens_page(made=(f.get("name", ""), made))
        if action == "revoke":
            door().store.revoke_token(f.get("name", ""))
            door().forget()
            return make_response(redirect(url_for("settings.section", name="tokens"), 303))
    except AccessError as error:
        return tokens_page(str(error), status=409 if error.code == "conflict" else 400)
    raise Refused("not_found", "there is no such action")
