"""What hooks are told of: flips, records that came or went, finished batches. Pure; runs nothing.

The facts' names are fixed: programs find them upper-case with ``LOCKSTEP_`` before them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from sync.core.model import Flip

MOST_PATHS = 200_000


class Trigger(StrEnum):
    """What a hook waits for: a state a node flips into, or an event."""

    READY = "ready"
    UNHEALTH = "unhealth"
    DEAD = "dead"
    RECOVERY = "recovery"
    PUBLISHED = "published"
    WITHDRAWN = "withdrawn"
    BATCH = "batch"


@dataclass(frozen=True, slots=True)
class Happening:
    """One thing that happened. ``paths`` are relative to the publish root, as bytes, for batches only.

    The fact ``paths`` says how the list is meant: ``listed``, or ``all`` where the batch was of everything
    or the list grew beyond MOST_PATHS; then the list is empty.
    """

    trigger: Trigger
    at: float
    facts: Mapping[str, str] = field(default_factory=dict)
    paths: tuple[bytes, ...] = ()

    @property
    def sentence(self) -> str:
        """What happened, for people."""
        facts = self.facts
        match self.trigger:
            case Trigger.BATCH:
                what = "everything" if facts.get("paths") == "all" else f"{len(self.paths)} paths"
                return f"{what} went to node {facts.get('node', '?')}"
            case Trigger.PUBLISHED | Trigger.WITHDRAWN:
                where = f"{facts.get('name', '?')} {facts.get('type', '')} ({facts.get('line', 'default')})"
                node = f" of node {facts['node']}" if facts.get("node") else ""
                return (
                    f"{facts.get('address', '?')}{node} {self.trigger} at {where}: {facts.get('reason', '')}"
                )
            case _:
                old = f" from {facts['old_state']}" if facts.get("old_state") else ""
                return f"node {facts.get('node', '?')} went{old} to {self.trigger}: {facts.get('reason', '')}"


def flipped(flip: Flip, host: str = "") -> Happening:
    """A node's flip. Facts: node, host, state, old_state, reason."""
    facts = {
        "node": flip.node,
        "host": host,
        "state": flip.new.value,
        "old_state": flip.old.value,
        "reason": flip.reason,
    }
    return Happening(Trigger(flip.new.value), flip.at, facts)


def record_changed(
    at: float,
    published: bool,
    *,
    service: str,
    name: str,
    record_type: str,
    line: str,
    address: str,
    node: str,
    reason: str,
) -> Happening:
    """An address came to stand in a record set, or went.

    Facts: service, name, type, line, address, node, reason.
    """
    where = {"service": service, "name": name, "type": record_type, "line": line}
    facts = {**where, "address": address, "node": node, "reason": reason}
    return Happening(Trigger.PUBLISHED if published else Trigger.WITHDRAWN, at, facts)


def batch_finished(
    at: float,
    node: str,
    form: str,
    paths: Iterable[bytes] | None,
    files: int = 0,
    size_bytes: int = 0,
    host: str = "",
) -> Happening:
    """A batch that ended; ``paths`` None: of everything. Facts: node, host, form, files, bytes, paths."""
    facts = {"node": node, "host": host, "form": form, "files": str(files), "bytes": str(size_bytes)}
    listed = None if paths is None else tuple(dict.fromkeys(paths))
    if listed is None or len(listed) > MOST_PATHS:
        return Happening(Trigger.BATCH, at, {**facts, "paths": "all"})
    return Happening(Trigger.BATCH, at, {**facts, "paths": "listed"}, listed)


def mergeable(older: Happening, newer: Happening) -> bool:
    """Whether both may be told as one: batches to the same node. Everything else must be told apart."""
    return older.trigger == newer.trigger == Trigger.BATCH and older.facts.get("node") == newer.facts.get(
        "node"
    )


def merged(happenings: Sequence[Happening]) -> Happening:
    """Mergeable happenings, oldest first, as one: every path once, sums of files and bytes, the rest as in
    the newest.
    """
    newest = happenings[-1]
    if len(happenings) == 1:
        return newest
    facts = {**newest.facts}
    for key in ("files", "bytes"):
        facts[key] = str(sum(int(one.facts.get(key, "0")) for one in happenings))
    paths = tuple(dict.fromkeys(path for one in happenings for path in one.paths))
    if any(one.facts.get("paths") == "all" for one in happenings) or len(paths) > MOST_PATHS:
        return replace(newest, facts={**facts, "paths": "all"}, paths=())
    return replace(newest, facts=facts, paths=paths)
