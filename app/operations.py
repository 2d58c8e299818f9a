"""What can be asked of a running service, by the API, the pages and the control socket alike. Knows no HTTP.

Every operation takes and answers plain JSON values. Errors are `Refused`, with a code a program can act on and
a message a person can.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import TimeoutError as FutureTimeout
from typing import TypeVar

from app.address_book import AddressBook
from app.alert_operations import AlertOperations
from app.cutting import Key, key_of_text, page_of, text_of_key
from app.naming import unknown
from app.reconcile import Reconciler
from app.refused import Refused as Refused
from app.stores.reading import Reading
from app.stores.rows import dustbin_id
from app.views import Json, Publications, entry_view, node_view, path_view, status_view
from app.views import Published as Published
from dns.ledger import LedgerUnavailableError
from sync.core.dustbin import Binned
from sync.engine import Engine, UnknownNode

T = TypeVar("T")

FRESH_SECONDS = 0.2
STUCK_SECONDS = 10.0
MOST_HELD = 1_000_000


def _binned_key(entry: Binned) -> Key:
    return entry.discarded, -entry.first_failed_at, dustbin_id(entry.node, entry.path)


def _held_key(held: tuple[str, bytes]) -> Key:
    return held[0], _sortable(held[1])


def _sortable(path: bytes) -> str:
    """The bytes as text of the same order."""
    return path.decode("latin-1")


class Operations(AlertOperations):
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

    def nodes_page(self, limit: int, before: str | None) -> Json:
        """A page of them, by name."""
        found = self.status()["nodes"]
        shown, more = self._page(found, lambda n: (str(n["name"]),), limit, before, ("",))
        return {"nodes": shown, "next_before": more}

    def node(self, name: str) -> Json:
        """`GET /api/v1/nodes/<name>`."""
        published = self.publications()

        def look() -> Json:
            node = self.engine.node(name)
            return node_view(self.engine, node, published.get(name, Published()))

        return self._ask(look)

    def dustbin(self, node: str | None = None, limit: int | None = None, before: str | None = None) -> Json:
        """`GET /api/v1/dustbin`: what is still tried first, then newest first; None: all of it."""
        found = self._binned(node)
        shown, more = self._page(found, _binned_key, limit, before, (False, 0.0, ""))
        return {
            "entries": [entry_view(e, dustbin_id(e.node, e.path)) for e in shown],
            "total": len(found),
            "next_before": more,
        }

    def failed_on(self, paths: Iterable[bytes]) -> set[tuple[str, bytes]]:
        """Which of the paths stand in which node's dustbin, as (node, path)."""
        wanted = list(paths)

        def look() -> set[tuple[str, bytes]]:
            nodes = self.engine.field.nodes.values()
            return {(n.name, path) for n in nodes if n.dustbin for path in wanted if path in n.dustbin}

        return self._ask(look)

    def source_errors(self, limit: int, before: str | None) -> Json:
        """`GET /api/v1/source/errors`: what cannot be read at the source, by path."""
        found = self._ask(self.engine.field.source_errors.copy)
        shown, more = self._page(list(found), lambda path: (_sortable(path),), limit, before, ("",))
        errors = [path_view(path) | {"error": found[path][0]} for path in shown]
        return {"errors": errors, "total": len(found), "next_before": more}

    def held_deletions(self, limit: int = 1000, before: str | None = None, node: str | None = None) -> Json:
        """What would be deleted, where deletion waits for a person: the source's first, then node by node.

        ``node``: only of this one; "" is the source.
        """
        groups = self._held()
        found = [(name, path) for name, paths in groups.items() if node in (None, name) for path in paths]
        shown, more = self._page(found, _held_key, limit, before, ("", ""))
        views: dict[str, list[Json]] = {}
        for name, path in shown:
            views.setdefault(name, []).append(path_view(path))
        return {
            "source": views.pop("", []),
            "nodes": views,
            "total": len(found),
            "next_before": more,
        }

    def held_groups(self, limit: int) -> list[Json]:
        """The same for a page: who holds how many, and the first of each. ``node`` None is the source."""
        return [
            {
                "node": name or None,
                "total": len(paths),
                "paths": [path_view(p) for p in page_of(paths, lambda p: (_sortable(p),), limit)[0]],
            }
            for name, paths in self._held().items()
        ]

    def _held(self) -> dict[str, list[bytes]]:
        """Copies, so that nothing is sorted in the engine's thread; "" is the source."""

        def look() -> dict[str, list[bytes]]:
            source = self.engine.surveyor.held_paths(MOST_HELD)
            nodes = {n.name: list(n.would_delete) for n in self.engine.field.nodes.values()}
            return {name: paths for name, paths in {"": source, **nodes}.items() if paths}

        return self._ask(look)

    def _binned(self, node: str | None = None) -> list[Binned]:
        def look() -> list[Binned]:
            nodes = self.engine.field.nodes.values()
            return [e for each in nodes if node in (None, each.name) for e in each.dustbin.values()]

        return self._ask(look)

    @staticmethod
    def _page(
        found: Sequence[T], key: Callable[[T], Key], limit: int | None, before: str | None, like: Key
    ) -> tuple[list[T], str | None]:
        try:
            behind = None if before is None else key_of_text(before, like)
        except ValueError:
            raise Refused("bad_request", "before must be the next_before of an earlier answer") from None
        shown, more = page_of(found, key, len(found) if limit is None else limit, behind)
        return shown, text_of_key(more)

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

    def retry(self, ids: Iterable[str] | None, node: str | None = None, *, known: bool = True) -> Json:
        """Tries dustbin entries again now. ``ids`` None: all, or all of ``node``'s.

        Raises Refused when there is one of them no more; with ``known`` False those are only counted.
        """
        retried, missing = self._change_entries(self.engine.retry_paths, ids, node, known)
        self.forget_status()
        return {"retried": retried} | ({} if known else {"unknown": missing})

    def discard(self, ids: Iterable[str] | None, node: str | None = None, *, known: bool = True) -> Json:
        """Stops trying dustbin entries; otherwise as ``retry``."""
        discarded, missing = self._change_entries(self.engine.discard_paths, ids, node, known)
        return {"discarded": discarded} | ({} if known else {"unknown": missing})

    def _change_entries(
        self,
        change: Callable[[Callable[[str, bytes], bool]], int],
        ids: Iterable[str] | None,
        of: str | None,
        known: bool,
    ) -> tuple[int, list[str]]:
        if of is not None:
            self._refuse_unknown([of])
        if ids is None:
            return change(lambda node, path: of in (None, node)), []
        wanted = set(ids)
        chosen = {dustbin_id(e.node, e.path): (e.node, e.path) for e in self._binned(of)}
        missing = sorted(wanted - chosen.keys())
        if missing and known:
            raise Refused("unknown_entry", f"there is no dustbin entry {', '.join(missing)}")
        pairs = {pair for name, pair in chosen.items() if name in wanted}
        return change(lambda node, path: (node, path) in pairs), missing

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
