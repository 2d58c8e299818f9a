"""Turns hints about the publish directory into settled changes for the engine; never speaks to a node.

One thread owns everything here. Marks come in from the watcher, doubts are scanned in a second thread (a
slow disk must not delay the events), and what has settled leaves as one message. Deletions pass the rails
of sync/core/rails.py on their way; what is held has no seq yet, so it is nobody's lag.
"""

from __future__ import annotations

import logging
import os
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

from sync.core.journal import is_below, signature, topmost
from sync.core.model import GONE, Kind, Stat
from sync.core.quiet import Quiet, QuietRules
from sync.core.rails import Identity, MassDeletion, Peak, Source, fault
from sync.core.scope import Scope
from sync.ports import Meta, Store, StoreError
from sync.scan import look, root_identity, scan

log = logging.getLogger(__name__)

CHUNK = 5000
RETRY_SECONDS = 5.0
UNWATCHED_RESCAN_SECONDS = 30.0
UNREADABLE_RETRY_SECONDS = 30.0
FAULT_LOOK_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class SurveySettings:
    """The ``publish`` section as the surveyor needs it; ``root`` is absolute, not resolved."""

    root: bytes
    scope: Scope
    quiet: QuietRules = QuietRules()
    max_shrink_percent: float = 50
    rescan_seconds: float = 0


# ── what the engine is told ──────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Settled:
    """Paths whose change may go out now; GONE ones have passed the rails. ``left`` ones left the scope."""

    changes: Sequence[tuple[bytes, Stat]]
    left: bool = False


@dataclass(frozen=True, slots=True)
class SourceNews:
    """The source's standing: ``fault`` (why nothing may be deleted) and how many deletions wait."""

    fault: str | None
    held: int
    mass: bool
    root: Identity | None
    mounts: tuple[bytes, ...]
    unreadable: tuple[bytes, ...]
    watch: str | None


@dataclass(frozen=True, slots=True)
class FirstScanDone:
    """Watches stand, the tree was compared with the manifest, and what differed has been sent before this."""

    files: int
    seconds: float


Tell = Callable[[Settled | SourceNews | FirstScanDone], None]


class Watching:
    """What the surveyor asks of a watcher; this one watches nothing, for a one-off run that scans instead."""

    events = 0
    overflows = 0
    directories = 0
    unwatched: frozenset[bytes] = frozenset()

    def start(self) -> bool:
        """Sets the watches; False when the root cannot be watched now."""
        return True

    def stop(self) -> None:
        """Ends every thread; may be called twice."""

    def restart(self, reason: str = "") -> bool:
        """Builds all watches anew and doubts everything; False when the root cannot be watched now."""
        return True

    def retry(self) -> int:
        """Tries the unwatched directories again; how many are watched now."""
        return 0

    def broken(self) -> str | None:
        """What ``restart`` would cure."""
        return None

    def healthy(self) -> str | None:
        """None, or what is wrong and what to do."""
        return None


# ── inbox ────────────────────────────────────────────────────────────────────────────────────────────────

_WAKE = "wake"
_TICK = "tick"
_STOP = "stop"


@dataclass(frozen=True, slots=True)
class _ScanChunk:
    changed: list[tuple[bytes, Stat]]


@dataclass(frozen=True, slots=True)
class _ScanDone:
    prefixes: list[bytes]
    gone: list[bytes]
    left: list[bytes]
    unreadable: list[bytes]
    mounts: dict[bytes, bool]
    first: bool
    seconds: float
    error: str | None = None


@dataclass(frozen=True, slots=True)
class _Accept:
    done: Callable[[str | None], None]


@dataclass(frozen=True, slots=True)
class _Rescope:
    settings: SurveySettings


@dataclass(frozen=True, slots=True)
class _Recheck:
    paths: tuple[bytes, ...]


@dataclass(slots=True)
class _Doubts:
    """Prefixes in doubt, with the times that decide when they are scanned."""

    prefixes: dict[bytes, str] = field(default_factory=dict)
    first: float = 0.0
    last: float = 0.0

    def add(self, prefix: bytes, reason: str, now: float) -> None:
        if not self.prefixes:
            self.first = now
        self.last = now
        self.prefixes.setdefault(prefix, reason)

    def due_at(self, rules: QuietRules) -> float | None:
        if not self.prefixes:
            return None
        return min(self.last + rules.quiet_seconds, self.first + rules.max_delay_seconds)


class Surveyor:
    """Owns the dirty paths, the doubts and the deletions on hold. ``tell`` is called from its thread only."""

    def __init__(
        self,
        settings: SurveySettings,
        store: Store,
        tell: Tell,
        being_sent: Callable[[bytes], bool] = lambda path: False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings = settings
        self.store = store
        self.tell = tell
        self.being_sent = being_sent
        self.clock = clock
        self.make_watcher: Callable[[SurveySettings, Surveyor], Watching] = lambda settings, sink: Watching()
        self.watcher: Watching = Watching()
        self.first_scan_done = threading.Event()
        self._marks: deque[bytes] = deque()
        self._doubt_marks: deque[tuple[bytes, str]] = deque()
        self._signalled = False
        self._inbox: queue.SimpleQueue[object] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._loop, name="surveyor", daemon=True)
        self._scans = ThreadPoolExecutor(1, thread_name_prefix="scan")
        self._scanning = False
        self._stopping = False
        self._quiet = Quiet(settings.quiet)
        self._doubts = _Doubts()
        self._live: dict[int, int] = {}  # hash(path) → signature of every live path
        self._held: dict[bytes, None] = {}  # deletions that wait, oldest first
        self._mass = MassDeletion()
        self._peak = Peak()
        self._expected: Identity | None = None
        self._stored_inode = 0
        self._root: Identity | None = None
        self._mounts: dict[bytes, bool] = {}
        self._unreadable: dict[bytes, float] = {}  # path → when to look again
        self._seen_paths: set[bytes] = set()  # configured sub-folders that have been there
        self._news: SourceNews | None = None
        self._fault: str | None = None
        self._retry_watch_at = 0.0
        self._next_rescan = 0.0
        self._next_rescan_of_unwatched = 0.0
        self._judged_at = float("-inf")

    # ── called from other threads ────────────────────────────────────────────────────────────────────────

    def dirty(self, path: bytes) -> None:
        """The path changed or went (from the watcher's thread; cheap)."""
        self._marks.append(path)
        self._wake()

    def doubt(self, prefix: bytes, reason: str) -> None:
        """Everything at or below the prefix must be compared with the manifest."""
        self._doubt_marks.append((prefix, reason))
        self._wake()

    def _wake(self) -> None:
        if not self._signalled:
            self._signalled = True
            self._inbox.put(_WAKE)

    def start(self, meta: Meta | None) -> None:
        """Watches first, then one scan of everything; FirstScanDone follows."""
        if meta is not None:
            self._peak.add(self.clock(), meta.files)
            self._stored_inode = meta.root_inode
            self._mounts = {os.fsencode(m): True for m in meta.mounts}
            if meta.scope_paths == tuple(os.fsdecode(p) for p in self.settings.scope.paths):
                self._seen_paths = set(self.settings.scope.paths)
        self._thread.start()
        self.doubt(b"", "start")

    def stop(self) -> None:
        """Ends both threads and the watcher."""
        self._stopping = True
        self._inbox.put(_STOP)
        if self._thread.is_alive():
            self._thread.join(10)
        self.watcher.stop()
        self._scans.shutdown(wait=True, cancel_futures=True)

    def tick(self) -> None:
        """Look after the root, the watcher and the timers of this part; asked for every second."""
        self._inbox.put(_TICK)

    def accept(self, timeout_seconds: float = 10) -> str | None:
        """A person takes the source as it is, deletions included; why not, or None when it was done."""
        answer: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._inbox.put(_Accept(answer.put))
        try:
            return answer.get(timeout=timeout_seconds)
        except queue.Empty:
            return "the source could not be looked at in time: is its file system answering?"

    def rescope(self, settings: SurveySettings) -> None:
        """Takes other settings; what leaves the scope is deleted from the nodes behind the rails."""
        self._inbox.put(_Rescope(settings))

    def recheck(self, paths: Sequence[bytes]) -> None:
        """Looks at these paths again as if they had changed."""
        if paths:
            self._inbox.put(_Recheck(tuple(paths)))

    def held_paths(self, limit: int = 1000) -> list[bytes]:
        """The deletions that wait, for the page and the confirmation."""
        return list(self._held.copy())[:limit]

    @property
    def files(self) -> int:
        """How many paths the publish directory holds."""
        return len(self._live)

    @property
    def pending(self) -> int:
        """How many dirty paths have not settled."""
        return len(self._quiet) + len(self._marks)

    @property
    def fault(self) -> str | None:
        """Why nothing may be deleted now."""
        return self._fault

    def may_delete(self) -> str | None:
        """None when a run with deletion may start this moment, else why not. Looks at the root itself."""
        if self._fault:
            return self._fault
        if self._mass.holds(self.clock()) and self._held:
            return "many paths were deleted just now: waiting for the tree to come to rest"
        identity = root_identity(self.settings.root)
        if identity is None:
            return "the publish directory is missing or is no directory: mount or restore it"
        if self._root is not None and Identity(*identity) != self._root:
            return "the publish directory was replaced just now: it is being compared"
        return None

    # ── the loop ─────────────────────────────────────────────────────────────────────────────────────────

    def _loop(self) -> None:
        self._look_at_root()
        self._new_watcher()
        while not self._stopping:
            try:
                message = self._inbox.get(timeout=self._seconds_to_next())
            except queue.Empty:
                message = _WAKE
            if message == _STOP:
                return
            try:
                self._handle(message)
                self._advance(self.clock())
            except StoreError as error:
                log.warning("the journal cannot be read (%s); everything is compared again later", error)
                self.doubt(b"", "the journal could not be read")
                self._doubts.last = self.clock() + RETRY_SECONDS
            except Exception:
                log.exception("the survey of the publish directory stumbled; everything is compared again")
                self._doubts.add(b"", "an internal error", self.clock() + RETRY_SECONDS)

    def _seconds_to_next(self) -> float:
        now = self.clock()
        times = [
            t for t in (self._quiet.next_at(), self._mass.next_at() if self._held else None) if t is not None
        ]
        doubts = self._doubts.due_at(self._quiet.rules)
        if doubts is not None and not self._scanning:
            times.append(doubts)
        return max(0.0, min(times, default=now + 5.0) - now)

    def _handle(self, message: object) -> None:
        if message == _TICK:
            self._on_tick()
        elif isinstance(message, _ScanChunk):
            self._settle([(p, s) for p, s in message.changed if self._live.get(hash(p)) != signature(s)])
        elif isinstance(message, _ScanDone):
            self._on_scan_done(message)
        elif isinstance(message, _Accept):
            message.done(self._on_accept())
        elif isinstance(message, _Rescope):
            self._on_rescope(message.settings)
        elif isinstance(message, _Recheck):
            for path in message.paths:
                self._quiet.touch(path, self.clock())

    def _advance(self, now: float) -> None:
        self._drain(now)
        if self.first_scan_done.is_set():
            due = self._quiet.due(now)
            if due:
                self._look_and_settle(due, now)
        self._release(now)
        due_at = self._doubts.due_at(self._quiet.rules)
        if due_at is not None and due_at <= now and not self._scanning:
            self._begin_scan()

    def _drain(self, now: float) -> None:
        self._signalled = False
        marks, quiet, being_sent = self._marks, self._quiet, self.being_sent
        if marks or self._doubt_marks:
            self._mass.moved(now)
        while marks:
            path = marks.popleft()
            quiet.touch(path, now, being_sent=being_sent(path))
        while self._doubt_marks:
            prefix, reason = self._doubt_marks.popleft()
            self._doubts.add(prefix, reason, now)

    # ── from dirty to settled ────────────────────────────────────────────────────────────────────────────

    def _look_and_settle(self, due: list[bytes], now: float) -> None:
        root, scope = self.settings.root, self.settings.scope
        settled: list[tuple[bytes, Stat]] = []
        gone: list[bytes] = []
        linked: list[bytes] = []
        for path in due:
            if not path:
                continue
            try:
                stat = look(root, path)
            except OSError as error:
                log.warning(
                    "cannot look at a path in the publish directory (%s); it is tried again", error.strerror
                )
                self._unreadable[path] = now + UNREADABLE_RETRY_SECONDS
                continue
            self._unreadable.pop(path, None)
            if stat.kind is Kind.GONE:
                if scope.carries(path, False) or hash(path) in self._live:
                    gone.append(path)
            elif scope.carries(path, stat.kind is Kind.DIRECTORY):
                settled.append((path, stat))
                if stat.links > 1 and stat.kind is Kind.FILE:
                    linked += self._other_links(path, stat)
        settled += (
            [(p, look(root, p)) for p in dict.fromkeys(linked) if p not in dict(settled)] if linked else []
        )
        self._settle(settled)
        if gone:
            self._hold(gone, now)

    def _other_links(self, path: bytes, stat: Stat) -> list[bytes]:
        return [p for p in self.store.linked(stat.dev, stat.inode) if p != path]

    def _settle(self, changes: list[tuple[bytes, Stat]]) -> None:
        if not changes:
            return
        for path, stat in changes:
            self._held.pop(path, None)
            if stat.kind is Kind.GONE:
                self._live.pop(hash(path), None)
            else:
                self._live[hash(path)] = signature(stat)
        self.tell(Settled(changes))

    def _hold(self, gone: Sequence[bytes], now: float) -> None:
        """Every deletion passes here; with the rails clear it leaves again in the same step."""
        self._mass.note(now, sum(1 for path in gone if hash(path) in self._live))
        self._held.update(dict.fromkeys(gone))

    def _release(self, now: float) -> None:
        if self._held and not self._mass.holds(now):
            if self._fault is None or now - self._judged_at >= FAULT_LOOK_SECONDS:
                self._judge(now)
            if self._fault is None:
                self._release_all()
        self._publish_news(now)

    def _release_all(self) -> None:
        held, self._held = list(self._held), {}
        scope, root = self.settings.scope, self.settings.root
        gone: list[tuple[bytes, Stat]] = []
        for path in held:
            stat = look(root, path)
            if stat.kind is Kind.GONE:
                gone.append((path, GONE))
            elif not scope.carries(path, stat.kind is Kind.DIRECTORY):
                self._live.pop(hash(path), None)
                self.tell(Settled([(path, GONE)], left=True))
            else:
                self._quiet.touch(path, self.clock())  # it is back
        for start in range(0, len(gone), CHUNK):
            self._settle(gone[start : start + CHUNK])
        self._peak.add(self.clock(), len(self._live))

    # ── the source's standing ────────────────────────────────────────────────────────────────────────────

    def _look_at_root(self) -> bool:
        """Whether another directory stands there than before."""
        identity = root_identity(self.settings.root)
        root = Identity(*identity) if identity is not None else None
        changed = root != self._root
        self._root = root
        if root is not None and self._expected is None:
            self._expected = Identity(root.dev, self._stored_inode or root.inode)
        return changed

    def _judge(self, now: float) -> None:
        self._judged_at = now
        scope = self.settings.scope
        for path in scope.paths:
            if self._is_directory(path):
                self._seen_paths.add(path)
        lacking = sum(1 for path in self._held if hash(path) in self._live)
        files = len(self._live) - lacking
        if not lacking:
            self._peak.add(now, files)
        root = self._root
        if root is not None and self._expected is not None and root != self._expected and not lacking:
            self._expected = root  # replaced by one that lacks nothing
        self._fault = fault(
            Source(
                root=root,
                expected=self._expected,
                lacks=lacking,
                files=files,
                peak=self._peak.value(now),
                is_empty=root is not None and self._is_empty(),
                mounts={m: self._is_mounted(m) for m in self._mounts},
                missing_paths=tuple(
                    p for p in scope.paths if p in self._seen_paths and not self._is_directory(p)
                ),
            ),
            self.settings.max_shrink_percent,
        )

    def _is_directory(self, path: bytes) -> bool:
        return os.path.isdir(os.path.join(self.settings.root, path))

    def _is_empty(self) -> bool:
        try:
            with os.scandir(self.settings.root) as entries:
                return not any(
                    self.settings.scope.carries(e.name, e.is_dir(follow_symlinks=False)) for e in entries
                )
        except OSError:
            return True

    def _is_mounted(self, path: bytes) -> bool:
        full = os.path.join(self.settings.root, path)
        try:
            return os.lstat(full).st_dev != os.lstat(os.path.dirname(full)).st_dev
        except OSError:
            return False

    def _on_tick(self) -> None:
        now = self.clock()
        if self._look_at_root():
            self._restart_watcher("another directory stands at publish.root")
        elif now >= self._retry_watch_at and (trouble := self.watcher.broken()) is not None:
            log.warning("watching anew: %s", trouble)
            self._restart_watcher(trouble)
        if now >= self._next_rescan_of_unwatched and self.watcher.unwatched:
            self._next_rescan_of_unwatched = now + UNWATCHED_RESCAN_SECONDS
            self.watcher.retry()
            for prefix in topmost(self.watcher.unwatched):
                self._doubts.add(prefix, "not watched", now)
        if self.settings.rescan_seconds and now >= self._next_rescan:
            self._next_rescan = now + self.settings.rescan_seconds
            self._doubts.add(b"", "rescan_seconds", now)
        for path, at in list(self._unreadable.items()):
            if now >= at:
                self._unreadable[path] = now + UNREADABLE_RETRY_SECONDS
                self._doubts.add(path, "it could not be read", now)
        self._judge(now)

    def _new_watcher(self) -> None:
        """Another watcher, for a start or another scope; a root that is missing is tried again by the tick."""
        self.watcher.stop()
        self.watcher = self.make_watcher(self.settings, self)
        self._watch(self.watcher.start)

    def _restart_watcher(self, reason: str) -> None:
        self._watch(lambda: self.watcher.restart(reason))

    def _watch(self, begin: Callable[[], bool]) -> None:
        self._retry_watch_at = self.clock() + RETRY_SECONDS
        try:
            begin()
        except Exception:
            log.exception(
                "the publish directory could not be watched; it is tried again in %d s", RETRY_SECONDS
            )
        self._doubts.add(b"", "watching began anew", self.clock())

    def _publish_news(self, now: float) -> None:
        news = SourceNews(
            fault=self._fault,
            held=len(self._held),
            mass=bool(self._held) and self._fault is None,
            root=self._expected,
            mounts=tuple(self._mounts),
            unreadable=tuple(self._unreadable),
            watch=self.watcher.healthy(),
        )
        if news != self._news:
            self._news = news
            self.tell(news)

    def _on_accept(self) -> str | None:
        now = self.clock()
        self._look_at_root()
        if self._root is None:
            return "the publish directory is missing or is no directory: mount or restore it first"
        self._expected = self._root
        lacking = sum(1 for path in self._held if hash(path) in self._live)
        self._peak.reset(now, len(self._live) - lacking)
        self._mounts = {m: True for m in self._mounts if self._is_mounted(m)}
        self._seen_paths = {p for p in self._seen_paths if self._is_directory(p)}
        self._fault = None
        self._mass = MassDeletion()
        if self._held:
            self._release_all()
        self._peak.reset(now, len(self._live))
        self._judge(now)
        return None

    def _on_rescope(self, settings: SurveySettings) -> None:
        rescoped = settings.scope != self.settings.scope
        self.settings = replace(settings, root=self.settings.root)
        self._quiet.rules = settings.quiet
        if rescoped:
            self._seen_paths &= set(settings.scope.paths)
            self._new_watcher()

    # ── scans ────────────────────────────────────────────────────────────────────────────────────────────

    def _begin_scan(self) -> None:
        prefixes = topmost(self._doubts.prefixes)
        reasons = dict(self._doubts.prefixes)
        self._doubts = _Doubts()
        if prefixes == [b""] and not self.first_scan_done.is_set() and not self._live:
            self._live = {hash(row.path): signature(row.stat) for row in self.store.manifest()}
        if b"" in reasons and self.first_scan_done.is_set():
            log.info("comparing the whole publish directory: %s", reasons[b""])
        self._scanning = True
        self._scans.submit(self._scan, prefixes, not self.first_scan_done.is_set())

    def _scan(self, prefixes: list[bytes], first: bool) -> None:
        """In the scan thread. Compares with ``_live``, which only grows stale: the surveyor checks again."""
        began = time.monotonic()
        gone: list[bytes] = []
        left: list[bytes] = []
        unreadable: list[bytes] = []
        mounts: dict[bytes, bool] = {}
        error = None
        try:
            for prefix in prefixes:
                self._scan_below(prefix, gone, left, unreadable, mounts)
        except StoreError as trouble:
            error = str(trouble)
        except Exception as trouble:
            log.exception("a scan of the publish directory broke off")
            error = type(trouble).__name__
        seconds = time.monotonic() - began
        self._inbox.put(_ScanDone(prefixes, gone, left, unreadable, mounts, first, seconds, error))

    def _scan_below(
        self,
        prefix: bytes,
        gone: list[bytes],
        left: list[bytes],
        unreadable: list[bytes],
        mounts: dict[bytes, bool],
    ) -> None:
        root, scope, live = self.settings.root, self.settings.scope, self._live
        root_dev = self._root.dev if self._root is not None else None
        seen: set[int] = set()
        changed: list[tuple[bytes, Stat]] = []
        blind: list[bytes] = []
        for path, stat in scan(root, scope, prefix, unreadable=lambda p, e: blind.append(p)):
            key = hash(path)
            seen.add(key)
            if live.get(key) != signature(stat):
                changed.append((path, stat))
                if len(changed) >= CHUNK:
                    self._inbox.put(_ScanChunk(changed))
                    changed = []
            if stat.dev != root_dev and stat.kind is Kind.DIRECTORY and self._is_mounted(path):
                mounts[path] = True
            if self._stopping:
                return
        if changed:
            self._inbox.put(_ScanChunk(changed))
        unreadable += blind
        if b"" in blind or (prefix and hash(prefix) not in live):
            return  # nothing is known of it, or nothing was known
        if not prefix and len(seen) >= len(live) and live.keys() <= seen:
            return
        for row in self.store.manifest(prefix):
            if hash(row.path) not in seen and not any(is_below(row.path, b) for b in blind):
                inside = scope.carries(row.path, row.stat.kind is Kind.DIRECTORY)
                (gone if inside else left).append(row.path)

    def _on_scan_done(self, done: _ScanDone) -> None:
        self._scanning = False
        now = self.clock()
        if done.error is not None:
            self._doubts.add(
                b"" if done.first else topmost(done.prefixes)[0], done.error, now + RETRY_SECONDS
            )
            return
        for prefix in done.prefixes:
            for path in [p for p in self._unreadable if is_below(p, prefix)]:
                del self._unreadable[path]
            for path in [p for p in self._held if is_below(p, prefix)]:
                del self._held[path]  # the scan says anew what is gone
        for path in done.unreadable:
            self._unreadable[path] = now + UNREADABLE_RETRY_SECONDS
            if path:
                log.warning(
                    "cannot read %s in the publish directory: nothing below it is deleted", os.fsdecode(path)
                )
        self._mounts.update(done.mounts)
        lost = [p for p in (*done.gone, *done.left) if hash(p) in self._live]
        if lost:
            self._hold(lost, now)
        if done.first or self._root is None:
            self._look_at_root()
        self._judge(now)
        if done.first and b"" not in done.unreadable:
            self.first_scan_done.set()
            self._release(now)
            self.tell(FirstScanDone(len(self._live), done.seconds))
        elif done.first:
            self._doubts.add(b"", "the root could not be read", now + 1.0)
