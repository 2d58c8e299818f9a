"""Who may do what: sessions, roles, tokens, CSRF, lock-out, the first administrator, and what each answer carries."""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from app.access.lockout import FREE_ACCOUNT, Lockout, keys
from app.cli import register  # noqa: F401 - the commands are part of what is tried
from tests.served import Service, lockstep, service  # noqa: F401 - fixtures
from tests.stand import wait_until

PASSWORD = "correct horse battery"
FAR = {"REMOTE_ADDR": "203.0.113.9"}


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One service with a person of each role, for the tests that leave it as it is."""
    with service(tmp_path_factory.mktemp("access")) as running:
        for role in ("administrator", "operator", "viewer"):
            store(running).add_user(role, role, PASSWORD)
        running.app.extensions["lockstep.door"].forget()
        running.all_ready = lambda: None  # type: ignore[method-assign]
        yield running


@pytest.fixture(autouse=True)
def nothing_is_left_behind(request: pytest.FixtureRequest) -> None:
    """The service of this module outlives its tests; test_api and others watch for what is left behind."""


def store(running: Service):
    return running.app.extensions["lockstep.door"].store


def token_of(client: FlaskClient, path: str = "/login") -> str:
    return re.search(r'name="csrf_token" value="([^"]+)"', client.get(path).text)[1]


def log_in(running: Service, name: str, password: str = PASSWORD, **more) -> FlaskClient:
    client = running.client
    data = {"name": name, "password": password, "csrf_token": token_of(client)}
    answer = client.post("/login", data=data, **more)
    assert answer.status_code == 303, answer.text
    return client


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_with_an_administrator_nobody_gets_in_unknown_not_even_from_this_machine(kept: Service) -> None:
    for path in ("/", "/nodes", "/content", "/events", "/dns", "/settings/users"):
        answer = kept.client.get(path, headers={"Accept": "text/html"})
        assert (answer.status_code, "/login" in answer.location) == (302, True), path
    for path in ("/api/v1/status", "/api/v1/nodes", "/api/v1/dustbin"):
        answer = kept.client.get(path)
        assert (answer.status_code, answer.json["error"]["code"]) == (401, "unauthorized")
    assert kept.client.post("/api/v1/nodes/a/drain").status_code == 401


def test_with_an_administrator_other_machines_are_served(kept: Service) -> None:
    client = log_in(kept, "viewer", environ_base=FAR)
    assert client.get("/", environ_base=FAR).status_code == 200


@pytest.mark.parametrize(
    ("name", "look", "operate", "administer"),
    [("viewer", 200, 403, 403), ("operator", 200, 202, 403), ("administrator", 200, 202, 200)],
)
def test_roles_bound_what_a_person_may_do(
    kept: Service, name: str, look: int, operate: int, administer: int
) -> None:
    client = log_in(kept, name)
    headers = {"X-CSRFToken": token_of(client, "/")}
    assert client.get("/nodes").status_code == look
    assert client.post("/api/v1/nodes/a/check", headers=headers).status_code == operate
    assert client.get("/settings/users").status_code == administer


def test_every_change_by_a_session_needs_its_token(kept: Service) -> None:
    client = log_in(kept, "administrator")
    good = token_of(client, "/")
    for path in ("/api/v1/nodes/a/drain", "/nodes/actions", "/settings/users/add", "/dns/freeze", "/logout"):
        assert client.post(path).status_code == 403, path
        assert client.post(path, data={"csrf_token": "made.up"}).status_code == 403, path
    other = token_of(log_in(kept, "viewer"), "/")
    assert client.post("/nodes/actions", data={"csrf_token": other}).status_code == 403
    assert client.post("/api/v1/nodes/a/check", headers={"X-CSRFToken": good}).status_code == 202


def test_every_view_that_changes_something_is_guarded(kept: Service) -> None:
    open_to_all = {
        "login.log_in",
        "login.logout",
        "login.first",
        "login.preferences",
        "reports.report_address",
    }
    names = ("name", "action", "entry", "filename", "what", "channel", "silence_id")
    values = {"number": 1, **dict.fromkeys(names, "x")}
    with kept.app.test_request_context():
        adapter = kept.app.url_map.bind("localhost")
        for rule in kept.app.url_map.iter_rules():
            if "POST" not in rule.methods or rule.endpoint in open_to_all:
                continue
            path = adapter.build(rule.endpoint, {k: values[k] for k in rule.arguments}, method="POST")
            assert kept.client.post(path).status_code in (401, 403), path


def test_a_session_that_was_ended_is_worth_nothing(kept: Service) -> None:
    client = log_in(kept, "viewer")
    assert client.get("/").status_code == 200
    (session, *_) = [s for s in store(kept).sessions() if s["user"] == "viewer"]
    for s in [s for s in store(kept).sessions() if s["user"] == "viewer"]:
        store(kept).end_session(s["id"])
    kept.app.extensions["lockstep.door"].forget()
    assert client.get("/", headers={"Accept": "text/html"}).status_code == 302
    assert session["address"]


def test_logging_out_ends_the_session_on_the_server_too(kept: Service) -> None:
    client = log_in(kept, "viewer")
    cookie = client.get_cookie("lockstep").value
    client.post("/logout", data={"csrf_token": token_of(client, "/")})
    thief = kept.client
    thief.set_cookie("lockstep", cookie)
    assert thief.get("/", headers={"Accept": "text/html"}).status_code == 302


def test_the_cookie_is_hidden_from_scripts_and_other_sites(kept: Service) -> None:
    client = kept.client
    data = {"name": "viewer", "password": PASSWORD, "csrf_token": token_of(client)}
    plain = client.post("/login", data=data).headers.getlist("Set-Cookie")
    assert all("HttpOnly" in c and "SameSite=Lax" in c for c in plain)
    secure = kept.client.get("/login", base_url="https://localhost").headers.getlist("Set-Cookie")
    assert secure
    assert all("Secure" in c for c in secure)


def test_a_login_goes_on_to_a_page_of_ours_only(kept: Service) -> None:
    for target in (
        "https://evil.example/",
        "//evil.example",
        "/\\evil.example",
        "javascript:alert(1)",
        "\t//e",
    ):
        client = kept.client
        data = {"name": "viewer", "password": PASSWORD, "csrf_token": token_of(client)}
        answer = client.post("/login", query_string={"next": target}, data=data)
        assert answer.location == "/", target
    client = kept.client
    data = {"name": "viewer", "password": PASSWORD, "csrf_token": token_of(client)}
    assert client.post("/login?next=/nodes?q=a", data=data).location == "/nodes?q=a"


def test_guessing_is_slowed_down_by_account_and_lets_others_in(kept: Service) -> None:
    client = kept.client
    token = token_of(client)
    guess = {"name": "victim", "password": "wrong", "csrf_token": token}
    there = {"environ_base": {"REMOTE_ADDR": "198.51.100.7"}}
    answers = [client.post("/login", data=guess, **there) for _ in range(FREE_ACCOUNT + 1)]
    assert [a.status_code for a in answers[:-1]] == [401] * FREE_ACCOUNT
    assert answers[-1].status_code == 429
    assert int(answers[-1].headers["Retry-After"]) > 0
    log_in(kept, "viewer", environ_base={"REMOTE_ADDR": "198.51.100.8"})


def test_back_off_grows_is_bounded_and_ends() -> None:
    now = [0.0]
    lockout = Lockout(lambda: now[0])
    waits = [lockout.failed("203.0.113.1", "anna") for _ in range(40)]
    assert waits[: FREE_ACCOUNT - 1] == [0.0 - 0.0] * (FREE_ACCOUNT - 1) or max(waits[:4]) <= 0
    assert sorted(waits) == waits
    assert waits[-1] == 900
    assert lockout.wait_seconds("203.0.113.2", "bert") <= 0
    now[0] += 901
    assert lockout.wait_seconds("203.0.113.1", "anna") <= 0


def test_an_ipv6_network_counts_as_one_address() -> None:
    assert keys("2001:db8::1", "a")[0] == keys("2001:db8::ffff", "a")[0] != keys("2001:db8:0:1::1", "a")[0]


@pytest.mark.parametrize(
    ("scopes", "node", "look", "operate", "report"),
    [
        (["read"], None, 200, 403, 403),
        (["operate"], None, 200, 202, None),
        (["report"], "a", 403, 403, None),
    ],
)
def test_scopes_bound_what_a_token_may_do(
    kept: Service, scopes: list[str], node: str | None, look: int, operate: int, report: int | None
) -> None:
    name = "-".join(scopes)
    headers = bearer(store(kept).add_token(name, scopes, node))
    assert kept.client.get("/api/v1/status", headers=headers).status_code == look
    assert kept.client.post("/api/v1/nodes/a/check", headers=headers).status_code == operate
    answer = kept.client.post("/api/v1/nodes/a/address", headers=headers, json={"addresses": ["192.0.2.1"]})
    assert answer.status_code in ((report,) if report else (202, 409))
    other = kept.client.post("/api/v1/nodes/b/address", headers=headers, json={"addresses": ["192.0.2.1"]})
    assert other.status_code == (403 if scopes != ["operate"] else other.status_code)
    assert kept.client.get("/settings/users", headers=headers).status_code == 403
    store(kept).revoke_token(name)
    kept.app.extensions["lockstep.door"].forget()
    assert kept.client.get("/api/v1/status", headers=headers).status_code == 401


def test_dyndns_clients_are_answered_in_their_words(kept: Service) -> None:
    token = store(kept).add_token("router", ["report"], "a")
    basic = {"Authorization": "Basic " + base64.b64encode(f"any:{token}".encode()).decode()}
    assert kept.client.get("/nic/update?hostname=a").text == "badauth\n"
    assert kept.client.get("/nic/update", headers=basic).text == "notfqdn\n"
    assert kept.client.get("/nic/update?hostname=b&myip=192.0.2.1", headers=basic).text == "nohost\n"
    wrong = {"Authorization": "Basic " + base64.b64encode(b"any:lks_wrong").decode()}
    assert kept.client.get("/nic/update?hostname=a", headers=wrong).status_code == 401


def test_tokens_are_rated_each_by_itself(kept: Service) -> None:
    one, two = (bearer(store(kept).add_token(f"rate-{n}", ["read"])) for n in (1, 2))
    codes = {kept.client.get("/api/v1/nodes/none", headers=one).status_code for _ in range(605)}
    assert codes == {404, 429}
    answer = kept.client.get("/api/v1/nodes/none", headers=one)
    assert (answer.status_code, "error" in answer.json) == (429, True)
    assert kept.client.get("/api/v1/nodes/none", headers=two).status_code == 404


def test_every_answer_carries_the_policy(kept: Service) -> None:
    for path in ("/login", "/healthz", "/api/v1/status", "/nowhere", "/static/lockstep.css", "/v1/status"):
        headers = kept.client.get(path).headers
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy, path
        assert "unsafe" not in policy, path
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["Referrer-Policy"] == "same-origin"
    assert "Strict-Transport-Security" in kept.client.get("/login", base_url="https://localhost").headers
    assert "script" not in re.sub(r"<script src=[^>]*></script>", "", kept.client.get("/login").text)


def test_what_was_done_stands_in_the_timeline_with_who_did_it(kept: Service) -> None:
    client = log_in(kept, "operator")
    client.post("/api/v1/nodes/b/check", headers={"X-CSRFToken": token_of(client, "/")})
    token = bearer(store(kept).add_token("reader", ["read"]))

    def told() -> list[str]:
        rows = kept.client.get("/api/v1/events?kind=access", headers=token).json["events"]
        return [row["message"] for row in rows]

    wait_until(lambda: any(m.startswith("operator asked to check b") for m in told()))
    assert any(m.startswith("operator logged in") for m in told())
    assert PASSWORD not in json.dumps(told())


def test_odd_requests_are_refused_and_break_nothing(kept: Service) -> None:
    token = bearer(store(kept).add_token("odd", ["operate"]))
    client = kept.client
    for path in (
        "/api/v1/nodes/..%2f..%2fetc",
        "/static/../config.yml",
        "/static/%2e%2e/config.yml",
        "/nodes/%00",
    ):
        assert client.get(path, headers=token).status_code in (400, 403, 404), path
    for method in ("PUT", "DELETE", "PATCH", "TRACE"):
        assert client.open("/api/v1/nodes/a/check", method=method, headers=token).status_code == 405
    big = client.post("/api/v1/nodes/a/resync", data=b"x" * (2 << 20), headers=token)
    assert big.status_code == 413
    assert "error" in big.json


PATHS = (
    "/api/v1/nodes/a/drain",
    "/nodes/actions",
    "/settings/users/add",
    "/dns/freeze",
    "/content/accept",
    "/login",
)
ELSEWHERE = (
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Origin": "http://localhost:8080"},
)


@pytest.mark.parametrize("elsewhere", ELSEWHERE, ids=str)
def test_a_page_of_another_site_gets_nothing_done_with_the_visitors_session(
    kept: Service, elsewhere: dict[str, str]
) -> None:
    """Neither with the form's token, should it ever leak, nor at the door."""
    client = log_in(kept, "administrator")
    token = token_of(client, "/")
    for path in PATHS:
        answer = client.post(
            path, data={"csrf_token": token, "names": "a", "action": "drain"}, headers=elsewhere
        )
        assert answer.status_code == 403, path
    assert not kept.supervisor.engine.field.nodes["a"].drained


def test_a_session_ends_by_itself_after_a_week_of_rest_and_after_a_month(
    kept: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    door, now = kept.app.extensions["lockstep.door"], time.time()

    def answered(client: FlaskClient, days: float) -> int:
        monkeypatch.setattr(door.store, "_clock", lambda: now + days * 86_400)
        door.forget()
        return client.get("/", headers={"Accept": "text/html"}).status_code

    resting, busy = log_in(kept, "viewer"), log_in(kept, "viewer")
    assert answered(resting, 7.1) == 302
    assert [answered(busy, days) for days in (6, 12, 18, 24, 29.9, 30.1)] == [200] * 5 + [302]
    monkeypatch.undo()
    door.forget()


def test_a_session_that_is_anothers_or_made_up_is_worth_nothing(kept: Service) -> None:
    victim, thief = log_in(kept, "administrator"), log_in(kept, "viewer")
    token = token_of(thief, "/")
    (owner,) = {s["id"] for s in store(kept).sessions() if s["user"] == "administrator"} - ended(kept, victim)
    assert thief.post(f"/account/sessions/{owner}/end", data={"csrf_token": token}).status_code == 404
    assert victim.get("/settings/users").status_code == 200
    forged = kept.client
    key = kept.app.secret_key
    try:
        kept.app.secret_key = b"another installation's key, of 32"
        with forged.session_transaction() as cookie:  # signed, but by somebody else
            cookie["_user_id"] = "made up"
    finally:
        kept.app.secret_key = key
    assert forged.get("/", headers={"Accept": "text/html"}).status_code == 302
    with forged.session_transaction() as cookie:  # signed by us, for a session that never was
        cookie["_user_id"] = "made up"
    assert forged.get("/", headers={"Accept": "text/html"}).status_code == 302


def ended(kept: Service, client: FlaskClient) -> set[int]:
    """Every session of the administrator's but this browser's, ended."""
    with client.session_transaction() as cookie:
        own = store(kept).visitor_of_session(cookie["_user_id"]).session
    others = {s["id"] for s in store(kept).sessions() if s["user"] == "administrator" and s["id"] != own}
    for number in others:
        store(kept).end_session(number)
    return others


@pytest.mark.parametrize(
    "path",
    [
        *(
            "/api/v1/nodes/..%2f..%2fetc%2fpasswd",
            "/api/v1/nodes/a%00",
            "/nodes/../../etc/passwd",
            "/nodes/%2e%2e",
        ),
        *(
            "/static/../config.yml",
            "/static/%2e%2e%2fconfig.yml",
            "/static/..%5cconfig.yml",
            "/static//etc/passwd",
        ),
        *(
            "/v1/badge/..%2f..%2fconfig.svg",
            "/nodes/a/plot/..%2flag.json",
            "/%2e%2e/config.yml",
            "/static/vendor/",
        ),
    ],
)
def test_no_path_leads_out(kept: Service, path: str) -> None:
    token = bearer(store(kept).add_token(f"path{abs(hash(path))}", ["operate"]))
    answer = kept.client.get(path, headers=token)
    assert answer.status_code in (308, 400, 404), (path, answer.status_code)
    assert "data_dir" not in answer.text
    assert "root:" not in answer.text


def test_a_name_cannot_write_into_headers_or_logs(kept: Service) -> None:
    client = kept.client
    form = {"name": "eve\r\nSet-Cookie: x=1\x1b[31m", "password": "x", "csrf_token": token_of(client)}
    answer = client.post("/login", data=form)
    assert answer.status_code == 401
    assert not any("x=1" in value for value in answer.headers.getlist("Set-Cookie"))
    reader = bearer(store(kept).add_token("log-reader", ["read"]))
    rows = kept.client.get("/api/v1/events?kind=access&limit=1", headers=reader).json["events"]
    assert all("\n" not in row["message"] and "\x1b" not in row["message"] for row in rows)


# ── the first administrator ──────────────────────────────────────────────────────────────────────────────


def test_the_token_of_the_log_makes_the_first_administrator_once(lockstep: Service) -> None:  # noqa: F811
    door = lockstep.app.extensions["lockstep.door"]
    token = door.first_token()
    client = lockstep.client
    data = {"name": "root", "password": PASSWORD, "again": PASSWORD, "csrf_token": token_of(client, "/first")}
    assert client.post("/first", data=data | {"token": "guessed"}).status_code == 403
    assert client.post("/first", data=data | {"token": token, "password": "short"}).status_code == 400
    assert client.get("/first", environ_base=FAR).status_code == 403
    assert client.post("/first", data=data | {"token": token}).status_code == 303
    assert client.get("/").status_code == 200
    assert lockstep.client.get("/first").status_code == 404
    assert lockstep.client.get("/", headers={"Accept": "text/html"}).status_code == 302


def test_the_last_administrator_stays(lockstep: Service) -> None:  # noqa: F811
    people = store(lockstep)
    people.add_user("root", "administrator", PASSWORD)
    for attempt in (lambda: people.remove_user("root"), lambda: people.set_role("root", "viewer")):
        with pytest.raises(Exception, match="only administrator"):
            attempt()


def test_people_and_tokens_by_command(lockstep: Service) -> None:  # noqa: F811
    runner = lockstep.app.test_cli_runner()
    made = runner.invoke(args=["user", "add", "anna"], input=PASSWORD + "\n")
    assert (made.exit_code, "administrator" in made.output) == (0, True), (made.output, made.exception)
    assert runner.invoke(args=["user", "add", "bert"], input="short\n").exit_code == 2
    assert runner.invoke(args=["user", "add", "anna"], input=PASSWORD + "\n").exit_code == 2
    listed = json.loads(runner.invoke(args=["user", "list", "--json"]).output)
    assert [(u["name"], u["role"]) for u in listed["users"]] == [("anna", "administrator")]
    assert runner.invoke(args=["user", "remove", "anna"]).exit_code == 2
    assert runner.invoke(args=["user", "passwd", "anna"], input="another long one\n").exit_code == 0

    assert runner.invoke(args=["token", "add", "r", "--scope", "report"]).exit_code == 2
    for node, nearest in (("aa", "a"), ("nobody", "")):
        refused = runner.invoke(args=["token", "add", "r", "--scope", "report", "--node", node])
        assert (refused.exit_code, node in refused.stderr, nearest in refused.stderr) == (2, True, True)
    assert json.loads(runner.invoke(args=["token", "list", "--json"]).stdout) == {"tokens": []}
    made = runner.invoke(args=["token", "add", "ci", "--scope", "read", "--scope", "operate", "--json"])
    token = json.loads(made.stdout)
    assert token["scopes"] == ["operate", "read"]
    lockstep.app.extensions["lockstep.door"].forget()
    assert lockstep.client.get("/api/v1/status", headers=bearer(token["token"])).status_code == 200
    assert token["token"] not in runner.invoke(args=["token", "list"]).output
    assert runner.invoke(args=["token", "revoke", "ci"]).exit_code == 0
    assert runner.invoke(args=["token", "revoke", "ci"]).exit_code == 2


def test_a_token_for_a_node_that_is_not_there_is_refused_on_the_page_too(lockstep: Service) -> None:  # noqa: F811
    lockstep.with_administrator()
    client = lockstep.logged_in()
    form = {"name": "r", "scopes": "report", "node": "aa", "csrf_token": token_of(client, "/")}
    answer = client.post("/settings/tokens/add", data=form)
    assert (answer.status_code, "did you mean" in answer.text) == (400, True), answer.text
    assert "lks_" not in answer.text


def test_secrets_are_kept_as_hashes_only(lockstep: Service) -> None:  # noqa: F811
    people = store(lockstep)
    people.add_user("root", "administrator", PASSWORD)
    token = people.add_token("t", ["read"])
    key = people.begin_session(1, "::1", "x")
    lockstep.supervisor.store.flush(5)
    stored = b"".join(p.read_bytes() for p in Path(lockstep.folder / "var").glob("lockstep.db*"))
    for secret in (PASSWORD, token, key):
        assert secret.encode() not in stored
    assert (lockstep.folder / "var" / "session.key").stat().st_mode & 0o777 == 0o600


def test_without_an_administrator_nobody_changes_settings_or_makes_users(lockstep: Service) -> None:  # noqa: F811
    client = lockstep.client
    csrf = token_of(client, "/")
    for path in ("/settings/users", "/settings/tokens", "/settings/hooks/new", "/settings/sync"):
        assert client.get(path).status_code == 403, path
    for path in ("/settings/users/add", "/settings/tokens/add", "/settings/hooks/new", "/settings/sync"):
        assert client.post(path, data={"csrf_token": csrf}).status_code == 403, path
