"""What people and programs are shown of the engine, as plain JSON values. Changes nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from app.alerts.alert import Alert
from app.alerts.model import Notice
from app.alerts.wording import title
from app.version import VERSION
from sync.core.dustbin import Binned
from sync.core.model import State, base64_of, text_of
from sync.engine import Engine
from sync.node import Node
from sync.results import ALTERS_LINKS

Json = dict[str, Any]
SHOWN_ERRORS = 100
"""So many of the source's errors are told with the status; all of them at `/api/v1/source/errors`."""


@dataclass(frozen=True, slots=True)
class Published:
    """What the DNS half says of a node. ``reason``: why it is not published, None while it is."""

    published: bool = False
    reason: str | None = "DNS is not configured"
    addresses: tuple[str, ...] = ()


Publications = Callable[[], Mapping[str, Published]]


def node_view(engine: Engine, node: Node, published: Published) -> Json:
    """A node as the API gives it."""
    field = engine.field
    lag = field.lag_seconds(node)
    rtt = node.observed.rtt_seconds if node.observed is not None else None
    return {
        "name": node.name,
        "title": node.settings.title,
        "host": node.settings.destination.host,
        "state": node.state.value,
        "state_since": node.health.since,
        "reason": why(engine, node),
        "proven": node.proven,
        "in_sync": node.in_sync,
        "lag_changes": field.lag_changes(node),
        "lag_seconds": None if lag is None else round(lag, 3),
        "cursor": node.cursor,
        "published": published.published,
        "unpublished_reason": None if published.published else published.reason,
        "addresses": list(published.addresses) or ([node.settings.address] if node.settings.address else []),
        "drained": node.drained,
        "last_in_sync_at": node.last_in_sync_at,
        "last_audit_at": node.last_audit_at,
        "drift": node.drift_count,
        "dustbin": len(node.dustbin),
        "rtt_ms": None if rtt is None else round(rtt * 1000, 3),
        "out_of_step": node.out_of_step,
        "held": node.held,
        "would_delete": len(node.would_delete),
        "blocked": node.blocked,
        "origin": node.settings.origin,
        "probes": [
            {"kind": r.kind, "good": r.good, "detail": r.detail}
            for r in (node.observed.results if node.observed is not None else ())
        ],
        "work": work_view(engine, node),
    }


def why(engine: Engine, node: Node) -> str:
    """The one sentence that explains the node's standing best."""
    if node.held:
        return node.held
    if node.state is State.RECOVERY:
        said = _waits_for(engine, node) or node.blocked
        return f"{node.health.reason}; {said}" if said else node.health.reason
    if node.state is State.READY:
        if node.blocked or not node.in_sync:
            return node.blocked or engine.field.fitness_of(node).reason
        return ALTERS_LINKS if node.alters_links else node.health.reason
    return node.health.reason


def _waits_for(engine: Engine, node: Node) -> str | None:
    """What keeps a full resync from beginning, None when nothing does."""
    if node.work is not None or node.target is not None:
        return None
    fault = engine.surveyor.fault if engine.settings.survey.scope.delete else None
    if fault is not None:
        return f"its full resync waits, deletion is stopped: {fault}"
    if not engine.accepting.is_set():
        return "its full resync waits until the publish directory is compared"
    return engine.waits_for


def work_view(engine: Engine, node: Node) -> Json | None:
    """What runs on the node now; numbers are None while rsync still counts."""
    work = node.work or node.audit
    if work is None:
        return None
    progress = node.progress if node.work is not None else None
    counting = progress is None or progress.counting
    return {
        "form": work.form.value,
        "seconds": round(engine.mono() - work.began, 1),
        "paths": work.total or (len(work.batch.seqs) if work.batch is not None else 0),
        "counting": counting,
        "bytes": progress.bytes if progress else None,
        "percent": progress.percent if progress else None,
        "rate": progress.rate if progress else None,
        "files_done": progress.files_done if progress else None,
        "files_total": progress.files_total if progress and not counting else None,
    }


def status_view(engine: Engine, published: Mapping[str, Published], dns: Json) -> Json:
    """`GET /api/v1/status`. ``dns`` brings "frozen", "nodes_gone" and "services"."""
    source, surveyor = engine.source, engine.surveyor
    trouble = engine.store.trouble()
    return {
        "version": VERSION,
        "started_at": engine.started_at,
        "head": engine.field.tail.head,
        "frozen": dns.get("frozen"),
        "nodes_gone": dns.get("nodes_gone"),
        "publish": {
            "root": text_of(engine.settings.survey.root),
            "files": surveyor.files,
            "ok": surveyor.fault is None and source.watch is None and engine.accepting.is_set(),
            "error": surveyor.fault
            or source.watch
            or (None if engine.accepting.is_set() else "being compared"),
            "fault": surveyor.fault,
            "watch": source.watch,
            "held_deletions": source.held,
            "pending": surveyor.pending,
            "source_errors": [
                {**path_view(path), "error": error}
                for path, (error, _) in islice(engine.field.source_errors.items(), SHOWN_ERRORS)
            ],
            "source_errors_total": len(engine.field.source_errors),
            "directories": surveyor.watcher.directories,
        },
        "database": {"ok": trouble is None, "error": trouble},
        "nodes": [
            node_view(engine, node, published.get(node.name, Published()))
            for node in engine.field.nodes.values()
        ],
        "services": dns.get("services", []),
    }


def alert_view(alert: Alert) -> Json:
    """An alert that holds, or that is still to be told as over."""
    return {
        "condition": alert.condition.value,
        "object": alert.object,
        "severity": alert.severity.value,
        "summary": alert.summary,
        "advice": alert.advice,
        "since": alert.since,
        "ended_at": alert.ended_at,
        "phase": alert.phase.value,
    }


def delivery_view(row: Mapping[str, Any]) -> Json:
    """A notice on its way to a channel, or what became of it."""
    notice = Notice.from_json(json.loads(row["notice"]))
    return {
        "id": row["id"],
        "channel": row["channel"],
        "kind": notice.kind.value,
        "severity": notice.severity.value,
        "title": title(notice, "en"),
        "state": row["state"],
        "attempts": row["attempts"],
        "created_at": row["created_at"],
        "next_try_at": row["next_try_at"] if row["state"] == "waiting" else None,
        "answer": row["last_answer"],
    }


def path_view(path: bytes) -> Json:
    """A path as text, with its bytes beside it when the text does not say them."""
    exact = base64_of(path)
    return {"path": text_of(path)} | ({} if exact is None else {"path_b64": exact})


def entry_view(entry: Binned, entry_id: str) -> Json:
    """A dustbin entry as the API gives it."""
    return {
        "id": entry_id,
        "node": entry.node,
        **path_view(entry.path),
        "error": entry.error,
        "code": entry.code,
        "attempts": entry.attempts,
        "first_failed_at": entry.first_failed_at,
        "next_try_at": None if entry.discarded else entry.next_try_at,
        "discarded": entry.discarded,
    }
