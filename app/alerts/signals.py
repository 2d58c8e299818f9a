"""Turns what happened into signals, with severity and what to do. Decides nothing about when anybody is told.

Each function is a question with a reason: a sentence raises the condition, None clears it.
"""

from __future__ import annotations

from app.alerts.model import Cleared, Condition, Mistake, Raised, Severity, Signal
from sync.core.model import Flip, State

_FALLEN = (State.UNHEALTH, State.RECOVERY)


def of_flip(flip: Flip, at_start: bool = False) -> tuple[Signal, ...]:
    """A flip's signals: dead or dead no longer, and one mistake for a fall to ``unhealth`` or ``recovery``.

    ``at_start``: the node's first way into service after a start, which is no mistake of its.
    """
    signals: list[Signal] = []
    if flip.new is State.DEAD:
        signals.append(
            Raised(
                flip.at,
                Condition.DEAD,
                flip.node,
                Severity.CRITICAL,
                flip.reason or "it does not answer",
                "Look at the machine, its network and its rsync daemon; when it answers it is brought "
                "up to date by itself.",
                {"node": flip.node, "state": flip.new.value, "old_state": flip.old.value},
            )
        )
    elif flip.new in (State.READY, State.RECOVERY):  # not unhealth: it may well be dead again in 15 s
        signals.append(Cleared(flip.at, Condition.DEAD, flip.node))
    if not at_start and flip.new in _FALLEN:
        signals.append(Mistake(flip.at, f"node {flip.node} went to {flip.new.value}: {flip.reason}"))
    return tuple(signals)


def of_failed_path(at: float, whom: str, what: str, error: str) -> Mistake:
    """A path that failed on a reachable node."""
    return Mistake(at, f"{what} failed on {whom}: {error}")


def of_failed_recovery(at: float, node: str, error: str) -> Mistake:
    """A full resync that failed."""
    return Mistake(at, f"recovery of {node} failed: {error}")


def of_failed_dns(at: float, provider: str, error: str) -> Mistake:
    """A record operation that failed."""
    return Mistake(at, f"DNS provider {provider}: {error}")


def of_errors(at: float, strategy: str, count: int, seconds: float, examples: tuple[str, ...]) -> Raised:
    """A strategy that holds; ``strategy`` names it."""
    lately = f"; lately: {'; '.join(examples)}" if examples else ""
    return Raised(
        at,
        Condition.ERROR,
        strategy,
        Severity.WARNING,
        f"at least {count} errors within {seconds:g} s{lately}",
        "Look at the Events page for what they have in common: one node, one path, or everything.",
    )


def of_step(at: float, node: str, reason: str | None) -> Signal:
    """A ready node out of step with the others (promise 2), or in step again."""
    advice = "Its dustbin shows the paths it lacks; see to space, permissions and its line."
    return _judge(at, Condition.OUT_OF_STEP, node, Severity.WARNING, reason, advice, {"node": node})


def of_drift(at: float, node: str, paths: int) -> Signal:
    """Paths on a node that differ by the node's own doing; 0: none any more."""
    reason = f"{paths} {'path differs' if paths == 1 else 'paths differ'} from the source" if paths else None
    advice = "It is put right by itself; find out who else writes to the node's module."
    return _judge(
        at, Condition.DRIFT, node, Severity.WARNING, reason, advice, {"node": node, "paths": str(paths)}
    )


def of_source(at: float, what: str, reason: str | None) -> Signal:
    """A fault of the publish directory (missing, empty, replaced, unreadable paths, the watcher), by
    ``what``.
    """
    advice = "Nothing is deleted from the nodes meanwhile; mount or mend the publish directory."
    return _judge(at, Condition.SOURCE, what, Severity.CRITICAL, reason, advice)


def of_unreadable(at: float, paths: int, example: str) -> Signal:
    """Paths of the publish directory that cannot be read; 0: all can."""
    reason = f"{paths} {'path' if paths == 1 else 'paths'} cannot be read: {example}" if paths else None
    advice = (
        "They are not sent and not deleted from the nodes; give the service's user the right to read them."
    )
    return _judge(at, Condition.SOURCE, "unreadable paths", Severity.WARNING, reason, advice)


def of_sending(at: float, node: str, reason: str | None) -> Signal:
    """A node that answers, but cannot be sent to: its module, its password, its rsync."""
    advice = "flask nodes check shows what it answers; docs/nodes.md says what it needs."
    return _judge(
        at, Condition.SYSTEM, f"sending to {node}", Severity.WARNING, reason, advice, {"node": node}
    )


def of_watcher(at: float, reason: str | None) -> Signal:
    """The watcher's trouble; its own sentence says what to do."""
    advice = "Changes are found by scanning until then, later than usual."
    return _judge(at, Condition.SOURCE, "watcher", Severity.WARNING, reason, advice)


def of_held(at: float, what: str, reason: str | None) -> Signal:
    """A step that waits for a person: deletions, a node's first full resync, a plan; ``what`` names it."""
    advice = "Look at it on the dashboard; accept it there or with --accept-deletions if it is meant."
    return _judge(at, Condition.HELD, what, Severity.CRITICAL, reason, advice)


def of_dns(at: float, what: str, reason: str | None, severity: Severity = Severity.CRITICAL) -> Signal:
    """DNS held, frozen or refused, credentials that stopped working; ``what`` is the provider or service."""
    advice = "flask dns plan shows what waits and why; the published records stay as they are."
    return _judge(at, Condition.DNS, what, severity, reason, advice)


def of_service(at: float, service: str, reason: str | None) -> Signal:
    """A service without a node that may answer for it."""
    advice = "Bring a node back, or see when_none_ready for what is answered until then."
    return _judge(
        at, Condition.DNS, f"service {service}", Severity.CRITICAL, reason, advice, {"service": service}
    )


def of_cut_off(at: float, reason: str | None) -> Signal:
    """Whether the supervisor itself is cut off. Node alerts wait while it is."""
    advice = "Look at this machine's network; DNS is frozen and nobody is withdrawn until it is back."
    return _judge(at, Condition.CUT_OFF, "supervisor", Severity.CRITICAL, reason, advice)


def of_inventory(at: float, reason: str | None) -> Signal:
    """A node source that fails, prints garbage or loses too many nodes."""
    advice = "The last good list stays in force; run the node source's command by hand."
    return _judge(at, Condition.INVENTORY, "node source", Severity.WARNING, reason, advice)


def of_missing_nodes(at: float, reason: str | None) -> Signal:
    """Over half of the nodes gone from the list at once."""
    advice = "Bring the list back; if it is right as it is, flask dns apply --yes says so."
    return _judge(at, Condition.INVENTORY, "list of nodes", Severity.CRITICAL, reason, advice)


def of_address(at: float, node: str, reason: str | None) -> Signal:
    """An address source that fails; the last address stays for keep_seconds."""
    advice = "Check the source on the Nodes page; without it the address lapses."
    return _judge(
        at, Condition.INVENTORY, f"address of {node}", Severity.WARNING, reason, advice, {"node": node}
    )


def of_system(at: float, what: str, reason: str | None, severity: Severity = Severity.CRITICAL) -> Signal:
    """The machine's or the service's own trouble: disk, database, a thread, the configuration; ``what``
    names it.
    """
    advice = "See the log for details; /readyz says what works."
    return _judge(at, Condition.SYSTEM, what, severity, reason, advice)


def _judge(
    at: float,
    condition: Condition,
    name: str,
    severity: Severity,
    reason: str | None,
    advice: str,
    facts: dict[str, str] | None = None,
) -> Signal:
    if reason is None:
        return Cleared(at, condition, name)
    return Raised(at, condition, name, severity, reason, advice, facts or {})
