"""Says who a session or token belongs to, remembers answers for a moment, and knows whether there is an administrator.

One per application. It holds the one-time token of the first administrator; nothing here is HTTP.
"""

from __future__ import annotations

import hmac
import secrets
import threading
import time
from collections.abc import Callable

from flask import Flask

from app.access.lockout import Lockout
from app.access.store import AccessStore
from app.access.visitor import Visitor
from sync.ports import StoreError

REMEMBER_SECONDS = 2.0
MOST = 1000


class Door:
    """``app.extensions["lockstep.door"]``."""

    def __init__(self, app: Flask, clock: Callable[[], float] = time.monotonic) -> None:
        self.store = AccessStore(app)
        self.lockout = Lockout()
        self._clock = clock
        self._lock = threading.Lock()
        self._known: dict[tuple[str, str], tuple[float, Visitor | None]] = {}
        self._administered: tuple[float, bool] | None = None
        self._first: str | None = None

    def has_administrator(self) -> bool:
        """Whether there is one; with the database away what was last known. Raises StoreError if nothing was."""
        now, known = self._clock(), self._administered
        if known is not None and now - known[0] < REMEMBER_SECONDS:
            return known[1]
        try:
            answer = self.store.has_administrator()
        except StoreError:
            if known is None:
                raise
            return known[1]
        self._administered = (now, answer)
        return answer

    def session(self, key: str) -> Visitor | None:
        """Whose session this is."""
        return self._remembered(("session", key), lambda: self.store.visitor_of_session(key))

    def token(self, token: str) -> Visitor | None:
        """Whose token this is."""
        return self._remembered(("token", token), lambda: self.store.visitor_of_token(token))

    def _remembered(self, what: tuple[str, str], ask: Callable[[], Visitor | None]) -> Visitor | None:
        now = self._clock()
        with self._lock:
            found = self._known.get(what)
            if found is not None and now - found[0] < REMEMBER_SECONDS:
                return found[1]
        answer = ask()
        with self._lock:
            if len(self._known) >= MOST:
                self._known.clear()
            self._known[what] = (now, answer)
        return answer

    def forget(self) -> None:
        """Looks everything up anew: call it after every change of users, sessions and tokens."""
        with self._lock:
            self._known.clear()
        self._administered = None

    def first_token(self) -> str | None:
        """The one-time token for the first administrator; None when there is one already."""
        if self.has_administrator():
            self._first = None
        elif self._first is None:
            self._first = secrets.token_urlsafe(24)
        return self._first

    def is_first_token(self, token: str) -> bool:
        """Whether this is it."""
        return self._first is not None and hmac.compare_digest(token.encode(), self._first.encode())

    def first_is_made(self) -> None:
        """The token has done its work."""
        self._first = None
        self.forget()
