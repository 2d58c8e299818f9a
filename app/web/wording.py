"""Says the engine's sentences in the visitor's language where they are known; others stay as they are."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from flask import Flask
from flask_babel import get_locale
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l

SENTENCES: tuple[tuple[str, Any], ...] = (
    (r"DNS is not configured", _l("DNS is not configured")),
    (r"not proven since the start", _l("not proven since the start")),
    (r"ready and in sync", _l("ready and in sync")),
    (r"every path is confirmed", _l("every path is confirmed")),
    (r"new", _l("new")),
    (r"new node", _l("new node")),
    (r"recovered", _l("recovered")),
    (r"full resync done", _l("full resync done")),
    (r"a full resync was asked for", _l("a full resync was asked for")),
    (r"was not asked", _l("was not asked")),
    (r"added", _l("added")),
    (r"drained", _l("drained")),
    (r"undrained", _l("undrained")),
    (r"stopped", _l("stopped")),
    (r"configuration reloaded", _l("configuration reloaded")),
    (r"in step again", _l("in step again")),
    (r"removed from the configuration", _l("removed from the configuration")),
    (r"being compared", _l("being compared")),
    (r"started with (?P<n>\d+) nodes", _l("started with %(n)s nodes")),
    (r"(?P<n>\d+) paths differ from the source", _l("%(n)s paths differ from the source")),
    (r"is in (?P<state>\w+): (?P<rest>.*)", _l("is in %(state)s: %(rest)s")),
    (r"out of step: (?P<rest>.*)", _l("out of step: %(rest)s")),
    (
        r"could not take (?P<path>.*?) and (?P<n>\d+) more: (?P<rest>.*)",
        _l("could not take %(path)s and %(n)s more: %(rest)s"),
    ),
    (r"could not take (?P<path>.*?): (?P<rest>.*)", _l("could not take %(path)s: %(rest)s")),
    (r"(?P<n>\d+) of (?P<m>\d+) observations failed", _l("%(n)s of %(m)s observations failed")),
    (
        r"(?P<n>\d+) of (?P<m>\d+) observations failed; the last said: (?P<rest>.*)",
        _l("%(n)s of %(m)s observations failed; the last said: %(rest)s"),
    ),
    (r"(?P<n>\d+) of (?P<m>\d+) probes? failed: (?P<rest>.*)", _l("%(n)s of %(m)s probes failed: %(rest)s")),
    (r"(?P<kind>ping|tcp|rsync|http): (?P<rest>.*)", _l("%(kind)s: %(rest)s")),
    (r"connection refused \((?P<where>.*)\)", _l("connection refused (%(where)s)")),
    (r"full resync done, all changes confirmed", _l("full resync done, all changes confirmed")),
    (r"full resync done: (?P<n>\d+) paths? carried", _l("full resync done: %(n)s paths carried")),
    (r"node (?P<node>\S+) is drained", _l("node %(node)s is drained")),
    (r"node (?P<node>\S+) is in (?P<state>\w+): (?P<rest>.*)", _l("node %(node)s is in %(state)s: %(rest)s")),
    (r"(?P<line>\w+) → nodes? (?P<nodes>[^:]+): (?P<rest>.*)", _l("%(line)s → nodes %(nodes)s: %(rest)s")),
    (r"(?P<line>\w+) → nodes? (?P<nodes>[^:]+)", _l("%(line)s → nodes %(nodes)s")),
    (r"(?P<who>\S+) logged in from (?P<address>\S+)", _l("%(who)s logged in from %(address)s")),
    (r"(?P<who>\S+) failed to log in from (?P<address>\S+)", _l("%(who)s failed to log in from %(address)s")),
    (r"(?P<who>\S+) logged out", _l("%(who)s logged out")),
    (r"answered", _l("answered")),
    (r"answers again", _l("answers again")),
    (r"frozen by a person: (?P<rest>.*)", _l("frozen by a person: %(rest)s")),
    (r"drained by an operator", _l("drained by an operator")),
)
_COMPILED = [(re.compile(pattern + r"\Z", re.DOTALL), text) for pattern, text in SENTENCES]


def states() -> dict[str, str]:
    """The four states in the visitor's language."""
    return {"ready": _("ready"), "recovery": _("recovery"), "unhealth": _("unhealth"), "dead": _("dead")}


def reason(sentence: str | None, depth: int = 0) -> str:
    """The sentence in the visitor's language, if we know it."""
    if not sentence or str(get_locale()) == "en":
        return sentence or ""
    for pattern, text in _COMPILED:
        found = pattern.match(sentence)
        if found is None:
            continue
        parts = found.groupdict()
        if "state" in parts:
            parts["state"] = states().get(parts["state"], parts["state"])
        if "rest" in parts and depth < 4:
            parts["rest"] = reason(parts["rest"], depth + 1)
        plain = str(text)
        return plain % parts if parts else plain
    if "; " in sentence and depth < 4:
        return "; ".join(reason(part, 4) for part in sentence.split("; "))
    return sentence


def event_text(event: Mapping[str, Any]) -> str:
    """An event's message."""
    facts = event.get("facts") or {}
    if event["kind"] == "flip" and {"old", "new"} <= facts.keys():
        words = states()
        old, new = (words.get(str(facts[k]), str(facts[k])) for k in ("old", "new"))
        return f"{old} → {new}: {reason(str(facts.get('reason', '')))}"
    return reason(event["message"])


def register(app: Flask) -> None:
    """Adds the filters."""
    app.jinja_env.filters.update(reason=reason, event_text=event_text)
