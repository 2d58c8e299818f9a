"""Takes observations and the ends of jobs into the nodes' health, with what every flip brings along.

    rules of the states                 sync/core/health.py
    what a job's end confirmed          sync/results.py
    here                                what ends, begins and is told when a node changes its state

Owned by the engine's thread; asks no probe and starts no job.
"""

from __future__ import annotations

from collections.abc import Callable

from sync.core import health as healths
from sync.core.health import HealthRules
from sync.core.model import Flip, Observation, Outcome, ProbeResult, State
from sync.field import Field
from sync.jobs import Report
from sync.node import Node
from sync.results import JobDone

Done = Callable[[bool, str], None]


class Course:
    """The way of each node through its states, and who waits for the end of its full resync."""

    def __init__(self, field: Field, rules: HealthRules, observe: Callable[[Node], None]) -> None:
        self.field = field
        self.rules = rules
        self.observe = observe
        self._waiting: dict[str, list[Done]] = {}

    # ── who waits for a full resync ──────────────────────────────────────────────────────────────────────

    def await_resync(self, node: Node, done: Done) -> None:
        """``done`` is called once with (ok, message) when the node's full resync has ended."""
        self._waiting.setdefault(node.name, []).append(done)

    def answer(self, node: Node, ok: bool, message: str) -> None:
        """Answers everybody who waits for the node's full resync."""
        for done in self._waiting.pop(node.name, []):
            self.field.tell(done, ok, message)

    # ── observations ─────────────────────────────────────────────────────────────────────────────────────

    def take_observation(self, node: Node, began: float, observation: Observation) -> None:
        """Takes what the probes said; a run that moved bytes meanwhile knows better."""
        for result in observation.results:
            if result.good is False:
                self.field.counts["probe_failures", node.name, result.kind] += 1
        if not observation.good and moves_since(node, began):
            observation = Observation(observation.at, True, observation.results)
        self._feed(node, observation)

    def _feed(self, node: Node, observation: Observation) -> None:
        node.observed = observation
        node.health, flip = healths.observe(node.health, observation, self.rules)
        if flip is not None:
            self._flipped(node, flip)
        elif observation.good and node.state is State.READY and not node.proven:
            self._renew(node)

    def _renew(self, node: Node) -> None:
        """A proof from before the start: it renews itself after a clean stop, otherwise an audit comes first."""
        if node.renewable:
            node.proven, node.renewable = True, False
        elif not node.drift_count:
            node.audit_due = True
        else:
            self.relapse(node, "it differed from the source before the start")

    # ── flips ────────────────────────────────────────────────────────────────────────────────────────────

    def _flipped(self, node: Node, flip: Flip) -> None:
        self.field.flip(node, flip)
        match flip.new:
            case State.UNHEALTH | State.DEAD:
                self._fell_ill(node, flip)
            case State.RECOVERY:
                node.start_recovery()
                node.recovery_mono = self.field.mono() + healths.recovery_pause_seconds(
                    node.health, self.rules
                )
                node.retry_mono = 0.0
            case State.READY:
                node.target = None
                node.retry_mono = 0.0
                self.answer(node, True, "")

    def _fell_ill(self, node: Node, flip: Flip) -> None:
        cancel_jobs(node, "the node does not answer")
        node.target = None
        node.audit_due = node.deep_due = False
        self.answer(node, False, flip.reason)
        orders, node.orders = node.orders, []
        for order in orders:
            self.field.tell(order.done, Report(Outcome.UNREACHABLE, flip.reason))

    def relapse(self, node: Node, reason: str) -> None:
        """A ready node needs a full resync before it may be seen again."""
        node.health, flip = healths.relapsed(node.health, self.field.wall(), reason)
        if flip is not None:
            self._flipped(node, flip)

    # ── the ends of jobs ─────────────────────────────────────────────────────────────────────────────────

    def take_end(self, node: Node, done: JobDone, outcome: Outcome) -> None:
        """What the end of a job, already taken in by the results, means for the node's state."""
        message = getattr(done.result, "message", "") or str(outcome)
        if outcome is Outcome.UNREACHABLE:
            self._unreachable(node, done, message)
        elif done.kind == "resync":
            self._resync_ended(node, outcome, message)
        elif outcome is Outcome.BROKEN and node.state is State.READY:
            self.observe(node)
        elif done.kind == "audit" and node.drift_count and node.state is State.READY:
            self.relapse(node, f"{node.drift_count} paths differ from the source")
        self._perhaps_recovered(node)

    def _unreachable(self, node: Node, done: JobDone, message: str) -> None:
        """An rsync that cannot reach its node is a failed observation; in RECOVERY a failed attempt."""
        if node.state is State.RECOVERY:
            if done.kind != "audit":
                self._recovery_failed(node, message)
        elif node.state is State.READY:
            self.field.counts["probe_failures", node.name, "rsync run"] += 1
            results = (ProbeResult("rsync run", False, None, message),)
            self._feed(node, Observation(self.field.wall(), False, results))

    def _resync_ended(self, node: Node, outcome: Outcome, message: str) -> None:
        if outcome is Outcome.DONE:
            if node.state is State.READY:
                self.answer(node, True, "")
        elif node.held is not None:
            self.answer(node, False, node.held)
        elif outcome in (Outcome.KILLED, Outcome.BUSY):
            return  # it is tried again by itself
        elif node.state is State.RECOVERY:
            self._recovery_failed(node, message)
        else:
            self.answer(node, False, message)

    def _recovery_failed(self, node: Node, message: str) -> None:
        self.answer(node, False, message)
        node.health, flip = healths.recovery_failed(node.health, self.field.wall(), message)
        if flip is not None:
            self._flipped(node, flip)

    def _perhaps_recovered(self, node: Node) -> None:
        if node.state is not State.RECOVERY or node.target is None or node.work is not None:
            return
        if node.cursor is not None and node.cursor >= node.target:
            node.health, flip = healths.recovered(node.health, self.field.wall())
            if flip is not None:
                self._flipped(node, flip)


def cancel_jobs(node: Node, reason: str) -> None:
    """Ends what runs on the node, by process group."""
    for work in (node.work, node.audit):
        if work is not None:
            work.control.stop.cancel(reason)


def moves_since(node: Node, mono: float) -> bool:
    """Whether a run on the node has moved bytes since then: as good as a good observation."""
    if node.moved_mono >= mono:
        return True
    handles = [work.control.handle for work in (node.work, node.audit) if work is not None]
    return any(h.moved and h.last_progress_at is not None and h.last_progress_at >= mono for h in handles)
