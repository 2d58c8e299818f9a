"""Keeps the last log lines in memory, for the Events page and the API. Never writes a line anywhere.

It stands behind the Redactor (app/logs.py), like every other output. A line for whoever reads the service's own
log, and for nobody else, carries in ``extra={"elsewhere": …}`` what is kept here in its place.
"""

from __future__ import annotations

import itertools
import logging
import traceback
from collections import deque
from typing import NamedTuple

from app.log_levels import level_number

RECENT_LINES = 2000


class Line(NamedTuple):
    """A line as the Events page shows it. ``at``: seconds since the epoch; ``level``: as in the
    configuration. ``id`` grows from line to line, and begins anew with the process.
    """

    at: float
    level: str
    part: str
    message: str
    id: int = 0


class Recent(logging.Handler):
    """Keeps the last lines in memory; written under the handler's own lock."""

    def __init__(self, lines: int = RECENT_LINES) -> None:
        super().__init__()
        self._lines: deque[tuple[int, Line]] = deque(maxlen=lines)
        self._ids = itertools.count(1)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the line; of an exception its last line."""
        said = getattr(record, "elsewhere", None) or record.getMessage()
        if text := exception_text(record):
            said += f": {text.splitlines()[-1]}"
        line = Line(record.created, record.levelname.lower(), record.name, one_line(said), next(self._ids))
        self._lines.append((record.levelno, line))

    def lines(
        self, part: str = "", level: str = "debug", limit: int = 200, before: int | None = None
    ) -> list[Line]:
        """The newest lines first, of one part (``sync``: all below it) and from one level on.

        ``before``: only those with a smaller id. Raises KeyError for a level there is not.
        """
        least = level_number(level)
        wanted = (
            line
            for number, line in reversed(self._kept())
            if number >= least
            and (not part or line.part == part or line.part.startswith(f"{part}."))
            and (before is None or line.id < before)
        )
        return list(itertools.islice(wanted, limit))

    def parts(self) -> list[str]:
        """The parts that lines are kept of, with what each stands below, by name."""
        found: set[str] = set()
        for name in {line.part for _, line in self._kept()}:
            words = name.split(".")
            found.update(".".join(words[:size]) for size in range(1, len(words) + 1))
        return sorted(found)

    def _kept(self) -> list[tuple[int, Line]]:
        self.acquire()
        try:
            return list(self._lines)
        finally:
            self.release()


def recent() -> Recent | None:
    """The lines kept in memory; None before `app.logs.configure`."""
    return next((h for h in logging.getLogger().handlers if isinstance(h, Recent)), None)


def one_line(text: str) -> str:
    """The text with line breaks and other control characters written as escapes, so that nobody can forge a
    line.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == " " else c.encode("unicode_escape").decode() for c in text)


def exception_text(record: logging.LogRecord) -> str:
    """The record's traceback, empty when it has none."""
    if record.exc_text:
        return record.exc_text
    if record.exc_info and record.exc_info[1] is not None:
        return "".join(traceback.format_exception(record.exc_info[1])).rstrip()
    return ""
