"""Hides secrets in text, also in log records on their way out. Never stores or shows what it hides.

It is the last line of defence: whoever writes a message keeps secrets out of it, this is for the text of
others (a library's exception, a program's output).
"""

from __future__ import annotations

import json
import logging
import re
import traceback
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

HIDDEN = "(hidden)"
_SHORT = 4


class Redactor(logging.Filter):
    """Replaces every secret in a record by ``(hidden)``, in whatever spelling: as it is, escaped,
    percent-encoded.

    A secret of fewer than 4 characters is replaced only where it stands alone, or no line could be read any
    more.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        super().__init__()
        spellings = sorted(
            {s for secret in secrets if secret for s in _spellings(secret)}, key=len, reverse=True
        )
        self._pattern = re.compile("|".join(map(_alternative, spellings))) if spellings else None

    def __repr__(self) -> str:
        return "Redactor()"

    def hide(self, text: str) -> str:
        """The text with every secret replaced."""
        return self._pattern.sub(HIDDEN, text) if self._pattern else text

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record pass, changed where it held a secret: message, arguments, exception, stack."""
        said = _message(record)
        clean = self.hide(said)
        if clean != record.msg:
            record.msg, record.args = clean, ()
        if record.exc_info and not record.exc_text and record.exc_info[1] is not None:
            record.exc_text = "".join(traceback.format_exception(record.exc_info[1])).rstrip()
        if record.exc_text:
            record.exc_text = self.hide(record.exc_text)
        if record.stack_info:
            record.stack_info = self.hide(record.stack_info)
        return True


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # noqa: BLE001 - whatever an argument's own __str__ raises
        # logging itself would print the arguments to stderr, unredacted
        return f"{record.msg!r} (its arguments do not fit)"


def _spellings(secret: str) -> set[str]:
    return {
        secret,
        repr(secret)[1:-1],
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        quote(secret, safe=""),
        quote(secret),
        quote_plus(secret),
    }


def _alternative(spelling: str) -> str:
    escaped = re.escape(spelling)
    return rf"(?<!\w){escaped}(?!\w)" if len(spelling) < _SHORT else escaped
