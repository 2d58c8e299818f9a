"""Checks nodes against each other: one name each, one destination each, and enough to reach them by."""

from __future__ import annotations

from collections.abc import Iterator

from app.config.checks.finding import Finding
from app.config.destinations import destination
from app.config.schema.root import Config


def findings(config: Config) -> Iterator[Finding]:
    """Names given twice, destinations shared by two nodes, ssh without a folder."""
    names: dict[str, int] = {}
    places: dict[str, str] = {}
    for index, node in enumerate(config.nodes):
        loc = ("nodes", index)
        if node.name in names:
            yield Finding(
                (*loc, "name"), f"{node.name} is the name of an earlier node already: choose another"
            )
        names.setdefault(node.name, index)
        target = destination(config, node)
        if target.transport == "ssh" and target.ssh_path is None:
            yield Finding(
                (*loc, "name"), f"{node.name} is sent to over ssh and needs a path: sync.ssh.path or its own"
            )
        elif target.host:
            key = target.spec_key
            if key in places:
                yield Finding(
                    (*loc, "name"),
                    f"{places[key]} and {node.name} have one destination, {key}: each would undo the other; "
                    "change host, port, module or path of one",
                )
            places.setdefault(key, node.name)


def warnings(config: Config) -> Iterator[str]:
    """Health rules under which nobody dies."""
    if config.health.unhealth_fatal == config.health.unhealth_tries:
        yield (
            "health.unhealth_fatal equals unhealth_tries: no node is ever found dead, "
            "since more observations must fail than are made"
        )
