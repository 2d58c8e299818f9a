"""The API's long lists page by page, and orders about some or all of a list, over real rsync daemons."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator
from typing import Any

import pytest

from tests.served import Service, service
from tests.servers_rsync import rsyncd
from tests.stand import wait_until

REFUSED = 5


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Two nodes that take nothing whose name begins with "refused"; five such files."""
    folder = tmp_path_factory.mktemp("lists")
    daemons = {name: rsyncd(folder / name, module_extra="    exclude = refused*") for name in "ab"}
    try:
        with service(folder, daemons=daemons) as found:
            found.all_ready()
            for number in range(REFUSED):
                (found.root / f"refused-{number}.txt").write_text("no")
            (found.root / os.fsdecode(b"refused-\xff")).write_text("no")
            wait_until(lambda: found.json("/api/v1/dustbin")["total"] == 2 * (REFUSED + 1), 30)
            yield found
    finally:
        for daemon in daemons.values():
            daemon.stop()


@pytest.fixture(autouse=True)
def nothing_is_left_behind() -> None:
    """The service of this module outlives its tests."""


def all_pages(running: Service, path: str, name: str, limit: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    before = None
    while True:
        more = f"&before={before}" if before else ""
        answer = running.json(f"{path}{'&' if '?' in path else '?'}limit={limit}{more}")
        assert len(answer[name]) <= limit
        found += answer[name]
        before = answer["next_before"]
        if before is None:
            return found


def test_the_dustbin_comes_page_by_page(running: Service) -> None:
    whole = running.json("/api/v1/dustbin")
    assert (whole["total"], whole["next_before"]) == (len(whole["entries"]), None)
    paged = all_pages(running, "/api/v1/dustbin", "entries", 5)
    assert {e["id"] for e in paged} == {e["id"] for e in whole["entries"]}
    assert len(paged) == len(whole["entries"])
    assert {e["node"] for e in all_pages(running, "/api/v1/dustbin?node=a", "entries", 2)} == {"a"}
    exact = [e["path_b64"] for e in paged if "path_b64" in e]
    assert [base64.b64decode(text) for text in exact] == [b"refused-\xff"] * 2


def test_nodes_come_all_at_once_or_page_by_page(running: Service) -> None:
    assert [n["name"] for n in running.json("/api/v1/nodes")["nodes"]] == ["a", "b"]
    assert [n["name"] for n in all_pages(running, "/api/v1/nodes", "nodes", 1)] == ["a", "b"]


@pytest.mark.parametrize("path", ["dustbin", "deletions", "nodes", "source/errors", "alerts/deliveries"])
@pytest.mark.parametrize("query", ["before=rubbish", "before=WzFd", "limit=0", "limit=1001", "limit=x"])
def test_a_page_that_cannot_be_is_refused(running: Service, path: str, query: str) -> None:
    answer = running.client.get(f"/api/v1/{path}?{query}")
    assert (answer.status_code, answer.json["error"]["code"]) == (400, "bad_request")


def test_some_entries_are_discarded_and_retried_in_one_request(running: Service) -> None:
    ids = [e["id"] for e in running.json("/api/v1/dustbin")["entries"]]
    some = ids[:3]
    answer = running.client.post("/api/v1/dustbin/discard", json={"ids": [*some, "0123456789abcdef"]})
    assert (answer.status_code, answer.json) == (202, {"discarded": 3, "unknown": ["0123456789abcdef"]})
    entries = running.json("/api/v1/dustbin")["entries"]
    assert {e["id"] for e in entries if e["discarded"]} == set(some)
    assert [e["discarded"] for e in entries] == sorted(e["discarded"] for e in entries)
    answer = running.client.post("/api/v1/dustbin/retry", json={"ids": some})
    assert (answer.status_code, answer.json) == (202, {"retried": 3, "unknown": []})
    assert not any(e["discarded"] for e in running.json("/api/v1/dustbin")["entries"])


def test_all_entries_or_all_of_a_node_are_changed_in_one_request(running: Service) -> None:
    answer = running.client.post("/api/v1/dustbin/discard", json={"all": True, "node": "a"})
    assert (answer.status_code, answer.json["discarded"]) == (202, REFUSED + 1)
    entries = running.json("/api/v1/dustbin")["entries"]
    assert {e["node"] for e in entries if e["discarded"]} == {"a"}
    assert {e["node"] for e in entries if not e["discarded"]} == {"b"}
    answer = running.client.post("/api/v1/dustbin/retry", json={"all": True})
    assert answer.json["retried"] == 2 * (REFUSED + 1)
    assert not any(e["discarded"] for e in running.json("/api/v1/dustbin")["entries"])


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        ({"ids": []}, 400),
        ({"ids": "all"}, 400),
        ({"ids": [1]}, 400),
        ({"all": False}, 400),
        ({"all": "yes"}, 400),
        ({"all": True, "ids": ["x"]}, 400),
        ({"all": True, "node": 3}, 400),
        ({"all": True, "node": "zz"}, 404),
    ],
)
@pytest.mark.parametrize("order", ["retry", "discard"])
def test_naming_nothing_is_not_naming_all(
    running: Service, order: str, body: dict[str, Any], status: int
) -> None:
    assert running.client.post(f"/api/v1/dustbin/{order}", json=body).status_code == status
    assert not any(e["discarded"] for e in running.json("/api/v1/dustbin")["entries"])


def test_one_entry_that_is_not_there_is_still_refused(running: Service) -> None:
    assert running.client.post("/api/v1/dustbin/0123456789abcdef/retry").status_code == 404


def test_who_changed_many_is_written_down(running: Service) -> None:
    running.client.post("/api/v1/dustbin/retry", json={"all": True, "node": "b"})

    def told() -> list[str]:
        return [e["message"] for e in running.json("/api/v1/events?kind=access")["events"]]

    wait_until(lambda: f"this machine tried again all dustbin entries of b: {REFUSED + 1}" in told())


def test_the_dustbin_of_the_content_page_has_pages_too(
    running: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.web.pages.BINNED", 7)
    client = running.client
    first = client.get("/content").text.split('id="dustbin"')[1]
    assert first.count('name="ids"') == 7
    older = first.split('rel="next" href="', 1)[1].split("#", 1)[0].replace("&amp;", "&")
    second = client.get(older).text.split('id="dustbin"')[1]
    assert second.count('name="ids"') == 2 * (REFUSED + 1) - 7
    assert 'rel="next"' not in second.split("</section>")[0]


def test_held_deletions_come_page_by_page_and_whole_on_a_page_of_their_own(
    running: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = running.supervisor.engine
    paths = (*(f"extra/{n:03}.txt".encode() for n in range(30)), b"extra/\xff<b>")

    def hold(held: tuple[bytes, ...]) -> None:
        engine.field.nodes["b"].would_delete = held

    engine.call(lambda: hold(paths))
    try:
        running.supervisor.operations.forget_status()
        answers = []
        before = ""
        while True:
            answers.append(running.json(f"/api/v1/deletions?limit=10{before}"))
            if answers[-1]["next_before"] is None:
                break
            before = f"&before={answers[-1]['next_before']}"
        assert [len(a["nodes"]["b"]) for a in answers] == [10, 10, 10, 1]
        assert {a["total"] for a in answers} == {31}
        shown = [p["path"] for a in answers for p in a["nodes"]["b"]]
        assert len(set(shown)) == 31
        assert running.json("/api/v1/deletions?node=a")["total"] == 0
        assert running.json("/api/v1/deletions?node=")["source"] == []
        monkeypatch.setattr("app.web.pages.HELD_PATHS", 10)
        monkeypatch.setattr("app.web.pages.PATHS", 20)
        page = running.client.get("/content").text
        assert page.count("<li>extra/") == 10
        assert "all 31" in page
        whole = running.client.get("/content/deletions?node=b").text
        assert whole.count("<code>extra/") == 20
        older = whole.split('rel="next" href="', 1)[1].split('"', 1)[0].replace("&amp;", "&")
        last = running.client.get(older).text
        assert last.count("<code>extra/") == 11
        assert "<b>" not in last.split("<main")[1]
    finally:
        engine.call(lambda: hold(()))


def test_what_cannot_be_read_at_the_source_is_counted_and_listed_page_by_page(running: Service) -> None:
    engine = running.supervisor.engine
    errors = {f"secret/{n:03}".encode(): ("Permission denied (13)", 1.0) for n in range(130)}
    engine.call(lambda: engine.field.source_errors.update(errors))
    try:
        running.supervisor.operations.forget_status()
        publish = running.json("/api/v1/status")["publish"]
        assert (len(publish["source_errors"]), publish["source_errors_total"]) == (100, 130)
        found = all_pages(running, "/api/v1/source/errors", "errors", 40)
        assert [e["path"] for e in found] == [f"secret/{n:03}" for n in range(130)]
        assert "all 130" in running.client.get("/content").text
        assert "130 paths of the source cannot be read" in running.client.get("/").text
        assert "secret/129" in running.client.get("/content/unreadable").text
    finally:
        engine.call(engine.field.source_errors.clear)
