"""Believes a named reverse proxy about who asks, by which name and under which path. Believes nobody else, but
notes that a request came through one.

waitress would do most of this, but knows no path prefix and hides from the application who the peer was.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from waitress.proxy_headers import proxy_headers_middleware

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

PREFIX = re.compile(r"(/[A-Za-z0-9._~-]+)+\Z")
BELIEVED = {"x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-port"}
HEADER = "HTTP_X_FORWARDED_PREFIX"
FORWARDED_FOR = "HTTP_X_FORWARDED_FOR"
RELAYED = "lockstep.relayed"
SIGNS = ("HTTP_FORWARDED", "HTTP_VIA", "HTTP_X_REAL_IP", "HTTP_X_CLIENT_IP")
"""Headers that proxies add, besides all that begin with X-Forwarded-."""


def behind_proxy(app: WSGIApplication, trusted_proxy: str | None) -> WSGIApplication:
    """The app as it looks through the proxy at this address; without one every forwarded header is dropped."""
    options: dict[str, Any] = {"clear_untrusted": True}
    if trusted_proxy:
        options |= {
            "trusted_proxy": trusted_proxy,
            "trusted_proxy_headers": BELIEVED,
            "trusted_proxy_count": 1,
        }
    inner: WSGIApplication = proxy_headers_middleware(under_prefix(app), **options)

    def outer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        believed = bool(trusted_proxy) and environ.get("REMOTE_ADDR") == trusted_proxy
        if is_relayed(environ, believed):
            environ[RELAYED] = True
        prefix = environ.pop(HEADER, "")
        if believed:
            environ["lockstep.prefix"] = prefix
        return inner(environ, start_response)

    return outer


def is_relayed(environ: WSGIEnvironment, believed: bool) -> bool:
    """Whether somebody asks through a proxy of whom we do not know where they are.

    Then an address of this machine is the proxy's, and says nothing about who asks. A proxy without a line about
    headers adds none, but nginx asks in HTTP/1.0 then, which nobody else does any more.
    """
    if believed:
        return not environ.get(FORWARDED_FOR)
    old = environ.get("SERVER_PROTOCOL") == "HTTP/1.0"
    return old or any(name.startswith("HTTP_X_FORWARDED_") or name in SIGNS for name in environ)


def under_prefix(app: WSGIApplication) -> WSGIApplication:
    """Puts the prefix where Flask builds its links from; a proxy may have removed it from the path or not."""

    def prefixed(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        prefix = str(environ.pop("lockstep.prefix", "")).rstrip("/")
        if PREFIX.match(prefix):
            environ["SCRIPT_NAME"] = prefix
            path = environ.get("PATH_INFO", "")
            if path == prefix or path.startswith(prefix + "/"):
                environ["PATH_INFO"] = path[len(prefix) :] or "/"
        return app(environ, start_response)

    return prefixed
