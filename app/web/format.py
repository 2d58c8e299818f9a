"""Turns numbers and times into what a page shows, in the visitor's language. Looks nothing up."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from flask import Flask
from flask_babel import format_decimal, format_timedelta, get_locale, gettext
from jinja2 import pass_context
from jinja2.runtime import Context
from markupsafe import Markup

from app.sentences import sentences

UNITS = ("B", "KB", "MB", "GB", "TB", "PB")


def ago(at: float | None) -> Markup | str:
    """A time relative to now, exact on hover; the page's script keeps it fresh and uses the viewer's zone."""
    if at is None:
        return str(gettext("never"))
    exact = datetime.fromtimestamp(at, UTC)
    delta = timedelta(seconds=round(at - time.time()))
    text = format_timedelta(delta, add_direction=True, granularity="second", threshold=1.2)
    if not delta:
        text = gettext("now")
    title = exact.strftime("%Y-%m-%d %H:%M:%S UTC")
    return Markup('<time datetime="{}" title="{}">{}</time>').format(exact.isoformat(), title, text)


def duration(seconds: float | None) -> str:
    """A length of time in two units at most: 3 d 4 h, 12 min 5 s, 3.2 s, 40 ms."""
    return "–" if seconds is None else in_units(_duration(seconds))


def in_units(text: str) -> str:
    """The length with the units of the visitor's language."""
    return sentences(str(get_locale() or "en")).of(text)


@pass_context  # or Jinja would look it up once, when it compiles the template
def unit_of(_context: Context, name: str) -> str:
    """A unit of time by itself, for what the page's script writes."""
    return in_units(f"1 {name}").removeprefix("1 ")


def _duration(seconds: float) -> str:
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms" if seconds > 0.0005 else "0 s"
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for size, name, below, small in (
        (86_400, "d", 3600, "h"),
        (3600, "h", 60, "min"),
        (60, "min", 1, "s"),
    ):
        if whole >= size:
            rest = whole % size // below
            return f"{whole // size} {name}" + (f" {rest} {small}" if rest else "")
    return f"{whole} s"


def size(count: float | None) -> str:
    """Bytes in decimal units with three figures."""
    if count is None:
        return "–"
    value = float(count)
    for unit in UNITS:
        if value < 999.5 or unit == UNITS[-1]:
            return f"{value:.0f} {unit}" if unit == "B" or value >= 99.95 else f"{value:.1f} {unit}"
        value /= 1000
    return ""


def number(value: float | None) -> str:
    """A number with the language's separators."""
    return "–" if value is None else str(format_decimal(value))


def milliseconds(value: float | None) -> str:
    """A round trip."""
    if value is None:
        return "–"
    return in_units(f"{value:.0f} ms" if value >= 10 else f"{value:.1f} ms")


def visible(text: object) -> str:
    """A path for people: what would not be seen (newlines, control characters) is spelled out."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text))


def visible_lines(text: object) -> str:
    """What a program printed: its lines, with other control characters spelled out."""
    return "\n".join(visible(line) for line in str(text).splitlines())


def literally(text: object) -> str:
    """A name as a silence takes it for itself: what would match others stands in brackets."""
    return re.sub(r"[*?\[]", r"[\g<0>]", str(text))


def register(app: Flask) -> None:
    """Adds the filters."""
    filters: dict[str, Any] = {
        "ago": ago,
        "duration": duration,
        "size": size,
        "number": number,
        "ms": milliseconds,
        "visible": visible,
        "unit": unit_of,
        "literally": literally,
        "visible_lines": visible_lines,
    }
    app.jinja_env.filters.update(filters)
    app.jinja_env.trim_blocks = True
    app.jinja_env.lstrip_blocks = True
    app.jinja_env.add_extension("jinja2.ext.do")
