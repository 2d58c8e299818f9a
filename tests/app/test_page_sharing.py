"""Tabs that poll share one rendering, and none of them gets what is another's."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Barrier, Event, Thread
from typing import Any

import pytest
from flask import Response, template_rendered
from flask.testing import FlaskClient

from app.web.sharing import SLOT, Key, Rendering, Shared
from tests.served import PASSWORD, Service, lockstep  # noqa: F401 - a fixture
from tests.stand import wait_until

POLL = {"X-Poll": "1"}
TOKEN = re.compile(r'name="csrf_token" value="([^"]*)"')


@contextmanager
def renderings(running: Service, name: str) -> Iterator[list[str]]:
    """Grows by one whenever the template is rendered."""
    seen: list[str] = []

    def note(_sender: Any, template: Any, **_more: Any) -> None:
        if template.name == name:
            seen.append(name)

    with template_rendered.connected_to(note, running.app):
        yield seen


def polled(client: FlaskClient, path: str) -> str:
    answer = client.get(path, headers=POLL)
    assert answer.status_code == 200, answer.text
    return answer.text


@pytest.fixture
def kept(lockstep: Service) -> Service:  # noqa: F811
    """With an administrator called root and a viewer called eve."""
    lockstep.with_administrator()
    lockstep.app.extensions["lockstep.door"].store.add_user("eve", "viewer", PASSWORD)
    lockstep.all_ready()
    return lockstep


def eve(kept: Service) -> FlaskClient:
    client = kept.client
    token = TOKEN.search(client.get("/login").text)
    assert token is not None
    form = {"name": "eve", "password": PASSWORD, "csrf_token": token.group(1)}
    assert client.post("/login", data=form).status_code == 303
    return client


def test_two_tabs_share_a_rendering_and_each_has_a_token_of_its_own(kept: Service) -> None:
    one, other = kept.logged_in(), kept.logged_in()
    with renderings(kept, "nodes.html") as seen:
        pages = [polled(client, "/nodes") for client in (one, other)]
    assert len(seen) == 1
    tokens = [set(TOKEN.findall(page)) for page in pages]
    assert all(tokens)
    assert not tokens[0] & tokens[1]
    assert SLOT not in pages[0] + pages[1]
    order = {"names": "a", "action": "check", "csrf_token": tokens[0].pop()}
    assert one.post("/nodes/actions", data=order).status_code == 303
    assert other.post("/nodes/actions", data=order).status_code == 403  # it is another's


def test_a_page_that_is_opened_is_rendered_for_its_visitor(kept: Service) -> None:
    client = kept.logged_in()
    polled(client, "/nodes")
    with renderings(kept, "nodes.html") as seen:
        page = client.get("/nodes").text
    assert len(seen) == 1
    assert "<b>root</b>" in page


def test_who_may_less_is_shown_less(kept: Service) -> None:
    administrator, viewer = kept.logged_in(), eve(kept)
    assert "/settings/" in polled(administrator, "/")
    assert "/settings/" not in polled(viewer, "/")
    assert "<b>root</b>" not in polled(viewer, "/")


def test_languages_are_kept_apart(kept: Service) -> None:
    client = kept.logged_in()
    english = polled(client, "/nodes")
    chinese = client.get("/nodes", headers={**POLL, "Accept-Language": "zh"}).text
    assert 'lang="en"' in english
    assert 'lang="zh-CN"' in chinese


def test_what_was_ordered_shows_in_the_next_poll(kept: Service) -> None:
    client = kept.logged_in()
    page = polled(client, "/nodes?state=drained")
    assert "/nodes/a" not in page
    token = TOKEN.findall(client.get("/nodes").text)[0]
    client.post("/nodes/actions", data={"names": "a", "action": "drain", "csrf_token": token})
    assert "/nodes/a" in polled(client, "/nodes?state=drained")


def test_a_message_waits_for_the_page_it_is_meant_for(kept: Service) -> None:
    client = kept.logged_in()
    token = TOKEN.findall(client.get("/nodes").text)[0]
    client.post("/nodes/actions", data={"names": "a", "action": "check", "csrf_token": token})
    assert "Checking 1 node" not in polled(client, "/nodes")  # another tab of the same browser
    assert "Checking 1 node" in client.get("/nodes").text


def test_who_is_out_gets_no_page_from_what_is_kept(kept: Service) -> None:
    client = kept.logged_in()
    polled(client, "/nodes")
    for session in kept.app.extensions["lockstep.door"].store.sessions():
        kept.app.extensions["lockstep.door"].store.end_session(session["id"])
    kept.app.extensions["lockstep.door"].forget()
    assert client.get("/nodes", headers=POLL).status_code == 302


def test_errors_are_not_kept(kept: Service) -> None:
    client = kept.logged_in()
    assert client.get("/nodes/nobody", headers=POLL).status_code == 404
    assert client.get("/nodes/nobody", headers=POLL).status_code == 404


# ── without a service ────────────────────────────────────────────────────────────────────────────────────

KEY = Key("", "/?", "en", "user", frozenset({"read"}))


def answer(text: str) -> Response:
    made = Response(text)
    made.set_etag(text)
    return made


def body(found: Rendering | Response) -> str:
    assert isinstance(found, Rendering)
    return found.body


def test_a_rendering_serves_for_a_second() -> None:
    now = [0.0]
    shared = Shared(lambda: now[0])
    assert body(shared.get(KEY, lambda: answer("one"))) == "one"
    now[0] = 0.9
    assert body(shared.get(KEY, lambda: answer("two"))) == "one"
    now[0] = 1.1
    assert body(shared.get(KEY, lambda: answer("three"))) == "three"


def test_a_rendering_that_was_begun_before_an_order_is_not_kept() -> None:
    shared = Shared(lambda: 0.0)

    def render() -> Response:
        shared.forget()  # somebody orders something meanwhile
        return answer("old")

    shared.get(KEY, render)
    assert body(shared.get(KEY, lambda: answer("new"))) == "new"


def test_of_twenty_that_ask_at_once_one_renders() -> None:
    shared, ready, began = Shared(lambda: 0.0), Barrier(20), []

    def render() -> Response:
        began.append(1)
        return answer("page")

    def ask() -> None:
        ready.wait(10)
        shared.get(KEY, render)

    threads = [Thread(target=ask, name=f"tab {n}") for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    wait_until(lambda: not any(thread.is_alive() for thread in threads))
    assert len(began) == 1


def test_what_is_kept_is_bounded() -> None:
    shared = Shared(lambda: 0.0)
    for number in range(500):
        shared.get(KEY._replace(path=f"/nodes?q={number}"), lambda: answer("page"))
    assert len(shared._kept) <= 64
    assert not shared._making


def test_pages_that_are_not_kept_leave_nothing_behind() -> None:
    shared = Shared(lambda: 0.0)
    for number in range(100):
        shared.get(KEY._replace(path=f"/nodes/{number}"), lambda: Response("none", 404))
    with pytest.raises(ZeroDivisionError):
        shared.get(KEY, lambda: answer(str(1 / 0)))
    assert not shared._making


def test_two_renderings_serve_all_who_ask_while_a_slow_page_is_made() -> None:
    now, began, go = [0.0], [], Event()
    shared = Shared(lambda: now[0])

    def render() -> Response:
        began.append(now[0])
        assert go.wait(10)
        now[0] += 3  # slower than what is kept stays fresh
        return answer(f"page {len(began)}")

    found: list[str] = []
    threads = [
        Thread(target=lambda: found.append(body(shared.get(KEY, render))), name=f"tab {n}") for n in range(9)
    ]
    threads[0].start()
    wait_until(lambda: began == [0.0])
    now[0] = 1.0  # the others come too late for what began before them
    for thread in threads[1:]:
        thread.start()
    wait_until(lambda: shared._making[KEY].users == len(threads))
    go.set()
    for thread in threads:
        thread.join(10)
    assert began == [0.0, 4.0]
    assert sorted(found) == ["page 1"] + ["page 2"] * 8
