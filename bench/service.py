"""Runs the real service in a process of its own, with a configuration of its own; asks it as commands do."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from app.control import NotRunning, ask
from app.operations import Refused
from bench.ground import free_port

ROOT = Path(__file__).resolve().parent.parent
TICKS = os.sysconf("SC_CLK_TCK")
POLL_SECONDS = 0.02

Json = dict[str, Any]


class Service:
    """`python wsgi.py` over ``publish`` with one node per (name, port, module)."""

    def __init__(
        self,
        home: Path,
        publish: Path,
        nodes: Mapping[str, tuple[int, str]],
        sync: Json | None = None,
        more: Callable[[Json], Json] = lambda config: config,
    ) -> None:
        self.home, self.publish, self.nodes = home, publish, nodes
        self.data = home / "data"
        self.port = free_port()
        self._sync, self._more = sync or {}, more
        self._process: subprocess.Popen[bytes] | None = None
        home.mkdir(parents=True, exist_ok=True)
        (home / "config.yml").write_text(json.dumps(self._more(self._config())))  # JSON is YAML

    def _config(self) -> Json:
        return {
            "data_dir": str(self.data),
            "web": {"port": self.port},
            "log": {"path": str(self.home / "service.log")},
            "publish": {"root": str(self.publish)},
            "sync": self._sync,
            "nodes": [
                {"name": name, "host": "127.0.0.1", "port": port, "module": module}
                for name, (port, module) in self.nodes.items()
            ],
        }

    @property
    def pid(self) -> int:
        """The service's process."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> float:
        """Starts it; when (time.perf_counter) that was."""
        environment = self._environment()
        began = time.perf_counter()
        with (self.home / "output.log").open("ab") as out:
            self._process = subprocess.Popen(
                [sys.executable, "wsgi.py"],
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
            )
        return began

    def command(self, *words: str, typed: str = "") -> None:
        """`flask WORDS…` on this installation, with ``typed`` on its standard input."""
        subprocess.run(
            [sys.executable, "-m", "flask", *words],
            cwd=ROOT,
            env=self._environment() | {"FLASK_APP": "app:create_app"},
            input=typed,
            text=True,
            capture_output=True,
            check=True,
        )

    def _environment(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith("LOCKSTEP_")}
        return kept | {"LOCKSTEP_CONFIG": str(self.home / "config.yml"), "LOCKSTEP_ENV": "prod"}

    def stop(self) -> float:
        """Ends it cleanly; the seconds that took."""
        return self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Ends it as a crash would."""
        self._end(signal.SIGKILL)

    def _end(self, number: int) -> float:
        began = time.perf_counter()
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)
            try:
                self._process.wait(30)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        return time.perf_counter() - began

    def __enter__(self) -> Service:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def ask(self, do: str, **arguments: object) -> Any:
        """The running service's answer over its control socket."""
        return ask(self.data, do, arguments)

    def wait(self, condition: Callable[[Json], bool], seconds: float, what: str) -> float:
        """When (time.perf_counter) the status first fulfilled the condition. Raises TimeoutError."""
        deadline = time.perf_counter() + seconds
        status: Json = {}
        while time.perf_counter() < deadline:
            if self._process is not None and self._process.poll() is not None:
                raise RuntimeError(f"the service ended: {(self.home / 'output.log').read_text()[-2000:]}")
            try:
                status = self.ask("status")
            except (NotRunning, Refused):
                time.sleep(POLL_SECONDS)
                continue
            now = time.perf_counter()
            if condition(status):
                return now
            time.sleep(max(POLL_SECONDS, 2 * (time.perf_counter() - now)))
        lacking = [n["name"] + ": " + str(n["reason"]) for n in status.get("nodes", []) if not n["in_sync"]]
        raise TimeoutError(f"not within {seconds} s: {what}; {lacking[:3]}")

    def wait_in_sync(self, seconds: float) -> float:
        """When the tree was compared, and every node in sync and at head."""

        def all_there(status: Json) -> bool:
            nodes = status["nodes"]
            fit = (n["in_sync"] and n["cursor"] == status["head"] for n in nodes)
            return len(nodes) == len(self.nodes) and all(fit) and self.has_compared()

        return self.wait(all_there, seconds, "every node in sync")

    def has_compared(self) -> bool:
        """Whether the first scan after the newest start has ended: before that a renewed proof says little."""
        said = self.rows("SELECT message FROM event WHERE kind = 'start' ORDER BY id DESC LIMIT 1")
        return bool(said) and "compared in" in said[0][0]

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Reads the service's database."""
        with sqlite3.connect(f"file:{self.data}/lockstep.db?mode=ro", uri=True, timeout=10) as connection:
            return connection.execute(query).fetchall()

    def cpu_seconds(self, *, children: bool = True) -> float:
        """Processor time of the service, with that of the children it has waited for."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        user, system, child_user, child_system = (int(value) / TICKS for value in fields[11:15])
        return user + system + (child_user + child_system if children else 0.0)

    def resident_mb(self) -> float:
        """Resident memory of the service's process, MB."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024 / 1e6
        raise RuntimeError("no VmRSS")
