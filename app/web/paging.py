"""Reads what a list is asked for (`limit`, `before`, filters) and says where its next page begins. Queries nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flask import request

from app.operations import Refused

LIMIT = 100
MOST = 1000
LARGEST = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list, newest first: ``before`` is the last id of the page before it."""

    limit: int
    before: int | None
    node: str | None


def asked_page(limit: int = LIMIT) -> Page:
    """What the query string asks for. Raises Refused for numbers that are none or out of bounds."""
    return Page(
        asked_limit(limit),
        asked_number("before", None, 0, LARGEST),
        request.args.get("node") or None,
    )


def asked_limit(limit: int = LIMIT) -> int:
    """How long a page is asked for. Raises Refused for what is no number, or out of bounds."""
    return asked_number("limit", limit, 1, MOST) or limit


def asked_cursor(name: str = "before") -> str | None:
    """The ``next_before`` of a list whose rows have no numbers; what it means is for who made it."""
    return request.args.get(name) or None


def asked_number(name: str, default: int | None, least: int, most: int) -> int | None:
    """A whole number of the query string."""
    text = request.args.get(name)
    if text is None or text == "":
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 19 and least <= int(text) <= most):
        raise Refused("bad_request", f"{name} must be a whole number from {least} to {most}")
    return int(text)


def paged(name: str, rows: list[dict[str, Any]], limit: int, key: str = "id") -> dict[str, Any]:
    """The rows with ``next_before``: what to ask ``before`` with for the next page, None at the end."""
    more = rows[-1][key] if len(rows) == limit else None
    return {name: rows, "next_before": more}
