"""All nodes, the journal's tail and who of them is in sync; owned by the engine's thread. Starts no work."""

from __future__ import annotations

import logging
from bisect import bisect_left, bisect_right
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from sync.core.dustbin import failed
from sync.core.instep import judge
from sync.core.journal import Tail
from sync.core.model import Change, Flip, Kind, Stat, State
from sync.node import Node
from sync.ports import ClearBinned, Event, SaveBinned, SaveChanges, SaveEvent, SaveNode, Store, Write

log = logging.getLogger(__name__)

SEQ_TIMES = 20_000
LONG_AGO = float("-inf")
UNSURE = Stat(Kind.OTHER, 0, 0, 0, 0, 0, 0, 0)
"""What no path ever is: a row that any look contradicts."""
RUN_SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0)
"""Upper bounds of the classes that the lengths of rsync runs are counted in."""


@dataclass(frozen=True, slots=True)
class Fitness:
    """Whether a node may be seen: True, False, or None while it is not known (then nothing changes)."""

    fit: bool | None
    reason: str


class Listener:
    """What others want to be told. Called in the engine's thread: hand on, and never wait."""

    def event(self, event: Event) -> None:
        """Something a person may want to read."""

    def flip(self, flip: Flip) -> None:
        """A node changed its state."""

    def batch(self, node: str, paths: Sequence[bytes]) -> None:
        """A batch is confirmed by the node."""

    def fitness(self, changed: Mapping[str, Fitness]) -> None:
        """These nodes may be seen now, or may not any more, or are gone (then their fitness is False)."""


class Field:
    """The nodes and the tail, with the ways in which the facts about them change."""

    def __init__(
        self,
        store: Store,
        wall: Callable[[], float],
        mono: Callable[[], float],
        listeners: Sequence[Listener] = (),
    ) -> None:
        self.store = store
        self.wall = wall
        self.mono = mono
        self.listeners = list(listeners)
        self.nodes: dict[str, Node] = {}
        self.tail = Tail()
        self.source_errors: dict[bytes, tuple[str, float]] = {}
        self.counts: Counter[tuple[str, ...]] = Counter()
        self.max_lag_seconds = 30.0
        self.dustbin_seconds = 5.0
        self.judged_from = LONG_AGO  # steady seconds; before it nobody is out of step, see judge
        self.flipped = False  # since all nodes were last looked at
        self.run_seconds: dict[str, list[float]] = {}  # form → a count per class, the rest, and the sum
        self._seq_times: deque[tuple[int, float]] = deque(maxlen=SEQ_TIMES)
        self._fitness: dict[str, Fitness] = {}

    # ── telling ──────────────────────────────────────────────────────────────────────────────────────────

    def put(self, *writes: Write) -> None:
        self.store.put(*writes)

    def emit(
        self, kind: str, message: str, *, node: str | None = None, severity: str = "info", **facts: object
    ) -> None:
        """Writes one line of the timeline and tells the listeners."""
        event = Event(self.wall(), kind, message, node, severity, facts)
        level = {"info": logging.INFO, "warning": logging.WARNING}.get(severity, logging.ERROR)
        log.log(level, "%s%s", f"{node}: " if node else "", message)
        self.put(SaveEvent(event))
        for listener in self.listeners:
            self.tell(listener.event, event)

    def tell(self, call: Callable[..., None], *args: object) -> None:
        """Calls somebody else's code, whose failure is not ours."""
        try:
            call(*args)
        except Exception:
            log.exception("a listener failed; the others are told all the same")

    def note_seconds(self, form: str, seconds: float) -> None:
        """Counts a run's length."""
        classes = self.run_seconds.setdefault(form, [0.0] * (len(RUN_SECONDS) + 2))
        classes[bisect_left(RUN_SECONDS, seconds)] += 1
        classes[-1] += seconds

    def save(self, node: Node) -> None:
        self.put(SaveNode(node.record()))

    def flip(self, node: Node, flip: Flip) -> None:
        """Notes a change of state that has already been made in ``node.health``."""
        self.flipped = True
        self.counts["flips", node.name, flip.old.value, flip.new.value] += 1
        severity = {State.DEAD: "error", State.UNHEALTH: "warning"}.get(flip.new, "info")
        facts = {"old": flip.old.value, "new": flip.new.value, "reason": flip.reason}
        self.emit(
            "flip", f"{flip.old} → {flip.new}: {flip.reason}", node=node.name, severity=severity, **facts
        )
        self.save(node)
        for listener in self.listeners:
            self.tell(listener.flip, flip)

    def batch_done(self, node: Node, paths: Iterable[bytes]) -> None:
        for listener in self.listeners:
            self.tell(listener.batch, node.name, tuple(paths))

    # ── the journal ──────────────────────────────────────────────────────────────────────────────────────

    def append(
        self, changes: Iterable[tuple[bytes, Stat]], new: frozenset[bytes] = frozenset()
    ) -> list[Change]:
        """Gives each path the next seq; ``new`` are those that were never there before."""
        rows = [self.tail.append(path, stat, new=path in new) for path, stat in changes]
        if rows:
            self._seq_times.append((self.tail.head, self.mono()))
        return rows

    def make_unsure(self, paths: Iterable[bytes]) -> None:
        """What was to be sent and had vanished matches no row any more: whatever a later scan finds there is new.

        Otherwise a file that was only out of sight (its file system unmounted for a moment) would come back just
        as its row says, and nobody would send it.
        """
        rows = [row for row in map(self.tail.get, dict.fromkeys(paths)) if row is not None]
        unsure = [row._replace(stat=UNSURE) for row in rows if row.stat.kind is not Kind.GONE]
        if unsure:
            self.put(SaveChanges(unsure))

    def trim_tail(self) -> None:
        """Forgets in memory what every node that still reads the tail has confirmed.

        A node whose full resync runs will read on from its watermark.
        """
        readers = [self.tail.head]
        for node in self.nodes.values():
            if node.cursor is not None and (node.receives or node.work):
                readers.append(node.cursor)
            if node.work is not None and node.work.watermark is not None:
                readers.append(node.work.watermark)
        self.tail.forget(min(readers))

    def lag_changes(self, node: Node) -> int | None:
        """Changes above the node's cursor; None while it has no cursor."""
        return None if node.cursor is None else self.tail.count_after(node.cursor)

    def lag_seconds(self, node: Node) -> float | None:
        """How long the oldest change that the node lacks has been waiting; 0.0 when it lacks none."""
        if node.cursor is None:
            return None
        if node.cursor >= self.tail.head:
            return 0.0
        index = bisect_right(self._seq_times, node.cursor, key=lambda sample: sample[0])
        if index >= len(self._seq_times):
            return 0.0
        return max(0.0, self.mono() - self._seq_times[index][1])

    def move_cursor(self, node: Node, cursor: int) -> None:
        node.move_cursor(cursor, self.mono(), self.max_lag_seconds)

    # ── the dustbin ──────────────────────────────────────────────────────────────────────────────────────

    def bin(
        self, node: Node, failures: Mapping[bytes, tuple[str, int | None]], seqs: Mapping[bytes, int]
    ) -> None:
        """Takes what failed on the node."""
        now = self.wall()
        entries = []
        for path, (error, code) in failures.items():
            old = node.dustbin.get(path)
            entry = failed(
                old,
                node=node.name,
                path=path,
                seq=seqs.get(path, node.cursor or 0),
                error=error,
                code=code,
                now=now,
                base_seconds=self.dustbin_seconds,
            )
            node.dustbin[path] = entry
            entries.append(entry)
            self.counts["failed_paths", node.name] += 1
        if entries:
            self.put(SaveBinned(entries))
            first = entries[0]
            more = f" and {len(entries) - 1} more" if len(entries) > 1 else ""
            name = first.path.decode("utf-8", "backslashreplace")
            if any(entry.attempts == 1 for entry in entries):
                self.emit(
                    "dustbin",
                    f"could not take {name}{more}: {first.error}",
                    node=node.name,
                    severity="warning",
                    paths=len(entries),
                )

    def unbin(self, node: Node, paths: Iterable[bytes] | None) -> None:
        """Clears what was confirmed; None: everything."""
        names = list(node.dustbin) if paths is None else [p for p in paths if p in node.dustbin]
        now = self.mono()
        for path in names:
            del node.dustbin[path]
            node.cleared[path] = now
        if names:
            self.put(ClearBinned(node.name, names))
        for path in [p for p, at in node.cleared.items() if at < now - 2 * self.max_lag_seconds]:
            del node.cleared[path]

    # ── who may be seen ──────────────────────────────────────────────────────────────────────────────────

    def judge(self) -> None:
        """Says of every node whether it is in sync, and tells whose fitness has changed.

        A restored cursor may have been reached long ago or a moment before the stop. So a start gives everybody
        max_lag_seconds to catch up (``judged_from``); who would be out of step until then is not known.
        """
        mono, now = self.mono(), self.wall()
        verdicts = judge([n.standing() for n in self.nodes.values()], mono, self.max_lag_seconds)
        judged = mono >= self.judged_from
        changed: dict[str, Fitness] = {}
        for node in self.nodes.values():
            before = node.out_of_step
            verdict = verdicts[node.name]
            node.out_of_step, node.late_at_start = (verdict, None) if judged else (None, verdict)
            fitness = self.fitness_of(node)
            node.in_sync = fitness.fit is True
            if node.in_sync:
                node.last_in_sync_at = now
            old = self._fitness.get(node.name)
            if old is None or old.fit is not fitness.fit:
                changed[node.name] = fitness
            if old != fitness:
                self._fitness[node.name] = fitness
            if bool(before) != bool(node.out_of_step) and node.state is State.READY:
                self._tell_step(node)
        for name in [n for n in self._fitness if n not in self.nodes]:
            del self._fitness[name]
            changed[name] = Fitness(False, "no longer configured")
        if changed:
            for listener in self.listeners:
                self.tell(listener.fitness, changed)

    def _tell_step(self, node: Node) -> None:
        if node.out_of_step:
            self.emit("out_of_step", f"out of step: {node.out_of_step}", node=node.name, severity="warning")
        else:
            self.emit("out_of_step", "in step again", node=node.name, back=True)

    def fitness_of(self, node: Node) -> Fitness:
        """Whether the node may be seen as things are now."""
        if node.parked:
            return Fitness(None, "was not asked")
        if node.state is not State.READY:
            return Fitness(False, f"is in {node.state}: {node.health.reason}")
        if node.drift_count:
            return Fitness(False, f"{node.drift_count} paths differ from the source")
        if node.out_of_step:
            return Fitness(False, node.out_of_step)
        if not node.proven:
            return Fitness(None, "not proven since the start")
        if node.late_at_start:
            return Fitness(
                None, f"was behind when the service started, and may catch up: {node.late_at_start}"
            )
        return Fitness(True, "ready and in sync")

    def fitness(self) -> dict[str, Fitness]:
        """Every node's fitness as last judged (a copy, for any thread)."""
        return self._fitness.copy()
