"""Decides which nodes a node source's answer names, and whether to believe it (promise 6); it runs nothing.

What a source may print, as a whole:

    203.0.113.10, node-b.example.com          hosts, separated by commas or lines
    sh = 203.0.113.10                         name = host; without a name the host is the name
    # text                                    ignored
    [{"name": "sh", "host": "…", …}, "…"]     JSON as under `nodes`; also {"nodes": […]}

Anything else, in any place, and the whole answer is refused: an error page with a host name in it is no list.

Believing it (`decide`): an answer that failed, is empty or garbage, or lacks over half of the nodes we have,
changes nothing, not even the misses. A node that is missing goes after three misses in a row. Invariant: a
node of the old list is gone from the new one only with its third miss.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

MISSES = 3
NAME = re.compile(r"[A-Za-z0-9._:][A-Za-z0-9._:-]*")
IS_TEXT = re.compile(r"\s*([^\s\[{]|\[[0-9A-Fa-f]*:)")
"""Anything but JSON; an IPv6 address in brackets is not JSON."""
LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)")
NO_HOSTS = frozenset({"null", "none", "nil", "undefined", "nan", "true", "false", "error", "ok", "empty"})
"""What programs print when they have nothing to say; as bare words they would pass for host names."""


@dataclass(frozen=True, slots=True)
class Fetch:
    """What the node source printed."""

    output: bytes


@dataclass(frozen=True, slots=True)
class Failure:
    """Why the node source gave no answer, in a sentence, and the end of what it wrote to stderr."""

    reason: str
    stderr: str = ""


@dataclass(frozen=True, slots=True)
class ListedNode:
    """A node as the source has it. ``host`` is None only where ``entry`` gives addresses instead.

    ``entry`` is the whole object as under `nodes`, still to be checked like one of config.yml; it may hold
    secrets.
    """

    name: str
    host: str | None
    entry: Mapping[str, Any] = field(repr=False)


class NodeListError(ValueError):
    """The source's answer is not a list of nodes; the message says why, in a sentence."""


@dataclass(frozen=True, slots=True)
class Decision:
    """The list to go on with. ``refused_reason`` is None when the answer was believed.

    ``misses``, of the nodes kept although the answer lacks them, is to be handed back next time.
    """

    nodes: Mapping[str, ListedNode]
    added: frozenset[str] = frozenset()
    removed: frozenset[str] = frozenset()
    refused_reason: str | None = None
    misses: Mapping[str, int] = field(default_factory=dict)


def decide(
    old: Mapping[str, ListedNode],
    fetched: Fetch | Failure,
    misses: Mapping[str, int],
    configured: Collection[str] = frozenset(),
    *,
    accept: bool = False,
) -> Decision:
    """The list after an answer; with ``old`` empty there is none yet, and whatever is a list is accepted.

    Keep ``old`` over a restart (`as_json`, `parse`): a first list has no rail. ``configured`` are the names
    in config.yml, which win: the source's nodes of these names are left out. ``accept``: a person has
    confirmed that what is missing is gone.
    """
    old = {name: node for name, node in old.items() if name not in configured}
    misses = {name: count for name, count in misses.items() if name in old}
    if isinstance(fetched, Failure):
        return Decision(old, refused_reason=fetched.reason, misses=misses)
    try:
        listed = {node.name: node for node in parse(fetched.output)}
    except NodeListError as error:
        return Decision(old, refused_reason=str(error), misses=misses)
    new = {name: node for name, node in listed.items() if name not in configured}
    lost = old.keys() - new.keys()
    if 2 * len(lost) > len(old) and not accept:
        return Decision(old, refused_reason=_too_few(lost, len(old)), misses=misses)
    counts = {name: misses.get(name, 0) + 1 for name in lost}
    removed = frozenset(name for name, count in counts.items() if count >= MISSES or accept)
    kept = {name: node for name, node in old.items() if name in lost - removed}
    return Decision(
        nodes={**new, **kept},
        added=frozenset(new.keys() - old.keys()),
        removed=removed,
        misses={name: counts[name] for name in kept},
    )


def parse(output: bytes) -> tuple[ListedNode, ...]:
    """The nodes in the order printed, at least one; raises NodeListError for what is not wholly a list."""
    try:
        text = output.decode("utf-8").removeprefix("\ufeff").replace("\r\n", "\n")
    except UnicodeDecodeError:
        raise NodeListError("the node source printed something that is not text (UTF-8)") from None
    if not text.strip():
        raise NodeListError("the node source printed nothing")
    for number, line in enumerate(text.split("\n"), 1):
        if any(not (c.isprintable() or c == "\t") for c in line):
            raise NodeListError(f"line {number} of the node source's output holds control characters")
    entries = _text_entries(text) if IS_TEXT.match(text) else _json_entries(text)
    nodes = tuple(_node(place, entry) for place, entry in entries)
    if not nodes:
        raise NodeListError("the node source printed an empty list")
    _refuse_twins(nodes)
    return nodes


def as_json(nodes: Iterable[ListedNode]) -> str:
    """The list in a form that `parse` reads; it holds the secrets of the entries."""
    return json.dumps([dict(node.entry) for node in nodes], ensure_ascii=False, sort_keys=True)


Entry = tuple[str, Mapping[str, Any]]
"""Where it stood, for messages, and what it says."""


def _text_entries(text: str) -> list[Entry]:
    entries: list[Entry] = []
    for number, line in enumerate(text.split("\n"), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        for item in line.removesuffix(",").split(","):
            left, equals, right = (part.strip() for part in item.partition("="))
            entry = {"name": left, "host": right} if equals else {"host": left}
            entries.append((f"line {number}", entry))
    return entries


def _json_entries(text: str) -> list[Entry]:
    try:
        document = json.loads(text, object_pairs_hook=_without_twins)
    except (ValueError, RecursionError) as error:
        raise NodeListError(f"the node source printed broken JSON: {error}") from None
    if isinstance(document, dict) and set(document) == {"nodes"}:
        document = document["nodes"]
    if not isinstance(document, list):
        raise NodeListError("the node source printed JSON that is not a list of nodes")
    return [(f"node {i}", _object(i, item)) for i, item in enumerate(document, 1)]


def _object(number: int, item: object) -> Mapping[str, Any]:
    if isinstance(item, str):
        return {"host": item.strip()}
    if isinstance(item, dict):
        return item
    raise NodeListError(f"node {number} of the node source's list is neither a host nor an object")


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    entry = dict(pairs)
    if len(entry) != len(pairs):
        raise ValueError("an object has the same key twice")
    return entry


def _node(place: str, entry: Mapping[str, Any]) -> ListedNode:
    """The entry as a node, with its name and host filled in."""
    host, name = entry.get("host"), entry.get("name")
    if host is None and not (name and entry.get("addresses")):
        raise NodeListError(f"{place} of the node source's list has neither a host nor a name with addresses")
    if host is not None:
        host = _host(place, host)
    name = host if name is None else name
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise NodeListError(f"{place} of the node source's list: {_shown(name)} is not a node's name")
    return ListedNode(name, host, {**entry, "name": name, **({} if host is None else {"host": host})})


def _host(place: str, host: object) -> str:
    """The host without brackets; raises NodeListError for what cannot be one."""
    wrong = NodeListError(f"{place} of the node source's list: {_shown(host)} is not a host")
    if not isinstance(host, str):
        raise wrong
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    try:
        address = ipaddress.ip_address(bare)
    except ValueError:
        if bare is host and _is_host_name(host):
            return host
        raise wrong from None
    if address.is_unspecified or address.is_multicast or bare == "255.255.255.255":
        raise wrong
    return bare


def _is_host_name(host: str) -> bool:
    """RFC 1123, 2.1, with underscores; the last label is not all digits, or 500 would be a host."""
    labels = host.removesuffix(".").split(".")
    well_formed = len(host) <= 253 and all(LABEL.fullmatch(label) for label in labels)
    return well_formed and not labels[-1].isdigit() and host.lower() not in NO_HOSTS


def _refuse_twins(nodes: tuple[ListedNode, ...]) -> None:
    """Raises NodeListError for two nodes of one name, or of one host with nothing to tell them apart."""
    names: set[str] = set()
    places: set[str] = set()
    for node in nodes:
        if node.name in names:
            raise NodeListError(f"the node source lists {node.name} twice")
        names.add(node.name)
        place = {k: v for k, v in node.entry.items() if k in ("host", "port", "module", "transport", "ssh")}
        key = json.dumps(place, sort_keys=True).lower()
        if node.host is not None and key in places:
            raise NodeListError(f"the node source lists the host {node.host} twice, under different names")
        places.add(key)


def _too_few(lost: Collection[str], of: int) -> str:
    some = ", ".join(sorted(lost)[:5]) + (", …" if len(lost) > 5 else "")
    return (
        f"the node source's answer lacks {len(lost)} of {of} nodes ({some}); "
        "over half are not let go at once: mend the source, or confirm that they are gone"
    )


def _shown(value: object) -> str:
    """The value for a message: at most 40 characters, and nothing of an object, which may hold a secret."""
    if not isinstance(value, str):
        return f"a value of type {type(value).__name__}"
    return repr(value if len(value) <= 40 else value[:39] + "…")
