"""Forms over config.yml: comments stay, mistakes stand at their fields, secrets go into files and are never shown."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.config import secret_drafts
from tests.served import Service, service

FIELD = re.compile(r'<(input|textarea|select)[^>]* name="([^"]+)"')


@pytest.fixture
def lockstep(tmp_path: Path) -> Iterator[Service]:
    """Two nodes and an administrator."""
    with service(tmp_path) as running:
        running.with_administrator()
        yield running


def token(page: str) -> str:
    return re.search(r'name="csrf_token" value="([^"]+)"', page)[1]


def values(page: str) -> dict[str, str]:
    """What the page's form would send as it stands."""
    form = (
        page[page.index('<form method="post" class="stack"') :]
        if 'class="stack" novalidate' in page
        else page
    )
    found: dict[str, str] = {}
    for tag in re.findall(r"<input[^>]*>", form):
        name = re.search(r' name="([^"]*)"', tag)
        if name is None or " disabled" in tag or ('type="checkbox"' in tag and " checked" not in tag):
            continue
        value = re.search(r' value="([^"]*)"', tag)
        found[name[1]] = unescaped(value[1]) if value else ""
    for name, text in re.findall(r'<textarea[^>]* name="([^"]+)"[^>]*>([^<]*)</textarea>', form):
        found[name] = unescaped(text)
    for name, options in re.findall(r'<select[^>]* name="([^"]+)"[^>]*>(.*?)</select>', form, re.DOTALL):
        chosen = re.search(r"<option selected>([^<]*)", options)
        found[name] = chosen[1] if chosen else ""
    return found


def unescaped(text: str) -> str:
    for code, char in (("&#34;", '"'), ("&#39;", "'"), ("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")):
        text = text.replace(code, char)
    return text


class Form:
    """A visitor with a form before them."""

    def __init__(self, service: Service, path: str) -> None:
        self.client, self.path = service.logged_in(), path
        page = self.client.get(path)
        assert page.status_code == 200, page.text[:500]
        self.page = page.text
        self.values = values(page.text)

    def send(self, **changed: str):
        return self.client.post(
            self.path, data=self.values | {k.replace("__", "."): v for k, v in changed.items()}
        )

    def agree(self, answer):
        assert answer.status_code == 200, answer.text
        return self.client.post(self.path, data=values(answer.text))


def config(service: Service) -> str:
    return (service.folder / "config.yml").read_text()


@pytest.mark.parametrize("name", ["publish", "sync", "health", "dns", "alerts", "general"])
def test_a_form_that_was_not_touched_changes_nothing(lockstep: Service, name: str) -> None:
    before = config(lockstep)
    answer = Form(lockstep, f"/settings/{name}").send()
    assert answer.status_code == 303, answer.text
    assert config(lockstep) == before


def test_a_value_is_shown_as_a_diff_and_then_written_and_taken_up(lockstep: Service) -> None:
    form = Form(lockstep, "/settings/sync")
    before = config(lockstep)
    answer = form.send(sync__max_lag_seconds="1m")
    assert "+sync: " in unescaped(answer.text)
    assert config(lockstep) == before
    assert form.agree(answer).status_code == 303
    assert "max_lag_seconds: 1m" in config(lockstep)
    assert "# A comment that must survive every edit." in config(lockstep)
    assert "# watched" in config(lockstep)
    assert lockstep.supervisor.config.sync.max_lag_seconds == 60


def test_a_mistake_stands_at_its_field_and_nothing_is_written(lockstep: Service) -> None:
    before = config(lockstep)
    answer = Form(lockstep, "/settings/publish").send(publish__max_shrink_percent="150")
    assert answer.status_code == 422
    wrong = re.search(r'class="field wrong">.*?</div></div>', answer.text, re.DOTALL)[0]
    assert "publish.max_shrink_percent" in wrong
    assert config(lockstep) == before


def test_a_secret_goes_into_a_file_of_its_own_and_is_never_shown(lockstep: Service) -> None:
    form = Form(lockstep, "/settings/sync")
    answer = form.send(sync__user="lockstep", sync__password="hunter2-hunter2")
    assert "hunter2" not in answer.text
    assert form.agree(answer).status_code == 303
    text = config(lockstep)
    assert "hunter2" not in text
    file = Path(lockstep.folder / re.search(r"password_file: ([^,}\s]+)", text)[1].strip("'\""))
    assert (file.read_text(), file.stat().st_mode & 0o777) == ("hunter2-hunter2", 0o600)
    assert lockstep.supervisor.config.sync.password.get_secret_value() == "hunter2-hunter2"
    assert "hunter2" not in form.client.get("/settings/sync").text


def test_a_variable_is_shown_as_such_and_not_overwritten(
    lockstep: Service,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RSYNC_SECRET", "hidden-away")
    path = lockstep.folder / "config.yml"
    path.write_text(config(lockstep).replace("sync: {", "sync: {user: u, password: '${RSYNC_SECRET}', "))
    lockstep.supervisor.reload()
    form = Form(lockstep, "/settings/sync")
    assert "${RSYNC_SECRET}" in form.page
    assert "hidden-away" not in form.page
    answer = form.send(sync__max_audits="3", sync__password="another")
    assert form.agree(answer).status_code == 303
    assert "${RSYNC_SECRET}" in config(lockstep)


def test_a_node_is_added_changed_and_removed(lockstep: Service) -> None:
    form = Form(lockstep, "/settings/nodes/new")
    answer = form.send(**{"nodes.new.name": "c", "nodes.new.host": "127.0.0.99", "nodes.new.port": "1"})
    assert form.agree(answer).status_code == 303
    assert [n["name"] for n in lockstep.json("/api/v1/nodes")["nodes"]] == ["a", "b", "c"]

    edit = Form(lockstep, "/settings/nodes/c/edit")
    answer = edit.send(**{"nodes.c.title": "Third", "nodes.c.lines": "[telecom]"})
    assert edit.agree(answer).status_code == 303
    assert lockstep.json("/api/v1/nodes/c")["title"] == "Third"

    path = "/settings/nodes/c/remove"
    client = edit.client
    page = client.post(path, data={"csrf_token": token(client.get("/settings/nodes").text)})
    assert client.post(path, data=values(page.text)).status_code == 303
    assert [n["name"] for n in lockstep.json("/api/v1/nodes")["nodes"]] == ["a", "b"]


def test_a_provider_and_a_channel_are_added(lockstep: Service) -> None:
    form = Form(lockstep, "/settings/providers/new?kind=zonefile")
    names = {k for k in form.values if k.startswith("dns.providers.new.")}
    assert {"dns.providers.new.name", "dns.providers.new.path"} <= names
    answer = form.send(**{"dns.providers.new.name": "zone", "dns.providers.new.path": "zones"})
    assert form.agree(answer).status_code == 303
    assert lockstep.supervisor.config.dns.providers["zone"].kind == "zonefile"

    form = Form(lockstep, "/settings/channels/new?kind=webhook")
    answer = form.send(
        **{"alerts.channels.new.name": "hook", "alerts.channels.new.url": "https://example.com/x"}
    )
    assert form.agree(answer).status_code == 303
    assert lockstep.supervisor.config.alerts.channels["hook"].kind == "webhook"
    assert "https://example.com/x" not in config(lockstep)


def test_names_that_are_missing_are_asked_for(lockstep: Service) -> None:
    answer = Form(lockstep, "/settings/nodes/new").send()
    assert answer.status_code == 422
    assert 'class="field wrong"' in answer.text


def drafts(service: Service) -> set[str]:
    return {
        path.name for path in (service.folder / "var" / "secrets").glob("*") if not path.name.startswith(".")
    }


def test_a_secret_that_nobody_agreed_to_goes_after_an_hour_and_is_asked_for_again(lockstep: Service) -> None:
    form = Form(lockstep, "/settings/sync")
    shown = form.send(sync__user="lockstep", sync__password="hunter2-hunter2")
    (name,) = drafts(lockstep)
    lockstep.supervisor._trim()
    assert drafts(lockstep) == {name}  # the hour is not over
    for path in (lockstep.folder / "var" / "secrets").iterdir():
        os.utime(path, (0, 0))
    lockstep.supervisor._trim()
    assert list((lockstep.folder / "var" / "secrets").iterdir()) == []
    late = form.client.post(form.path, data=values(shown.text))
    assert late.status_code == 422
    assert "enter it again" in late.text
    assert "password_file" not in config(lockstep)


def test_a_secret_that_is_in_use_stays_whatever_its_mark_says(lockstep: Service) -> None:
    form = Form(lockstep, "/settings/sync")
    form.agree(form.send(sync__user="lockstep", sync__password="hunter2-hunter2"))
    (name,) = drafts(lockstep)
    folder = lockstep.folder / "var" / "secrets"
    assert [path.name for path in folder.iterdir()] == [name]  # no mark is left
    mark = folder / f".{name}.draft"  # as a crash between writing the file and removing the mark leaves it
    mark.touch()
    os.utime(mark, (0, 0))
    lockstep.supervisor._trim()
    assert [path.name for path in folder.iterdir()] == [name]


@pytest.mark.parametrize("where", ["lockstep.conf", "lockstep.prod.conf", "config.prod.yml"])
def test_a_secret_in_use_stays_however_the_configuration_is_called(tmp_path: Path, where: str) -> None:
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (tmp_path / "lockstep.conf").write_text("nodes: []\n")
    (tmp_path / where).write_text("sync: {password_file: secrets/used}\n")
    for name in ("used", "unused"):
        secret_drafts.write(secrets, name, "s3cret")
    late = time.time() + 2 * secret_drafts.KEEP_SECONDS
    assert secret_drafts.sweep(secrets, tmp_path / "lockstep.conf", late) == ["unused"]
    assert [path.name for path in secrets.iterdir()] == ["used"]


@pytest.mark.parametrize(
    ("path", "key", "said"),
    [
        ("/settings/nodes/new", "title", "what the public page and badges show"),
        ("/settings/nodes/a/edit", "host", "where rsync and the probes go"),
        ("/settings/services/new", "record", "@ for the zone itself"),
        ("/settings/sync", "max_lag_seconds", "out of step"),
    ],
)
def test_a_field_is_named_by_its_key_and_says_what_it_is_for(
    lockstep: Service, path: str, key: str, said: str
) -> None:
    page = lockstep.logged_in().get(path).text
    field = page.split(f'">{key}', 1)[1].split('<div class="field', 1)[0]
    assert said in field
    assert ">new." not in page
