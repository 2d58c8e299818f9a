"""The pages in a real browser: every page in both languages, both colours and on a phone, every action with its
effect on real rsync daemons; no console error, no request elsewhere, nothing serious for axe-core.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.browser import launch, opened
from tests.served import PASSWORD, Service, service
from tests.servers_rsync import rsyncd
from tests.stand import wait_until

PAGES = (
    *(
        "/",
        "/nodes",
        "/nodes/a",
        "/nodes?state=dead",
        "/content",
        "/dns",
        "/dns?plan=1",
        "/events",
        "/account",
    ),
    *("/settings/nodes", "/settings/sync", "/settings/general", "/settings/providers", "/settings/nodes/new"),
    *("/settings/users", "/settings/tokens", "/settings/nodes/a/edit", "/v1/status", "/nowhere"),
)
DNS = """\
dns:
  hold_down_seconds: 0.1
  startup_hold_seconds: 1
  providers: {zone: {kind: zonefile, path: zones}}
  services:
    - {name: www, provider: zone, zone: demo.test, record: www, ttl: 5, types: [A], allow_private: true,
       lines: {default: {nodes: all}}}
"""


@pytest.fixture(autouse=True)
def nothing_is_left_behind() -> None:
    """Service and browser of this module outlive its tests."""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("browser")
    daemons = {
        name: rsyncd(folder / name, host=f"127.0.0.{n + 21}", module_extra="    exclude = refused*")
        for n, name in enumerate("ab")
    }
    try:
        with service(folder, more=DNS, http=True, daemons=daemons) as found:
            found.all_ready()
            found.with_administrator()
            yield found
    finally:
        for daemon in daemons.values():
            daemon.stop()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright, launch(playwright) as found:
        yield found


@pytest.fixture
def page(browser: Browser, running: Service) -> Iterator[Page]:
    found, watch = opened(browser, running, locale="en-GB")
    yield found
    found.context.close()
    assert [w for w in watch.wrong if "422" not in w] == []  # a form with a mistake in it


@pytest.mark.parametrize(
    ("language", "colours", "width"),
    [("en-GB", "light", 1360), ("zh-CN", "dark", 1360), ("en-GB", "dark", 380), ("zh-CN", "light", 380)],
)
def test_every_page_is_sound_and_readable(
    browser: Browser, running: Service, language: str, colours: str, width: int
) -> None:
    viewport = {"width": width, "height": 800}
    page, watch = opened(browser, running, locale=language, color_scheme=colours, viewport=viewport)
    for path in PAGES:
        page.goto(running.url + path)
        expect(page.locator("h1")).to_be_visible()
        assert page.locator("html").get_attribute("lang") == ("zh-CN" if language == "zh-CN" else "en")
        wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0, f"{path} is {wide} px too wide"
        bad = [v for v in Axe().run(page).response["violations"] if v["impact"] in ("serious", "critical")]
        assert not bad, (path, [(v["id"], [n["html"][:200] for n in v["nodes"][:3]]) for v in bad])
    page.context.close()
    expected = [w for w in watch.wrong if "404" not in w]  # /nowhere
    assert expected == []


def test_pages_read_without_script(browser: Browser, running: Service) -> None:
    page, _ = opened(browser, running, java_script_enabled=False)
    for path in ("/", "/nodes", "/nodes/a", "/content", "/dns", "/events", "/settings/sync"):
        page.goto(running.url + path)
        expect(page.locator("h1")).to_be_visible()
    page.goto(running.url + "/nodes")
    page.fill("#q", "b")
    page.keyboard.press("Enter")
    expect(page.locator("tbody tr")).to_have_count(1)
    page.context.close()


def test_a_change_shows_up_by_itself(page: Page, running: Service) -> None:
    page.goto(running.url + "/content")
    (running.root / "by-itself.txt").write_text("x")
    expect(page.locator("code", has_text="by-itself.txt")).to_be_visible(timeout=15_000)
    page.wait_for_function("document.querySelectorAll('.cell i.has').length >= 2", timeout=15_000)


def test_the_title_and_favicon_show_trouble(page: Page, running: Service) -> None:
    page.goto(running.url + "/")
    expect(page).to_have_title(re.compile("^Overview"))
    running.daemons["b"].kill()
    try:
        expect(page).to_have_title(re.compile(r"^\([1-9]"), timeout=20_000)
        page.wait_for_function(
            "document.getElementById('favicon').href.includes('favicon-bad')", timeout=20_000
        )
    finally:
        running.daemons["b"].start()
        running.all_ready()


def test_nodes_are_drained_and_come_back_by_choosing_them(page: Page, running: Service) -> None:
    page.goto(running.url + "/nodes")
    page.check("input[data-all]")
    page.click("button[value=drain]")
    page.click("dialog .btn.main")
    expect(page.locator(".banner.ok")).to_be_visible()
    assert all(n["drained"] for n in running.json("/api/v1/nodes")["nodes"])
    for box in page.locator("input[name=names]").all():
        box.check()
    page.click("button[value=undrain]")
    expect(page.locator(".banner.ok")).to_be_visible()
    assert not any(n["drained"] for n in running.json("/api/v1/nodes")["nodes"])


def test_a_resync_mends_a_node(page: Page, running: Service) -> None:
    wanted = running.daemons["a"].module_path / "index.html"
    wanted.unlink()
    page.goto(running.url + "/nodes/a")
    page.click("button[value=resync]")
    page.click("dialog .btn.main")
    expect(page.locator(".banner.ok")).to_be_visible()
    wait_until(wanted.exists)


def test_what_a_node_cannot_take_is_retried_and_discarded(page: Page, running: Service) -> None:
    (running.root / "refused.txt").write_text("no")
    try:
        wait_until(lambda: len(running.json("/api/v1/dustbin")["entries"]) == 2)
        page.goto(running.url + "/content")
        expect(page.locator("#dustbin tbody tr")).to_have_count(2)
        page.locator("input[name=ids]").first.check()
        page.click("button[value=retry]")
        expect(page.locator(".banner.ok")).to_be_visible()
        page.click("button[value=discard_all]")
        page.click("dialog .btn.main")
        expect(page.locator("#dustbin .chip", has_text="discarded")).to_have_count(2)
    finally:
        (running.root / "refused.txt").unlink()


def test_dns_is_frozen_and_goes_on(page: Page, running: Service) -> None:
    page.goto(running.url + "/dns")
    page.click("summary.btn")
    page.fill("#reason", "a try")
    page.click("text=Freeze DNS")
    expect(page.get_by_role("alert").filter(has_text="a try")).to_be_visible()
    assert "a try" in running.json("/api/v1/status")["frozen"]
    page.get_by_role("button", name="Unfreeze").click()
    expect(page.get_by_role("alert").filter(has_text="a try")).to_have_count(0)
    assert running.json("/api/v1/status")["frozen"] is None


def test_hostile_names_are_only_text(page: Page, running: Service) -> None:
    evil = running.root / "<img src=x onerror=alert(1)><script>alert(2)<"
    evil.write_text("x")
    try:
        page.on("dialog", lambda d: pytest.fail("a script ran"))
        page.goto(running.url + "/content")
        expect(page.locator("code", has_text="<script>").first).to_be_visible()
        page.wait_for_timeout(2500)  # a round of polling puts it into the page by script
        assert page.locator("main img").count() == 0
    finally:
        evil.unlink()


def test_settings_show_a_diff_and_write_the_file(page: Page, running: Service) -> None:
    page.goto(running.url + "/settings/sync")
    page.fill("[name='sync.max_processes']", "many")
    page.click("text=Check and show what changes")
    expect(page.locator(".field.wrong")).to_have_count(1)
    page.fill("[name='sync.max_processes']", "33")
    page.click("text=Check and show what changes")
    expect(page.locator(".diff .add")).to_contain_text(["max_processes: 33"])
    page.click("text=Save and take up")
    expect(page.locator(".banner.ok")).to_be_visible()
    text = (running.folder / "config.yml").read_text()
    assert "max_processes: 33" in text
    assert text.startswith("# A comment that must survive every edit.")
    assert running.supervisor.config.sync.max_processes == 33


def test_language_and_colours_are_kept(page: Page, running: Service) -> None:
    page.goto(running.url + "/nodes")
    page.click("details.menu summary")
    page.click("button[value=zh]")
    expect(page.locator("html")).to_have_attribute("lang", "zh-CN")
    assert page.url.endswith("/nodes")
    page.click("details.menu summary")
    page.click("button[value=dark]")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")


def test_pages_work_by_keyboard(page: Page, running: Service) -> None:
    page.goto(running.url + "/nodes")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "q"


def test_login_and_lock_out(browser: Browser, tmp_path) -> None:
    with service(tmp_path, nodes=0, http=True) as own:
        page, watch = opened(browser, own, locale="en-GB")
        token = own.app.extensions["lockstep.door"].first_token()
        page.goto(f"{own.url}/first?token={token}")
        page.fill("#name", "root")
        page.fill("#password", PASSWORD)
        page.fill("#again", PASSWORD)
        page.click(".btn.main")
        expect(page.locator("h1")).to_contain_text("No nodes yet")
        page.click("details.menu summary")
        page.click("text=Log out")
        for _ in range(6):
            page.fill("#name", "root")
            page.fill("#password", "wrong")
            page.click(".btn.main")
        expect(page.get_by_role("alert")).to_contain_text("Too many failed attempts")
        page.context.close()
        assert [w for w in watch.wrong if "401" not in w and "429" not in w] == []
