"""How answers are put: JSON with an ETag, errors as JSON or as a page with a fitting status. Decides no access."""

from __future__ import annotations

from typing import Any

from flask import Flask, Response, current_app, jsonify, make_response, render_template, request
from werkzeug.exceptions import HTTPException

from app.installation import installed
from app.operations import Operations, Refused
from app.supervisor import Supervisor
from sync.ports import StoreError

STATUS_OF = {
    "unknown_node": 404,
    "unknown_entry": 404,
    "unknown_service": 404,
    "unknown_channel": 404,
    "unknown_silence": 404,
    "not_reported": 409,
    "not_found": 404,
    "bad_request": 400,
    "bad_address": 400,
    "usage": 400,
    "configuration": 422,
    "unauthorized": 401,
    "forbidden": 403,
    "csrf": 403,
    "source": 409,
    "conflict": 409,
    "held": 409,
    "not_available": 501,
    "busy": 503,
    "not_running": 503,
    "database": 503,
}


def document(facts: Any, status: int = 200) -> Response:
    """The facts as JSON. A GET's answer carries an ETag, and is 304 to one who has it already."""
    response = make_response(jsonify(facts), status)
    response.headers.setdefault(
        "Cache-Control", "no-store" if request.method != "GET" else "no-cache, private"
    )
    if request.method in ("GET", "HEAD") and status == 200:
        response.add_etag()
        response.make_conditional(request)
    return response


def error(code: str, message: str, status: int | None = None) -> Response:
    """`{"error": {"code", "message"}}` with a fitting status."""
    response = jsonify({"error": {"code": code, "message": message}})
    response.status_code = status or STATUS_OF.get(code, 409)
    response.headers["Cache-Control"] = "no-store"
    return response


def supervisor() -> Supervisor:
    """The running supervisor. Raises Refused where none runs, or it is still starting."""
    found = installed().supervisor
    if found is None or not hasattr(found, "operations"):
        raise Refused("not_running", "the service is not running here, or still starting; see its log")
    return found


def operations() -> Operations:
    """What can be asked of the running service. Raises Refused where none runs."""
    return supervisor().operations


def wants_json() -> bool:
    """Whether the asker is a program: the API's paths, or JSON preferred over HTML."""
    if request.path.startswith(("/api/", "/healthz", "/readyz", "/metrics")):
        return True
    best = request.accept_mimetypes.best_match(["text/html", "application/json"], default="text/html")
    return best == "application/json"


def register(app: Flask) -> None:
    """Adds the handlers of errors."""

    @app.errorhandler(Refused)
    def refused(problem: Refused) -> Response:
        return failure(problem.code, str(problem), STATUS_OF.get(problem.code, 409))

    @app.errorhandler(StoreError)
    def store_away(problem: StoreError) -> Response:
        return failure("database", str(problem), 503)

    @app.errorhandler(HTTPException)
    def http(problem: HTTPException) -> Response:
        if problem.response is not None:  # an answer of its own: a redirect
            return make_response(problem.response)
        status = problem.code or 500
        code = (problem.name or "error").lower().replace(" ", "_")
        response = failure(code, problem.description or problem.name, status)
        for name, value in problem.get_headers(request.environ):
            if name.lower() not in ("content-type", "content-length"):
                response.headers[name] = value
        return response

    @app.errorhandler(Exception)
    def broken(problem: Exception) -> Response:
        current_app.logger.exception("%s %s broke", request.method, request.path)
        return failure("internal", "something went wrong here; the log says what", 500)


def failure(code: str, message: str, status: int) -> Response:
    """The error as the asker understands it: JSON to a program, a page to a person."""
    if wants_json():
        return error(code, message, status)
    try:
        page = render_template("error.html", code=code, message=message, status=status)
    except Exception:
        current_app.logger.exception("the error page broke")
        page = message
        response = make_response(page, status)
        response.mimetype = "text/plain"
        return response
    return make_response(page, status)
