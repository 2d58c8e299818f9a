"""Renders a page once for all the tabs that poll it, and says 304 to the one that has it already. Only for polls.

A poll is answered with what the page's script takes over: title, favicon, navigation and content, not the menu
with the visitor's name. So tabs differ only in what stands in `Key`, and in the form's token, which is put in for
each. What was rendered serves for a second, and until something is ordered.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable
from functools import wraps
from typing import Any, NamedTuple

from flask import Flask, Response, g, make_response, request
from flask_babel import get_locale
from flask_wtf.csrf import generate_csrf

from app.web.access import visitor
from app.web.origin import SAFE

SHARED_SECONDS = 1.0
MOST = 64
SLOT = f"slot-{secrets.token_hex(16)}"
"""Stands in a shared page where each visitor's token goes; nobody outside can know it and have it replaced."""
HEADER = "X-Poll"

View = Callable[..., Response]


class Key(NamedTuple):
    """What a rendering depends on."""

    prefix: str
    path: str
    language: str
    kind: str
    may: frozenset[str]


class Rendering(NamedTuple):
    """One page as it was at ``made_at``, when its rendering began."""

    made_at: float
    body: str
    etag: str


class Turn:
    """Of those who want the same page one renders at a time. ``users`` have it or wait for it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.users = 0


class Shared:
    """The renderings there are. Thread-safe; of the threads that miss the same page, one renders it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()  # owns what follows
        self._kept: dict[Key, Rendering] = {}
        self._making: dict[Key, Turn] = {}
        self._orders = 0

    def get(self, key: Key, render: Callable[[], Response]) -> Rendering | Response:
        """What is kept, or what ``render`` makes; an answer that is no page is handed on and not kept.

        One who had to wait takes what was begun after they came, however long it took: so two renderings serve
        all who ask while a slow page is made.
        """
        arrived = self._clock()
        with self._lock:
            if (found := self._fresh(key)) is not None:
                return found
            turn = self._making.setdefault(key, Turn())
            turn.users += 1
        try:
            with turn.lock:
                return self._since(key, arrived) or self._render(key, render)
        finally:
            with self._lock:
                turn.users -= 1
                if not turn.users:
                    del self._making[key]

    def _render(self, key: Key, render: Callable[[], Response]) -> Rendering | Response:
        with self._lock:
            orders = self._orders
        began, response = self._clock(), render()
        etag = response.get_etag()[0]
        if response.status_code != 200 or etag is None:
            return response
        made = Rendering(began, response.get_data(as_text=True), etag)
        self._keep(key, made, orders)
        return made

    def forget(self) -> None:
        """Something was ordered: what is rendered now, or just being rendered, does not show it."""
        with self._lock:
            self._orders += 1
            self._kept.clear()

    def _fresh(self, key: Key) -> Rendering | None:
        found = self._kept.get(key)
        return found if found is not None and self._clock() - found.made_at < SHARED_SECONDS else None

    def _since(self, key: Key, arrived: float) -> Rendering | None:
        with self._lock:
            found = self._kept.get(key)
            return found if found is not None and found.made_at >= arrived else self._fresh(key)

    def _keep(self, key: Key, made: Rendering, orders: int) -> None:
        with self._lock:
            if len(self._kept) >= MOST:
                self._kept.clear()
            if orders == self._orders:
                self._kept[key] = made


def is_poll() -> bool:
    """Whether the page's script asks, to bring an open page up to date."""
    return request.method == "GET" and HEADER in request.headers


def sharing(shared: Shared, view: View) -> View:
    """The view, whose renderings are shared between polls."""

    @wraps(view)
    def polled(**values: Any) -> Response:
        who = visitor()
        if not is_poll() or who is None:
            return view(**values)
        g.polled = True
        key = Key(request.script_root, request.full_path, str(get_locale()), who.kind, who.may)
        found = shared.get(key, lambda: view(**values))
        if isinstance(found, Response):
            return found
        body = found.body.replace(SLOT, generate_csrf()) if SLOT in found.body else found.body
        response = make_response(body)
        response.set_etag(found.etag)
        response.make_conditional(request)
        return response

    return polled


def register(app: Flask, *blueprints: str) -> None:
    """Shares the pages of these blueprints; to be called when they are registered."""
    shared = Shared()
    for rule in app.url_map.iter_rules():
        if rule.endpoint.partition(".")[0] in blueprints and "GET" in (rule.methods or ()):
            view: View = app.view_functions[rule.endpoint]  # type: ignore[assignment]  # ours all give a Response
            app.view_functions[rule.endpoint] = sharing(shared, view)

    @app.context_processor
    def token_or_its_place() -> dict[str, Any]:
        polled = g.get("polled", False)
        return {"polled": polled, "csrf_token": (lambda: SLOT) if polled else generate_csrf}

    @app.after_request
    def see_what_was_ordered(response: Response) -> Response:
        if request.method not in SAFE:
            shared.forget()
        return response
