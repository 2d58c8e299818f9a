"""The values the API answers with, as JSON schemas. What is asked of it stands in app/web/openapi.py."""

from __future__ import annotations

from typing import Any

from app.log_levels import LEVELS

Schema = dict[str, Any]


def nullable(kind: str, **more: Any) -> Schema:
    """A value that may be null."""
    return {"type": [kind, "null"], **more}


def record(required: dict[str, Schema], **optional: Schema) -> Schema:
    """An object with these keys; others may come with later versions."""
    return {"type": "object", "required": list(required), "properties": {**required, **optional}}


def listed(item: Schema) -> Schema:
    """A list."""
    return {"type": "array", "items": item}


def ref(name: str) -> Schema:
    """A schema by its name."""
    return {"$ref": f"#/components/schemas/{name}"}


TEXT, NUMBER, WHOLE, BOOL = {"type": "string"}, {"type": "number"}, {"type": "integer"}, {"type": "boolean"}
STATE = {"type": "string", "enum": ["ready", "unhealth", "dead", "recovery"]}
PATH = {"path": TEXT}
PATH_B64 = {
    "path_b64": {"type": "string", "description": "The exact bytes, where the text does not say them"}
}
SEVERITY = {"type": "string", "enum": ["info", "warning", "critical"]}
LEVEL = {"type": "string", "enum": list(LEVELS)}
NEXT_TEXT = nullable("string", description="What to ask `before` with for the next page; null at the end")
NEXT = nullable("integer", description="What to ask `before` with for the next page; null at the end")

SCHEMAS: dict[str, Schema] = {
    "Error": record({"error": record({"code": TEXT, "message": TEXT})}),
    "Work": record(
        {
            "form": TEXT,
            "seconds": NUMBER,
            "counting": BOOL,
            "bytes": nullable("integer"),
            "percent": nullable("number"),
        }
    ),
    "Probe": record({"kind": TEXT, "good": nullable("boolean"), "detail": TEXT}),
    "Node": record(
        {
            "name": TEXT,
            "title": nullable("string"),
            "host": TEXT,
            "state": STATE,
            "state_since": NUMBER,
            "reason": TEXT,
            "proven": BOOL,
            "in_sync": BOOL,
            "lag_changes": nullable("integer"),
            "lag_seconds": nullable("number"),
            "cursor": nullable("integer"),
            "published": BOOL,
            "unpublished_reason": nullable("string"),
            "addresses": listed(TEXT),
            "drained": BOOL,
            "last_in_sync_at": nullable("number"),
            "last_audit_at": nullable("number"),
            "drift": WHOLE,
            "dustbin": WHOLE,
            "rtt_ms": nullable("number"),
        },
        work={"oneOf": [ref("Work"), {"type": "null"}]},
        probes=listed(ref("Probe")),
    ),
    "Line": record(
        {"line": TEXT, "type": TEXT, "values": listed(TEXT), "desired": listed(TEXT), "reason": TEXT}
    ),
    "Service": record({"name": TEXT, "zone": TEXT, "record": TEXT, "lines": listed(ref("Line"))}),
    "Publish": record(
        {"root": TEXT, "files": WHOLE, "ok": BOOL, "error": nullable("string")},
        source_errors={
            **listed(ref("PathError")),
            "description": "The first 100; all at /source/errors",
        },
        source_errors_total=WHOLE,
    ),
    "Path": record(PATH, **PATH_B64),
    "PathError": record({**PATH, "error": TEXT}, **PATH_B64),
    "Status": record(
        {
            "version": TEXT,
            "started_at": NUMBER,
            "head": WHOLE,
            "frozen": nullable("string"),
            "nodes_gone": nullable("string"),
            "publish": ref("Publish"),
            "nodes": listed(ref("Node")),
            "services": listed(ref("Service")),
        }
    ),
    "Change": record({"seq": WHOLE, **PATH, "kind": TEXT, "size": WHOLE, "mtime": NUMBER}, **PATH_B64),
    "Event": record(
        {
            "id": WHOLE,
            "at": NUMBER,
            "kind": TEXT,
            "severity": {"type": "string", "enum": ["info", "warning", "error"]},
            "node": nullable("string"),
            "message": TEXT,
            "facts": {"type": "object"},
        }
    ),
    "Transfer": record(
        {
            "id": WHOLE,
            "at": NUMBER,
            "node": TEXT,
            "form": TEXT,
            "outcome": TEXT,
            "code": nullable("integer"),
            "seconds": NUMBER,
            "files": WHOLE,
            "bytes": WHOLE,
            "deleted": WHOLE,
            "message": TEXT,
        }
    ),
    "Entry": record(
        {
            "id": TEXT,
            "node": TEXT,
            **PATH,
            "error": TEXT,
            "code": nullable("integer"),
            "attempts": WHOLE,
            "first_failed_at": NUMBER,
            "next_try_at": nullable("number"),
            "discarded": BOOL,
        },
        **PATH_B64,
    ),
    "Operation": record(
        {
            "action": TEXT,
            "service": nullable("string"),
            "name": TEXT,
            "type": TEXT,
            "line": TEXT,
            "values": listed(TEXT),
            "old_values": listed(TEXT),
            "reason": TEXT,
        }
    ),
    "Plan": record({"operations": listed(ref("Operation")), "held": nullable("string")}),
    "Applied": record({"applied": WHOLE, "held": nullable("string")}),
    "Deletions": record(
        {
            "source": listed(ref("Path")),
            "nodes": {"type": "object", "additionalProperties": listed(ref("Path"))},
            "total": WHOLE,
            "next_before": NEXT_TEXT,
        }
    ),
    "Alert": record(
        {
            "condition": TEXT,
            "object": TEXT,
            "severity": SEVERITY,
            "summary": TEXT,
            "advice": TEXT,
            "since": NUMBER,
            "ended_at": nullable("number"),
            "phase": {"type": "string", "enum": ["pending", "firing", "ending", "flapping"]},
            "silenced": BOOL,
        }
    ),
    "Silence": record(
        {
            "id": TEXT,
            "until": NUMBER,
            "condition": nullable("string"),
            "object": nullable("string"),
            "comment": TEXT,
        }
    ),
    "Delivery": record(
        {
            "id": TEXT,
            "channel": TEXT,
            "kind": TEXT,
            "severity": SEVERITY,
            "title": TEXT,
            "state": {"type": "string", "enum": ["waiting", "sent", "failed", "expired", "dropped"]},
            "attempts": WHOLE,
            "created_at": NUMBER,
            "next_try_at": nullable("number"),
            "answer": TEXT,
        }
    ),
    "LogLine": record({"id": WHOLE, "at": NUMBER, "level": TEXT, "part": TEXT, "message": TEXT}),
    "Level": record(
        {"part": TEXT, "level": TEXT, "configured": TEXT, "until": nullable("string")},
    ),
}
