"""A whole service for tests of pages and API: config.yml, real rsync daemons, supervisor, and waitress on request."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import waitress
from flask import Flask
from flask.testing import FlaskClient

from app import create_app
from app.config import load
from app.serving import web_options
from app.supervisor import Supervisor
from app.web.proxy import behind_proxy
from tests.servers_rsync import Daemon, rsyncd
from tests.stand import wait_until

PASSWORD = "correct horse battery"
CONFIG = """\
# A comment that must survive every edit.
data_dir: var
web: {{host: 127.0.0.1, port: 0}}
publish:
  root: publish                     # watched
  exclude: ["*.tmp"]
sync: {{connect_seconds: 2, timeout_seconds: 20, dustbin_seconds: 0.5, max_lag_seconds: 2}}
health:
  sleep_times: {{ready: 0.5, dead: 0.3, unhealth: 0.1, recovery: 0.1, total: 4}}
  probes:
    - {{kind: rsync, timeout: 1, attempts: 2}}
nodes:
{nodes}
{more}
"""


@dataclass
class Service:
    """The service at work. ``client`` asks it as a browser on this machine would."""

    folder: Path
    app: Flask
    supervisor: Supervisor
    daemons: dict[str, Daemon]
    url: str = ""
    headers: dict[str, str] = field(default_factory=dict)

    def with_administrator(self) -> None:
        """From now on ``root`` may log in with PASSWORD, and ``json`` and ``post`` send a token."""
        door = self.app.extensions["lockstep.door"]
        door.store.add_user("root", "administrator", PASSWORD)
        self.headers = {"Authorization": f"Bearer {door.store.add_token('tests', ['operate'])}"}
        door.forget()

    def logged_in(self) -> FlaskClient:
        """A browser of ``root``'s."""
        client = self.client
        page = client.get("/login").text
        token = page.split('name="csrf_token" value="', 1)[1].split('"', 1)[0]
        answer = client.post("/login", data={"name": "root", "password": PASSWORD, "csrf_token": token})
        assert answer.status_code == 303, answer.text
        return client

    def post(self, path: str) -> None:
        """Orders something over the API."""
        answer = self.client.post(path, headers=self.headers)
        assert answer.status_code == 202, answer.text

    @property
    def root(self) -> Path:
        return self.folder / "publish"

    @property
    def client(self) -> FlaskClient:
        return self.app.test_client()

    def json(self, path: str, **more: Any) -> Any:
        answer = self.client.get(path, headers={**self.headers, **more.pop("headers", {})}, **more)
        assert answer.status_code == 200, answer.text
        return answer.json

    def all_ready(self, seconds: float = 30) -> None:
        wait_until(
            lambda: all(n["in_sync"] for n in self.json("/api/v1/nodes")["nodes"]), seconds, "all in sync"
        )


def write_config(
    folder: Path, daemons: dict[str, Daemon], more: str = "", lines: Mapping[str, str] | None = None
) -> Path:
    """config.yml over these daemons."""
    nodes = "\n".join(
        f"  - {{name: {name}, host: {daemon.host}, port: {daemon.port}, module: content"
        + (f", lines: [{lines[name]}]" if lines else "")
        + "}"
        for name, daemon in daemons.items()
    )
    path = folder / "config.yml"
    path.write_text(CONFIG.format(nodes=nodes or ("" if "{{name" in CONFIG else "  []"), more=more))
    return path


@contextmanager
def configured_as(change: Callable[[str], str]) -> Iterator[None]:
    """Services that are started meanwhile have another configuration."""
    global CONFIG
    before = CONFIG
    CONFIG = change(before)
    try:
        yield
    finally:
        CONFIG = before


def with_a_crowd(count: int, dead_seconds: float) -> Callable[[str], str]:
    """Adds nodes n0, n1, … that are not there: nothing listens where they are said to be."""
    nodes = "".join(
        f"  - {{{{name: n{i}, host: 127.{i // 200 + 1}.0.{i % 200 + 1}, port: 1}}}}\n" for i in range(count)
    )

    def change(text: str) -> str:
        text = text.replace("ready: 0.5, dead: 0.3", f"ready: 0.5, dead: {dead_seconds}")
        return text.replace("nodes:\n{nodes}", "nodes:\n" + nodes + "{nodes}")

    return change


@contextmanager
def service(
    folder: Path,
    nodes: int = 2,
    more: str = "",
    http: bool = False,
    daemons: dict[str, Daemon] | None = None,
    lines: Mapping[str, str] | None = None,
) -> Iterator[Service]:
    """A running service with so many nodes, or over these daemons; with ``http`` behind waitress at ``url``."""
    with ExitStack() as stack:
        given, daemons = daemons, dict(daemons or {})
        for number in range(0 if given else nodes):
            daemon = rsyncd(folder / f"node-{number}")
            stack.callback(daemon.stop)
            daemons["abcdefgh"[number]] = daemon
        (folder / "publish").mkdir(exist_ok=True)
        (folder / "publish" / "index.html").write_text("<h1>hello</h1>\n")
        config = load(write_config(folder, daemons, more, lines), environ={})
        app = create_app(config)
        supervisor = Supervisor(app, config)
        app.extensions["lockstep"].supervisor = supervisor
        supervisor.start()
        stack.callback(supervisor.stop)
        running = Service(folder, app, supervisor, daemons)
        if http:
            running.url = stack.enter_context(served(app, config))
        yield running


@contextmanager
def served(app: Flask, config: Any) -> Iterator[str]:
    """The app behind waitress on a free port."""
    server = waitress.create_server(
        behind_proxy(app, config.web.trusted_proxy), **{**web_options(config), "port": 0}
    )
    thread = threading.Thread(target=server.run, name="web", daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.effective_port}"
    finally:
        server.trigger.pull_trigger(lambda: server.asyncore.close_all(server._map, ignore_all=True))
        thread.join(5)
        server.task_dispatcher.shutdown()


@pytest.fixture
def lockstep(tmp_path: Path) -> Iterator[Service]:
    """Two nodes, in process."""
    with service(tmp_path) as running:
        yield running


@pytest.fixture
def make_service(tmp_path: Path) -> Iterator[Callable[..., Service]]:
    """A factory like ``service(…)`` without its folder."""
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(service(tmp_path, **options))
