"""`/api/v1/openapi.json`: the API's own description, written here and held against its real answers by a test."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, request

from app.version import VERSION
from app.web.access import needs
from app.web.answers import document
from app.web.openapi_schemas import (
    BOOL,
    LEVEL,
    NEXT,
    NEXT_TEXT,
    NUMBER,
    SCHEMAS,
    TEXT,
    WHOLE,
    Schema,
    listed,
    nullable,
    record,
    ref,
)
from app.web.paging import LARGEST, LIMIT, MOST

blueprint = Blueprint("openapi", __name__, url_prefix="/api/v1")
LIMIT_PARAMETER: Schema = {
    "name": "limit",
    "in": "query",
    "schema": {"type": "integer", "minimum": 1, "maximum": MOST, "default": LIMIT},
}
CURSOR_PARAMETERS = [
    LIMIT_PARAMETER,
    {"name": "before", "in": "query", "schema": TEXT, "description": "The `next_before` of the page before"},
]
ALL_AT_ONCE = [
    {**LIMIT_PARAMETER, "schema": {"type": "integer", "minimum": 1, "maximum": MOST}},
    CURSOR_PARAMETERS[1],
]
PAGE_PARAMETERS = [
    LIMIT_PARAMETER,
    {"name": "before", "in": "query", "schema": {"type": "integer", "minimum": 0, "maximum": LARGEST}},
]
NODE_FILTER = {"name": "node", "in": "query", "schema": TEXT}
SOME = {
    "type": "object",
    "properties": {"ids": {**listed(TEXT), "minItems": 1}, "all": BOOL, "node": TEXT},
    "description": "`ids` names some; `all`: every one, with `node` every one of that node",
}


def path_parameter(name: str) -> Schema:
    """A text in the path."""
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}


def changed_entries(word: str) -> Schema:
    """How many dustbin entries were meant, and which of those named are no more."""
    return record({word: WHOLE, "unknown": listed(TEXT)})


NAME, ENTRY = path_parameter("name"), path_parameter("entry")


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
        "/nodes": look(
            "Every node; with `limit` page by page, by name",
            record({"nodes": listed(ref("Node")), "next_before": NEXT_TEXT}),
            ALL_AT_ONCE,
            400,
        ),
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
            "What nodes could not take: what is still tried first, then newest first",
            record({"entries": listed(ref("Entry")), "total": WHOLE, "next_before": NEXT_TEXT}),
            [*CURSOR_PARAMETERS, NODE_FILTER],
            400,
        ),
        "/dustbin/retry": order(
            "Try some or all of them again now", changed_entries("retried"), None, SOME, 400, 404
        ),
        "/dustbin/discard": order(
            "Stop trying some or all of them", changed_entries("discarded"), None, SOME, 400, 404
        ),
        "/dustbin/{entry}/retry": order("Try it again now", {"type": "object"}, [ENTRY], None, 404),
        "/dustbin/{entry}/discard": order("Stop trying it", {"type": "object"}, [ENTRY], None, 404),
        "/deletions": look(
            "What waits for a person before it is deleted: at the source, then node by node",
            ref("Deletions"),
            [
                {**LIMIT_PARAMETER, "schema": {**LIMIT_PARAMETER["schema"], "default": MOST}},
                CURSOR_PARAMETERS[1],
                {**NODE_FILTER, "description": "Only of this node; empty: only at the source"},
            ],
            400,
        ),
        "/source/errors": look(
            "What cannot be read at the source, by path",
            record({"errors": listed(ref("PathError")), "total": WHOLE, "next_before": NEXT_TEXT}),
            CURSOR_PARAMETERS,
            400,
        ),
        "/alerts": look(
            "What holds now, what is silenced, and the channels",
            record(
                {"alerts": listed(ref("Alert")), "silences": listed(ref("Silence")), "channels": listed(TEXT)}
            ),
        ),
        "/alerts/deliveries": look(
            "What was sent where and how it went, newest first",
            record({"deliveries": listed(ref("Delivery")), "next_before": NEXT_TEXT}),
            [
                *CURSOR_PARAMETERS,
                {"name": "channel", "in": "query", "schema": TEXT},
                {"name": "state", "in": "query", "schema": TEXT},
            ],
            400,
        ),
        "/alerts/channels/{channel}/test": order(
            "Send a test and say in full what happened",
            record({"channel": TEXT, "ok": BOOL, "detail": TEXT, "delivery": TEXT}),
            [path_parameter("channel")],
            None,
            404,
        ),
        "/alerts/silences": order(
            "Tell nothing of some alerts for so many `seconds`, or `until` then (seconds since 1970)",
            record({"id": TEXT, "until": NUMBER}),
            None,
            {
                "type": "object",
                "properties": {
                    "seconds": NUMBER,
                    "until": NUMBER,
                    "condition": nullable("string"),
                    "object": nullable("string", maxLength=200, description="`*` and `?` match many"),
                    "comment": {"type": "string", "maxLength": 200},
                },
            },
            400,
        ),
        "/alerts/silences/{silence_id}/end": order(
            "End a silence early", record({"ended": TEXT}), [path_parameter("silence_id")], None, 404
        ),
        "/logs": look(
            "The last log lines, newest first, and from which level on there are any",
            record({"lines": listed(ref("LogLine")), "next_before": NEXT, "levels": listed(ref("Level"))}),
            [
                *PAGE_PARAMETERS,
                {
                    "name": "part",
                    "in": "query",
                    "schema": TEXT,
                    "description": "`sync` is all below it too",
                },
                {"name": "level", "in": "query", "schema": LEVEL, "description": "From this one on"},
            ],
            400,
        ),
        "/logs/level": order(
            "Change a level until the next reload or restart; null puts back the configuration's",
            ref("Level"),
            None,
            {
                "type": "object",
                "required": ["level"],
                "properties": {"level": {"oneOf": [LEVEL, {"type": "null"}]}, "part": TEXT},
            },
            400,
        ),
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
