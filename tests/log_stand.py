"""The process's logging as the service sets it up, for a test, and as it was afterwards."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app import log_levels, log_lines, logs
from app.config.schema.service import LogConfig


@contextmanager
def logging_on(folder: Path, secrets: tuple[str, ...] = (), **keys: object) -> Iterator[io.StringIO]:
    """Lines are kept in memory and written to the stream that is given."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    levels = {name: logging.getLogger(name).level for name in log_levels.CALM}
    stream = io.StringIO()
    root.handlers = [h for h in handlers if not isinstance(h, log_lines.Recent)]
    logs.configure(LogConfig.model_validate(keys), folder, secrets, stream)
    try:
        yield stream
    finally:
        log_levels.take(LogConfig())
        for name, before in levels.items():
            logging.getLogger(name).setLevel(before)
        for handler in [h for h in root.handlers if h not in handlers]:
            root.removeHandler(handler)
            handler.close()
        root.handlers = handlers
        root.setLevel(level)
        logging.captureWarnings(False)
