"""`/api/v1/openapi.json`: the API's own description, written here and held against its real answers by a test."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, request

from app.version import VERSION
from app.web.access import needs
from app.web.answers import document
from app.web.paging import LARGEST, LIMIT, MOST

blueprint = Blueprint("openapi", __name__, url_prefix="/api/v1")
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
    "Publish": record({"root": TEXT, "files": WHOLE, "ok": BOOL, "error": nullable("string")}),
    "Status": record(
        {
            "version": TEXT,
            "started_at": NUMBER,
            "head": WHOLE,
            "frozen": nullable("string"),
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
}

PAGE_PARAMETERS = [
    {
        "name": "limit",
        "in": "query",
        "schema": {"type": "integer", "minimum": 1, "maximum": MOST, "default": LIMIT},
    },
    {"name": "before", "in": "query", "schema": {"type": "integer", "minimum": 0, "maximum": LARGEST}},
]
NODE_FILTER = {"name": "node", "in": "query", "schema": TEXT}
NAME = {"name": "name", "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
ENTRY = {"name": "entry", "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}


def answers(good: int, schema: Schema, *bad: int) -> dict[str, Any]:
    """What may come back."""
    words = {200: "The facts", 202: "Taken"}
    errors = {400: "Not understood", 404: "Not there", 409: "Not as things are", 422: "Not valid"}
    common = {
        401: "Log in, or send a token",
        403: "Not allowed",
        429: "Too many requests",
        503: "Not available now",
    }
    told: dict[str, Any] = {
        str(good): {"description": words[good], "content": {"application/json": {"schema": schema}}}
    }
    for code in (*bad, *common):
        told[str(code)] = {
            "description": {**errors, **common}[code],
            "content": {"application/json": {"schema": ref("Error")}},
        }
    return told


def look(summary: str, schema: Schema, parameters: list[Schema] | None = None, *bad: int) -> dict[str, Any]:
    """A GET."""
    found: dict[str, Any] = {"summary": summary, "responses": answers(200, schema, *bad)}
    found["responses"]["304"] = {"description": "You have it already (If-None-Match)"}
    return {"get": found | ({"parameters": parameters} if parameters else {})}


def order(
    summary: str,
    schema: Schema,
    parameters: list[Schema] | None = None,
    body: Schema | None = None,
    *bad: int,
) -> dict[str, Any]:
    """A POST."""
    found: dict[str, Any] = {"summary": summary, "responses": answers(202, schema, *bad)}
    if parameters:
        found["parameters"] = parameters
    if body is not None:
        found["requestBody"] = {"required": False, "content": {"application/json": {"schema": body}}}
    return {"post": found}


def paths() -> dict[str, Any]:
    """Every path of the API."""
    named = record({"name": TEXT})
    only_accept = {"type": "object", "properties": {"accept_deletions": BOOL}}
    return {
        "/status": look("Everything at a glance", ref("Status")),
        "/nodes": look("Every node", record({"nodes": listed(ref("Node"))})),
        "/nodes/{name}": look("One node", ref("Node"), [NAME], 404),
        "/nodes/{name}/check": order("Observe it now", {"type": "object"}, [NAME], None, 404),
        "/nodes/{name}/resync": order(
            "A full resync", {"type": "object"}, [NAME], only_accept, 400, 404, 409
        ),
        "/nodes/{name}/drain": order("Keep it synced, never publish it", named, [NAME], None, 404),
        "/nodes/{name}/undrain": order("Let it be published again", named, [NAME], None, 404),
        "/nodes/{name}/address": order(
            "Say where it is; without addresses: where you ask from",
            {"type": "object"},
            [NAME],
            {"type": "object", "properties": {"addresses": {**listed(TEXT), "maxItems": 20}}},
            400,
            404,
            409,
        ),
        "/changes": look(
            "The journal, newest first; with `node` what is on its way to it",
            record({"changes": listed(ref("Change")), "next_before": NEXT}),
            [*PAGE_PARAMETERS, NODE_FILTER],
            400,
            404,
        ),
        "/events": look(
            "The timeline, newest first",
            record({"events": listed(ref("Event")), "next_before": NEXT}),
            [
                *PAGE_PARAMETERS,
                NODE_FILTER,
                {"name": "kind", "in": "query", "schema": listed(TEXT)},
                {"name": "severity", "in": "query", "schema": listed(TEXT)},
            ],
            400,
        ),
        "/transfers": look(
            "rsync runs, newest first",
            record({"transfers": listed(ref("Transfer")), "next_before": NEXT}),
            [*PAGE_PARAMETERS, NODE_FILTER],
            400,
        ),
        "/dustbin": look(
            "What nodes could not take", record({"entries": listed(ref("Entry"))}), [NODE_FILTER]
        ),
        "/dustbin/{entry}/retry": order("Try it again now", {"type": "object"}, [ENTRY], None, 404),
        "/dustbin/{entry}/discard": order("Stop trying it", {"type": "object"}, [ENTRY], None, 404),
        "/deletions": look("What waits for a person before it is deleted", {"type": "object"}),
        "/dns/plan": look("What would be done now", ref("Plan")),
        "/dns/apply": order(
            "One pass now",
            ref("Applied"),
            None,
            {"type": "object", "properties": {"confirmed": BOOL, "adopt": listed(TEXT)}},
            400,
            404,
        ),
        "/dns/freeze": order(
            "Write nothing until unfrozen",
            {"type": "object"},
            None,
            {"type": "object", "properties": {"reason": {"type": "string", "maxLength": 200}}},
            400,
        ),
        "/dns/unfreeze": order("Go on", {"type": "object"}),
        "/dns/history": look(
            "Operations at the providers, newest first",
            record({"history": listed({"type": "object"}), "next_before": NEXT}),
            [*PAGE_PARAMETERS, {"name": "service", "in": "query", "schema": TEXT}],
            400,
        ),
        "/openapi.json": look("This document", {"type": "object"}),
    }


@blueprint.get("/openapi.json")
@needs("public")
def openapi() -> Response:
    """The document."""
    return document(
        {
            "openapi": "3.1.0",
            "info": {
                "title": "Lockstep",
                "version": VERSION,
                "description": 'Errors are `{"error": {"code", "message"}}` with a fitting status.',
                "license": {"name": "MIT", "identifier": "MIT"},
            },
            "servers": [{"url": f"{request.script_root}/api/v1"}],
            "security": [{"token": []}, {"session": []}],
            "paths": paths(),
            "components": {
                "schemas": SCHEMAS,
                "securitySchemes": {
                    "token": {"type": "http", "scheme": "bearer"},
                    "session": {"type": "apiKey", "in": "cookie", "name": "lockstep"},
                },
            },
        }
    )
