"""Decides where log lines go, what they look like and what is hidden in them. Never logs anything itself.

    logger (named by module) ─► Redactor ─► Output: stderr or a rotating file, text or JSON
                                        └─► Recent: the last lines in memory, for the Events page

Both outputs hang on the root logger, so that every library's lines pass the Redactor as well.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import traceback
from collections import deque
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import IO, Any, NamedTuple, TextIO

from app.config.schema.service import LogConfig
from app.redaction import Redactor

FILE_NAME = "lockstep.log"
RECENT_LINES = 2000

CALM: Mapping[str, int] = {
    "aliyunsdkcore": logging.CRITICAL + 1,  # its errors quote signed requests
    "alembic": logging.WARNING,
    "apscheduler": logging.WARNING,
    "asyncio": logging.WARNING,
    "boto3": logging.WARNING,
    "botocore": logging.WARNING,
    "cloudflare": logging.WARNING,
    "httpcore": logging.WARNING,
    "httpx": logging.WARNING,  # a line for each request at info
    "sqlalchemy": logging.WARNING,
    "urllib3": logging.WARNING,
    "waitress.queue": logging.ERROR,  # a warning for each request that had to wait a moment
    "watchdog": logging.WARNING,  # at debug it logs the log file's own changes, for ever
    "werkzeug": logging.WARNING,
}
"""Libraries that say too much, with the level from which on they are heard unless `log.levels` names them."""


class Line(NamedTuple):
    """A line as the Events page shows it. ``at``: seconds since the epoch; ``level``: as in the
    configuration.
    """

    at: float
    level: str
    part: str
    message: str


class Recent(logging.Handler):
    """Keeps the last lines in memory; written under the handler's own lock."""

    def __init__(self, lines: int = RECENT_LINES) -> None:
        super().__init__()
        self._lines: deque[tuple[int, Line]] = deque(maxlen=lines)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the line; of an exception its last line."""
        said = record.getMessage()
        if text := exception_text(record):
            said += f": {text.splitlines()[-1]}"
        line = Line(record.created, record.levelname.lower(), record.name, one_line(said))
        self._lines.append((record.levelno, line))

    def lines(self, part: str = "", level: str = "debug", limit: int = 200) -> list[Line]:
        """The newest lines first, of one part (``sync``: all below it) and from one level on."""
        least = level_number(level)
        self.acquire()
        try:
            kept = list(self._lines)
        finally:
            self.release()
        wanted = (
            line
            for number, line in reversed(kept)
            if number >= least and (not part or line.part == part or line.part.startswith(f"{part}."))
        )
        return [line for _, line in zip(range(limit), wanted, strict=False)]


class Output(logging.StreamHandler[TextIO]):
    """Lines to a stream, which is not closed with it."""


class FileOutput(RotatingFileHandler):
    """Lines to a file that only its owner can read, rotated by size."""

    def _open(self) -> Any:
        return open(self.baseFilename, self.mode, encoding=self.encoding, opener=_private)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o600)


class TextFormatter(logging.Formatter):
    """``2026-01-31T12:00:00.123Z INFO app.supervisor: message``; what an exception says follows on lines of
    its own.
    """

    def format(self, record: logging.LogRecord) -> str:
        """One line, control characters in the message made visible: a file's name may hold any."""
        head = (
            f"{timestamp(record.created)} {record.levelname} {record.name}: {one_line(record.getMessage())}"
        )
        tail = [text for text in (exception_text(record), record.stack_info) if text]
        return "\n".join([head, *tail])


class JsonFormatter(logging.Formatter):
    """One JSON object a line: at, level, part, message, thread, and exception where there was one."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as a JSON line."""
        facts = {
            "at": timestamp(record.created),
            "level": record.levelname.lower(),
            "part": record.name,
            "message": record.getMessage(),
            "thread": record.threadName,
        }
        if text := exception_text(record):
            facts["exception"] = text
        return json.dumps(facts, ensure_ascii=False).encode("utf-8", "backslashreplace").decode()


def configure(
    log: LogConfig, data_dir: Path, secrets: Iterable[str] = (), stream: IO[str] | None = None
) -> Redactor:
    """Send lines where the configuration says, hiding ``secrets``; returns what hides them, for other texts.

    Called again at a reload, it replaces what it set up before; the recent lines stay. Without `log.path`
    lines go to ``stream`` (stderr); a relative path starts from ``data_dir``, a folder gets a file named
    lockstep.log. Raises OSError when the file cannot be opened: then nothing has changed.
    """
    root = logging.getLogger()
    redactor = Redactor(secrets)
    output: logging.Handler = _output(log, data_dir, stream)
    output.setFormatter(JsonFormatter() if log.format == "json" else TextFormatter())
    kept = recent() or Recent()
    for old in [handler for handler in root.handlers if isinstance(handler, Output | FileOutput)]:
        root.removeHandler(old)
        old.close()
    for handler in (output, kept):
        for old_filter in list(handler.filters):
            handler.removeFilter(old_filter)
        handler.addFilter(redactor)
        root.addHandler(handler)
    _set_levels(log)
    logging.captureWarnings(True)
    return redactor


def _output(log: LogConfig, data_dir: Path, stream: IO[str] | None) -> logging.Handler:
    if log.path is None:
        return Output(stream or sys.stderr)  # type: ignore[arg-type]  # any text stream will do
    path = data_dir / log.path
    if path.is_dir():
        path = path / FILE_NAME
    path.parent.mkdir(parents=True, exist_ok=True)
    return FileOutput(
        path, maxBytes=log.rotate_bytes, backupCount=log.keep, encoding="utf-8", errors="backslashreplace"
    )


_TELLS_SECRETS = "aliyunsdkcore.http.http_response"
"""With DEBUG=sdk in the environment this logger prints keys and signatures, to a handler it brings itself."""


def _refuse(record: logging.LogRecord) -> bool:
    """The filter of `_TELLS_SECRETS`: a function of the module, so that adding it again adds nothing."""
    return False


_levelled: set[str] = set()
"""Loggers whose level was set here; owned by the thread that configures (one at a time)."""


def _set_levels(log: LogConfig) -> None:
    wanted = {**CALM, **{name: level_number(level) for name, level in log.levels.items()}}
    for name in _levelled - set(wanted):
        logging.getLogger(name).setLevel(logging.NOTSET)
    for name, level in wanted.items():
        logging.getLogger(name).setLevel(level)
    _levelled.clear()
    _levelled.update(wanted)
    logging.getLogger(_TELLS_SECRETS).addFilter(_refuse)
    logging.getLogger().setLevel(level_number(log.level))


def set_level(level: str, part: str = "") -> None:
    """Change a level while running, of everything or of one part, until the next reload."""
    logging.getLogger(part or None).setLevel(level_number(level))
    if part:
        _levelled.add(part)


def recent() -> Recent | None:
    """The lines kept in memory; None before `configure`."""
    return next((h for h in logging.getLogger().handlers if isinstance(h, Recent)), None)


def level_number(level: str) -> int:
    """The number of a level of the configuration."""
    return logging.getLevelNamesMapping()[level.upper()]


def timestamp(at: float) -> str:
    """The time in UTC to the millisecond."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


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
