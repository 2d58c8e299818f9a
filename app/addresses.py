"""Reads a node's address entries of the configuration into address sources. Asks none of them."""

from __future__ import annotations

from app.config.schema.nodes import AddressConfig, NodeConfig
from dns.addresses import AddressSource, Reports, SourceSpec, make_source


def source_spec(node: str, entry: AddressConfig) -> SourceSpec:
    """The plain spec of one entry."""
    kind = entry.source
    value = getattr(entry, kind)
    values: tuple[str, ...] = ()
    if isinstance(value, str):
        values = (value,)
    elif isinstance(value, tuple):
        values = value
    return SourceSpec(kind, node, values, entry.family, entry.match)


def sources_of(node: NodeConfig, reports: Reports) -> list[tuple[AddressConfig, AddressSource]]:
    """Every entry of the node with its source, in order. Raises SourceError for an entry that can never
    work.
    """
    return [(entry, make_source(source_spec(node.name, entry), reports)) for entry in node.address_sources]
