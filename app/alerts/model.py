"""The words of alerting as frozen values: what is fed in, what is told, what a channel answers. Nothing
here acts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any

NOTHING: Mapping[str, str] = MappingProxyType({})


class Condition(StrEnum):
    """What can be wrong; the words of ``alerts.routes``. RECOVERED is the route of what is over."""

    ERROR = "error"
    DEAD = "dead"
    RECOVERED = "recovered"
    OUT_OF_STEP = "out_of_step"
    DRIFT = "drift"
    SOURCE = "source"
    HELD = "held"
    DNS = "dns"
    CUT_OFF = "cut_off"
    SYSTEM = "system"
    INVENTORY = "inventory"


OF_NODES = frozenset({Condition.DEAD, Condition.OUT_OF_STEP, Condition.DRIFT, Condition.ERROR})
"""Conditions that prove nothing about a node while the supervisor itself is cut off."""


class Severity(StrEnum):
    """How bad it is; also words of ``alerts.routes``."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """Grows with how bad it is."""
        return list(Severity).index(self)


# --- what is fed in; times are seconds since the epoch -----------------------------------------------


@dataclass(frozen=True, slots=True)
class Raised:
    """A condition holds for an object. Feeding it again while it holds only brings its sentences up to date.

    ``summary`` says what is wrong, ``advice`` what to do; one sentence each, without secrets.
    """

    at: float
    condition: Condition
    object: str
    severity: Severity
    summary: str
    advice: str
    facts: Mapping[str, str] = field(default_factory=lambda: NOTHING)


@dataclass(frozen=True, slots=True)
class Cleared:
    """A condition holds no longer. Feeding it for what was never raised does nothing."""

    at: float
    condition: Condition
    object: str


@dataclass(frozen=True, slots=True)
class Gone:
    """An object (a node, a service) left the configuration: whatever was raised for it is over."""

    at: float
    object: str


@dataclass(frozen=True, slots=True)
class Mistake:
    """One error in the sense of ``alerts.strategies``; ``what`` is kept as an example for the notice."""

    at: float
    what: str


Signal = Raised | Cleared | Gone | Mistake


# --- what is told ------------------------------------------------------------------------------------


class NoticeKind(StrEnum):
    """Why somebody is told."""

    FIRING = "firing"
    REPEAT = "repeat"
    RESOLVED = "resolved"
    FLAPPING = "flapping"
    HOOK = "hook"
    TEST = "test"


@dataclass(frozen=True, slots=True)
class Item:
    """One alert inside a notice. ``ended_at`` is None while it holds; ``times`` counts how often it came
    lately.
    """

    condition: Condition
    object: str
    severity: Severity
    summary: str
    advice: str
    since: float
    ended_at: float | None = None
    times: int = 1
    facts: Mapping[str, str] = field(default_factory=lambda: NOTHING)

    def seconds(self, now: float) -> float:
        """How long it lasted, or has lasted by now."""
        return max(0.0, (now if self.ended_at is None else self.ended_at) - self.since)


@dataclass(frozen=True, slots=True)
class Notice:
    """One message for people: several alerts of one condition told at once.

    ``incident`` names its thread; ``follows`` are the incidents of earlier notices that it takes up again
    (a repeat, an end). ``name`` is the installation's. Its sentences are English; ``language`` is what a person is
    told them in. Items are in the order in which they began.
    """

    id: str
    kind: NoticeKind
    condition: Condition
    severity: Severity
    at: float
    items: tuple[Item, ...]
    incident: str
    follows: tuple[str, ...] = ()
    name: str = "Lockstep"
    text: str = ""
    language: str = "en"

    def to_json(self) -> dict[str, Any]:
        """Plain values for the outbox table."""
        return {
            "id": self.id,
            "kind": self.kind.value,
            "condition": self.condition.value,
            "severity": self.severity.value,
            "at": self.at,
            "items": [item_to_json(item) for item in self.items],
            "incident": self.incident,
            "follows": list(self.follows),
            "name": self.name,
            "text": self.text,
            "language": self.language,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Notice:
        """The notice of ``to_json``. Raises KeyError, TypeError or ValueError for anything else."""
        return cls(
            value["id"],
            NoticeKind(value["kind"]),
            Condition(value["condition"]),
            Severity(value["severity"]),
            float(value["at"]),
            tuple(item_from_json(item) for item in value["items"]),
            value["incident"],
            tuple(value["follows"]),
            value["name"],
            value["text"],
            value.get("language", "en"),
        )


def text_notice(
    identity: str, kind: NoticeKind, text: str, at: float, name: str, severity: Severity = Severity.INFO
) -> Notice:
    """A notice that is only a text, its first line the title: for tests of a channel and for hooks."""
    return Notice(identity, kind, Condition.SYSTEM, severity, at, (), identity, (), name, text)


def test_notice(identity: str, channel: str, at: float, name: str) -> Notice:
    """What ``flask alerts test`` sends."""
    return text_notice(
        identity, NoticeKind.TEST, f"A test of the channel {channel}: nothing is wrong.", at, name
    )


def item_to_json(item: Item) -> dict[str, Any]:
    """Plain values of an item."""
    return {
        "condition": item.condition.value,
        "object": item.object,
        "severity": item.severity.value,
        "summary": item.summary,
        "advice": item.advice,
        "since": item.since,
        "ended_at": item.ended_at,
        "times": item.times,
        "facts": dict(item.facts),
    }


def item_from_json(value: Mapping[str, Any]) -> Item:
    """The item of ``item_to_json``."""
    return Item(
        Condition(value["condition"]),
        value["object"],
        Severity(value["severity"]),
        value["summary"],
        value["advice"],
        float(value["since"]),
        None if value["ended_at"] is None else float(value["ended_at"]),
        int(value["times"]),
        MappingProxyType(dict(value["facts"])),
    )


@dataclass(frozen=True, slots=True)
class Delivery:
    """What a channel answers. ``detail`` says in full what happened, without secrets, also when all went
    well.

    ``permanent``: trying again cannot help. ``retry_after_seconds``: the other side asked for that pause.
    """

    ok: bool
    permanent: bool = False
    detail: str = ""
    retry_after_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Silence:
    """Nothing is told of what it matches until ``until``; None matches everything, ``object`` takes ``*``
    and ``?``.
    """

    id: str
    until: float
    condition: Condition | None = None
    object: str | None = None
    comment: str = ""


@dataclass(frozen=True, slots=True)
class AlertRules:
    """The ``alerts`` section as the core needs it. Seconds; ``repeat_seconds`` 0: never repeated.

    An alert that came ``flap_count`` times within ``flap_seconds`` flaps, until it has been still for that
    long.
    """

    strategies: Mapping[float, int] = field(
        default_factory=lambda: MappingProxyType({90: 30, 120: 20, 150: 10, 300: 5})
    )
    group_seconds: float = 30.0
    repeat_seconds: float = 14400.0
    flap_count: int = 3
    flap_seconds: float = 900.0
    name: str = "Lockstep"
    language: str = "en"
