"""Says where a request comes from: this machine, under a name of its own, or a page of another site."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from flask import request

from app.web.proxy import RELAYED

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


def is_loopback(address: str | None) -> bool:
    """Whether the address is this machine's own."""
    try:
        return address is not None and ipaddress.ip_address(address.split("%")[0]).is_loopback
    except ValueError:
        return False


def is_local() -> bool:
    """Whether the request comes from this machine and asks for it by a name of its own.

    The name matters: a page elsewhere whose name resolves to 127.0.0.1 (DNS rebinding) comes from here too. So
    does everybody who asks through a reverse proxy on this machine.
    """
    if request.environ.get(RELAYED):
        return False
    name = (urlsplit(f"//{request.host}").hostname or "").lower()
    return is_loopback(request.remote_addr) and (name == "localhost" or is_loopback(name))


def is_cross_site() -> bool:
    """Whether a browser says that a page of another site made it send this."""
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None and site not in ("same-origin", "none"):
        return True
    origin = request.headers.get("Origin")
    return origin is not None and urlsplit(origin).netloc.lower() != request.host.lower()


def address() -> str:
    """Who asks, for logs and counting."""
    return request.remote_addr or "unknown"
