"""What must hold between sections, one module a theme. Never changes a configuration and never talks to
anybody.
"""

from __future__ import annotations

from collections.abc import Iterator

from app.config.checks import alerts, dns, nodes, paths
from app.config.checks.finding import Declared, Finding
from app.config.schema.root import Config
from app.config.tree import Item


def findings(config: Config, document: Item) -> Iterator[Finding]:
    """Everything that does not fit together. ``document`` also names what was wrong in itself and is gone
    from ``config``: a service may name a node whose port is mistyped.
    """
    declared = Declared.in_document(document)
    yield from nodes.findings(config)
    yield from paths.findings(config)
    yield from dns.findings(config, declared)
    yield from alerts.findings(config, declared)


def warnings(config: Config) -> tuple[str, ...]:
    """What is allowed but unwise, one sentence each."""
    return (*nodes.warnings(config), *dns.warnings(config))
