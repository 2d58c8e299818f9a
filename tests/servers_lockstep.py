"""Runs the service as people run it (`python wsgi.py`) over real rsync daemons, and commands beside it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from app import create_app
from app.control import NotRunning, ask
from tests.servers_rsync import Daemon, free_port, rsyncd

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 30.0

CONFIG = """\
# A comment that must survive every edit.
data_dir: var
web: {{host: 127.0.0.1, port: {port}}}
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
dns:
  startup_hold_seconds: 5
  hold_down_seconds: 0
  providers:
    zone: {{kind: zonefile, path: zones}}
  services:
    - name: www
      provider: zone
      zone: example.test
      record: www
      allow_private: true
      lines: {{default: {{nodes: all}}}}
"""


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


@dataclass
class Lockstep:
    """One installation in a folder: its configuration, its nodes, its service. ``start`` and ``stop`` by pid."""

    folder: Path
    daemons: dict[str, Daemon]
    port: int
    environ: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    program: tuple[str, ...] = (str(ROOT / "wsgi.py"),)  # what Python is to run

    @property
    def config(self) -> Path:
        return self.folder / "config.yml"

    @property
    def publish(self) -> Path:
        return self.folder / "publish"

    @property
    def log(self) -> str:
        return (self.folder / "service.log").read_text(errors="replace")

    def environment(self) -> dict[str, str]:
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("LOCKSTEP_")}
        return {
            **inherited,
            "LOCKSTEP_CONFIG": str(self.config),
            "FLASK_APP": "app:create_app",
            **self.environ,
        }

    # ── the service ──────────────────────────────────────────────────────────────────────────────────────

    def spawn(self) -> subprocess.Popen[bytes]:
        """Starts ``python wsgi.py`` and returns at once."""
        with (self.folder / "service.log").open("ab") as out:
            return subprocess.Popen(
                [sys.executable, *self.program],
                cwd=ROOT,
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )

    def start(self) -> Lockstep:
        """Starts the service and waits until commands reach it."""
        self.process = self.spawn()
        self.until(lambda: self.asked("ping") is not None, "the service answers")
        return self

    def stop(self, number: int = signal.SIGTERM, seconds: float = 20) -> int:
        """Ends the service by its pid and returns its exit status."""
        assert self.process is not None
        process, self.process = self.process, None
        if process.poll() is None:
            process.send_signal(number)
        try:
            return process.wait(seconds)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def asked(self, do: str, **arguments: Any) -> Any:
        """The control socket's answer; None while nobody listens."""
        try:
            return ask(self.folder / "var", do, arguments)
        except (NotRunning, ConnectionError):
            return None

    def until(self, holds: Callable[[], Any], what: str, seconds: float = START_SECONDS) -> Any:
        """Polls until it holds and returns the value. Fails with the service's log."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if value := holds():
                return value
            assert self.process is None or self.process.poll() is None, (
                f"the service ended: {self.log[-4000:]}"
            )
            time.sleep(0.05)
        raise AssertionError(f"not within {seconds:g} s: {what}\n{self.log[-4000:]}")

    def all_in_sync(self, seconds: float = START_SECONDS) -> Any:
        def nodes() -> Any:
            status = self.asked("status")
            return status if status and all(n["in_sync"] for n in status["nodes"]) else None

        return self.until(nodes, "all nodes in sync", seconds)

    # ── commands ─────────────────────────────────────────────────────────────────────────────────────────

    def run(self, *arguments: str, stdin: str = "") -> Ended:
        """`flask …` inside this process, which saves the two seconds that starting one takes."""
        with pytest.MonkeyPatch.context() as patch:
            for name in [name for name in os.environ if name.startswith("LOCKSTEP_")]:
                patch.delenv(name)
            for name, value in {
                **self.environ,
                "LOCKSTEP_CONFIG": str(self.config),
                "COLUMNS": "200",
            }.items():
                patch.setenv(name, value)
            app = create_app()
            with app.app_context():  # which `flask` makes
                done = app.test_cli_runner().invoke(args=arguments, input=stdin)
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return Ended(done.exit_code, done.stdout, done.stderr)

    def typed(self, *arguments: str, stdin: str = "", seconds: float = 60) -> Ended:
        """`flask …` in a process of its own, as somebody would type it."""
        done = subprocess.run(
            [sys.executable, "-m", "flask", *arguments],
            cwd=ROOT,
            env=self.environment(),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        return Ended(done.returncode, done.stdout, done.stderr)

    def json(self, *arguments: str, status: int = 0, stdin: str = "") -> Any:
        """The one document a command with --json prints."""
        done = self.run(*arguments, "--json", stdin=stdin)
        assert done.returncode == status, (
            f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}\n{self.log[-2000:]}"
        )
        return json.loads(done.stdout)


def write_config(installation: Lockstep, more: str = "") -> None:
    """config.yml over the installation's daemons."""
    nodes = "\n".join(
        f"  - {{name: {name}, host: {daemon.host}, port: {daemon.port}, module: content}}"
        for name, daemon in installation.daemons.items()
    )
    installation.config.write_text(CONFIG.format(nodes=nodes or "  []", port=installation.port) + more)


@contextmanager
def installation(folder: Path, nodes: int = 2, more: str = "") -> Iterator[Lockstep]:
    """An installation with so many daemons and a page; the service is not started."""
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        daemons: dict[str, Daemon] = {}
        for number in range(nodes):
            daemon = rsyncd(folder / f"node-{number}")
            stack.callback(daemon.stop)
            daemons["abcdefgh"[number]] = daemon
        made = Lockstep(folder, daemons, free_port())
        made.publish.mkdir()
        (made.publish / "index.html").write_text("<h1>hello</h1>\n")
        (folder / "service.log").touch()
        write_config(made, more)
        stack.callback(lambda: made.process and made.stop(signal.SIGKILL))
        yield made


@pytest.fixture
def lockstep(tmp_path: Path) -> Iterator[Lockstep]:
    """An installation of two nodes for one test, not running."""
    with installation(tmp_path / "lockstep") as made:
        yield made


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lockstep]:
    """One running installation of two nodes for the tests of a module that leave it as they found it."""
    with installation(tmp_path_factory.mktemp("running")) as made:
        made.start()
        made.all_in_sync()
        yield made
