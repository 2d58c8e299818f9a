"""Starts the parts of a running service in order, ends them in reverse, and takes a new configuration meanwhile.

It decides nothing about nodes or records. One supervisor runs per installation: a lock on a file in data_dir
and, on a database server, a lease row.
"""

from __future__ import annotations

import logging
import os
import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from flask import Flask

from app import once
from app.address_book import AddressBook
from app.alerting import Alerting
from app.alerts.channels import ChannelError
from app.conditions import Conditions
from app.config import (
    Config,
    ConfigError,
    destination,
    diff_needs_restart,
    load,
    machine,
    secret_drafts,
    secrets_of,
)
from app.config.schema.nodes import NodeConfig
from app.content import ProbeShop, engine_settings, node_settings
from app.control import ControlServer
from app.history import Recorder
from app.inventory import Inventory
from app.lock import InstallationLock
from app.logs import configure as configure_logs
from app.models import READ, db
from app.operations import Operations, Refused
from app.reconcile import Reconciler
from app.schema import upgrade
from app.stores.journal import SqlStore
from app.stores.lease import Lease, has_ended_here, holder_here
from app.stores.reading import Reading
from app.stores.records import RecordStore
from app.stores.retention import trim
from dns.ledger import LedgerUnavailableError
from sync.core.model import text_of
from sync.engine import Engine
from sync.field import Listener
from sync.node import NodeSettings
from sync.orphans import Orphans
from sync.ports import StoreError
from sync.probes import Notices
from sync.surveyor import Surveyor, SurveySettings, Watching
from sync.watcher import Watcher

log = logging.getLogger(__name__)

DAY_SECONDS = 86_400.0
FOLLOWED = "followed-addresses"


class CannotStart(Exception):  # noqa: N818 - the message says what to do
    """The service cannot be started as things are."""


class Supervisor:
    """The running service: ``start``, ``stop``, ``reload``. ``kind`` says in the lock what it is for."""

    def __init__(
        self,
        app: Flask,
        config: Config,
        *,
        kind: str = "service",
        at_once: bool = False,
        hands_off: bool = False,
        listeners: Sequence[Listener] = (),
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """``sleep`` passes the time until the lease of a dead process ends; it may return early."""
        self.app = app
        self._sleep = sleep
        self.config = config
        self.kind = kind
        self.at_once = at_once
        self.hands_off = hands_off
        self.listeners = list(listeners)
        self.reload_ok = True
        self.reload_error = ""
        self.lost = threading.Event()  # the lease is gone: the process must end
        self._lock = InstallationLock(config.data_dir)
        self._lease: Lease | None = None
        self._reloading = threading.Lock()
        self._ends: list[tuple[str, Callable[[], object]]] = []
        self._addresses: dict[str, str] = {}  # node → its first address, as last learnt
        self._following = threading.Lock()  # owns _addresses
        self._ending = threading.Event()
        self._shop = ProbeShop(Notices(self._notice), self._ending)
        self.store: SqlStore
        self.reading: Reading
        self.engine: Engine
        self.inventory: Inventory
        self.operations: Operations

    # ── start and stop ───────────────────────────────────────────────────────────────────────────────────

    def start(self) -> None:
        """Raises CannotStart, ConfigError, Held, LeaseHeld or StoreError; what was begun is ended again."""
        try:
            self._start()
        except BaseException:
            self.stop()
            raise

    def _start(self) -> None:
        self._check()
        self._begin(self._lock.acquire, self._lock.release, "the lock", self.kind)
        upgrade(self.app)
        with self.app.app_context():
            write, read = db.engine, db.engines[READ]
        if write.dialect.name != "sqlite":
            self._lease = Lease(write, holder_here(), on_change=self._on_lease)
            self._lease.acquire_after(has_ended_here, self._sleep)
            self._begin(self._lease.start, self._lease.stop, "the lease")
        self.store = SqlStore(
            write, read, fence=self._lease, on_fenced=lambda reason: self._on_lease(False, reason)
        )
        self._begin(self.store.start, self.store.stop, "the store")
        self.reading = Reading(read)
        self.inventory = Inventory(self.config, self._nodes_changed, self._told_by_source)
        self._ends.append(("the node source", self.inventory.stop))
        self._refuse_strange_root()
        Path(self.config.data_dir / "empty").mkdir(exist_ok=True)
        orphans = Orphans(self.config.data_dir / "rsyncs")
        self._begin(orphans.open, orphans.close, "the rsyncs' lock")
        left = orphans.wait()
        if left is not None and self.kind == "sync-once":
            raise CannotStart(left)
        self.records = RecordStore(write, read, self._lease)
        self._addresses = self._stored_addresses()
        self.engine = Engine(
            engine_settings(self.config, self.nodes()),
            self.store,
            make_watcher=None if self.at_once else watch,
            listeners=self.listeners,
            at_once=self.at_once,
            hands_off=self.hands_off,
            orphans=orphans,
        )
        self._make_dns()
        self.operations = Operations(
            self.engine, self.reading, dns=self.reconciler, book=self.book, reload=self.reload
        )
        if not self.at_once:
            try:
                self.alerting = Alerting(self.app, self.config, self._emit, self._host_of, self._lease)
            except ChannelError as error:
                raise CannotStart(f"alerts.channels: {error}") from error
            self.operations.alerting = self.alerting
        self._begin(self.engine.start, self.engine.stop, "the engine")
        self._begin(self._start_dns, self._stop_dns, "DNS")
        self.history = Recorder(self.app, self.engine, self.operations.publications, fence=self._lease)
        if not self.at_once:
            self._begin(self.history.start, self.history.stop, "the history")
        if not self.at_once:
            self._begin_telling()
        self._set_timers()
        control = ControlServer(self.config.data_dir, self._actions())
        self._begin(control.start, control.stop, "the control socket")

    def _begin_telling(self) -> None:
        """Alerts and hooks: they hear what the engine tells from now on, and what no event tells."""
        self.engine.field.listeners.append(self.alerting.listener)
        self._begin(self.alerting.start, self.alerting.stop, "the alerts")
        self.engine.timers.every("alerts", 1.0, self.alerting.wake)
        conditions = Conditions(
            self.config.data_dir,
            self.alerting.alerts.feed,
            database=self.store.trouble,
            services=lambda: [] if self.reconciler.is_starting() else self.reconciler.status()["services"],
            frozen=self.reconciler.frozen_by_person,
            reload_trouble=lambda: None if self.reload_ok else "the changed configuration could not be taken",
            blocked=lambda: {name: node.blocked for name, node in list(self.engine.field.nodes.items())},
            unreadable=lambda: [
                f"{text_of(path)}: {error}"
                for path, (error, _) in list(self.engine.field.source_errors.items())
            ],
        )
        self._begin(conditions.start, conditions.stop, "the conditions")

    def _emit(
        self, kind: str, message: str, *, node: str | None = None, severity: str = "info", **facts: Any
    ) -> None:
        """Writes a line of the timeline from any thread, without waiting."""
        self.engine.post(lambda: self.engine.field.emit(kind, message, node=node, severity=severity, **facts))

    def _host_of(self, name: str) -> str:
        node = self.engine.field.nodes.get(name)
        return node.settings.destination.host if node is not None else ""

    def _begin(
        self, start: Callable[..., object], end: Callable[[], object], what: str, *args: object
    ) -> None:
        start(*args)
        self._ends.append((what, end))

    def _check(self) -> None:
        """What must be right before anything is touched."""
        if found := machine.problems(self.config, root=False):
            raise ConfigError(found)

    def _refuse_strange_root(self) -> None:
        """A root that never was there is a mistake in the configuration; one that was there is a fault to sit out."""
        root = self.config.publish.root
        if not root.is_dir() and (self.at_once or self.store.load().meta is None):
            raise CannotStart(
                f"publish.root: {root} is not there: create it, mount it, or correct {self.config.path}"
            )

    def stop(self) -> None:
        """Ends what was started, last first; a part that fails to end does not keep the others."""
        self._ending.set()
        while self._ends:
            what, end = self._ends.pop()
            try:
                end()
            except Exception:
                log.exception("%s did not end cleanly", what)
        with self.app.app_context():
            for engine in db.engines.values():
                engine.dispose()

    def _on_lease(self, held: bool, reason: str = "") -> None:
        if held:
            return
        if self._lease is not None and not self._lease.taken():
            log.warning("the lease is in doubt (%s): nothing is sent until it is renewed", reason)
        else:
            log.error(
                "another supervisor has taken over (%s): this one stops", reason or "the lease was lost"
            )
            self.lost.set()
            if hasattr(self, "reconciler"):
                self.reconciler.lost.set()
        if hasattr(self, "engine"):
            for node in list(self.engine.field.nodes.values()):
                for work in (node.work, node.audit):
                    if work is not None:
                        work.control.stop.cancel("the lease was lost")

    def _set_timers(self) -> None:
        timers = self.engine.timers
        if self.at_once:
            return
        if self.inventory.seconds is not None:
            self.inventory.ask()
            timers.every("node source", self.inventory.seconds, self.inventory.ask)
        timers.every("retention", 3600.0, self._trim_in_background)

    def _trim_in_background(self) -> None:
        threading.Thread(target=self._trim, name="retention", daemon=True).start()

    def _trim(self) -> None:
        secret_drafts.sweep(secret_drafts.folder_in(self.config.data_dir), self.config.path)
        try:
            trim(self.app, self.engine.wall() - self.config.retention_days * DAY_SECONDS, fence=self._lease)
            self.alerting.store.trim(self.engine.wall() - self.config.retention_days * DAY_SECONDS)
        except StoreError as error:
            log.warning("old events were not removed: %s", error)

    # ── DNS ──────────────────────────────────────────────────────────────────────────────────────────────

    def _make_dns(self) -> None:
        self.book = AddressBook(
            self.records,
            self._shop,
            self.engine.timers,
            changed=self._address_changed,
            told=self._told_by_address,
            probed=lambda node, address, good: self.reconciler.address_probed(node, address, good),
            probe_seconds=self.config.health.sleep_times.ready,
        )
        self.reconciler = Reconciler(
            self.config,
            self.engine,
            self.records,
            self.book,
            installation=self._installation_id(),
            at_once=self.at_once,
        )
        self.engine.field.listeners.append(self.reconciler)

    def _start_dns(self) -> None:
        self.book.load_reports()
        self._configure_book()
        self.reconciler.start(self._node_configs())

    def _stop_dns(self) -> None:
        self.reconciler.stop()
        self.book.stop()

    def _node_configs(self) -> list[NodeConfig]:
        return [node for node, _ in self.inventory.nodes()]

    def _configure_book(self) -> None:
        self.book.configure([(node, destination(self.config, node)) for node, _ in self.inventory.nodes()])

    def _installation_id(self) -> str:
        """A few letters that tell our records from those of another Lockstep, made once."""
        known = self.records.fact("installation")
        if known is None:
            known = secrets.token_hex(4)
            self.records.save_fact("installation", known)
        return str(known)

    def _address_changed(self, name: str) -> None:
        self._follow(name)
        self.reconciler.wake()

    def _follow(self, name: str) -> None:
        """A node without a host goes where its first address goes; one that is lost for a while stays there."""
        first = self.book.first().get(name)
        with self._following:
            if first is None or self._addresses.get(name) == first:
                return
            self._addresses = {**self._addresses, name: first}
            known = dict(self._addresses)
        if not any(node.name == name and node.host is None for node in self._node_configs()):
            return
        try:
            self.records.save_fact(FOLLOWED, known)
        except LedgerUnavailableError as error:
            log.warning("where nodes went is kept in memory only: %s", error)
        self.engine.post(lambda: self.engine.set_nodes_here(self.nodes()))

    def _stored_addresses(self) -> dict[str, str]:
        """Where nodes without a host were before the start: else each start would take them for new ones."""
        try:
            return dict(self.records.fact(FOLLOWED, {}))
        except LedgerUnavailableError as error:
            log.warning("where nodes were before the start is not known: %s", error)
            return {}

    def _told_by_address(self, node: str, message: str, severity: str) -> None:
        self.engine.post(lambda: self.engine.field.emit("address", message, node=node, severity=severity))

    # ── nodes ────────────────────────────────────────────────────────────────────────────────────────────

    def nodes(self) -> list[NodeSettings]:
        """Every node of the file and the source, as the engine takes it."""
        return [
            node_settings(self.config, node, self._shop, self._addresses, origin)
            for node, origin in self.inventory.nodes()
        ]

    def _nodes_changed(self) -> None:
        self.reconciler.set_nodes(self._node_configs())  # first: what is gone must not look like an order
        self.engine.set_nodes(self.nodes())
        self._configure_book()
        self.reconciler.wake()

    def _told_by_source(self, message: str, severity: str) -> None:
        self.engine.call(lambda: self.engine.field.emit("inventory", message, severity=severity))

    def _notice(self, sentence: str) -> None:
        log.warning("%s", sentence)
        if hasattr(self, "engine"):
            self.engine.post(lambda: self.engine.field.emit("probe", sentence, severity="warning"))

    # ── reload ───────────────────────────────────────────────────────────────────────────────────────────

    def reload(self) -> list[str]:
        """What needs a restart, in sentences. Raises ConfigError: then the old configuration runs on."""
        with self._reloading:
            try:
                config = load(self.config.path, self.config.env)
            except Exception as error:
                self.reload_ok, self.reload_error = False, str(error)
                raise
            said = [
                f"{key} changed: restart to take it up" for key in diff_needs_restart(self.config, config)
            ]
            try:
                self.alerting.reload(config)
            except ChannelError as error:
                self.reload_ok, self.reload_error = False, f"alerts.channels: {error}"
                raise
            configure_logs(config.log, self.config.data_dir, secrets_of(config))
            passes = self.reconciler.pause()
            try:
                self.config = config
                self.inventory.reconfigure(config)
                self.engine.reconfigure(engine_settings(config, self.nodes()))
                self._configure_book()
            finally:
                self.reconciler.configure(config, self._node_configs(), passes)
            if self.inventory.seconds is None:
                self.engine.timers.cancel("node source")
            else:
                self.engine.timers.every("node source", self.inventory.seconds, self.inventory.ask)
            self.reload_ok, self.reload_error = True, ""
            self.operations.forget_status()
            self.engine.post(lambda: self.engine.field.emit("config", "configuration reloaded"))
            return said

    # ── the control socket's actions ─────────────────────────────────────────────────────────────────────

    def _actions(self) -> Mapping[str, Callable[[Mapping[str, Any], Callable[[Any], None]], Any]]:
        do = self.operations
        return {
            "ping": lambda a, say: {"pid": os.getpid(), "kind": self.kind},
            "status": lambda a, say: do.status(),
            "dustbin": lambda a, say: do.dustbin(a.get("node")),
            "held": lambda a, say: do.held_deletions(),
            "check": lambda a, say: self._check_nodes(list(a["names"])),
            "resync": lambda a, say: do.resync(a["names"], bool(a.get("accept_deletions"))),
            "drain": lambda a, say: do.drain(a["name"], bool(a["drained"])),
            "retry": lambda a, say: do.retry(a.get("ids")),
            "discard": lambda a, say: do.discard(a.get("ids")),
            "reload": lambda a, say: {"restart": self._reload_for_command()},
            "sync-once": self.sync_once,
            "alerts": lambda a, say: do.alerts(),
            "alerts-test": lambda a, say: do.test_channel(str(a["channel"])),
            "alerts-silence": lambda a, say: do.silence(
                float(a["seconds"]), a.get("condition"), a.get("object"), str(a.get("comment") or "")
            ),
            "alerts-end-silence": lambda a, say: do.end_silence(str(a["id"])),
            "dns-plan": lambda a, say: do.dns_plan(),
            "dns-apply": lambda a, say: do.dns_apply(bool(a.get("confirmed")), a.get("adopt", ())),
            "dns-freeze": lambda a, say: do.freeze(str(a.get("reason") or "")),
            "dns-unfreeze": lambda a, say: do.unfreeze(),
            "dns-history": lambda a, say: do.dns_history(
                int(a.get("limit") or 100), a.get("before"), a.get("service")
            ),
        }

    def act(self, do: str, arguments: Mapping[str, Any]) -> Any:
        """Does in this process what the control socket would do. Raises Refused."""
        return self._actions()[do](arguments, lambda facts: None)

    def _reload_for_command(self) -> list[str]:
        try:
            return self.reload()
        except Exception as error:
            raise Refused("configuration", str(error)) from error

    def _check_nodes(self, names: list[str]) -> Any:
        checked = once.check(self.engine, names)
        self.operations.forget_status()  # else whoever asks next is told what was before
        return {"checked": checked}

    def sync_once(self, a: Mapping[str, Any], say: Callable[[Any], None]) -> Any:
        """`flask sync-once`, inside a running service or a one-off one."""
        engine, names = self.engine, list(a.get("nodes", ()))
        differences = 0
        if a.get("dry_run"):
            rows, differences = once.compare(engine, names)
        elif a.get("paths"):
            rows = once.send_paths(engine, names, list(a["paths"]))
        else:
            rows = once.resync_all(engine, names, bool(a.get("accept_deletions")), say)
        dns = self._reconcile_once(a, rows)
        published, compared = dict(self.operations.publications()), bool(a.get("dry_run"))
        nodes = once.result_rows(engine, rows, published, compared=compared)
        return {
            "ok": all(row.ok for row in rows),
            "head": engine.field.tail.head,
            "nodes": nodes,
            "dns": dns,
            "differences": differences,
        }

    def _reconcile_once(self, a: Mapping[str, Any], rows: Sequence[once.Row]) -> dict[str, Any]:
        if a.get("no_dns") or a.get("dry_run") or a.get("paths"):
            return {"applied": 0, "held": None}
        done = self.reconciler.apply(confirmed=False, proven=True)
        return {name: done[name] for name in ("applied", "failed", "held", "waiting")}


def watch(settings: SurveySettings, surveyor: Surveyor) -> Watching:
    """The real watcher over the configured root."""
    return Watcher(Path(os.fsdecode(settings.root)), settings.scope, surveyor)  # type: ignore[return-value]
