"""Turns a section of the configuration into plain values for the part that does the work. Never shows them.

Secrets come out open: what it returns is for `make_provider` and its like, not for a log or a page.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from app.config.schema.base import Section


def values_of(section: Section) -> dict[str, Any]:
    """The section's keys as people type them, without ``kind``, with plain values; secrets open, paths as
    text.
    """
    fields = type(section).model_fields
    return {
        found.alias or name: _plain(getattr(section, name))
        for name, found in fields.items()
        if name != "kind"
    }


def _plain(value: Any) -> Any:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, Section):
        return {key: below for key, below in values_of(value).items() if below is not None}
    if isinstance(value, Mapping):
        return {key: _plain(below) for key, below in value.items()}
    if isinstance(value, tuple):
        return tuple(_plain(below) for below in value)
    return str(value) if isinstance(value, Path) else value
