"""The Events pages and what they order: alerts, silences, tests of channels, what was sent, the log and its levels."""

from __future__ import annotations

import html
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from app import log_levels, log_views, serving
from app.config import secrets_of
from tests.log_stand import logging_on
from tests.served import PASSWORD, Service, service
from tests.stand import wait_until

SECRET = "s3cret-of-the-hook"
ALERTS = f"""\
alerts:
  group_seconds: 0.1
  channels:
    good: {{kind: command, argv: [/bin/sh, -c, "echo taken by the pager"]}}
    bad: {{kind: command, argv: [/bin/sh, -c, "echo no paper left >&2; exit 3"]}}
    hook: {{kind: webhook, url: "http://127.0.0.1:1/hook", secret: {SECRET}}}
  routes: {{default: [good]}}
"""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("events")
    with service(folder, nodes=1, more=ALERTS) as found:
        found.all_ready()
        for role in ("operator", "viewer"):
            found.app.extensions["lockstep.door"].store.add_user(role, role, PASSWORD)
        found.with_administrator()
        with logging_on(folder, tuple(secrets_of(found.supervisor.config))):
            yield found


@pytest.fixture(autouse=True)
def nothing_is_left_behind() -> None:
    """The service of this module outlives its tests."""


@pytest.fixture(autouse=True)
def levels_as_configured(running: Service) -> Iterator[None]:
    yield
    log_levels.change(None)


def csrf(page: str) -> str:
    return re.search(r'name="csrf_token" value="([^"]+)"', page)[1]


def log_in(running: Service, name: str) -> FlaskClient:
    client = running.client
    data = {"name": name, "password": PASSWORD, "csrf_token": csrf(client.get("/login").text)}
    assert client.post("/login", data=data).status_code == 303
    return client


def order(client: FlaskClient, path: str, **data: str) -> Any:
    token = csrf(client.get("/events/alerts").text)
    return client.post(path, data={"csrf_token": token, **data}, follow_redirects=True)


def shown(page: str) -> str:
    """What a person reads of a page."""
    main = page.split("<main", 1)[1].split("</main>", 1)[0]
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", main)).split())


def access_events(running: Service) -> list[str]:
    return [e["message"] for e in running.json("/api/v1/events?kind=access")["events"]]


def fire(running: Service, name: str, up: bool = True) -> None:
    """An alert begins or ends, as the engine would have it."""
    from app.alerts.model import Cleared, Condition, Raised, Severity

    alerts = running.supervisor.alerting.alerts
    now = running.supervisor.engine.wall()
    if up:
        alerts.feed(Raised(now, Condition.DRIFT, name, Severity.WARNING, f"{name} differs", "Look at it."))
    else:
        alerts.feed(Cleared(now, Condition.DRIFT, name))


# ── alerts and silences ──────────────────────────────────────────────────────────────────────────────────


def test_what_holds_stands_on_the_pages_with_what_to_do_and_what_was_sent(running: Service) -> None:
    client = running.logged_in()
    fire(running, "node-x")
    try:
        wait_until(lambda: "node-x" in shown(client.get("/events/alerts").text), 10)
        page = shown(client.get("/events/alerts").text)
        assert "node-x differs" in page
        assert "Look at it." in page
        assert "node-x differs" in shown(client.get("/events").text)
        wait_until(lambda: "firing" in shown(client.get("/events/alerts").text), 10)
        wait_until(
            lambda: "drift on node node-x" in shown(client.get("/events/alerts?channel=good").text), 10
        )
        (alert,) = [a for a in running.json("/api/v1/alerts")["alerts"] if a["object"] == "node-x"]
        assert (alert["phase"], alert["silenced"], alert["severity"]) == ("firing", False, "warning")
    finally:
        fire(running, "node-x", False)


def test_a_silence_with_an_end_is_made_listed_and_ended_early(running: Service) -> None:
    client = log_in(running, "operator")
    answer = order(
        client,
        "/events/alerts/silences",
        condition="dead",
        object="n*",
        length="2",
        unit="hours",
        comment="paint",
    )
    assert answer.status_code == 200
    (silence,) = running.json("/api/v1/alerts")["silences"]
    assert (silence["condition"], silence["object"], silence["comment"]) == ("dead", "n*", "paint")
    assert abs(silence["until"] - running.supervisor.engine.wall() - 7200) < 60
    text = shown(answer.text)
    assert "n* ends in 2 hours · paint" in text
    wait_until(
        lambda: any(
            re.match(r"operator silenced dead n\* until .* UTC: paint", m) for m in access_events(running)
        )
    )
    order(client, f"/events/alerts/silences/{silence['id']}/end")
    assert running.json("/api/v1/alerts")["silences"] == []
    wait_until(lambda: f"operator ended the silence {silence['id']}" in access_events(running))
    assert order(client, f"/events/alerts/silences/{silence['id']}/end").status_code == 404


def test_a_silenced_alert_says_so(running: Service) -> None:
    fire(running, "node[1]")
    client = running.logged_in()
    try:
        wait_until(lambda: "node[1]" in shown(client.get("/events/alerts").text), 10)
        page = client.get("/events/alerts").text
        (name,) = set(re.findall(r'type="hidden" name="object" value="(node[^"]*)"', page))
        assert name == "node[[]1]"  # itself, and not node1
        order(client, "/events/alerts/silences", condition="drift", object=name, length="1", unit="hours")
        (alert,) = [a for a in running.json("/api/v1/alerts")["alerts"] if a["object"] == "node[1]"]
        assert alert["silenced"] is True
        assert "silenced" in shown(client.get("/events").text)
    finally:
        fire(running, "node[1]", False)
        for silence in running.json("/api/v1/alerts")["silences"]:
            running.post(f"/api/v1/alerts/silences/{silence['id']}/end")


@pytest.mark.parametrize(
    "data",
    [
        {"length": "", "unit": "hours"},
        {"length": "0", "unit": "hours"},
        {"length": "-1", "unit": "hours"},
        {"length": "nan", "unit": "hours"},
        {"length": "inf", "unit": "days"},
        {"length": "400", "unit": "days"},
        {"length": "1", "unit": "ages"},
        {"length": "1", "unit": "hours", "condition": "nonsense"},
        {"length": "1", "unit": "hours", "comment": "x" * 201},
    ],
)
def test_a_silence_without_a_good_end_is_refused(running: Service, data: dict[str, str]) -> None:
    assert order(running.logged_in(), "/events/alerts/silences", **data).status_code == 400
    assert running.json("/api/v1/alerts")["silences"] == []


def test_a_silence_whose_texts_hold_half_a_character_spoils_no_page(running: Service) -> None:
    asked = {"seconds": 60, "object": "\udcff", "comment": "\ud800"}
    begun = running.client.post("/api/v1/alerts/silences", json=asked, headers=running.headers)
    stored = running.supervisor.operations.alerting.alerts.silence(4e9, None, "\udcff", "\ud800")  # of before
    try:
        page = running.logged_in().get("/events/alerts")
        assert (begun.status_code, page.status_code) == (202, 200)
        assert page.text.count(r"\ud800") == 2
        assert running.json("/api/v1/alerts")["silences"][0]["comment"] == r"\ud800"
    finally:
        for silence_id in (begun.json["id"], stored.id):
            running.post(f"/api/v1/alerts/silences/{silence_id}/end")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"seconds": 60, "object": "a"}, 202),
        ({"until": 4e9}, 400),
        ({"until": 1000}, 400),
        ({"seconds": 10**400}, 400),
        ({"until": 10**400}, 400),
        ({}, 400),
        ({"seconds": 60, "until": 4e9}, 400),
        ({"seconds": "60"}, 400),
        ({"seconds": True}, 400),
        ({"seconds": 60, "object": 3}, 400),
        ({"seconds": 60, "condition": "nonsense"}, 400),
    ],
)
def test_the_api_takes_silences_with_an_end_only(running: Service, body: dict[str, Any], status: int) -> None:
    answer = running.client.post("/api/v1/alerts/silences", json=body, headers=running.headers)
    assert answer.status_code == status
    if status == 202:
        ended = running.client.post(
            f"/api/v1/alerts/silences/{answer.json['id']}/end", headers=running.headers
        )
        assert ended.json == {"ended": answer.json["id"]}


def test_an_alert_that_has_no_other_banner_stands_on_the_overview_and_at_the_navigation(
    running: Service,
) -> None:
    from app.alerts.model import Cleared, Condition, Raised, Severity

    client = running.logged_in()
    now = running.supervisor.engine.wall()
    feed = running.supervisor.alerting.alerts.feed
    feed(Raised(now, Condition.SYSTEM, "disk", Severity.CRITICAL, "only 3 MiB are free", "Free some."))
    try:
        wait_until(lambda: "only 3 MiB are free" in shown(client.get("/").text), 10)
        page = client.get("/").text
        assert "Free some." in shown(page)
        assert "favicon-bad" in page
        assert re.search(r'href="/events"[^<]*>Events<span class="count">', page)
    finally:
        feed(Cleared(now, Condition.SYSTEM, "disk"))
    wait_until(lambda: "only 3 MiB are free" not in client.get("/").text, 10)
    assert not re.search(r'>Events<span class="count">', client.get("/").text)


def test_what_a_hook_printed_is_kept_on_the_timeline(running: Service) -> None:
    client = running.logged_in()
    engine = running.supervisor.engine
    engine.call(
        lambda: engine.field.emit("hook", "purge: ended with status 1", output="first\n<b>second\x1b[31m\n")
    )
    wait_until(lambda: "purge: ended with status 1" in client.get("/events?kind=hook").text, 10)
    page = client.get("/events?kind=hook").text
    assert "first\n&lt;b&gt;second\\x1b[31m</pre>" in page


# ── tests of channels, and what was sent ─────────────────────────────────────────────────────────────────


def test_a_test_says_in_full_what_happened_and_stands_among_what_was_sent(running: Service) -> None:
    client = running.logged_in()
    good = shown(order(client, "/events/alerts/test/good").text)
    assert "The test over good was sent" in good
    assert "taken by the pager" in good
    bad = shown(order(client, "/events/alerts/test/bad").text)
    assert "The test over bad failed" in bad
    assert "status 3" in bad
    assert "no paper left" in bad
    assert order(client, "/events/alerts/test/nobody").status_code == 404
    failed = running.json("/api/v1/alerts/deliveries?channel=bad&state=failed")["deliveries"]
    assert [(d["kind"], d["attempts"]) for d in failed[:1]] == [("test", 1)]
    assert "no paper left" in failed[0]["answer"]
    assert running.json("/api/v1/alerts/deliveries?channel=bad&state=sent")["deliveries"] == []
    only = client.get("/events/alerts?channel=bad&state=failed").text.split('id="sent"')[1]
    assert "no paper left" in only
    assert "taken by the pager" not in only
    wait_until(lambda: "root sent a test over bad" in access_events(running))


def test_what_was_sent_comes_page_by_page(running: Service) -> None:
    client = running.logged_in()
    for _ in range(3):
        running.post("/api/v1/alerts/channels/good/test")
    first = running.json("/api/v1/alerts/deliveries?limit=2&channel=good")
    second = running.json(f"/api/v1/alerts/deliveries?limit=2&channel=good&before={first['next_before']}")
    ids = [d["id"] for d in (*first["deliveries"], *second["deliveries"])]
    assert len(ids) == len(set(ids)) >= 3
    times = [d["created_at"] for d in (*first["deliveries"], *second["deliveries"])]
    assert times == sorted(times, reverse=True)
    page = client.get(f"/events/alerts?channel=good&before={first['next_before']}")
    assert page.status_code == 200
    assert client.get("/events/alerts?before=rubbish").status_code == 400


def test_a_channels_secret_is_in_no_answer(running: Service) -> None:
    client = running.logged_in()
    assert "The test over hook failed" in shown(order(client, "/events/alerts/test/hook").text)
    for path in ("/events/alerts", "/events", "/events/logs", "/api/v1/alerts/deliveries", "/api/v1/logs"):
        assert SECRET not in client.get(path).text, path


# ── the log ──────────────────────────────────────────────────────────────────────────────────────────────


def test_the_last_lines_are_shown_by_part_and_level(running: Service) -> None:
    client = log_in(running, "viewer")
    logging.getLogger("sync.x").info("sent <b>three</b> files")
    logging.getLogger("dns.x").error("turned away by the provider")
    page = client.get("/events/logs").text
    assert "&lt;b&gt;three&lt;/b&gt;" in page
    assert "turned away by the provider" in page
    assert "turned away" not in shown(client.get("/events/logs?part=sync").text)
    assert "three" not in shown(client.get("/events/logs?level=error").text)
    assert "turned away" in shown(client.get("/events/logs?part=dns&level=error").text)
    assert "No line matches" in shown(client.get("/events/logs?part=nowhere").text)
    assert client.get("/events/logs?level=loud&part=%3Cscript%3E").status_code == 200


def test_lines_of_the_api_are_filtered_and_paged(running: Service) -> None:
    for number in range(5):
        logging.getLogger("dns.paged").warning("line %d", number)
    first = running.json("/api/v1/logs?part=dns.paged&limit=2")
    second = running.json(f"/api/v1/logs?part=dns.paged&limit=2&before={first['next_before']}")
    said = [line["message"] for line in (*first["lines"], *second["lines"])]
    assert said == ["line 4", "line 3", "line 2", "line 1"]
    assert running.json("/api/v1/logs?part=dns.paged&level=error")["lines"] == []
    for query in ("level=loud", "limit=0", "before=x"):
        assert running.client.get(f"/api/v1/logs?{query}", headers=running.headers).status_code == 400


def test_secrets_are_hidden_in_the_lines_of_page_and_api(running: Service) -> None:
    logging.getLogger("app.x").warning("the hook said %r", {"secret": SECRET})
    try:
        raise ValueError(f"signed with {SECRET}")
    except ValueError:
        logging.getLogger("app.x").exception("sending failed")
    for answer in (
        running.client.get("/api/v1/logs?part=app.x", headers=running.headers).text,
        running.logged_in().get("/events/logs?part=app.x").text,
    ):
        assert SECRET not in answer
        assert "(hidden)" in answer
        assert "sending failed" in answer


def test_the_first_administrators_token_is_on_no_page(tmp_path: Path) -> None:
    with service(tmp_path, nodes=0) as fresh, logging_on(tmp_path) as stream:
        serving.announce(fresh.app, fresh.supervisor.config)
        token = fresh.app.extensions["lockstep.door"].first_token()
        assert token in stream.getvalue()
        assert token not in fresh.client.get("/api/v1/logs").text
        page = fresh.client.get("/events/logs").text
        assert token not in page
        assert "there is no administrator" in page


def test_an_operator_changes_a_level_and_is_told_until_when_it_holds(running: Service) -> None:
    client = log_in(running, "operator")
    log = logging.getLogger("sync.engine")
    log.debug("not heard yet")
    page = order(client, "/events/logs/level", part="sync.engine", level="debug", show_part="sync.engine")
    assert page.request.query_string == b"part=sync.engine"
    text = shown(page.text)
    assert "sync.engine : from debug on" in text.replace("sync.engine:", "sync.engine :")
    assert "changed; config.yml says information" in text
    assert "until the configuration is reloaded or the service restarts" in text
    log.debug("heard now")
    assert [line["message"] for line in log_views.lines("sync.engine")["lines"]][:1] == ["heard now"]
    assert "heard now" in shown(client.get("/events/logs?part=sync.engine").text)
    assert "not heard yet" not in client.get("/events/logs").text
    wait_until(lambda: "operator set the log level of sync.engine to debug" in access_events(running))
    order(client, "/events/logs/level", part="", level="")
    assert log.getEffectiveLevel() == logging.INFO
    wait_until(lambda: "operator put back the log level: info" in access_events(running))
    assert "changed; config.yml" not in client.get("/events/logs").text


def test_at_debug_probes_runs_and_requests_are_heard_but_no_query(running: Service) -> None:
    def heard(part: str, text: str) -> bool:
        return any(text in line["message"] for line in log_views.lines(part)["lines"])

    for part in ("sync.probes", "sync.batches", "app.web"):
        answer = running.client.post(
            "/api/v1/logs/level", json={"level": "debug", "part": part}, headers=running.headers
        )
        assert answer.status_code == 202
    wait_until(lambda: heard("sync.probes", "a: good: rsync good"), 10)
    (running.root / "heard.txt").write_text("x")
    wait_until(lambda: heard("sync.batches", "a: rsync files of 1 paths: done, exit 0, 1 files"), 20)
    running.client.get("/first?token=must-not-be-heard")
    assert heard("app.web", "nobody known: GET /first: 404")
    assert not heard("", "must-not-be-heard")
    before = len(log_views.lines("app.web.requests", limit=1000)["lines"])
    running.logged_in().get("/events/logs", headers={"X-Poll": "1"})
    told = log_views.lines("app.web.requests", limit=1000)["lines"]
    assert not any("/events/logs" in line["message"] for line in told[: len(told) - before])


def test_a_reload_puts_back_the_configurations_levels(running: Service, tmp_path: Path) -> None:
    running.client.post("/api/v1/logs/level", json={"level": "debug"}, headers=running.headers)
    assert logging.getLogger("sync").getEffectiveLevel() == logging.DEBUG
    with logging_on(tmp_path):
        running.supervisor.reload()
        assert logging.getLogger("sync").getEffectiveLevel() == logging.INFO
        levels = {level["part"]: level for level in running.json("/api/v1/logs")["levels"]}
        assert levels[""] == {"part": "", "level": "info", "configured": "info", "until": None}


def test_a_level_over_the_api(running: Service) -> None:
    def post(body: Any) -> Any:
        return running.client.post("/api/v1/logs/level", json=body, headers=running.headers)

    answer = post({"level": "debug", "part": "sync"})
    assert answer.status_code == 202
    assert answer.json == {"part": "sync", "level": "debug", "configured": "info", "until": log_views.UNTIL}
    wait_until(lambda: "token tests set the log level of sync to debug" in access_events(running))
    assert post({"level": None, "part": "sync"}).json["until"] is None
    for body in (
        {},
        {"level": "loud"},
        {"level": 3},
        {"level": "debug", "part": 3},
        {"level": "debug", "part": "x"},
    ):
        assert post(body).status_code == 400, body
    assert "log.levels" in post({"level": "debug", "part": "botocore"}).json["error"]["message"]


@pytest.mark.parametrize(
    ("path", "data"),
    [
        ("/events/logs/level", {"level": "debug"}),
        ("/events/alerts/silences", {"length": "1", "unit": "hours"}),
        ("/events/alerts/test/good", {}),
        ("/events/alerts/silences/x/end", {}),
    ],
)
def test_only_operators_change_anything_and_only_with_the_token(
    running: Service, path: str, data: dict[str, str]
) -> None:
    assert order(log_in(running, "viewer"), path, **data).status_code == 403
    assert log_in(running, "operator").post(path, data=data).status_code == 403
    assert running.client.post(path, data=data).status_code == 401
    assert logging.getLogger().level == logging.INFO
    assert running.json("/api/v1/alerts")["silences"] == []


def test_a_viewer_is_offered_no_buttons(running: Service) -> None:
    client = log_in(running, "viewer")
    for path in ("/events", "/events/alerts", "/events/logs"):
        main = client.get(path).text.split("<main", 1)[1]
        assert 'method="post"' not in main, path


def test_a_read_token_reads_and_changes_nothing(running: Service) -> None:
    store = running.app.extensions["lockstep.door"].store
    try:
        token = {"Authorization": f"Bearer {store.add_token('reader', ['read'])}"}
        for path in ("logs", "alerts", "alerts/deliveries"):
            assert running.client.get(f"/api/v1/{path}", headers=token).status_code == 200
        for path in ("logs/level", "alerts/silences", "alerts/channels/good/test", "dustbin/retry"):
            answer = running.client.post(f"/api/v1/{path}", json={"level": "debug"}, headers=token)
            assert answer.status_code == 403, path
    finally:
        store.revoke_token("reader")


def test_every_kind_of_event_that_is_told_can_be_chosen() -> None:
    from app.web.events import KINDS

    told = set()
    for folder in ("app", "sync", "dns"):
        for path in (Path(__file__).resolve().parents[2] / folder).rglob("*.py"):
            told |= set(re.findall(r'\bemit\(\s*"([a-z_]+)"', path.read_text()))
    assert told - {"restart"} <= set(KINDS), told - set(KINDS)
