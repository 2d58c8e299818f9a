"""A test stand for records that follow nodes: a real service over real rsync daemons and a real BIND or zone files."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flask import Flask

from app import with_database
from app.config import load
from app.supervisor import Supervisor
from tests.servers_bind import Bind
from tests.servers_rsync import Daemon, rsyncd
from tests.stand import wait_until
from tests.trees import differences, tree

CONFIG = """\
data_dir: var
web: {{port: {port}}}
publish: {{root: publish}}
sync: {{connect_seconds: 2, timeout_seconds: 20, dustbin_seconds: 0.3, max_lag_seconds: 1}}
health:
  sleep_times: {{ready: 300ms, dead: 200ms, unhealth: 100ms, recovery: 100ms, total: 300ms}}
  probes: [{{kind: rsync, timeout: 0.5, attempts: 1}}]
  isolation_seconds: {isolation}
  canaries: {canaries}
nodes:
{nodes}
{source}
dns:
  reconcile_seconds: {every}
  hold_down_seconds: {hold_down}
  startup_hold_seconds: {startup}
  providers:
    p: {provider}
  services:
{services}
"""
WWW = (
    "{name: www, provider: p, zone: %s, record: www, ttl: 5, types: [A], allow_private: true, lines: "
    "{default: {nodes: all}, telecom: {nodes: [a], fallback: any}, unicom: {nodes: [b], fallback: any}}}"
)


def bind_provider(bind: Bind, lines: Sequence[str] = ("default", "telecom", "unicom")) -> str:
    """The provider's section over a BIND of tests.servers_bind."""
    keys = ", ".join(f"{line}: {{key_file: '{bind.key_file(line)}'}}" for line in lines)
    return f"{{kind: rfc2136, server: 127.0.0.1, port: {bind.port}, lines: {{{keys}}}}}"


@dataclass
class DnsStand:
    """Nodes a, b, c … on 127.0.0.41 and up; ``write`` the configuration, ``start``, ``stop`` and start again."""

    folder: Path
    daemons: dict[str, Daemon]
    provider: str = "{kind: zonefile, path: zones}"
    services: list[str] = field(default_factory=lambda: [WWW % "example.test"])
    options: dict[str, Any] = field(default_factory=dict)
    nodes: dict[str, str] = field(default_factory=dict)  # name → more of its entry
    supervisor: Supervisor = field(init=False, repr=False)
    running: bool = False

    @property
    def root(self) -> Path:
        return self.folder / "publish"

    def address(self, name: str) -> str:
        return self.daemons[name].host

    def write(self) -> Path:
        entries = [
            f"  - {{name: {name}, host: {self.daemons[name].host}, port: {self.daemons[name].port}{more}}}"
            for name, more in self.nodes.items()
        ]
        values = {
            "isolation": 60,
            "canaries": "[]",
            "every": 60,
            "hold_down": "200ms",
            "startup": 120,
            "source": "",
            "port": 0,
            **self.options,
        }
        services = "\n".join(f"    - {service}" for service in self.services)
        path = self.folder / "config.yml"
        path.write_text(
            CONFIG.format(
                nodes="\n".join(entries) or "  []",
                provider=self.provider,
                services=services or "    []",
                **values,
            )
        )
        return path

    def start(self, **options: Any) -> Supervisor:
        config = load(self.write(), environ={})
        app = Flask("stand")
        with_database(app, config)
        self.supervisor = Supervisor(app, config, **options)
        self.supervisor.start()
        self.running = True
        return self.supervisor

    def stop(self) -> None:
        if self.running:
            self.running = False
            self.supervisor.stop()

    def reload(self) -> None:
        self.write()
        self.supervisor.reload()

    # ── what it says ─────────────────────────────────────────────────────────────────────────────────────

    def published(self) -> set[str]:
        return {name for name, said in self.supervisor.operations.publications().items() if said.published}

    def await_published(self, *names: str, seconds: float = 20) -> None:
        wait_until(
            lambda: self.published() == set(names),
            seconds,
            f"{names} published; {self.supervisor.operations.publications()}",
        )

    def values(self, line: str = "default", service: str = "www") -> list[str]:
        """What stands, as the status page shows it."""
        found = next(s for s in self.supervisor.reconciler.status()["services"] if s["name"] == service)
        return next((sorted(each["values"]) for each in found["lines"] if each["line"] == line), [])

    def plan(self) -> dict[str, Any]:
        return self.supervisor.operations.dns_plan()

    def history(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.supervisor.operations.dns_history()["history"]
        return found

    def frozen(self) -> str | None:
        frozen: str | None = self.supervisor.reconciler.status()["frozen"]
        return frozen

    def events(self, words: str) -> list[str]:
        """Messages of the timeline that hold these words."""
        self.supervisor.store.flush(5)
        rows = self.supervisor.reading.events(500, None, None, None)
        return [row["message"] for row in rows if words in row["message"]]

    def zone_values(self, line: str = "default", zone: str = "example.test") -> list[str]:
        """What the zone file of a line answers for www."""
        path = self.folder / "zones" / f"{zone}.{line}.zone"
        if not path.exists():
            return []
        rows = [row.split() for row in path.read_text().splitlines()]
        return sorted(row[-1] for row in rows if row and row[0] == "www")


@contextmanager
def dns_stand(folder: Path, names: str = "abc", **more: Any) -> Iterator[DnsStand]:
    """A stand whose daemons run and whose service does not yet."""
    with ExitStack() as stack:
        daemons = {}
        for number, name in enumerate(names):
            daemon = rsyncd(folder / f"node-{name}", host=f"127.0.0.{41 + number}")
            stack.callback(daemon.stop)
            daemons[name] = daemon
        stand = DnsStand(folder, daemons, nodes=dict.fromkeys(names, ""), **more)
        stand.root.mkdir(exist_ok=True)
        (stand.root / "index.html").write_text("<h1>hello</h1>\n")
        (stand.root / "asset.css").write_text("h1 { color: red }\n" * 50)
        stack.callback(stand.stop)
        yield stand


class Visitor:
    """Asks a name on its lines all the time; a thread each.

    ``empty``: answers without an address; ``wrong``: addresses that appeared while what they serve was not the
    source, byte for byte; ``seen``: every answer that differs from the one before, with its time.
    """

    def __init__(
        self,
        bind: Bind,
        name: str,
        lines: Sequence[str],
        content: Mapping[str, Path] | None = None,
        root: Path | None = None,
    ) -> None:
        self._bind, self._name, self._content, self._root = bind, name, content or {}, root
        self._stop = threading.Event()
        self.asked = dict.fromkeys(lines, 0)
        self.empty: list[tuple[float, str]] = []
        self.wrong: list[str] = []
        self.seen: dict[str, list[tuple[float, tuple[str, ...]]]] = {line: [] for line in lines}
        self._threads = [
            threading.Thread(target=self._follow, args=(line,), name=f"visitor {line}") for line in lines
        ]

    def __enter__(self) -> Visitor:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _follow(self, line: str) -> None:
        last: tuple[str, ...] = ()
        while not self._stop.wait(0.002):
            try:
                answer = tuple(self._bind.ask(self._name, "A", line, timeout=1.0))
            except TimeoutError:
                continue
            self.asked[line] += 1
            if not answer:
                self.empty.append((time.monotonic(), line))
            for address in set(answer) - set(last):
                self._look(line, address)
            if answer != last:
                self.seen[line].append((time.monotonic(), answer))
            last = answer

    def _look(self, line: str, address: str) -> None:
        if self._root is None or address not in self._content:
            return
        found = differences(tree(self._root), tree(self._content[address]))
        if found:
            self.wrong.append(f"{line}: {address} appeared, and there {'; '.join(found)}")

    def answers(self, line: str, wanted: Sequence[str], seconds: float = 20) -> float:
        """When the line first answered so, or answers so now; fails after the deadline."""
        wait_until(
            lambda: self.seen[line] and list(self.seen[line][-1][1]) == sorted(wanted),
            seconds,
            f"{line} answers {wanted}; it answered {self.seen[line][-5:]}",
        )
        return self.seen[line][-1][0]


def until(condition: Callable[[], Any], what: str, seconds: float = 20) -> Any:
    return wait_until(condition, seconds, what)
