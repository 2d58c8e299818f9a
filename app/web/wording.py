"""Says what the halves have written in English in the visitor's language. Pages only: the API stays English."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Flask
from flask_babel import get_locale
from flask_babel import gettext as _

from app.access.visitor import LOCAL
from app.alerts.model import OF_NODES, Condition
from app.sentences import sentences


def states() -> dict[str, str]:
    """The four states in the visitor's language."""
    return {"ready": _("ready"), "recovery": _("recovery"), "unhealth": _("unhealth"), "dead": _("dead")}


def reason(sentence: object) -> str:
    """The sentence in the visitor's language; what nobody has translated (names, rsync's words) stays as it is."""
    return sentences(str(get_locale() or "en")).of(str(sentence)) if sentence else ""


def event_text(event: Mapping[str, Any]) -> str:
    """An event's message."""
    facts = event.get("facts") or {}
    if event["kind"] == "flip" and {"old", "new"} <= facts.keys():
        words = states()
        old, new = (words.get(str(facts[k]), str(facts[k])) for k in ("old", "new"))
        return str(_("%(old)s → %(new)s: %(reason)s", old=old, new=new, reason=reason(facts.get("reason"))))
    who, message = str(facts.get("who") or ""), str(event["message"])
    if who and message.startswith(f"{who} "):
        return f"{actor(who)} {reason(message[len(who) + 1 :])}"
    return reason(message)


def actor(who: str) -> str:
    """Who did something: a person, a token, a command, or whoever sat at this machine."""
    if who == LOCAL.name:
        return str(_("this machine"))
    if who.startswith("token "):
        return str(_("token %(name)s", name=who.removeprefix("token ")))
    if who.endswith(" (command)"):
        return str(_("%(name)s by command", name=who.removesuffix(" (command)")))
    return who


def about(alert: Mapping[str, Any]) -> str:
    """What an alert is about: a node's name as it is, anything else in the visitor's language."""
    named = str(alert["object"])
    return named if alert["condition"] in OF_NODES - {Condition.ERROR} else reason(named)


def register(app: Flask) -> None:
    """Adds the filters."""
    app.jinja_env.filters.update(reason=reason, event_text=event_text, about=about)
