"""What pages say and order, over a running service: held deletions, filters, banners, badges and the public page."""

from __future__ import annotations

import re
import shutil

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
