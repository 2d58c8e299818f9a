"""Checks that the publish directory keeps apart from everything the program itself writes or must not give
away.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from app.config.checks.finding import Finding
from app.config.schema.providers import ZonefileProvider
from app.config.schema.root import Config

TEMPLATES = Path(__file__).resolve().parents[3] / "templates"


def findings(config: Config) -> Iterator[Finding]:
    """The publish directory containing, or lying in, a directory that is not content."""
    loc, root = ("publish", "root"), config.publish.root
    for what, path in _ours(config):
        if overlap(root, path):
            yield Finding(loc, f"{root} and {what} {path} lie in each other: keep them apart")
    for path in config.files:
        if is_within(path, root):
            yield Finding(loc, f"{root} holds {path.name}, the configuration: it would be published")
    if config.log.path is not None and is_within(config.log.path, root):
        yield Finding(
            ("log", "path"), f"{config.log.path} lies in publish.root: every line would be published"
        )


def _ours(config: Config) -> Iterator[tuple[str, Path]]:
    yield "data_dir", config.data_dir
    yield "the program's templates", TEMPLATES
    for name, provider in config.dns.providers.items():
        if isinstance(provider, ZonefileProvider):
            yield f"the zone files of {name} in", provider.path


def overlap(one: Path, other: Path) -> bool:
    """Whether one of the two is the other or lies in it, as written or with links followed."""
    return any(
        is_within(a, b) or is_within(b, a)
        for a, b in ((one, other), (Path(os.path.realpath(one)), Path(os.path.realpath(other))))
    )


def is_within(path: Path, folder: Path) -> bool:
    """Whether the path is the folder or lies in it, as written."""
    return path == folder or folder in path.parents
