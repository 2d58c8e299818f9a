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
from collections.abc import Iterable
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import IO, Any, TextIO

from app import log_levels
from app.config.schema.service import LogConfig
from app.log_lines import Recent, exception_text, one_line, recent
from app.redaction import Redactor

FILE_NAME = "lockstep.log"


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
        earlier = list(handler.filters)
        handler.addFilter(redactor)  # first: other threads log meanwhile, and no line may pass unhidden
        for old_filter in earlier:
            handler.removeFilter(old_filter)
        root.addHandler(handler)
    log_levels.take(log)
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


def timestamp(at: float) -> str:
    """The time in UTC to the millisecond."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
