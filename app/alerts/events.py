"""Reads the timeline's events as signals: what each raises, clears or counts. Pure; an event that it does not
know says nothing.
"""

from __future__ import annotations

from app.alerts import signals
from app.alerts.model import Cleared, Condition, Gone, Severity, Signal
from sync.core.model import Flip, State
from sync.ports import Event

MOST_MISTAKES = 100  # of one event: more than any strategy needs to hold
ROOT, DELETIONS = "publish directory", "deletions"


def signals_of_flip(flip: Flip, at_start: bool) -> tuple[Signal, ...]:
    """A flip's signals; a node that is ready again has neither drift nor a full resync that waits."""
    found = list(signals.of_flip(flip, at_start))
    if flip.new is State.READY:
        found += [
            Cleared(flip.at, Condition.DRIFT, flip.node),
            signals.of_held(flip.at, _resync(flip.node), None),
        ]
    return tuple(found)


def signals_of(event: Event) -> tuple[Signal, ...]:
    """The signals of any other event, most often none."""
    match event.kind:
        case "source":
            return _of_source(event)
        case "watch":
            return (signals.of_watcher(event.at, _reason(event)),)
        case "cut_off":
            return (signals.of_cut_off(event.at, _reason(event)),)
        case "dns":
            return _of_dns(event)
        case "inventory":
            return _of_inventory(event)
        case _ if event.node is not None:
            return _of_node(event, event.node)
        case _:
            return ()


def _of_source(event: Event) -> tuple[Signal, ...]:
    if event.severity == "warning":  # one path that cannot be read: an error for the strategies
        return (signals.of_failed_path(event.at, "the source", event.message, "unreadable"),)
    if event.severity == "info":
        return (signals.of_source(event.at, ROOT, None), signals.of_held(event.at, DELETIONS, None))
    if event.facts.get("held"):
        return (signals.of_held(event.at, DELETIONS, event.message),)
    return (signals.of_source(event.at, ROOT, event.message),)


def _of_node(event: Event, node: str) -> tuple[Signal, ...]:
    match event.kind:
        case "held":
            return (signals.of_held(event.at, _resync(node), event.message),)
        case "resync":
            if event.severity == "info":
                return (signals.of_held(event.at, _resync(node), None),)
            return (signals.of_failed_recovery(event.at, node, event.message),)
        case "drift":
            return (signals.of_drift(event.at, node, _number(event, "paths")),)
        case "out_of_step":
            return (signals.of_step(event.at, node, _reason(event)),)
        case "address":
            return (signals.of_address(event.at, node, _reason(event)),)
        case "dustbin":
            mistake = signals.of_failed_path(event.at, node, "a path", event.message)
            return (mistake,) * min(_number(event, "paths"), MOST_MISTAKES)
        case _:
            return ()


def _of_inventory(event: Event) -> tuple[Signal, ...]:
    if event.node is None:
        of = signals.of_missing_nodes if event.facts.get("about") else signals.of_inventory
        return (of(event.at, _reason(event)),)
    if event.message == "added":
        return ()
    at, node = event.at, event.node
    held = signals.of_held(at, _resync(node), None)
    return (
        Gone(at, node),
        held,
        signals.of_address(at, node, None),
        signals.of_sending(at, node, None),
    )


def _of_dns(event: Event) -> tuple[Signal, ...]:
    about = event.facts.get("about")
    if about is not None:
        severity = Severity.CRITICAL if event.severity == "error" else Severity.WARNING
        return (signals.of_dns(event.at, str(about), _reason(event), severity),)
    if event.severity == "error":
        return (signals.of_failed_dns(event.at, str(event.facts.get("provider", "?")), event.message),)
    return ()


def _reason(event: Event) -> str | None:
    """The event's sentence where it says that something is wrong, else None."""
    return None if event.severity == "info" else event.message


def _number(event: Event, fact: str) -> int:
    value = event.facts.get(fact, 1)
    return value if isinstance(value, int) else 1


def _resync(node: str) -> str:
    return f"full resync of {node}"
