"""Says on whose account records stand: node by node, where it is published, and why not. It decides
nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from dns.core.model import DesiredSet, NodeFacts, RecordKey, canonical_value


def accounts(
    published: Mapping[RecordKey, tuple[str, ...]],
    desired: Mapping[RecordKey, DesiredSet],
    nodes: Iterable[NodeFacts],
) -> dict[str, tuple[RecordKey, ...]]:
    """By node, the sets of ours in which one of its addresses stands on its account; no key, and it is
    not published.

    A value that should stand counts for the nodes it was chosen for; one that merely still stands (a plan
    was held, say) for every node that has the address.
    """
    holders: dict[str, list[str]] = {}
    for node in nodes:
        for address in node.addresses:
            holders.setdefault(_canonical(address.value), []).append(node.name)
    found: dict[str, dict[RecordKey, None]] = {}
    for key, values in published.items():
        wanted = desired.get(key)
        chosen = {r.value: r.nodes for r in wanted.records} if wanted else {}
        for value in values:
            for name in chosen.get(value, ()) or holders.get(value, ()):
                found.setdefault(name, {})[key] = None
    return {name: tuple(keys) for name, keys in found.items()}


def why_unpublished(name: str, desired: Mapping[RecordKey, DesiredSet]) -> str | None:
    """The first reason why a node answers nowhere, None when no set says one (no service asks for it)."""
    return next((wanted.missing[name] for wanted in desired.values() if name in wanted.missing), None)


def _canonical(value: str) -> str:
    for record_type in ("A", "AAAA"):
        try:
            return canonical_value(record_type, value)
        except ValueError:
            continue
    return value
