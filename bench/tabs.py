"""Opens browser tabs without a browser: each logs in, loads a page, and polls as the page's own script does.

It measures nothing. What it repeats of app/web/static/lockstep.js: the interval is the page's ``data-poll``, the
ETag of the last answer goes along, and nothing is asked while an answer is awaited.
"""

from __future__ import annotations

import http.client
import random
import re
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlencode

POLL = re.compile(rb'<main id="main"[^>]* data-poll="([0-9]*)"')
TOKEN = re.compile(r'name="csrf_token" value="([^"]*)"')
PASSWORD = "a password for benchmarks"


class Browser:
    """One connection with a session's cookie."""

    def __init__(self, port: int, cookie: str = "") -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self.cookie = cookie

    def get(self, path: str, **headers: str) -> tuple[int, bytes, str]:
        """Status, body and ETag. Raises OSError when the service does not answer."""
        answer = self._ask("GET", path, headers)
        return answer.status, answer.read(), answer.headers.get("ETag", "")

    def log_in(self, name: str) -> Browser:
        """A session of this person's. Raises RuntimeError when it is refused."""
        token = TOKEN.search(self._ask("GET", "/login", {}).read().decode())
        form = {"name": name, "password": PASSWORD, "csrf_token": token.group(1) if token else ""}
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        answer = self._ask("POST", "/login", kind, urlencode(form))
        answer.read()
        if answer.status != 303:
            raise RuntimeError(f"{name} could not log in: {answer.status}")
        return self

    def close(self) -> None:
        """Ends the connection."""
        self._connection.close()

    def _ask(
        self, method: str, path: str, headers: dict[str, str], body: str | None = None
    ) -> http.client.HTTPResponse:
        sent = {"Cookie": self.cookie} if self.cookie else {}
        self._connection.request(method, path, body, {**sent, **headers})
        answer = self._connection.getresponse()
        if kept := answer.headers.get("Set-Cookie"):
            self.cookie = kept.partition(";")[0]
        return answer


@dataclass
class Told:
    """What the tabs were answered: how often which status, and the seconds each answer took."""

    statuses: Counter[int] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    bytes: int = 0


@contextmanager
def tabs(port: int, cookies: Sequence[str], page: str = "/") -> Iterator[Told]:
    """One open tab per cookie until the block ends. Raises what the first tab that failed raised."""
    told, stop, failed = Told(), threading.Event(), []

    def live(cookie: str, seed: int) -> None:
        try:
            _poll(Browser(port, cookie), page, told, stop, random.Random(seed))
        except Exception as error:
            failed.append(error)

    threads = [
        threading.Thread(target=live, args=(cookie, seed), name=f"tab {seed}")
        for seed, cookie in enumerate(cookies)
    ]
    for thread in threads:
        thread.start()
    try:
        yield told
    finally:
        stop.set()
        for thread in threads:
            thread.join(60)
    if failed:
        raise failed[0]


def _poll(browser: Browser, page: str, told: Told, stop: threading.Event, chance: random.Random) -> None:
    _, text, _ = browser.get(page, Accept="text/html")
    tag, every = "", _interval(text)
    wait = chance.uniform(0, every)  # people do not open their tabs in step
    while not stop.wait(wait):
        given = {"X-Poll": "1", "Accept": "text/html"} | ({"If-None-Match": tag} if tag else {})
        began = time.perf_counter()
        status, text, new = browser.get(page, **given)
        told.seconds.append(time.perf_counter() - began)
        told.statuses[status] += 1
        told.bytes += len(text)
        if status != 304:
            tag, every = new, _interval(text)
        wait = every
    browser.close()


def _interval(text: bytes) -> float:
    found = POLL.search(text)
    if found is None or not found.group(1):
        raise RuntimeError(f"the page says no interval: {text[:200]!r}")
    return float(found.group(1))
