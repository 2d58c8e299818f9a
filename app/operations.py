"""What can be asked of a running service, by the API, the pages and the control socket alike. Knows no HTTP.

Every operation takes and answers plain JSON values. Errors are `Refused`, with a code a program can act on and
a message a person can.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import TimeoutError as FutureTimeout
from typing import TypeVar

from app.address_book import AddressBook
from app.alerting import Alerting
from app.alerts.model import Condition
from app.naming import unknown
from app.reconcile import Reconciler
from app.stores.reading import Reading
from app.stores.rows import dustbin_id
from app.views import Json, Publications, alert_view, entry_view, node_view, path_view, status_view
from app.views import Published as Published
from dns.ledger import LedgerUnavailableError
from sync.core.dustbin import Binned
from sync.engine import Engine, UnknownNode

T = TypeVar("T")

FRESH_SECONDS = 0.2
STUCK_SECONDS = 10.0


class Refused(Exception):  # noqa: N818 - it is an answer, not a fault
    """An operation that cannot be done: ``code`` for programs, the message for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Operations:
    """The operations of one running service. Thread-safe."""

    def __init__(
        self,
        engine: Engine,
        reading: Reading,
        *,
        dns: Reconciler,
        book: AddressBook,
        reload: Callable[[], list[str]] = list,
    ) -> None:
        self.engine = engine
        self.reading = reading
        self.dns = dns
        self.book = book
        self.publications: Publications = dns.publications
        self.alerting: Alerting | None = None  # a one-off run tells nobody
        self.reload = reload
        self._status: tuple[float, Json] | None = None
        self._lock = threading.Lock()

    # ── looking ──────────────────────────────────────────────────────────────────────────────────────────

    def status(self) -> Json:
        """`GET /api/v1/status`, at most 0.2 s old; with an engine that is stuck, the last one there was."""
        with self._lock:
            if self._status is not None and time.monotonic() - self._status[0] < FRESH_SECONDS:
                return self._status[1]
            published, dns = self.publications(), self.dns.status()
            try:
                view = self.engine.call(lambda: status_view(self.engine, published, dns), STUCK_SECONDS)
            except FutureTimeout:
                if self._status is None:
                    raise Refused("busy", "the service does not answer: see its log") from None
                view = self._status[1]
            self._status = (time.monotonic(), view)
            return view

    def forget_status(self) -> None:
        """The next status is read anew: something was ordered, and whoever did so wants to see it."""
        with self._lock:
            self._status = None

    def nodes(self) -> Json:
        """`GET /api/v1/nodes`."""
        return {"nodes": self.status()["nodes"]}

    def node(self, name: str) -> Json:
        """`GET /api/v1/nodes/<name>`."""
        published = self.publications()

        def look() -> Json:
            node = self.engine.node(name)
            return node_view(self.engine, node, published.get(name, Published()))

        return self._ask(look)

    def dustbin(self, node: str | None = None) -> Json:
        """`GET /api/v1/dustbin`."""

        def look() -> Json:
            entries: list[Binned] = []
            for each in self.engine.field.nodes.values():
                if node in (None, each.name):
                    entries += each.dustbin.values()
            return {"entries": [entry_view(e, dustbin_id(e.node, e.path)) for e in entries]}

        return self._ask(look)

    def held_deletions(self, limit: int = 1000) -> Json:
        """What would be deleted, where deletion waits for a person."""

        def look() -> Json:
            return {
                "source": [path_view(p) for p in self.engine.surveyor.held_paths(limit)],
                "nodes": {
                    n.name: [path_view(p) for p in n.would_delete[:limit]]
                    for n in self.engine.field.nodes.values()
                    if n.would_delete
                },
            }

        return self._ask(look)

    # ── acting ───────────────────────────────────────────────────────────────────────────────────────────

    def check(self, names: Iterable[str]) -> Json:
        """Observes the nodes now."""
        names = list(names)
        self._refuse_unknown(names)
        self.engine.check(names)
        return {"checking": names}

    def resync(self, names: Iterable[str], accept_deletions: bool = False) -> Json:
        """Asks for full resyncs; with ``accept_deletions`` a person takes the source and its deletions as they are."""
        names = list(names) or list(self.engine.field.nodes)
        self._refuse_unknown(names)
        survey = self.engine.settings.survey
        fault = self.engine.surveyor.fault if survey.scope.delete and not accept_deletions else None
        if fault is not None:
            raise Refused("source", f"no full resync while deletion is stopped: {fault}")
        refused = self.engine.resync(names, accept_deletions=accept_deletions)
        if refused is not None:
            raise Refused("source", refused)
        return {"resyncing": names}

    def drain(self, name: str, drained: bool) -> Json:
        """Drains (still synced, never published) or undrains."""
        self._refuse_unknown([name])
        try:
            self.engine.drain(name, drained)
        except UnknownNode as error:
            raise Refused("unknown_node", str(error)) from None
        self.dns.wake()
        self.forget_status()
        return {"name": name, "drained": drained}

    def retry(self, ids: Iterable[str] | None) -> Json:
        """Tries dustbin entries again now; None: all."""
        retried = self._change_entries(self.engine.retry_paths, ids)
        self.forget_status()
        return {"retried": retried}

    def discard(self, ids: Iterable[str] | None) -> Json:
        """Stops trying dustbin entries; None: all."""
        return {"discarded": self._change_entries(self.engine.discard_paths, ids)}

    def _change_entries(
        self, change: Callable[[Callable[[str, bytes], bool]], int], ids: Iterable[str] | None
    ) -> int:
        if ids is None:
            return change(lambda node, path: True)
        wanted = set(ids)
        known = {e["id"] for e in self.dustbin()["entries"]}
        if missing := wanted - known:
            raise Refused("unknown_entry", f"there is no dustbin entry {', '.join(sorted(missing))}")
        return change(lambda node, path: dustbin_id(node, path) in wanted)

    # ── alerts ───────────────────────────────────────────────────────────────────────────────────────────

    def _alerting(self) -> Alerting:
        if self.alerting is None:
            raise Refused(
                "not_running", "alerts are told by a running service only: start it with `make serve`"
            )
        return self.alerting

    def alerts(self) -> Json:
        """What holds now, what is silenced, and the channels there are."""
        alerts = self._alerting().alerts
        return {
            "alerts": [alert_view(alert) for alert in alerts.alerts],
            "silences": [
                {
                    "id": s.id,
                    "until": s.until,
                    "condition": s.condition,
                    "object": s.object,
                    "comment": s.comment,
                }
                for s in alerts.silences
            ],
            "channels": sorted(alerts.outbox.channels),
        }

    def test_channel(self, channel: str) -> Json:
        """Sends a test over a channel and says in full what happened."""
        try:
            delivery = self._alerting().alerts.test(channel)
        except KeyError:
            names = ", ".join(sorted(self._alerting().alerts.outbox.channels)) or "none are configured"
            raise Refused(
                "unknown_channel", f"there is no channel {channel!r}; the channels are: {names}"
            ) from None
        return {"channel": channel, "ok": delivery.ok, "detail": delivery.detail}

    def silence(self, seconds: float, condition: str | None, name: str | None, comment: str) -> Json:
        """Tells nothing of these alerts for a while."""
        try:
            chosen = Condition(condition) if condition else None
        except ValueError:
            raise Refused(
                "usage", f"there is no condition {condition!r}; there are: {', '.join(Condition)}"
            ) from None
        begun = self._alerting().alerts.silence(time.time() + seconds, chosen, name, comment)
        return {"id": begun.id, "until": begun.until}

    def end_silence(self, silence_id: str) -> Json:
        """Ends a silence early."""
        if not self._alerting().alerts.end_silence(silence_id):
            raise Refused("unknown_silence", f"there is no silence {silence_id!r}")
        return {"ended": silence_id}

    # ── DNS ──────────────────────────────────────────────────────────────────────────────────────────────

    def dns_plan(self) -> Json:
        """`GET /api/v1/dns/plan`: what would be done now, and what is held."""
        return self.dns.plan()

    def dns_apply(self, confirmed: bool = False, adopt: Iterable[str] = ()) -> Json:
        """One pass now. ``confirmed``: a person says yes to withdrawals; ``adopt``: services that take over."""
        adopt = list(adopt)
        known = [service["name"] for service in self.dns.status()["services"]]
        for name in adopt:
            if name not in known:
                raise Refused(
                    "unknown_service",
                    f"there is no service {name!r}; there are: {', '.join(known) or 'none'}",
                )
        return self.dns.apply(confirmed=confirmed, adopt=adopt)

    def freeze(self, reason: str) -> Json:
        """Nothing is written to DNS until ``unfreeze``."""
        return self._stored(lambda: self.dns.freeze(reason), {"frozen": reason or "no reason given"})

    def unfreeze(self) -> Json:
        """DNS is written again."""
        return self._stored(self.dns.unfreeze, {"frozen": None})

    def _stored(self, act: Callable[[], None], answer: Json) -> Json:
        try:
            act()
        except LedgerUnavailableError as error:
            raise Refused("database", f"it holds until the next restart only: {error}") from error
        return answer

    def dns_history(self, limit: int = 100, before: int | None = None, service: str | None = None) -> Json:
        """`GET /api/v1/dns/history`, newest first."""
        try:
            return {"history": self.dns.store.history(limit, before, service)}
        except LedgerUnavailableError as error:
            raise Refused("database", str(error)) from error

    def report_address(self, node: str, addresses: Iterable[str]) -> Json:
        """A node says where it is: whether that differs, and what is known of it now."""
        self.node(node)
        if not self.book.takes_reports(node):
            raise Refused(
                "not_reported", f"{node} has no entry `reported: true` under addresses in config.yml"
            )
        try:
            changed = self.book.report(node, addresses)
        except ValueError as error:
            raise Refused("bad_address", str(error)) from None
        found, _ = self.book.addresses(node)
        return {"name": node, "changed": changed, "addresses": [address.value for address in found]}

    def _refuse_unknown(self, names: Iterable[str]) -> None:
        known = self._ask(lambda: list(self.engine.field.nodes))
        for name in names:
            if name not in known:
                raise Refused("unknown_node", unknown("node", name, known))

    def _ask(self, look: Callable[[], T]) -> T:
        try:
            return self.engine.call(look, STUCK_SECONDS)
        except UnknownNode as error:
            raise Refused("unknown_node", str(error)) from None
        except FutureTimeout:
            raise Refused("busy", "the service does not answer: see its log") from None
