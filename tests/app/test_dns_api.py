"""DNS over HTTP: the plan, a pass, a freeze and the history, as programs ask for them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.served import Service, service
from tests.stand import wait_until

DNS = """
dns:
  hold_down_seconds: 0
  providers: {p: {kind: zonefile, path: zones}}
  services:
    - {name: www, provider: p, zone: example.test, record: www, ttl: 5, types: [A], allow_private: true}
"""
OPERATION = {"action", "service", "name", "type", "line", "values", "old_values", "reason"}


@pytest.fixture
def lockstep(tmp_path: Path) -> Iterator[Service]:
    with service(tmp_path, more=DNS) as running:
        running.all_ready()
        wait_until(lambda: running.json("/api/v1/dns/history")["history"], 10, "the first records")
        yield running


def test_the_plan_is_empty_when_all_is_as_it_should_be(lockstep: Service) -> None:
    wait_until(
        lambda: lockstep.json("/api/v1/dns/plan") == {"operations": [], "held": None}, 10, "nothing is due"
    )


def test_frozen_a_plan_has_operations_and_says_why_they_are_held(lockstep: Service) -> None:
    client = lockstep.client
    assert client.post("/api/v1/dns/freeze", json={"reason": "a test"}).status_code == 202
    assert client.post("/api/v1/nodes/a/drain").status_code == 202
    assert client.post("/api/v1/nodes/b/drain").status_code == 202
    plan = wait_until(
        lambda: (p := lockstep.json("/api/v1/dns/plan"))["operations"] and p, 10, "a withdrawal is due"
    )
    assert plan["held"] == "frozen by a person: a test; `flask dns unfreeze` goes on"
    assert plan["operations"][0].keys() >= OPERATION
    assert plan["operations"][0]["action"] == "remove"
    assert lockstep.json("/api/v1/status")["frozen"] == "frozen by a person: a test"
    applied = client.post("/api/v1/dns/apply").json
    assert applied is not None
    assert (applied["applied"], applied["held"]) == (0, plan["held"])
    assert client.post("/api/v1/dns/unfreeze").status_code == 202
    wait_until(lambda: not lockstep.json("/api/v1/dns/plan")["operations"], 10, "it was carried out")
    newest = lockstep.json("/api/v1/dns/history?limit=1")["history"][0]
    assert newest.keys() >= OPERATION | {"at", "answer", "ok"}
    assert newest["reason"].count("drained") >= 1


def test_a_status_shows_services_by_line_with_what_stands_and_why(lockstep: Service) -> None:
    found = lockstep.json("/api/v1/status")["services"][0]
    assert (found["name"], found["fqdn"], found["error"]) == ("www", "www.example.test", None)
    line = next(each for each in found["lines"] if each["line"] == "default")
    assert line["values"] == line["desired"] == ["127.0.0.1"]
    assert line["nodes"] == ["a", "b"]
    assert "default → node" in line["reason"]


def test_what_cannot_be_done_is_refused_with_a_code(lockstep: Service) -> None:
    for body, code in (
        ({"adopt": ["nothing"]}, "unknown_service"),
        ({"adopt": "www"}, "bad_request"),
        ({"confirmed": "yes"}, "bad_request"),
    ):
        answer = lockstep.client.post("/api/v1/dns/apply", json=body)
        assert answer.status_code in (400, 404, 409)
        assert answer.json is not None
        assert answer.json["error"]["code"] == code
