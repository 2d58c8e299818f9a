"""Reads durations as people type them into seconds, and writes them back. Never knows which key a duration
belongs to.

    5   0.5   "5"      seconds
    500ms 5s 10m 1h    a number with its unit, no blank between
"""

from __future__ import annotations

import math
import re
from typing import Annotated

from pydantic import BeforeValidator, Field

UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_FORM = re.compile(r"([0-9]+(?:\.[0-9]+)?|\.[0-9]+)(ms|s|m|h)?")


def seconds(value: object) -> float:
    """The duration in seconds, finite and not negative. Raises ValueError saying how one is written."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("must be a duration: seconds, or 500ms, 5s, 10m, 1h")
    if isinstance(value, str):
        return _parsed(value.strip())
    if not math.isfinite(value) or value < 0:
        raise ValueError("must be a duration of 0 or more seconds")
    return float(value)


def _parsed(text: str) -> float:
    found = _FORM.fullmatch(text)
    if found is None:
        raise ValueError("must be a duration: seconds, or 500ms, 5s, 10m, 1h")
    number, unit = found.groups()
    product = float(number) * UNITS[unit or "s"]
    if not math.isfinite(product):
        raise ValueError("must be a duration of a finite number of seconds")
    return product


def text(value: float) -> str:
    """The duration as one would type it: ``500ms``, ``5s``, ``10m``, ``1h``; `seconds` reads it back
    unchanged as long as it has no more than whole milliseconds.
    """
    for unit, size in (("h", 3600), ("m", 60), ("s", 1)):
        if value >= size and value % size == 0:
            return f"{value / size:.0f}{unit}"
    milliseconds = value * 1000
    if value and abs(milliseconds - round(milliseconds)) < 1e-6:
        return f"{round(milliseconds)}ms"
    return f"{value:g}"


Duration = Annotated[float, BeforeValidator(seconds)]
"""Seconds, 0 or more."""

PositiveDuration = Annotated[float, BeforeValidator(seconds), Field(gt=0)]
"""Seconds, more than 0."""
