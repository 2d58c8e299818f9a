"""The API over a running service and real rsync daemons."""

from __future__ import annotations

import pytest

from tests.served import Service, lockstep  # noqa: F401 - fixtures
from tests.stand import wait_until


def test_status_shows_nodes_that_are_ready_and_in_sync(lockstep: Service) -> None:  # noqa: F811
    lockstep.all_ready()
    status = lockstep.json("/api/v1/status")
    assert status["publish"]["ok"] is True
    assert status["publish"]["files"] == 1
    assert [n["name"] for n in status["nodes"]] == ["a", "b"]
    assert {n["state"] for n in status["nodes"]} == {"ready"}
    assert lockstep.json("/api/v1/nodes/a")["in_sync"] is True


def test_a_change_reaches_the_nodes_and_the_lists(lockstep: Service) -> None:  # noqa: F811
    lockstep.all_ready()
    (lockstep.root / "new.txt").write_text("new")
    wait_until(lambda: all((d.module_path / "new.txt").exists() for d in lockstep.daemons.values()))
    wait_until(lambda: any(c["path"] == "new.txt" for c in lockstep.json("/api/v1/changes")["changes"]))
    wait_until(lambda: lockstep.json("/api/v1/transfers?node=a")["transfers"])
    first = lockstep.json("/api/v1/events?limit=1")
    second = lockstep.json(f"/api/v1/events?limit=1&before={first['next_before']}")
    assert second["events"][0]["id"] < first["events"][0]["id"]


def test_orders_are_taken_with_202_and_have_their_effect(lockstep: Service) -> None:  # noqa: F811
    lockstep.all_ready()
    (lockstep.daemons["a"].module_path / "index.html").unlink()
    for order in ("check", "resync", "drain"):
        assert lockstep.client.post(f"/api/v1/nodes/a/{order}").status_code == 202
    wait_until(lambda: (lockstep.daemons["a"].module_path / "index.html").exists())
    assert lockstep.json("/api/v1/nodes/a")["drained"] is True
    assert lockstep.client.post("/api/v1/nodes/a/undrain").status_code == 202
    assert lockstep.json("/api/v1/nodes/a")["drained"] is False


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/v1/nodes/zz", 404),
        ("POST", "/api/v1/nodes/zz/check", 404),
        ("POST", "/api/v1/nodes/zz/drain", 404),
        ("POST", "/api/v1/dustbin/0123/retry", 404),
        ("GET", "/api/v1/events?limit=0", 400),
        ("GET", "/api/v1/events?limit=x", 400),
        ("GET", "/api/v1/events?before=-1", 400),
        ("GET", "/api/v1/changes?node=zz", 404),
        ("DELETE", "/api/v1/nodes", 405),
        ("GET", "/api/v1/nowhere", 404),
    ],
)
def test_what_cannot_be_is_answered_as_json(
    lockstep: Service,  # noqa: F811
    method: str,
    path: str,
    status: int,
) -> None:
    answer = lockstep.client.open(path, method=method)
    assert answer.status_code == status
    assert set(answer.json["error"]) == {"code", "message"}
    assert answer.json["error"]["message"]


def test_bodies_that_are_no_object_are_refused(lockstep: Service) -> None:  # noqa: F811
    for body in (b"{", b"[1]", b'{"accept_deletions": "yes"}'):
        answer = lockstep.client.post("/api/v1/nodes/a/resync", data=body)
        assert answer.status_code == 400, body


def test_who_has_the_answer_already_gets_304(lockstep: Service) -> None:  # noqa: F811
    lockstep.all_ready()
    answer = lockstep.client.get("/api/v1/changes")
    again = lockstep.client.get("/api/v1/changes", headers={"If-None-Match": answer.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")


def test_health_is_open_and_says_what_works(lockstep: Service) -> None:  # noqa: F811
    far = {"REMOTE_ADDR": "203.0.113.9"}
    assert lockstep.client.get("/healthz", environ_base=far).json["ok"] is True
    wait_until(lambda: lockstep.client.get("/readyz", environ_base=far).status_code == 200)
    assert set(lockstep.json("/readyz")["checks"]) == {"database", "watcher", "dispatcher"}


def test_a_service_that_may_not_send_yet_is_not_ready(lockstep: Service) -> None:  # noqa: F811
    lockstep.all_ready()
    lockstep.supervisor.engine.waits_for = "rsync processes of an earlier run are still at work"
    answer = lockstep.client.get("/readyz")
    assert answer.status_code == 503
    assert "earlier run" in answer.json["checks"]["dispatcher"]["error"]  # type: ignore[index]


def test_without_an_administrator_only_this_machine_is_served(lockstep: Service) -> None:  # noqa: F811
    client = lockstep.client
    assert client.get("/api/v1/status", environ_base={"REMOTE_ADDR": "203.0.113.9"}).status_code == 403
    assert client.get("/", environ_base={"REMOTE_ADDR": "203.0.113.9"}).status_code == 403
    assert client.get("/", headers={"Host": "rebound.example"}).status_code == 403
    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        answer = client.post("/api/v1/nodes/a/drain", headers=headers)
        assert (answer.status_code, answer.json["error"]["code"]) == (403, "csrf")
