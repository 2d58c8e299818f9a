"""Turns hints about the publish directory into settled changes for the engine; never speaks to a node.

    hint ─► quiet (until it has settled) ─► look ─► there ─► settled
                                                 └► gone ─► held until the rails are clear ─► settled
    doubt ─► comparison (in a thread of its own) ─► as above

One thread owns everything here. What is held has no seq yet, so it is nobody's lag. A path leaves ``held``
only by having been looked at: it is gone and its deletion goes out, or it is back and is looked at anew.
"""

from __future__ import annotations

import logging
import os
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from sync.comparison import CHUNK, Chunk, Compared, Comparison
from sync.core.journal import is_below, topmost
from sync.core.live import Live
from sync.core.model import GONE, Kind, Stat
from sync.core.quiet import Quiet, QuietRules
from sync.core.rails import MassDeletion
from sync.core.stir import Stir
from sync.crew import Crew
from sync.novelty import Novelty
from sync.ports import Meta, Store, StoreError
from sync.scan import Looks, look
from sync.standing import Standing
from sync.survey import FirstScanDone, Settled, SourceNews, Stirring, SurveySettings, Tell, Watching

__all__ = ["FirstScanDone", "Settled", "SourceNews", "SurveySettings", "Surveyor", "Tell", "Watching"]

log = logging.getLogger(__name__)

RETRY_SECONDS = 5.0
UNWATCHED_RESCAN_SECONDS = 30.0
UNREADABLE_RETRY_SECONDS = 30.0
FAULT_LOOK_SECONDS = 0.5
STOP_SECONDS = 3.0
STIRRED_PATHS = 8
STIR_GRACE_SECONDS = 0.25

_WAKE, _TICK, _STOP = "wake", "tick", "stop"


@dataclass(frozen=True, slots=True)
class _Accept:
    done: Callable[[str | None], None]


@dataclass(frozen=True, slots=True)
class _Recheck:
    paths: tuple[bytes, ...]


@dataclass(slots=True)
class _Doubts:
    """Prefixes in doubt, with the times that decide when they are compared."""

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
        self._scans = Crew("scan", 1)
        self._scanning = False
        self._stopping = False
        self._quiet = Quiet(settings.quiet)
        self._stir = Stir()
        self._novelty = Novelty(store.rows)
        self._doubts = _Doubts()
        self._live = Live()
        self._held: dict[bytes, None] = {}  # deletions that wait, oldest first
        self._mass = MassDeletion()
        self._accepting = False  # a person has taken the source as it is, and it is being compared once more
        self._standing = Standing(settings.root)
        self._settled_since: set[int] | None = None  # hashes of what settled while a comparison runs
        self._unreadable: dict[bytes, float] = {}  # path → when to look again
        self._news: SourceNews | None = None
        self._watch: str | None = None
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
            self._standing.restore(meta, self.settings.scope, self.clock())
        self._thread.start()
        self.doubt(b"", "start")

    def stop(self) -> None:
        """Ends both threads and the watcher; a disk that does not answer is not waited for long."""
        self._stopping = True
        self._inbox.put(_STOP)
        if self._thread.is_alive():
            self._thread.join(STOP_SECONDS)
        self.watcher.stop()
        self._scans.close(1.0)

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
        self._inbox.put(settings)

    def has_children(self, path: bytes) -> bool:
        """Whether something is known to lie in the directory (from any thread)."""
        return self._live.children(path) > 0

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
        """How many dirty paths and parts in doubt have not settled."""
        doubts = len(self._doubts.prefixes) + len(self._doubt_marks) + self._scanning
        return len(self._quiet) + len(self._marks) + doubts

    def is_pending(self, path: bytes) -> bool:
        """Whether a change of the path has been noticed and is still on its way to a seq. From any thread."""
        return bool(
            path in self._quiet or path in self._held or self._marks or self._doubt_marks
            or self._scanning or self._doubts.prefixes
        )  # fmt: skip

    @property
    def fault(self) -> str | None:
        """Why nothing may be deleted now."""
        return self._standing.fault

    def may_delete(self) -> str | None:
        """None when a run with deletion may start this moment, else why not. Looks at the root itself."""
        if self._held and self._mass.is_waiting(self.clock()) and not self._standing.fault:
            return "many paths were deleted just now: waiting for the tree to come to rest"
        return self._standing.refusal()

    # ── the loop ─────────────────────────────────────────────────────────────────────────────────────────

    def _loop(self) -> None:
        self._standing.look()
        self._new_watcher()
        while not self._stopping:
            try:
                message = self._inbox.get(timeout=self._seconds_to_next())
            except queue.Empty:
                message = _WAKE
            if message is _STOP:
                return
            try:
                self._handle(message)
                self._advance(self.clock())
            except StoreError as error:
                log.warning("the journal cannot be read (%s); everything is compared again later", error)
                self._doubts.add(b"", "the journal could not be read", self.clock() + RETRY_SECONDS)
            except Exception:
                log.exception("the survey of the publish directory stumbled; everything is compared again")
                self._doubts.add(b"", "an internal error", self.clock() + RETRY_SECONDS)

    def _seconds_to_next(self) -> float:
        now = self.clock()
        times = [self._quiet.next_at(), self._stir.at] if self.first_scan_done.is_set() else []
        if self._held:
            times.append(self._mass.next_at())
        if not self._scanning:
            times.append(self._doubts.due_at(self._quiet.rules))
        return max(0.0, min((t for t in times if t is not None), default=now + 5.0) - now)

    def _handle(self, message: object) -> None:
        match message:
            case Chunk():
                self._on_chunk(message)
            case Compared():
                self._on_compared(message)
            case _Recheck():
                self._on_recheck(message.paths)
            case _Accept():
                message.done(self._on_accept())
            case SurveySettings():
                self._on_rescope(message)
            case "tick":
                self._on_tick()

    def _advance(self, now: float) -> None:
        self._drain(now)
        if self.first_scan_done.is_set():
            due = self._quiet.due(now)
            if due:
                self._look_and_settle(due, now)
            elif self._stir.is_due(now):
                self._tell_of_stir(now)
            self._release(now)
        self._publish_news()
        due_at = self._doubts.due_at(self._quiet.rules)
        if due_at is not None and due_at <= now and not self._scanning:
            self._begin_comparison()

    def _drain(self, now: float) -> None:
        self._signalled = False
        marks, quiet, being_sent = self._marks, self._quiet, self.being_sent
        if marks or self._doubt_marks:
            self._mass.moved(now)
        was_calm = bool(marks) and not len(quiet)
        while marks:
            path = marks.popleft()
            quiet.touch(path, now, being_sent=being_sent(path))
        if was_calm:
            self._stir.begins(now, quiet.rules.quiet_seconds)
        while self._doubt_marks:
            prefix, reason = self._doubt_marks.popleft()
            self._doubts.add(prefix, reason, now)

    def _tell_of_stir(self, now: float) -> None:
        """A few files, as when a page is saved: the nodes can get ready before it is certain."""
        paths = self._quiet.settling()
        if 0 < len(paths) <= STIRRED_PATHS and all(self._is_file(path) for path in paths):
            self.tell(Stirring(len(paths), self._quiet.rules.max_delay_seconds + STIR_GRACE_SECONDS))

    def _is_file(self, path: bytes) -> bool:
        stat = self._look(path, self.clock(), Looks(self.settings.root))
        return stat is not None and stat.kind is Kind.FILE and self.settings.scope.carries(path, False)

    # ── from dirty to settled ────────────────────────────────────────────────────────────────────────────

    def _look_and_settle(self, due: Sequence[bytes], now: float) -> None:
        settled: dict[bytes, Stat] = {}
        gone: list[bytes] = []
        had_links = [path for path in due if self._live.has_links(path)]
        looks = Looks(self.settings.root)
        for path in due:
            self._take(path, settled, gone, now, looks)
        for path in self._other_names(settled, had_links):
            if path not in settled and path not in gone:
                self._take(path, settled, gone, now, looks)
        self._settle(list(settled.items()))
        if gone:
            self._hold(gone, now)

    def _take(
        self, path: bytes, settled: dict[bytes, Stat], gone: list[bytes], now: float, looks: Looks
    ) -> None:
        """Looks at one dirty path. A directory that is none any more takes its contents along: a doubt."""
        stat = self._look(path, now, looks) if path else None
        if stat is None:
            return
        known, scope = path in self._live, self.settings.scope
        if stat.kind is not Kind.DIRECTORY and self._live.children(path):
            self._doubts.add(path, "a directory went", now)
            if stat.kind is Kind.GONE:
                return
        if stat.kind is Kind.GONE:
            if known or scope.carries(path, False):
                gone.append(path)
        elif scope.carries(path, stat.kind is Kind.DIRECTORY):
            settled[path] = stat
        elif known:
            gone.append(path)  # a file became an excluded directory, or the other way round

    def _look(self, path: bytes, now: float, looks: Looks) -> Stat | None:
        try:
            stat = looks(path)
        except OSError as error:
            log.warning(
                "cannot look at a path in the publish directory (%s); it is tried again", error.strerror
            )
            self._live.doubt(path)
            self._unreadable[path] = now + UNREADABLE_RETRY_SECONDS
            return None
        self._unreadable.pop(path, None)
        return stat

    def _other_names(self, settled: dict[bytes, Stat], had_links: list[bytes]) -> list[bytes]:
        """The other names of files that have or had several: a write through one tells nothing of the others."""
        inodes = {(s.dev, s.inode) for s in settled.values() if s.links > 1 and s.kind is Kind.FILE}
        found: dict[bytes, None] = {}
        try:
            rows = self.store.rows(had_links) if had_links else {}
            inodes |= {(row.stat.dev, row.stat.inode) for row in rows.values()}
            for dev, inode in inodes:
                found.update(dict.fromkeys(self.store.linked(dev, inode)))
        except StoreError as error:
            log.warning("other names of changed files cannot be looked up (%s); compared later", error)
            self._doubts.add(b"", "hard links could not be looked up", self.clock() + RETRY_SECONDS)
        return list(found)

    def _settle(self, changes: list[tuple[bytes, Stat]]) -> None:
        if not changes:
            return
        new = self._novelty.among(changes, self._live) if self.first_scan_done.is_set() else frozenset()
        for path, stat in changes:
            self._held.pop(path, None)
            if stat.kind is Kind.GONE:
                self._live.drop(path)
                self._novelty.dropped(path)
            else:
                self._live.add(path, stat)
            if self._settled_since is not None:
                self._settled_since.add(hash(path))
        self.tell(Settled(changes, new))

    # ── deletions ────────────────────────────────────────────────────────────────────────────────────────

    def _hold(self, gone: Sequence[bytes], now: float) -> None:
        """Every deletion passes here; with the rails clear it leaves again in the same step."""
        new = [path for path in gone if path not in self._held]
        self._mass.note(now, sum(1 for path in new if path in self._live))
        self._held.update(dict.fromkeys(new))

    def _release(self, now: float) -> None:
        """Lets the deletions go that wait, if the source may be believed before and after a last look at each."""
        if not self._held or self._mass.holds(now):
            return
        stands = self.fault is None and not self._standing.comparing
        if not stands and now - self._judged_at < FAULT_LOOK_SECONDS:
            return
        if not self._is_source_sound(now):
            return
        gone, back = self._looked_at_held()
        if not self._is_source_sound(now):
            return
        self._let_go(gone, back)

    def _is_source_sound(self, now: float) -> bool:
        if self._standing.look():
            self._restart_watcher("another directory stands at publish.root")
        self._judge(now)
        return self.fault is None and not self._standing.comparing

    def _looked_at_held(self) -> tuple[list[bytes], list[bytes]]:
        """The paths that wait: those that are gone or out of the scope, and those that are back."""
        gone: list[bytes] = []
        back: list[bytes] = []
        scope = self.settings.scope
        for path in self._held:
            try:
                stat = look(self.settings.root, path)
            except OSError:
                continue  # it goes on waiting
            away = stat.kind is Kind.GONE or not scope.carries(path, stat.kind is Kind.DIRECTORY)
            (gone if away else back).append(path)
        return gone, back

    def _let_go(self, gone: list[bytes], back: list[bytes]) -> None:
        now = self.clock()
        for path in back:
            del self._held[path]
            self._live.doubt(path)
            self._quiet.touch(path, now)
        for start in range(0, len(gone), CHUNK):
            self._settle([(path, GONE) for path in gone[start : start + CHUNK]])
        self._judge(now)

    def _lacking(self) -> int:
        return sum(1 for path in self._held if path in self._live)

    def _judge(self, now: float) -> None:
        self._judged_at = now
        settings = self.settings
        self._standing.judge(
            now, settings.scope, settings.max_shrink_percent, len(self._live), self._lacking()
        )

    def _on_accept(self) -> str | None:
        """At once, and once more when all was compared: a person means the source as it is, noticed or not."""
        refused = self._accept_now()
        if refused is None:
            self._doubts.add(b"", "a person takes the source as it is", self.clock())
            self._accepting = True
        return refused

    def _accept_now(self) -> str | None:
        now = self.clock()
        refused = self._standing.accept(now, len(self._live) - self._lacking(), self.settings.scope)
        if refused is not None:
            return refused
        self._mass = MassDeletion()
        self._let_go(*self._looked_at_held())
        self._standing.peak.reset(now, len(self._live))
        self._judge(now)
        return None

    # ── the root, the watcher, timers ────────────────────────────────────────────────────────────────────

    def _on_tick(self) -> None:
        now = self.clock()
        if self._standing.look():
            self._restart_watcher("another directory stands at publish.root")
        elif now >= self._retry_watch_at and (trouble := self.watcher.broken()) is not None:
            log.warning("watching anew: %s", trouble)
            self._restart_watcher(trouble)
        self._watch = self.watcher.healthy()
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
        if self.first_scan_done.is_set():
            self._judge(now)

    def _new_watcher(self) -> None:
        """Another watcher, for a start or another scope; a root that is missing is tried again by the tick."""
        self.watcher.stop()
        self.watcher = self.make_watcher(self.settings, self)
        self._begin_watching(self.watcher.start)

    def _restart_watcher(self, reason: str) -> None:
        self._begin_watching(lambda: self.watcher.restart(reason))

    def _begin_watching(self, begin: Callable[[], bool]) -> None:
        self._retry_watch_at = self.clock() + RETRY_SECONDS
        try:
            begin()
        except Exception:
            log.exception(
                "the publish directory could not be watched; it is tried again in %d s", RETRY_SECONDS
            )
        self._watch = self.watcher.healthy()
        self._doubts.add(b"", "watching began anew", self.clock())

    def _publish_news(self) -> None:
        fault = self.fault
        news = SourceNews(
            fault=fault,
            held=len(self._held),
            mass=bool(self._held) and fault is None,
            root=self._standing.expected,
            mounts=tuple(sorted(self._standing.mounts)),
            unreadable=tuple(self._unreadable),
            watch=self._watch,
        )
        if news != self._news:
            self._news = news
            self.tell(news)

    def _on_recheck(self, paths: Iterable[bytes]) -> None:
        now = self.clock()
        for path in paths:
            self._live.doubt(path)
            self._quiet.touch(path, now)

    def _on_rescope(self, settings: SurveySettings) -> None:
        rescoped = settings.scope != self.settings.scope
        self.settings = replace(settings, root=self.settings.root)
        self._quiet.rules = settings.quiet
        if rescoped:
            self._standing.forget_paths_but(settings.scope.paths)
            self._new_watcher()

    # ── comparisons ──────────────────────────────────────────────────────────────────────────────────────

    def _begin_comparison(self) -> None:
        first = not self.first_scan_done.is_set()
        if first and not self._live:
            self._live.load(self.store.manifest())
            self._standing.peak.add(self.clock(), len(self._live))
        doubts, self._doubts = self._doubts.prefixes, _Doubts()
        if b"" in doubts and not first:
            log.info("comparing the whole publish directory: %s", doubts[b""])
        self._settled_since = set()
        self._scanning = True
        root = self._standing.root
        comparison = Comparison(
            root=self.settings.root,
            scope=self.settings.scope,
            live=self._live,
            store=self.store,
            root_dev=root.dev if root is not None else None,
            result=Compared(topmost(doubts), self._standing.epoch, first),
            tell=self._inbox.put,
            stopping=lambda: self._stopping,
        )
        self._scans.submit(comparison.run)

    def _on_chunk(self, chunk: Chunk) -> None:
        """What settled since the comparison began was looked at later than by it."""
        since = self._settled_since or ()
        live, now = self._live, self.clock()
        changed = {p: s for p, s in chunk.changed if hash(p) not in since and not live.is_same(p, s)}
        self._settle(list(changed.items()))
        if not chunk.of_all:  # else the other names are compared themselves
            for path in self._other_names(changed, []):
                if path not in changed:
                    self._quiet.touch(path, now)

    def _on_compared(self, done: Compared) -> None:
        self._scanning = False
        self._settled_since = None
        now = self.clock()
        if done.error is not None:
            for prefix in done.prefixes:
                self._doubts.add(prefix, done.error, now + RETRY_SECONDS)
            return
        self._note_unreadable(done, now)
        self._standing.mounts |= done.mounts
        lost = [p for p in (*done.gone, *done.left) if p in self._live]
        if lost:
            self._hold(lost, now)
        self._take_back(done)
        if done.is_whole:
            self._standing.compared(done.epoch)
        if done.first:
            self._on_first(done, now)
        else:
            self._judge(now)
        if self._accepting and done.is_whole and b"" not in self._doubts.prefixes:
            self._accepting = False
            self._accept_now()

    def _note_unreadable(self, done: Compared, now: float) -> None:
        for path in [p for p in self._unreadable if any(is_below(p, prefix) for prefix in done.prefixes)]:
            del self._unreadable[path]
        for path in done.unreadable:
            self._unreadable[path] = now + UNREADABLE_RETRY_SECONDS
            if path:
                name = os.fsencode(path).decode("utf-8", "backslashreplace")
                log.warning("cannot read %s in the publish directory: nothing below it is deleted", name)

    def _take_back(self, done: Compared) -> None:
        """Paths that waited to be deleted and are there after all (a file system was mounted again)."""
        if not self._held or b"" in done.unreadable:
            return
        gone = {*done.gone, *done.left}
        gone_or_back = self._looked_at_held()
        self._let_go([], [p for p in gone_or_back[1] if p not in gone])

    def _on_first(self, done: Compared, now: float) -> None:
        if b"" in done.unreadable:
            self._judge(now)
            self._doubts.add(b"", "the root could not be read", now + 1.0)
            return
        self._judge(now)
        self.first_scan_done.set()
        self._release(now)
        self.tell(FirstScanDone(len(self._live), done.seconds))
