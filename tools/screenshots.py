"""Takes docs/screenshots/*.png: every page of a real service over real rsync daemons, in a real browser.

    python tools/screenshots.py [FOLDER] [--only NAME]

The nodes' past is made up (a day of samples); everything else is what the pages show while it happens.
"""

from __future__ import annotations

import argparse
import io
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from playwright.sync_api import Browser, Page, sync_playwright

from app.config.schema.service import LogConfig
from app.history import Sums, write
from app.logs import configure
from tests import served
from tests.browser import launch
from tests.served import Service, service
from tests.servers_rsync import Daemon, rsyncd
from tests.stand import wait_until

NAMES = ("sh-telecom", "bj-unicom", "gz-telecom", "cd-mobile", "xa-edu", "hk-oversea", "fra-oversea")
LINES = ("telecom", "unicom", "telecom", "mobile", "edu", "oversea", "oversea")
MORE = """\
name: Lockstep
alerts:
  group_seconds: 1
  channels:
    ops: {kind: command, argv: [/bin/sh, -c, "echo 250 2.0.0 Ok: queued as 4XkZ1f"]}
    phone: {kind: command, argv: [/bin/sh, -c, "echo the gateway is out of credit >&2; exit 1"]}
  routes: {default: [ops], critical: [ops, phone]}
dns:
  hold_down_seconds: 1
  startup_hold_seconds: 5
  providers: {zone: {kind: zonefile, path: zones}}
  services:
    - {name: www, provider: zone, zone: example.com, record: www, ttl: 60, allow_private: true, types: [A]}
    - {name: static, provider: zone, zone: example.com, record: static, ttl: 60, allow_private: true,
       types: [A], lines: {default: {nodes: all}}}
"""
VIDEO_BYTES = 12_000_000
Shots = tuple[tuple[str, str, dict[str, int], str, str], ...]
WIDE, PHONE = {"width": 1360, "height": 900}, {"width": 390, "height": 844}
FIRST = (("first", "/first", WIDE, "light", "en"),)
"""Taken while there is no administrator."""
OUTSIDE = (("login", "/login", WIDE, "light", "en"),)
"""Taken of who is not logged in."""
SHOTS = (
    ("overview", "/", WIDE, "light", "en"),
    ("overview-dark", "/", WIDE, "dark", "en"),
    ("overview-zh", "/", WIDE, "light", "zh"),
    ("overview-phone", "/", PHONE, "light", "en"),
    ("nodes", "/nodes", WIDE, "light", "en"),
    ("nodes-phone", "/nodes", PHONE, "dark", "zh"),
    ("node", "/nodes/sh-telecom", WIDE, "light", "en"),
    ("node-dark", "/nodes/cd-mobile", WIDE, "dark", "en"),
    ("content", "/content", WIDE, "light", "en"),
    ("content-phone", "/content", PHONE, "light", "en"),
    ("dns", "/dns", WIDE, "light", "en"),
    ("events", "/events", WIDE, "light", "en"),
    ("alerts", "/events/alerts", WIDE, "light", "en"),
    ("alerts-phone", "/events/alerts", PHONE, "dark", "zh"),
    ("log", "/events/logs", WIDE, "dark", "en"),
    ("settings", "/settings/sync", WIDE, "light", "en"),
    ("settings-nodes", "/settings/nodes", WIDE, "light", "en"),
    ("users", "/settings/users", WIDE, "light", "en"),
    ("tokens", "/settings/tokens", WIDE, "light", "en"),
    ("status", "/v1/status", WIDE, "light", "en"),
)


@contextmanager
def shown() -> Iterator[Service]:
    """A service whose nodes have a past, and nobody an account."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lockstep-shots-")))
        daemons: dict[str, Daemon] = {}
        for number, name in enumerate(NAMES):
            refused = "    exclude = /docs/report.html" if name == "hk-oversea" else ""
            daemon = rsyncd(folder / name, host=f"127.0.0.{number + 11}", module_extra=refused)
            stack.callback(daemon.stop)
            daemons[name] = daemon
        root = folder / "publish"
        for path in ("index.html", "style.css", "docs/guide.html", "docs/api.html", "img/logo.svg"):
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(path * 200)
        slow = (
            "max_lag_seconds: 60, bwlimit: '300'}}"  # so that a transfer is still on its way in the pictures
        )
        served.CONFIG = served.CONFIG.replace("max_lag_seconds: 2}}", slow)
        running = stack.enter_context(
            service(folder, daemons=daemons, lines=dict(zip(NAMES, LINES, strict=True)), more=MORE, http=True)
        )
        configure(LogConfig(), folder, (), io.StringIO())
        running.all_ready()
        past(running)
        yield running


def past(running: Service) -> None:
    """A day of made-up samples."""
    dice = random.Random(7)  # noqa: S311 - made-up samples
    minute = int(time.time()) // 60 * 60
    for back in range(24 * 60, 1, -1):
        at = minute - back * 60
        sums = {}
        for name in NAMES:
            bad = (name == "cd-mobile" and 300 < back < 380) or (name == "hk-oversea" and 700 < back < 730)
            busy = 1 + 8 * (dice.random() < 0.02)
            rtt = 0.004 + NAMES.index(name) * 0.011 + dice.random() * 0.004
            sums[name] = Sums(
                ready=0 if bad else 60,
                dead=60 if bad else 0,
                in_sync=0 if bad else 60,
                rtt_sum=0 if bad else rtt * 12,
                rtt_count=0 if bad else 12,
                rtt_max=0 if bad else rtt * busy,
                lag_sum=(60 if bad else dice.random() * busy) * 12,
                lag_count=12,
                lag_max=60 if bad else dice.random() * busy,
                bytes=0 if bad else int(dice.random() * busy * 2e6),
                runs=2,
            )
        write(running.app, at, sums)
    recorder = running.supervisor.history
    recorder._recent.clear()
    recorder._remember()


def happen(running: Service) -> None:
    """A node that died, one that is drained, a path that cannot be taken, a transfer on its way."""
    running.post("/api/v1/nodes/xa-edu/drain")
    (running.root / "docs" / "report.html").write_text("report")
    running.daemons["fra-oversea"].kill()
    wait_until(lambda: running.json("/api/v1/nodes/fra-oversea")["state"] == "dead", 30)
    for number in range(6):
        (running.root / "docs" / f"chapter-{number}.html").write_text("chapter" * 500)
        time.sleep(0.4)
    for channel in ("ops", "phone"):
        running.post(f"/api/v1/alerts/channels/{channel}/test")
    (running.root / "video.mp4").write_bytes(random.Random(7).randbytes(VIDEO_BYTES))  # noqa: S311 - not a secret
    wait_until(lambda: sum(bool(n["work"]) for n in running.json("/api/v1/nodes")["nodes"]) > 3, 30)
    time.sleep(3)  # until rsync has counted


def take(
    browser: Browser,
    running: Service,
    folder: Path,
    shots: Shots,
    only: str | None,
    cookie: str | None = None,
) -> None:
    """These pages, as the one who has this cookie sees them."""
    for name, path, size, colours, language in shots:
        if only and only not in name:
            continue
        context = browser.new_context(
            viewport=size, color_scheme=colours, locale="zh-CN" if language == "zh" else "en-GB",
            device_scale_factor=1, timezone_id="Asia/Shanghai",
        )  # fmt: skip
        if cookie is not None:
            context.add_cookies([{"name": "lockstep", "value": cookie, "url": running.url}])
        page: Page = context.new_page()
        page.goto(running.url + path)
        page.wait_for_timeout(400)
        page.screenshot(path=folder / f"{name}.png", full_page=name in ("node", "nodes"))
        context.close()
        print(folder / f"{name}.png")  # noqa: T201 - a command


def main() -> None:
    """Takes the pictures."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument(
        "folder", nargs="?", default=Path(__file__).parents[1] / "docs" / "screenshots", type=Path
    )
    words.add_argument("--only")
    asked = words.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    with shown() as running, sync_playwright() as playwright, launch(playwright) as browser:
        take(browser, running, asked.folder, FIRST, asked.only)
        running.with_administrator()
        tokens = running.app.extensions["lockstep.door"].store
        tokens.add_token("prometheus", ["read"])
        tokens.add_token("router", ["report"], "xa-edu")
        happen(running)
        take(browser, running, asked.folder, OUTSIDE, asked.only)
        cookie = running.logged_in().get_cookie("lockstep")
        take(browser, running, asked.folder, SHOTS, asked.only, cookie.value)


if __name__ == "__main__":
    main()
