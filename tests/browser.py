"""A real Chromium for tests and screenshots: Debian's, driven by Playwright."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, Page, Playwright

from tests.served import Service

ARGUMENTS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
]


def chromium() -> str | None:
    """Where the browser is."""
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@contextmanager
def launch(playwright: Playwright) -> Iterator[Browser]:
    """The browser, ended at the end; the test is skipped where there is none."""
    program = chromium()
    if program is None:
        pytest.skip("no Chromium here; install chromium to try the pages in a browser")
    browser = playwright.chromium.launch(executable_path=program, args=ARGUMENTS)
    try:
        yield browser
    finally:
        browser.close()


class Watch:
    """What must not happen on a page."""

    def __init__(self, page: Page, home: str) -> None:
        self.wrong: list[str] = []
        page.on("console", lambda m: self.wrong.append(f"console: {m.text}") if m.type == "error" else None)
        page.on("pageerror", lambda e: self.wrong.append(f"error: {e}"))
        page.on("request", lambda r: None if r.url.startswith((home, "data:")) else self.wrong.append(r.url))


def opened(browser: Browser, running: Service, **options) -> tuple[Page, Watch]:
    """A page of a browser that is logged in where there is an administrator, and what goes wrong on it."""
    context = browser.new_context(**options)
    if running.headers:  # there is an administrator
        cookie = running.logged_in().get_cookie("lockstep")
        context.add_cookies(
            [{"name": "lockstep", "value": cookie.value, "url": running.url, "httpOnly": True}]
        )
    page = context.new_page()
    page.set_default_timeout(10_000)
    return page, Watch(page, running.url)
