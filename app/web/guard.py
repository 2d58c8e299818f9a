"""Decides whether a request may be served at all: from where it comes and under which name it asks. Knows no users."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from flask import Flask, Response, request

from app.web.answers import failure

OPEN = frozenset({"health.healthz", "health.readyz"})
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}


def is_loopback(address: str | None) -> bool:
    """Whether the address is this machine's own."""
    try:
        return address is not None and ipaddress.ip_address(address.split("%")[0]).is_loopback
    except ValueError:
        return False


def is_local() -> bool:
    """Whether the request comes from this machine and asks for it by a name of its own.

    The name matters: a page elsewhere whose name resolves to 127.0.0.1 (DNS rebinding) comes from here too.
    """
    name = (urlsplit(f"//{request.host}").hostname or "").lower()
    return is_loopback(request.remote_addr) and (name == "localhost" or is_loopback(name))


def is_cross_site() -> bool:
    """Whether a browser says that another site made it send this."""
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None and site not in ("same-origin", "none"):
        return True
    origin = request.headers.get("Origin")
    return origin is not None and urlsplit(origin).netloc.lower() != request.host.lower()


def register(app: Flask) -> None:
    """Adds the checks and the headers of every answer."""

    @app.before_request
    def near() -> Response | None:
        if request.endpoint in OPEN:
            return None
        if not is_local():
            return failure("forbidden", "only this machine is served until there is an administrator", 403)
        if request.method not in SAFE and is_cross_site():
            return failure("csrf", "this was sent by a page of another site", 403)
        return None

    @app.after_request
    def headers(response: Response) -> Response:
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        response.headers.setdefault("Cache-Control", "no-store")
        return response
