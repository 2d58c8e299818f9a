"""One alert: what it may become, step by step. Knows nothing of groups, routes, silences or other alerts.

              raised                     told                    cleared                 told
    (none) ──────────► PENDING ─────────────────► FIRING ──────────────────► ENDING ───────────────► CALM
                          │ cleared: told as over, once                         │ raised: FIRING again,
                          nobody noticed └────────────────────► CALM
    any ── raised for the flap_count-th time within flap_seconds ──► FLAPPING ── still for flap_seconds ──►
    FIRING or ENDING

``due_at`` is None when there is nothing to tell; otherwise the group's time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from app.alerts.model import NOTHING, AlertRules, Condition, Item, NoticeKind, Raised, Severity

MOST_RAISES = 50


class Phase(StrEnum):
    """Where an alert stands; see the drawing above."""

    PENDING = "pending"
    FIRING = "firing"
    ENDING = "ending"
    FLAPPING = "flapping"
    CALM = "calm"


TELLS: Mapping[Phase, NoticeKind] = {
    Phase.PENDING: NoticeKind.FIRING,
    Phase.ENDING: NoticeKind.RESOLVED,
    Phase.FLAPPING: NoticeKind.FLAPPING,
}


@dataclass(frozen=True, slots=True)
class Alert:
    """One condition of one object. ``up``: it holds now. ``thread`` is the incident under which it was told.

    ``heard`` are the channels that were told of it while it held; ``late_at`` is when those of a newer
    configuration are.

    Invariant: ``up`` is False in ENDING and CALM, True in FIRING; ``due_at`` is None in FIRING and CALM.
    """

    condition: Condition
    object: str
    severity: Severity
    summary: str
    advice: str
    since: float
    phase: Phase = Phase.PENDING
    up: bool = True
    due_at: float | None = None
    changed_at: float = 0.0
    ended_at: float | None = None
    told_at: float | None = None
    thread: str | None = None
    heard: tuple[str, ...] = ()
    late_at: float | None = None
    raises: tuple[float, ...] = ()
    facts: Mapping[str, str] = field(default_factory=lambda: NOTHING)

    @property
    def key(self) -> tuple[Condition, str]:
        """What there is only one of."""
        return self.condition, self.object

    @property
    def tells(self) -> NoticeKind | None:
        """The kind of notice it waits for; None when it has nothing to tell."""
        return None if self.due_at is None else TELLS.get(self.phase)

    @property
    def brief(self) -> bool:
        """Whether it was over before anybody was told."""
        return self.phase is Phase.PENDING and not self.up

    def item(self) -> Item:
        """What a notice shows of it."""
        ended = None if self.up else self.ended_at
        times = max(1, len(self.raises))
        return Item(
            self.condition,
            self.object,
            self.severity,
            self.summary,
            self.advice,
            self.since,
            ended,
            times,
            self.facts,
        )


def raised(alert: Alert | None, signal: Raised, rules: AlertRules) -> Alert:
    """The alert after its condition was found to hold. A ``due_at`` of inf asks the caller for the group's
    time.
    """
    if alert is None:
        return _begun(signal, (signal.at,))
    worse = signal.severity.rank > alert.severity.rank
    spoken = replace(
        alert,
        severity=signal.severity,
        summary=signal.summary,
        advice=signal.advice,
        facts=MappingProxyType(dict(signal.facts)),
    )
    if alert.up:
        return (
            replace(spoken, phase=Phase.PENDING, due_at=ASK)
            if worse and alert.phase is Phase.FIRING
            else spoken
        )
    again = replace(
        spoken, up=True, changed_at=signal.at, ended_at=None, raises=_recent(alert, signal.at, rules)
    )
    if alert.phase is Phase.FLAPPING:
        return again
    if len(again.raises) >= rules.flap_count:
        return replace(again, phase=Phase.FLAPPING, due_at=ASK, since=again.raises[0])
    if alert.phase is Phase.ENDING:
        return replace(again, phase=Phase.FIRING, due_at=None)
    if alert.phase is Phase.PENDING:
        return again
    return _begun(signal, again.raises)


ASK = float("inf")


def cleared(alert: Alert, at: float) -> Alert:
    """The alert after its condition was found to hold no longer."""
    if not alert.up:
        return alert
    down = replace(alert, up=False, ended_at=at, changed_at=at, late_at=None)
    told = alert.thread is not None
    if alert.phase is Phase.FIRING or (alert.phase is Phase.PENDING and told):
        return replace(down, phase=Phase.ENDING, due_at=ASK)
    return down


def told(alert: Alert, at: float, incident: str, channels: Iterable[str]) -> Alert:
    """The alert after its notice went out to these channels under this incident, a repeat included."""
    if alert.phase is Phase.ENDING or alert.brief:
        return calmed(alert)
    phase = Phase.FIRING if alert.phase is Phase.PENDING else alert.phase
    spoken = heard_by(alert, channels)
    return replace(spoken, phase=phase, due_at=None, told_at=at, thread=alert.thread or incident)


def heard_by(alert: Alert, channels: Iterable[str]) -> Alert:
    """The alert after these channels, too, were told that it holds."""
    return replace(alert, heard=tuple(dict.fromkeys((*alert.heard, *channels))), late_at=None)


def calmed(alert: Alert) -> Alert:
    """The alert when nothing is left to tell: it only remembers how often it came."""
    return replace(
        alert, phase=Phase.CALM, up=False, due_at=None, thread=None, told_at=None, heard=(), late_at=None
    )


def settled(alert: Alert, now: float, rules: AlertRules) -> Alert:
    """A flapping alert that has been still for long enough leaves that state; any other stays as it is."""
    if (
        alert.phase is not Phase.FLAPPING
        or alert.due_at is not None
        or now - alert.changed_at < rules.flap_seconds
    ):
        return alert
    phase = Phase.PENDING if alert.up else Phase.ENDING
    return replace(alert, phase=phase, due_at=now, raises=alert.raises[-1:])


def _begun(signal: Raised, raises: tuple[float, ...]) -> Alert:
    return Alert(
        signal.condition,
        signal.object,
        signal.severity,
        signal.summary,
        signal.advice,
        signal.at,
        due_at=ASK,
        changed_at=signal.at,
        raises=raises,
        facts=MappingProxyType(dict(signal.facts)),
    )


def _recent(alert: Alert, at: float, rules: AlertRules) -> tuple[float, ...]:
    kept = (*(one for one in alert.raises if at - one < rules.flap_seconds), at)
    return kept[-MOST_RAISES:]


def alert_to_json(alert: Alert) -> dict[str, Any]:
    """Plain values for the database."""
    return {name: _plain(getattr(alert, name)) for name in Alert.__slots__}


def alert_from_json(value: Mapping[str, Any]) -> Alert:
    """The alert of ``alert_to_json``. Raises KeyError, TypeError or ValueError for anything else."""
    return Alert(
        **{
            **value,
            "condition": Condition(value["condition"]),
            "severity": Severity(value["severity"]),
            "phase": Phase(value["phase"]),
            "raises": tuple(value["raises"]),
            "heard": tuple(value.get("heard", ())),
            "facts": MappingProxyType(dict(value["facts"])),
        }
    )


def _plain(value: object) -> object:
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, Mapping):
        return dict(value)
    return list(value) if isinstance(value, tuple) else value
