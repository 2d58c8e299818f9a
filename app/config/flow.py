"""Writes plain values as YAML: on one line, or as the lines of a list's entry. Never reads YAML.

Text is quoted where it needs to be, also for YAML readers that know nothing of ``${NAME}``.
"""

from __future__ import annotations

import io
from collections.abc import Mapping

from ruamel.yaml import YAML
from ruamel.yaml.nodes import ScalarNode
from ruamel.yaml.representer import RoundTripRepresenter


class Representer(RoundTripRepresenter):
    """As ruamel.yaml's, but nothing is written as ``null`` and not as an empty place."""

    def represent_none(self, data: object) -> ScalarNode:
        return self.represent_scalar("tag:yaml.org,2002:null", "null")


Representer.add_representer(type(None), Representer.represent_none)


def inline(value: object) -> str:
    """The value on one line."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{inline(key)}: {inline(below)}" for key, below in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(inline(below) for below in value) + "]"
    yaml = YAML()
    yaml.Representer = Representer
    yaml.default_flow_style = True
    yaml.width = 1_000_000
    stream = io.StringIO()
    yaml.dump([value], stream)  # in a list, because inside one more text needs quotes than outside
    return stream.getvalue().strip()[1:-1]


def block(value: object, indent: int) -> list[str]:
    """The value as lines without line breaks: a map with a line for each key, anything else on one line."""
    if not isinstance(value, Mapping) or not value:
        return [" " * indent + inline(value)]
    return [f"{' ' * indent}{inline(key)}: {inline(below)}" for key, below in value.items()]


def entry(value: object, indent: int) -> list[str]:
    """The value as an entry of a list whose dashes stand at ``indent``."""
    first, *rest = block(value, indent + 2)
    return [f"{' ' * indent}- {first[indent + 2 :]}", *rest]
