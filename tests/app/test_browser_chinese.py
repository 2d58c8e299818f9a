"""Every page in Chinese in a real browser, with nodes in every state and everything wrong at once: no English word is
left in text, titles, labels or placeholders, but names, keys, commands, and what programs and systems say.
"""

from __future__ import annotations

import copy
import errno
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from app.access.visitor import Role, Scope
from app.alerts.model import Condition
from app.config.schema.root import Config
from tests.browser import launch, opened
from tests.served import Service, service
from tests.servers_rsync import rsyncd
from tests.stand import wait_until

NODES = ("ok-1", "gone-2", "ill-3", "wall-4", "away-5")
MORE = """\
alerts:
  group_seconds: 0.1
  channels:
    pager: {kind: command, argv: [/bin/sh, -c, "cat > /dev/null"]}
    broken: {kind: command, argv: [/bin/sh, -c, "exit 3"]}
  routes: {default: [pager, broken]}
hooks:
  - {state: dead, argv: [/bin/true]}
dns:
  hold_down_seconds: 0.1
  startup_hold_seconds: 1
  providers: {zone: {kind: zonefile, path: zones}}
  services:
    - {name: www, provider: zone, zone: demo.test, record: www, ttl: 5, types: [A], allow_private: true,
       lines: {default: {nodes: all}, telecom: {nodes: [gone-2], fallback: none}}}
    - {name: api, provider: zone, zone: demo.test, record: api, types: [A], lines: {default: {nodes: all}}}
"""
STEADFAST = "health:\n  unhealth_tries: 1000\n  unhealth_fatal: 900\n"
PAGES = (
    *("/", "/nodes", "/nodes?state=dead", *(f"/nodes/{name}" for name in NODES), "/nodes/ok-1?span=7d"),
    *("/content", "/content/deletions", "/content/unreadable", "/dns", "/dns?plan=1"),
    *(
        "/events",
        "/events?kind=flip",
        "/events?kind=access",
        "/events?kind=dns",
        "/events/alerts",
        "/events/logs",
    ),
    *("/account", "/v1/status", "/nowhere", "/nodes/nobody", "/nodes/ok-1/plot/nothing.json"),
    *(f"/settings/{name}" for name in ("nodes", "services", "providers", "publish", "sync", "health", "dns")),
    *(f"/settings/{name}" for name in ("alerts", "channels", "hooks", "general", "users", "tokens")),
    *("/settings/nodes/new", "/settings/nodes/ok-1/edit", "/settings/services/new", "/settings/hooks/new"),
    *(f"/settings/providers/new?kind={kind}" for kind in ("zonefile", "aliyun", "callback", "route53")),
    *(f"/settings/channels/new?kind={kind}" for kind in ("email", "webhook", "dingtalk")),
)

# ── what may stay English ────────────────────────────────────────────────────────────────────────────────

SHIPPED = Path(__file__).resolve().parents[2] / "config.yml"
PRODUCTS = """
Lockstep DNS AliDNS BIND Cloudflare DNSPod Route rsync rsyncd ssh sshd English SQLite Linux macOS AWS
IPv ICMP CNAME AAAA SOA TTL TLS URL JSON YAML UTF UTC HTTP HTTPS API CSRF CAP NET RAW CPU KB MB GB KiB MiB ms NTP
id openrsync inotify PTR pid TCP UDP PID stderr POST GET Authorization Bearer Accept ASCII Apprise
"""
NAMES = (
    *(*NODES, "www", "api", "zone", "demo", "test", "pager", "broken", "command", "root", "tests"),
    *("app", "sync", "dns"),
)
CHINESE = re.compile(r"[\u4e00-\u9fff]")
CODE = re.compile(r"`[^`]*`|'[^']*'|--?[a-z-]{2,}|[^\s；，：（）]*[/\\_.:@=#$|*{}\[\]()\d][^\s；，：（）]*")
"""Paths, addresses, keys with their values, numbers with what sticks to them."""
SYSTEM = sorted({os.strerror(number) for number in errno.errorcode}, key=len, reverse=True)
PROGRAMS = re.compile(r"ERROR: [^；）]*|exit status \d+")
"""What rsync says, inside our own sentence."""
COMMANDS = re.compile(
    r"flask [a-z][a-z -]*[A-Z]*|pip install -r|(apt|brew) install rsync|make serve|chmod \+x|sysctl"
)

GATHER = """() => {
  const quiet = "script, style, code, pre, textarea, .mono, .log, [lang=en]";
  const found = [];
  const told = (where, text) => { if (/[A-Za-z]{2}/.test(text || "")) found.push([where, text.trim()]); };
  told("title", document.title);
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let n; (n = walk.nextNode()); ) {
    const e = n.parentElement;
    if (e.closest(quiet) || e.closest("label[for^=f-]") || (e.closest(".field") && e.closest("option"))) continue;
    told(e.tagName.toLowerCase() + (e.className ? "." + e.className : ""), n.data);
  }
  for (const name of ["title", "aria-label", "placeholder", "alt", "data-confirm", "data-empty", "data-label"])
    for (const e of document.querySelectorAll(`[${name}]`))
      if (!e.closest("[lang=en]") && !(name === "placeholder" && e.id.startsWith("f-")))
        told(name, e.getAttribute(name));
  for (const [name, text] of Object.entries(document.body.dataset)) told("data-" + name, text);
  return [found, navigator.userAgent];
}"""


def keys() -> set[str]:
    """Every key of the configuration and every word that may stand as its value."""

    def below(value: Any) -> Iterator[str]:
        if isinstance(value, dict):
            yield from value.get("properties", {})
            yield from (str(word) for word in [*value.get("enum", ()), value.get("const", "")])
        for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            yield from below(inner)

    text = re.sub(r"#.*", "", SHIPPED.read_text(encoding="utf-8"))
    return {w for k in (*below(Config.model_json_schema()), text) for w in re.findall(r"[A-Za-z]+", k)}


@dataclass(frozen=True)
class Allowed:
    """The words that are names everywhere, and those that are keys of config.yml inside a Chinese sentence."""

    names: frozenset[str]
    keys: frozenset[str]

    def words(self, text: str, in_settings: bool) -> frozenset[str]:
        return self.names | self.keys if in_settings or CHINESE.search(text) else self.names


@pytest.fixture(scope="module")
def allowed() -> Allowed:
    names = {word for name in NAMES for word in name.split("-")} | set(PRODUCTS.split())
    codes = {one.value for kind in (Scope, Role, Condition) for one in kind} | keys()
    return Allowed(frozenset(map(str.casefold, names)), frozenset(map(str.casefold, codes)))


def english_in(text: str, allowed: Allowed, agent: str = "", in_settings: bool = False) -> list[str]:
    """The words that should be Chinese."""
    rest = text.replace(agent, " ") if agent else text
    for phrase in SYSTEM:
        rest = rest.replace(phrase, " ")
    rest = CODE.sub(" ", COMMANDS.sub(" ", PROGRAMS.sub(" ", rest)))
    known = allowed.words(text, in_settings)
    return [word for word in re.findall(r"[A-Za-z]{2,}", rest) if word.casefold() not in known]


def left_on(page: Page, allowed: Allowed) -> list[tuple[str, str]]:
    """Where English is left on this page."""
    found, agent = page.evaluate(GATHER)
    settings = "/settings/" in page.url
    return [(where, text) for where, text in found if english_in(text, allowed, agent, settings)]


# ── a service in which everything goes wrong ─────────────────────────────────────────────────────────────


@pytest.fixture(autouse=True)
def nothing_is_left_behind() -> None:
    """Service and browser of this module outlive its tests."""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("chinese")
    daemons = {
        name: rsyncd(
            folder / name,
            host=f"127.0.0.{number + 41}",
            module_extra="    read only = yes" if name == "wall-4" else "    exclude = refused*",
        )
        for number, name in enumerate(NODES)
    }
    try:
        with service(folder, more=MORE, http=True, daemons=daemons) as found:
            states_of(found)
            yield found
    finally:
        for daemon in daemons.values():
            daemon.stop()


def states_of(running: Service) -> None:
    """Brings the nodes into every state, with events of every kind behind them."""

    do = running.supervisor.operations  # past the API, which counts how often it is asked
    node = do.node

    for name in ("ok-1", "gone-2", "ill-3", "away-5"):
        wait_until(lambda name=name: node(name)["in_sync"], 40, f"{name} in sync")
    running.with_administrator()
    running.post("/api/v1/nodes/away-5/drain")
    running.daemons["gone-2"].kill()
    wait_until(lambda: node("gone-2")["state"] == "dead", 40, "dead")
    config = running.folder / "config.yml"
    text = config.read_text()
    config.write_text(text.replace("health:\n", STEADFAST).replace("unhealth: 0.1", "unhealth: 1"))
    running.supervisor.reload()
    running.daemons["ill-3"].kill()
    wait_until(lambda: node("ill-3")["state"] == "unhealth", 40, "unhealth")
    (running.root / "refused.html").write_text("a path that no node takes")
    wait_until(lambda: do.dustbin()["entries"], 40, "the dustbin")
    for path in running.root.iterdir():  # nothing is left of it: that is a fault, and waits for a person
        path.unlink()
    wait_until(lambda: do.status()["publish"]["fault"], 40, "an empty source")
    running.logged_in().get("/")
    running.post("/api/v1/dns/freeze")
    wait_until(lambda: len(do.alerts()["alerts"]) > 2, 40, "alerts")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright, launch(playwright) as found:
        yield found


@pytest.fixture
def page(browser: Browser, running: Service) -> Iterator[Page]:
    found, _ = opened(browser, running, locale="zh-CN")
    yield found
    found.context.close()


# ── the tests ────────────────────────────────────────────────────────────────────────────────────────────


def test_no_page_has_english_left(page: Page, running: Service, allowed: Allowed) -> None:
    left = {}
    for path in PAGES:
        page.goto(running.url + path)
        if not path.endswith(".json"):
            assert page.locator("html").get_attribute("lang") == "zh-CN"
        if found := left_on(page, allowed):
            left[path] = found
    assert left == {}, json.dumps(left, ensure_ascii=False, indent=1)


def test_whatever_can_be_wrong_is_said_in_chinese(
    page: Page, running: Service, allowed: Allowed, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = running.supervisor.operations.status()
    monkeypatch.setattr(running.supervisor.operations, "status", lambda: worst(real))
    left = {}
    for path in ("/", "/nodes", "/content", "/dns", "/v1/status"):
        page.goto(running.url + path)
        if found := left_on(page, allowed):
            left[path] = found
    assert left == {}
    page.goto(running.url + "/")
    for said in ("发布目录为空", "监视数已用完", "数据库无法工作", "人工冻结", "无法读取"):
        assert said in page.inner_text("main")


def worst(status: dict[str, Any]) -> dict[str, Any]:
    """The status with everything wrong that a page may show."""
    found = copy.deepcopy(status)
    found["frozen"] = "frozen by a person: no reason given; `flask dns unfreeze` goes on"
    found["database"] = {
        "ok": False,
        "error": "the database does not work (x.y); what waits is kept in memory and tried again",
    }
    found["publish"] |= {
        "fault": "the publish directory is empty, it held 30 paths: put it right, or confirm with: "
        "flask nodes resync --accept-deletions",
        "watch": "docs/x: no inotify watch left; raise it: sysctl fs.inotify.max_user_watches=1048576",
        "source_errors": [{"path": "a/b.html", "error": "replaced while it was read"}],
        "source_errors_total": 1,
    }
    for node, reason in zip(found["nodes"], REASONS, strict=False):
        node |= {"reason": reason, "in_sync": False, "unpublished_reason": reason}
    for one in found["services"]:
        one["error"] = (
            "provider zone: zone: reading demo.test: AliDNS answered X.Y; check what this access key may do"
        )
        for line in one["lines"]:
            line["held"] = (
                "1.2.3.4 at www.demo.test is not ours: `flask dns adopt` hands it over, or remove it at the provider"
            )
    return found


REASONS = (
    "4 of 5 observations failed; the last said: 1 of 2 probes failed: rsync: connection refused (127.0.0.1:873)",
    "out of step: lacks a/b.html (one of 4 in its dustbin), which gone-2 has had for 30 s",
    "recovery failed: the node cannot write: look at its disk and its rsyncd log",
    "the first full resync would delete 30 paths that Lockstep never put there: look at the destination, then "
    "confirm with: flask nodes resync wall-4 --accept-deletions",
    "is back since 12:00:00 and is published again after 10 s without a break",
)


def test_a_form_with_mistakes_says_them_in_chinese(page: Page, running: Service, allowed: Allowed) -> None:
    for path, fills in (
        (
            "/settings/sync",
            {"sync.timeout_seconds": "soon", "sync.bwlimit": "fast", "sync.ssh.port": "700000"},
        ),
        (
            "/settings/publish",
            {"publish.quiet_seconds": "-1", "publish.paths": "[/abs, ..]", "publish.root": ""},
        ),
        ("/settings/nodes/new", {}),
        ("/settings/users", {}),
    ):
        page.goto(running.url + path)
        for name, text in fills.items():
            page.fill(f'[name="{name}"]', text)
        page.evaluate("for (const f of document.forms) f.noValidate = true")
        page.locator("main form .btn.main").last.click()
        expect(page.locator(".wrong-text, .banner.bad").first).to_be_visible()
        assert left_on(page, allowed) == [], path


def test_login_and_its_refusal_are_chinese(browser: Browser, running: Service, allowed: Allowed) -> None:
    context = browser.new_context(locale="zh-CN")
    page = context.new_page()
    page.goto(running.url + "/")
    assert left_on(page, allowed) == []
    page.fill("#name", "nobody")
    page.fill("#password", "wrong")
    page.click("main .btn.main")
    expect(page.locator(".wrong-text")).to_contain_text("不正确")
    assert left_on(page, allowed) == []
    context.close()


def test_a_new_installation_is_led_in_chinese(browser: Browser, tmp_path: Path, allowed: Allowed) -> None:
    with service(tmp_path, nodes=0, http=True) as fresh:
        page, _ = opened(browser, fresh, locale="zh-CN")
        for path in (
            "/",
            "/nodes",
            "/content",
            "/dns",
            "/events",
            "/events/alerts",
            "/first",
            "/account",
            "/settings/",
        ):
            page.goto(fresh.url + path)
            assert left_on(page, allowed) == [], path
        page.goto(fresh.url + "/")
        expect(page.locator(".steps")).to_contain_text("一个就绪的节点")
        page.context.close()


def test_badges_are_chinese_where_they_are_asked_for_so(running: Service) -> None:
    asked = {"Accept-Language": "zh-CN"}
    for name, text in (("ok-1", "已同步"), ("gone-2", "失效"), ("ill-3", "不健康"), ("www", "条应答")):
        drawn = running.client.get(f"/v1/badge/{name}.svg", headers=asked)
        assert text in drawn.text
        assert "zh" in drawn.headers.get("Content-Language", "zh")


def test_plots_and_what_polling_brings_are_chinese(page: Page, running: Service, allowed: Allowed) -> None:
    page.goto(running.url + "/nodes/ok-1")
    wait_until(lambda: page.evaluate("document.querySelector('.plot').childNodes.length") > 0, 20, "a plot")
    with page.expect_response(lambda r: r.request.headers.get("x-poll") == "1", timeout=30_000):
        pass
    page.wait_for_timeout(300)
    assert left_on(page, allowed) == []
    assert page.evaluate("document.body.dataset.units") == "毫秒 秒 分钟"


def test_the_words_that_count_as_english_are_found(allowed: Allowed) -> None:
    for text in (
        "节点 a 处于失效：the node fell silent",
        "Nothing to do",
        "Why",
        "12 paths",
        "2 min ago",
        "Nodes",
    ):
        assert english_in(text, allowed), text
    for text in ("节点 ok-1 已摘除", "rsync 3.2.3", "sync.timeout_seconds", "Permission denied (13)"):
        assert not english_in(text, allowed), text
