"""A test stand for the content half: real rsync daemons, the real store and an engine over a folder."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from flask import Flask

from app.database import READ, init_db
from app.models import db
from app.schema import upgrade
from app.stores.journal import SqlStore
from sync.core.args import RsyncOptions
from sync.core.health import HealthRules, SleepTimes
from sync.core.model import Destination, Flip, State
from sync.core.scope import Scope
from sync.engine import Engine, EngineSettings
from sync.field import Fitness, Listener
from sync.lanes import LaneLimits
from sync.node import Node, NodeSettings
from sync.ports import Event
from sync.probes import ProbeSeries, ProbeSpec
from sync.survey import SurveySettings, Watching
from sync.surveyor import Surveyor
from sync.watcher import Watcher
from tests.servers_rsync import Daemon
from tests.trees import differences, tree, write

QUICK = HealthRules(sleep=SleepTimes(ready=0.3, dead=0.2, unhealth=0.1, recovery=0.1))


@dataclass(frozen=True)
class StoreConfig:
    data_dir: Path
    database_url: str | None = None


@contextmanager
def sql_store(data_dir: Path, url: str | None = None) -> Iterator[SqlStore]:
    """The real store over a new or existing database."""
    app = Flask("stand")
    init_db(app, StoreConfig(data_dir, url))
    upgrade(app)
    with app.app_context():
        store = SqlStore(db.engine, db.engines[READ])
        store.start()
        try:
            yield store
        finally:
            store.stop()
            for engine in db.engines.values():
                engine.dispose()


def wait_until(
    condition: Callable[[], Any],
    seconds: float = 20,
    what: str = "",
    instead: Callable[[], object] = lambda: "",
) -> Any:
    """The condition's answer as soon as it is true; fails after the deadline, saying what is ``instead``."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        answer = condition()
        if answer:
            return answer
        time.sleep(0.01)
    raise AssertionError(f"not within {seconds} s: {what or condition} {instead()}")


class Notes(Listener):
    """What an engine told."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.flips: list[Flip] = []
        self.batches: list[tuple[str, tuple[bytes, ...]]] = []
        self.fit: list[tuple[float, dict[str, Fitness]]] = []

    def event(self, event: Event) -> None:
        self.events.append(event)

    def flip(self, flip: Flip) -> None:
        self.flips.append(flip)

    def batch(self, node: str, paths: Any) -> None:
        self.batches.append((node, tuple(paths)))

    def fitness(self, changed: Any) -> None:
        self.fit.append((time.monotonic(), dict(changed)))

    def said(self, kind: str, words: str = "") -> list[Event]:
        return [e for e in self.events if e.kind == kind and words in e.message]


def destination(name: str, daemon: Daemon, module: str | None = None, **more: Any) -> Destination:
    return Destination(
        name, daemon.host, module=module or next(iter(daemon.modules)), port=daemon.port, **more
    )


def node(name: str, to: Destination, **more: Any) -> NodeSettings:
    probes = ProbeSeries([ProbeSpec("rsync", timeout_seconds=1.0, attempts=2)])
    return NodeSettings(name, to, probes, **more)


def watch(settings: SurveySettings, sink: Surveyor) -> Watching:
    return Watcher(Path(settings.root.decode()), settings.scope, sink)  # type: ignore[return-value]


@dataclass
class Stand:
    """An engine over ``root`` with the nodes given; ``start``, ``stop`` and start again."""

    tmp: Path
    root: Path
    nodes: dict[str, tuple[NodeSettings, Path]]
    store: SqlStore
    survey: dict[str, Any] = field(default_factory=dict)
    engine_options: dict[str, Any] = field(default_factory=dict)
    engine: Engine | None = None
    notes: Notes = field(default_factory=Notes)
    watch: Callable[[SurveySettings, Surveyor], Watching] = watch

    def settings(self, **more: Any) -> EngineSettings:
        sweep = self.tmp / "empty"
        sweep.mkdir(exist_ok=True)
        base = EngineSettings(
            survey=SurveySettings(str(self.root).encode(), Scope(excludes=("*.tmp",)), **self.survey),
            options=RsyncOptions(connect_seconds=2, timeout_seconds=20, stall_seconds=60),
            sweep_root=str(sweep).encode(),
            nodes=tuple(settings for settings, _ in self.nodes.values()),
            limits=LaneLimits(16, 4, 2, 2),
            rules=QUICK,
            dustbin_seconds=0.3,
            max_lag_seconds=2.0,
        )
        return replace(base, **{**self.engine_options, **more})

    def start(self, **more: Any) -> Engine:
        self.engine = Engine(
            self.settings(**more), self.store, make_watcher=self.watch, listeners=[self.notes]
        )
        self.engine.start()
        return self.engine

    def stop(self) -> None:
        if self.engine is not None:
            self.engine.stop()
            self.engine = None

    def state(self, name: str) -> State:
        assert self.engine is not None
        return self.engine.field.nodes[name].state

    def all_ready(self, seconds: float = 30) -> None:
        assert self.engine is not None
        nodes = self.engine.field.nodes
        wait_until(
            lambda: all(n.state is State.READY and n.in_sync for n in nodes.values()),
            seconds,
            "all ready",
            lambda: [
                (n.name, str(n.state), n.health.reason, n.proven, n.out_of_step, n.blocked, n.held)
                for n in nodes.values()
            ],
        )

    def alike(self, *names: str, seconds: float = 20) -> None:
        """The nodes (all of them) have become equal to the source."""
        for name in names or self.nodes:
            path = self.nodes[name][1]
            wait_until(
                lambda p=path: not differences(tree(self.root), tree(p)),
                seconds,
                f"{name} like the source",
                lambda p=path: "\n".join(differences(tree(self.root), tree(p))[:10]),
            )

    def at_head(self, seconds: float = 20) -> None:
        """Every node has confirmed everything, and nothing is on its way."""
        assert self.engine is not None
        engine = self.engine
        wait_until(
            lambda: (
                engine.surveyor.pending == 0
                and all(
                    n.cursor == engine.field.tail.head and not n.dustbin for n in engine.field.nodes.values()
                )
            ),
            seconds,
            "every cursor at head",
        )

    def fill(self, files: int = 5) -> None:
        """A few files to begin with."""
        for number in range(files):
            write(self.root, f"start/{number}.txt", f"file {number}")

    def node(self, name: str) -> Node:
        """The engine's node; read-only for a test."""
        assert self.engine is not None
        return self.engine.field.nodes[name]

    def audit(self, *names: str, deep: bool = False) -> None:
        """Lets these nodes (all of them) be audited, and waits for it."""
        assert self.engine is not None
        engine, due = self.engine, "deep_due" if deep else "audit_due"
        for name in names or tuple(self.nodes):
            before = self.node(name).last_audit_at or 0.0
            engine.call(lambda n=name: setattr(engine.field.nodes[n], due, True))
            wait_until(
                lambda n=name, b=before: (self.node(n).last_audit_at or 0.0) > b, 20, f"audit of {name}"
            )


@contextmanager
def stand_with(tmp: Path, nodes: dict[str, tuple[Destination, Path]]) -> Iterator[Stand]:
    """A stand over ``tmp``/publish, which is made with five files; ended at the end."""
    root = tmp / "publish"
    root.mkdir(exist_ok=True)
    settings = {name: (node(name, to), path) for name, (to, path) in nodes.items()}
    with sql_store(tmp / "var") as store:
        stand = Stand(tmp, root, settings, store)
        stand.fill()
        try:
            yield stand
        finally:
            stand.stop()
