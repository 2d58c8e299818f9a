"""Shows a configuration as YAML with its secrets hidden, and collects the secrets for the log to hide.
Never writes a file.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import quote

from pydantic import BaseModel, SecretStr
from ruamel.yaml import YAML

from app.config.flow import Representer
from app.config.schema.root import Config

HIDDEN = "(hidden)"


def effective(config: Config) -> str:
    """Every key with the value that holds, as YAML; secrets hidden, of secret URLs the scheme and host
    left.
    """
    stream = io.StringIO()
    yaml = YAML()
    yaml.Representer = Representer
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.width = 120
    yaml.dump(_shown(config), stream)
    return stream.getvalue()


def _shown(value: object) -> object:
    if isinstance(value, SecretStr):
        return hidden(value)
    if isinstance(value, BaseModel):
        fields = type(value).model_fields
        return {found.alias or name: _shown(getattr(value, name)) for name, found in fields.items()}
    if isinstance(value, Mapping):
        return {key: _shown(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return [_shown(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def hidden(secret: SecretStr) -> str:
    """What may be shown of a secret: nothing, or the scheme and host of a URL."""
    found = re.match(r"([a-z0-9+]+://)(?:[^/@\s]*@)?([A-Za-z0-9.:\[\]-]+)/", secret.get_secret_value())
    return f"{found[1]}{found[2]}/{HIDDEN}" if found else HIDDEN


def secrets_of(config: Config) -> frozenset[str]:
    """Every text that must never be printed: secrets, passwords within URLs, and their percent-encoded
    forms.
    """
    found: set[str] = set()
    for text in _secrets(config):
        found.add(text)
        inner = re.match(r"[a-z0-9+]+://[^/@\s]*:([^/@\s]+)@", text)
        if inner:
            found.add(inner[1])
    return frozenset(found | {quote(text, safe="") for text in found})


def _secrets(value: object) -> Iterator[str]:
    if isinstance(value, SecretStr):
        if value.get_secret_value():
            yield value.get_secret_value()
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _secrets(getattr(value, name))
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _secrets(item)
    elif isinstance(value, tuple):
        for item in value:
            yield from _secrets(item)
