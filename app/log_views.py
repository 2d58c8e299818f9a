"""The last log lines and the levels, as plain JSON values for pages and the API. Knows no HTTP."""

from __future__ import annotations

from app import log_levels
from app.log_levels import LEVELS, Standing
from app.log_lines import recent
from app.refused import Refused
from app.views import Json

UNTIL = "the next reload of the configuration, or a restart"


def lines(part: str = "", level: str = "debug", limit: int = 100, before: int | None = None) -> Json:
    """The newest lines first, of a part and what is below it, and from a level on. Raises Refused."""
    if level not in LEVELS:
        raise Refused("bad_request", f"there is no level {level!r}; the levels are: {', '.join(LEVELS)}")
    kept = recent()
    found = kept.lines(part, level, limit + 1, before) if kept is not None else []
    shown = found[:limit]
    return {
        "lines": [line._asdict() for line in shown],
        "next_before": shown[-1].id if len(found) > limit else None,
        "levels": [level_view(standing) for standing in log_levels.standings()],
    }


def level_view(standing: Standing) -> Json:
    """From which level on a part is heard. ``until``: what ends a change a person made; None: there is none."""
    return {
        "part": standing.part,
        "level": standing.level,
        "configured": standing.configured,
        "until": UNTIL if standing.changed else None,
    }


def seen_parts() -> list[str]:
    """The parts there are lines of."""
    kept = recent()
    return kept.parts() if kept is not None else []


def set_level(level: str | None, part: str) -> Json:
    """Changes a level until the next reload or restart; None: back to the configuration's. Raises Refused."""
    try:
        return level_view(log_levels.change(level, part))
    except ValueError as error:
        raise Refused("bad_request", str(error)) from None
