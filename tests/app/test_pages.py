"""What pages say and order, over a running service: held deletions, filters, banners, badges and the public page."""

from __future__ import annotations

import os
import re
import shutil

import pytest

from app.config import ConfigError
from tests import served
from tests.served import Service, lockstep, service  # noqa: F401 - fixtures
from tests.stand import wait_until


def csrf(page: str) -> str:
    return re.search(r'name="csrf_token" value="([^"]+)"', page)[1]


def test_a_held_mass_deletion_is_listed_and_confirmed_on_the_content_page(lockstep: Service) -> None:  # noqa: F811
    folder = lockstep.root / "many"
    folder.mkdir()
    for number in range(150):
        (folder / f"{number}.txt").write_text("x")
    node = lockstep.daemons["a"].module_path / "many"
    wait_until(lambda: node.exists() and len(list(node.iterdir())) == 150)
    lockstep.all_ready()
    shutil.rmtree(folder)
    wait_until(lambda: lockstep.json("/api/v1/status")["publish"]["held_deletions"], 30)
    client = lockstep.client
    overview = client.get("/").text
    assert "Deletions wait for a person" in overview
    page = client.get("/content").text
    assert re.search(r"<li>many/\d+\.txt</li>", page)
    assert len(list(node.iterdir())) >= 50  # the first hundred may go before it is a mass
    answer = client.post("/content/accept", data={"csrf_token": csrf(page)})
    assert answer.status_code == 303
    wait_until(lambda: not node.exists(), 30)


def test_a_source_that_vanished_is_a_banner_with_what_to_do(lockstep: Service) -> None:  # noqa: F811
    lockstep.all_ready()
    lockstep.root.rename(lockstep.folder / "elsewhere")
    try:
        wait_until(lambda: "The publish directory is at fault" in lockstep.client.get("/").text, 30)
        assert "favicon-bad" in lockstep.client.get("/").text
        assert (lockstep.daemons["a"].module_path / "index.html").exists()
    finally:
        (lockstep.folder / "elsewhere").rename(lockstep.root)


def test_nodes_are_found_by_name_and_filtered_by_state(lockstep: Service) -> None:  # noqa: F811
    lockstep.all_ready()
    client = lockstep.client

    def shown(query: str) -> list[str]:
        return re.findall(r'<tr id="node-(\w+)"', client.get(f"/nodes?{query}").text)

    assert shown("") == ["a", "b"]
    assert shown("q=B") == ["b"]
    assert shown("state=dead") == []
    assert shown("state=in_sync") == ["a", "b"]
    assert shown("q=%3Cscript%3E") == []
    assert "<script>" not in client.get("/nodes?q=%3Cscript%3E&state=%3Cscript%3E").text.split("<main")[1]


def test_the_state_filter_stays_while_one_searches(lockstep: Service) -> None:  # noqa: F811
    lockstep.all_ready()
    page = lockstep.client.get("/nodes?state=in_sync").text
    assert '<input type="hidden" name="state" value="in_sync">' in page
    current = re.findall(r'<a href="([^"]*)" aria-current="true"', page)
    assert current == ["/nodes?state=in_sync"]
    assert '<input type="hidden" name="state"' not in lockstep.client.get("/nodes").text


def test_a_transfer_says_how_much_of_it_is_left(tmp_path, monkeypatch) -> None:
    slow = served.CONFIG.replace("max_lag_seconds: 2}}", "max_lag_seconds: 60, bwlimit: '400'}}")
    monkeypatch.setattr(served, "CONFIG", slow)
    with service(tmp_path, nodes=1) as running:
        running.all_ready()
        (running.root / "video.mp4").write_bytes(os.urandom(3_000_000))

        def work() -> dict:
            return running.json("/api/v1/nodes/a")["work"] or {}

        wait_until(lambda: (work().get("percent") or 0) > 10 and work()["rate"], 20)
        page = re.sub(r"<[^>]+>", " ", running.client.get("/").text.split("Work in progress")[1])
        assert re.search(r"1 path ·\s+[\d.]+ MB left · [\d.]+ KB/s · [\d.]+ m?s left", page), page[:600]
        wait_until(lambda: not work(), 30)
        assert (running.daemons["a"].module_path / "video.mp4").stat().st_size == 3_000_000


def test_a_configuration_that_was_not_taken_is_a_banner_until_it_is(lockstep: Service) -> None:  # noqa: F811
    path = lockstep.folder / "config.yml"
    good = path.read_text()
    path.write_text(good + "nonsense: true\n")
    with pytest.raises(ConfigError):
        lockstep.supervisor.reload()
    page = lockstep.client.get("/").text
    assert "The changed configuration was not taken" in page
    assert "nonsense" in page
    path.write_text(good)
    lockstep.supervisor.reload()
    assert "The changed configuration was not taken" not in lockstep.client.get("/").text


def test_a_node_source_that_fails_is_a_banner(tmp_path) -> None:
    more = "node_source: {command: [/bin/sh, -c, 'echo no inventory today >&2; exit 1'], every: 1}\n"
    with service(tmp_path, nodes=1, more=more) as running:
        wait_until(lambda: "The node source fails" in running.client.get("/").text, 20)
        assert "no inventory today" in running.client.get("/nodes").text


def test_a_step_is_ticked_when_it_works_and_else_says_why_not(tmp_path) -> None:
    more = """\
dns:
  startup_hold_seconds: 1
  providers: {api: {kind: callback, url: "http://127.0.0.1:1/#{action}"}}
  services: [{name: www, provider: api, zone: demo.test, record: www, types: [A], allow_private: true}]
"""
    with service(tmp_path, nodes=1, more=more) as running:
        running.daemons["a"].kill()

        wait_until(lambda: running.json("/api/v1/nodes/a")["state"] == "dead", 20)
        page = running.client.get("/").text.split("First steps")[1].split("</ol>")[0]
        node = page.split("A node that is ready")[1].split("</li>")[0]
        assert "connection refused" in node
        assert page.count('class="done"') < 4


def test_what_somebody_changed_at_the_provider_stands_on_the_dns_page(tmp_path) -> None:
    more = """\
dns:
  startup_hold_seconds: 1
  providers: {zone: {kind: zonefile, path: zones}}
  services: [{name: www, provider: zone, zone: demo.test, record: www, types: [A], allow_private: true}]
"""
    with service(tmp_path, nodes=1, more=more) as running:
        wait_until(lambda: running.json("/api/v1/nodes/a")["published"], 30)
        assert "Drift at the provider" not in running.client.get("/dns").text
        (zone,) = (tmp_path / "zones").iterdir()
        zone.write_text(re.sub(r"A 127\.0\.0\.\d+", "A 192.0.2.77", zone.read_text()))
        assert running.client.post("/api/v1/dns/apply").status_code == 202
        wait_until(lambda: "Drift at the provider" in running.client.get("/dns").text, 10)
        drift = running.client.get("/dns").text.split('id="drift"')[1].split("</section>")[0]
        assert "192.0.2.77" in drift
        assert "192.0.2.77" not in zone.read_text()


def test_a_new_installation_is_led_through_its_first_steps(tmp_path) -> None:
    with service(tmp_path, nodes=0) as empty:
        page = empty.client.get("/").text
        assert "First steps" in page
        assert "No nodes yet" in page
        assert page.count('<li class="done">') < 4


def test_badges_and_public_status_tell_nothing_secret(tmp_path) -> None:
    with service(tmp_path) as running:
        path = tmp_path / "config.yml"
        path.write_text(path.read_text().replace("name: a, host", 'name: a, title: "Node <1>", host'))
        running.supervisor.reload()
        running.all_ready()
        running.with_administrator()
        client = running.client
        facts = client.get("/v1/status?format=json").json
        assert [n["name"] for n in facts["nodes"]] == ["Node <1>", "b"]
        html = client.get("/v1/status", headers={"Accept": "text/html"}).text
        for text in (str(facts), html):
            assert "127.0.0.1" not in text
            assert "publish" not in text.lower().replace("published", "")
        assert client.get("/v1/status", headers={"Accept": "application/json"}).is_json
        badge = client.get("/v1/badge/a.svg")
        assert badge.mimetype == "image/svg+xml"
        assert "Node &lt;1&gt;" in badge.text
        assert badge.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
        shields = client.get("/v1/badge/b.json").json
        assert shields == {"schemaVersion": 1, "label": "b", "message": "in sync", "color": "brightgreen"}
        assert "2/2" in client.get("/v1/badge").text
        assert client.get("/v1/badge/nobody.svg").status_code == 404
        path.write_text(path.read_text().replace("port: 0}", "port: 0, public_status: false}"))
        running.supervisor.reload()
        for path_ in ("/v1/status", "/v1/badge", "/v1/badge/a.svg"):
            assert client.get(path_).status_code == 404


def test_a_node_reports_where_it_is(tmp_path) -> None:
    with service(tmp_path, nodes=1) as running:
        path = tmp_path / "config.yml"
        path.write_text(
            path.read_text().replace("module: content}", "module: content, addresses: [{reported: true}]}")
        )
        running.supervisor.reload()
        store = running.app.extensions["lockstep.door"].store
        token = {"Authorization": f"Bearer {store.add_token('n', ['report'], 'a')}"}
        client = running.client
        sent = client.post("/api/v1/nodes/a/address", json={"addresses": ["192.0.2.9"]}, headers=token)
        assert (sent.status_code, sent.json["changed"]) == (202, True)
        again = client.post("/api/v1/nodes/a/address", json={"addresses": ["192.0.2.9"]}, headers=token)
        assert again.json["changed"] is False
        bad = client.post("/api/v1/nodes/a/address", json={"addresses": ["nowhere"]}, headers=token)
        assert (bad.status_code, bad.json["error"]["code"]) == (400, "bad_address")
        assert client.get(
            "/nic/update?hostname=a&myip=192.0.2.10", auth=("any", token["Authorization"][7:])
        ).text == ("good 192.0.2.10\n")
        nochg = client.get("/nic/update?hostname=a&myip=192.0.2.10", auth=("any", token["Authorization"][7:]))
        assert nochg.text == "nochg 192.0.2.10\n"
