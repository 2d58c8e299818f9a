"""The Events pages in a real browser: what a person clicks there, by script and without, and that it is readable."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect, sync_playwright

from app import log_levels
from tests import served
from tests.browser import launch, opened
from tests.log_stand import logging_on
from tests.served import Service, service
from tests.stand import wait_until

ALERTS = """\
alerts:
  group_seconds: 0.1
  channels:
    pager: {kind: command, argv: [/bin/sh, -c, "echo taken by the pager"]}
    broken: {kind: command, argv: [/bin/sh, -c, "echo no paper left >&2; exit 3"]}
  routes: {default: [pager]}
"""
PAGES = ("/events", "/events/alerts", "/events/logs", "/content/deletions", "/content/unreadable")


@pytest.fixture(autouse=True)
def nothing_is_left_behind() -> None:
    """Service and browser of this module outlive its tests."""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("browser-events")
    with service(folder, nodes=1, more=ALERTS, http=True) as found:
        found.all_ready()
        found.with_administrator()
        found.daemons["a"].kill()
        wait_until(lambda: found.json("/api/v1/alerts")["alerts"], 30)
        with logging_on(folder):
            logging.getLogger("sync.x").warning("a line of the log <b>")
            yield found


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright, launch(playwright) as found:
        yield found


@pytest.fixture
def page(browser: Browser, running: Service) -> Iterator[Page]:
    found, watch = opened(browser, running, locale="en-GB")
    yield found
    found.context.close()
    assert watch.wrong == []


@pytest.mark.parametrize(
    ("language", "colours", "width"),
    [("en-GB", "light", 1360), ("zh-CN", "dark", 380), ("en-GB", "light", 380)],
)
def test_the_events_pages_are_sound_and_readable(
    browser: Browser, running: Service, language: str, colours: str, width: int
) -> None:
    viewport = {"width": width, "height": 800}
    page, watch = opened(browser, running, locale=language, color_scheme=colours, viewport=viewport)
    for path in PAGES:
        page.goto(running.url + path)
        expect(page.locator("h1")).to_be_visible()
        wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0, f"{path} is {wide} px too wide"
        bad = [v for v in Axe().run(page).response["violations"] if v["impact"] in ("serious", "critical")]
        assert not bad, (path, [(v["id"], [n["html"][:200] for n in v["nodes"][:3]]) for v in bad])
    page.context.close()
    assert watch.wrong == []


def test_the_tabs_lead_to_the_three_pages(page: Page, running: Service) -> None:
    page.goto(running.url + "/")
    page.get_by_role("navigation", name="Pages").get_by_role("link", name="Events").click()
    for name, path in (("Alerts", "/events/alerts"), ("Log", "/events/logs"), ("Timeline", "/events")):
        page.get_by_role("navigation", name="Events").get_by_role("link", name=name).click()
        expect(page).to_have_url(running.url + path)
        expect(page.locator("nav.tabs a[aria-current]")).to_have_text(name)
        expect(page.locator("#nav a[aria-current]")).to_contain_text("Events")


def test_an_alert_is_silenced_where_it_stands_and_the_silence_ended(page: Page, running: Service) -> None:
    page.goto(running.url + "/events/alerts")
    row = page.locator("#alerts tbody tr").first
    expect(row.locator("b")).to_have_text("a")
    row.locator("summary").click()
    row.locator("input[name=length]").fill("30")
    row.locator("select[name=unit]").select_option("minutes")
    row.locator("input[name=comment]").fill("being moved")
    row.get_by_role("button", name="Silence").click()
    expect(page.locator(".banner.ok")).to_contain_text("Silenced")
    expect(page.locator("#alerts tbody tr").first).to_contain_text("silenced")
    expect(page.locator("#silences li")).to_contain_text("being moved")
    (silence,) = running.json("/api/v1/alerts")["silences"]
    assert (silence["condition"], silence["object"]) == ("dead", "a")
    page.get_by_role("button", name="End it").click()
    expect(page.locator("#silences")).to_contain_text("Nothing is silenced")
    assert running.json("/api/v1/alerts")["silences"] == []


def test_on_a_phone_a_menu_opens_where_one_sees_it(browser: Browser, running: Service) -> None:
    page, watch = opened(browser, running, viewport={"width": 380, "height": 800})
    for path, summary in (("/events/alerts", "#alerts summary"), ("/settings/users", "main td summary")):
        page.goto(running.url + path)
        page.locator(summary).first.click()
        box = page.locator("main details[open] .menu-in").bounding_box()
        assert box is not None
        assert box["x"] >= 0, path
        assert box["x"] + box["width"] <= 380, path
    page.context.close()
    assert watch.wrong == []


def test_a_silence_is_begun_with_the_form(page: Page, running: Service) -> None:
    page.goto(running.url + "/events/alerts")
    page.select_option("#condition", "dns")
    page.fill("#object", "www*")
    page.fill("#new-length", "2")
    page.select_option("#new-silence select[name=unit]", "days")
    page.get_by_role("button", name="Begin the silence").click()
    expect(page.locator("#silences li")).to_contain_text("www*")
    expect(page.locator("#silences li time")).to_have_text(re.compile(r"in (2 days|1 day|4[78] hours)"))
    page.get_by_role("button", name="End it").click()
    expect(page.locator("#silences li")).to_have_count(0)


def test_a_test_of_a_channel_shows_the_whole_answer(page: Page, running: Service) -> None:
    page.goto(running.url + "/events/alerts")
    page.get_by_role("button", name="Send a test over broken").click()
    expect(page.locator("#tested")).to_contain_text("The test over broken failed")
    expect(page.locator("#tested .said")).to_contain_text("no paper left")
    page.get_by_role("button", name="Send a test over pager").click()
    expect(page.locator("#tested")).to_contain_text("The test over pager was sent")
    expect(page.locator("#tested .said")).to_contain_text("taken by the pager")
    page.locator("#sent select[name=state]").select_option("failed")
    expect(page).to_have_url(re.compile("state=failed"))
    expect(page.locator("#sent tbody tr").first).to_contain_text("no paper left")
    expect(page.locator("#sent")).not_to_contain_text("taken by the pager")


def test_the_log_is_filtered_and_refreshes_itself(page: Page, running: Service) -> None:
    page.goto(running.url + "/events/logs")
    expect(page.locator(".log")).to_contain_text("a line of the log <b>")
    page.select_option("#part", "sync.x")
    expect(page).to_have_url(re.compile("part=sync.x"))
    page.select_option("#level", "warning")
    expect(page).to_have_url(re.compile("level=warning"))
    logging.getLogger("sync.x").error("it went wrong just now")
    logging.getLogger("app.x").error("elsewhere")
    expect(page.locator(".log li").first).to_contain_text("it went wrong just now", timeout=10_000)
    expect(page.locator(".log")).not_to_contain_text("elsewhere")


def test_the_level_is_changed_and_put_back_on_the_page(page: Page, running: Service) -> None:
    logging.getLogger("sync.x")
    page.goto(running.url + "/events/logs?part=sync.x")
    page.select_option("#of", "sync.x")
    page.select_option("#to", "debug")
    page.get_by_role("button", name="Change").click()
    expect(page.locator("#levels li", has_text="sync.x")).to_contain_text(
        "changed; config.yml says information"
    )
    expect(page.locator("#levels")).to_contain_text(
        "until the configuration is reloaded or the service restarts"
    )
    logging.getLogger("sync.x").debug("now to be heard")
    expect(page.locator(".log")).to_contain_text("now to be heard", timeout=10_000)
    page.get_by_role("button", name="Back to the configuration's levels").click()
    expect(page.locator("#levels li", has_text="sync.x")).to_have_count(0)
    assert not any(s.changed for s in log_levels.standings())


def test_without_script_the_log_is_filtered_and_its_level_changed(browser: Browser, running: Service) -> None:
    page, watch = opened(browser, running, java_script_enabled=False)
    page.goto(running.url + "/events/logs")
    page.select_option("#part", "sync.x")
    page.get_by_role("button", name="Show").click()
    expect(page.locator(".log")).to_contain_text("a line of the log <b>")
    page.select_option("#of", "sync")
    page.get_by_role("button", name="Change").click()
    expect(page.locator("#levels li", has_text="changed")).not_to_have_count(0)
    expect(page.locator("#part")).to_have_value("sync.x")
    page.get_by_role("button", name="Back to the configuration's levels").click()
    expect(page.locator("#levels li", has_text="changed")).to_have_count(0)
    page.goto(running.url + "/events/alerts")
    page.get_by_role("button", name="Send a test over pager").click()
    expect(page.locator("#tested .said")).to_contain_text("taken by the pager")
    page.context.close()
    assert watch.wrong == []


def test_the_changes_of_many_nodes_fit_a_phone(
    browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes = "".join(f"  - {{{{name: a-long-name-{n}, host: 127.0.1.{n + 1}, port: 1}}}}\n" for n in range(24))
    monkeypatch.setattr(served, "CONFIG", served.CONFIG.replace("{nodes}\n", nodes))
    with service(tmp_path, nodes=0, http=True) as own:
        wait_until(lambda: own.json("/api/v1/changes")["changes"])
        page, watch = opened(browser, own, viewport={"width": 380, "height": 800})
        page.goto(own.url + "/content")
        cells = page.locator(".matrix tbody tr").first.locator("td.cell i")
        expect(cells).to_have_count(24)
        assert all(
            box["x"] >= 0 and box["x"] + box["width"] <= 380
            for box in (c.bounding_box() for c in cells.all())
        )
        assert page.evaluate("document.documentElement.scrollWidth") <= 380
        page.context.close()
        assert watch.wrong == []
