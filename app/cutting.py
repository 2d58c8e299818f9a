"""Cuts one page out of an ordered list that may change between two pages. Pure.

A page ends with the key of its last item, and the next one begins behind that key: what came or went meanwhile
moves nothing, and an item that is gone leaves no hole. To programs the key is a text they only hand back.
"""

from __future__ import annotations

import base64
import heapq
import json
import math
from collections.abc import Callable, Iterable
from typing import TypeVar

T = TypeVar("T")
Key = tuple[str | float | bool, ...]


def page_of(
    items: Iterable[T], key: Callable[[T], Key], limit: int, after: Key | None = None
) -> tuple[list[T], Key | None]:
    """The first ``limit`` items behind ``after`` in the order of their keys, and the key to go on behind; None
    at the end. Keys must differ.
    """
    behind = (item for item in items if after is None or key(item) > after)
    found = heapq.nsmallest(limit + 1, behind, key=key)
    shown = found[:limit]
    return shown, key(shown[-1]) if len(found) > limit and shown else None


def text_of_key(key: Key | None) -> str | None:
    """The key as a text for addresses."""
    if key is None:
        return None
    return base64.urlsafe_b64encode(json.dumps(key).encode()).decode().rstrip("=")


def key_of_text(text: str, like: Key) -> Key:
    """The key of such a text, with values of the same types as in ``like``. Raises ValueError for any other."""
    try:
        found = json.loads(base64.urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4)))
    except (ValueError, RecursionError) as error:
        raise ValueError("is no key") from error
    if not isinstance(found, list) or [type(v) for v in found] != [type(v) for v in like]:
        raise ValueError("is a key of something else")
    if any(isinstance(v, float) and not math.isfinite(v) for v in found):
        raise ValueError("is no key")
    return tuple(found)
