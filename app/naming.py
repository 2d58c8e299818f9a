"""Says that a name is unknown, and which one was probably meant. Never looks a name up itself."""

from __future__ import annotations

from collections.abc import Iterable

from app.config.errors import nearest

SHOWN = 12


def unknown(what: str, name: str, known: Iterable[str]) -> str:
    """One sentence: there is no such ``what`` (node, service, provider), the nearest name, the names there are."""
    names = sorted(known)
    if not names:
        return f"there is no {what} {name!r}: none are configured"
    close = nearest(name, names)
    hint = f" (did you mean {close!r}?)" if close else ""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"there is no {what} {name!r}{hint}; the {what}s are: {', '.join(names[:SHOWN])}{more}"
