"""The words of the DNS half as frozen values. Nothing here acts, reads a clock or knows a provider."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from dns.core.names import address_type as address_type
from dns.core.names import canonical_name as canonical_name
from dns.core.names import canonical_value as canonical_value
from dns.core.names import qualified_name as qualified_name
from dns.core.names import relative_name as relative_name

DEFAULT = "default"
LINES = (DEFAULT, "telecom", "unicom", "mobile", "edu", "oversea")
"""Lockstep's own words for lines, mapped by each provider; any other code is passed through as it
is.
"""

ADDRESS_TYPES = ("A", "AAAA")


class ZoneKey(NamedTuple):
    """One zone at one configured provider: what one listing reads and one plan changes."""

    provider: str
    zone: str


class RecordKey(NamedTuple):
    """What names a record set. `name` is fully qualified, in lower case, without the final dot."""

    name: str
    type: str
    line: str = DEFAULT

    def __str__(self) -> str:
        return f"{self.name} {self.type} ({self.line})"


@dataclass(frozen=True, slots=True)
class Record:
    """One record, as it stands at a provider or as it should.

    `value` is canonical (see `canonical_value`); `ttl` seconds; `weight` None where the provider has none
    or it was not asked for. A disabled record exists but answers nobody. `foreign` marks what the
    provider knows not to be ours to change (locked, managed by another tool), whatever a ledger says.
    `id` is the provider's, None where it has none or the record does not stand yet.
    """

    value: str
    ttl: int
    id: str | None = None
    weight: int | None = None
    enabled: bool = True
    remark: str = ""
    foreign: bool = False


@dataclass(frozen=True, slots=True)
class RecordSet:
    """All records of one (name, type, line)."""

    key: RecordKey
    records: tuple[Record, ...] = ()

    @property
    def values(self) -> tuple[str, ...]:
        """The values that answer, in order; disabled records answer nobody."""
        return tuple(r.value for r in self.records if r.enabled)


@dataclass(frozen=True, slots=True)
class Observed:
    """What a provider's listing showed for the names asked about: every type and line, also disabled and
    foreign.

    A listing that was cut short is not `complete`, and nothing may be concluded from a set's absence in
    it; `why` says what happened. Where lines are read apart, `unread_lines` names those that failed while
    the rest is sound.
    """

    sets: Mapping[RecordKey, RecordSet] = field(default_factory=dict)
    complete: bool = True
    why: str = ""
    unread_lines: frozenset[str] = frozenset()

    def knows(self, key: RecordKey) -> bool:
        """Whether this reading says for certain what stands in the set, be it nothing."""
        return self.complete and key.line not in self.unread_lines

    def records(self, key: RecordKey) -> tuple[Record, ...]:
        """The records of the set, none when it does not stand."""
        found = self.sets.get(key)
        return found.records if found else ()


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a provider can express; what it cannot is refused when the configuration is checked.

    - `lines`: None is an open set (any code passes); an empty set means no lines at all (default only);
      otherwise exactly these, in Lockstep's words, default included.
    - `line_fallback_to_default`: an asker on a line without records is answered from default. Without it
      every line is written in full.
    - `weights`: records can carry weights, `max_weight` being the largest.
    - `ttl_min`, `ttl_max`: bounds in seconds for this zone; a TTL outside is an error, never bent.
    - `update_in_place`: one request turns a record's value into another without a moment between.
    - `atomic_sets`: all changes of a record set happen at once, so an operation carries whole sets.
    - `reads_back`: the provider can be listed; without it the ledger stands for what is observed.
    - `remarks`: records carry a remark, the second evidence of ownership.
    - `owns_zone`: everything in the zone is ours (a file of our own); nothing in it can be foreign.
    - `max_answers`: records per set at most, None where there is no bound.
    """

    lines: frozenset[str] | None = frozenset()
    line_fallback_to_default: bool = False
    weights: bool = False
    max_weight: int = 100
    ttl_min: int = 1
    ttl_max: int = 86400
    update_in_place: bool = True
    atomic_sets: bool = False
    reads_back: bool = True
    remarks: bool = False
    owns_zone: bool = False
    max_answers: int | None = None

    def takes_line(self, line: str) -> bool:
        """Whether a record set on this line can be written at all."""
        return line == DEFAULT or self.lines is None or line in self.lines


# --- what the configuration says, as the core sees it ---------------------------------------------


class Fallback(StrEnum):
    """What a line does when no node of its tiers is fit."""

    ANY = "any"
    NONE = "none"


class WhenNoneReady(StrEnum):
    """What a record set does when no node is fit for it."""

    WITHDRAW = "withdraw"
    HOLD = "hold"
    FALLBACK = "fallback"


@dataclass(frozen=True, slots=True)
class LinePlan:
    """Which nodes answer on a line. `tiers` None: all nodes, as one tier; otherwise the first tier with a
    fit node.

    `max_answers` None: every fit node of the tier. `weights` by node name.
    """

    tiers: tuple[tuple[str, ...], ...] | None = None
    fallback: Fallback = Fallback.ANY
    max_answers: int | None = None
    weights: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Service:
    """A DNS name that is answered with nodes. `lines` None: taken from the nodes' own lines, fallback
    any.
    """

    name: str
    provider: str
    zone: str
    record: str = "@"
    types: tuple[str, ...] = ADDRESS_TYPES
    ttl: int = 600
    lines: Mapping[str, LinePlan] | None = None
    when_none_ready: WhenNoneReady = WhenNoneReady.WITHDRAW
    fallback_addresses: tuple[str, ...] = ()
    adopt: bool = False
    allow_private: bool = False

    @property
    def zone_key(self) -> ZoneKey:
        """Where its records stand."""
        return ZoneKey(self.provider, canonical_name(self.zone))

    @property
    def fqdn(self) -> str:
        """The name of its records."""
        return qualified_name(self.record, self.zone)


# --- what is known about the nodes ----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Address:
    """An address of a node. `lines` empty: good for every line. `fit` is its own probes' word: None when
    unknown.

    `shared`: several nodes behind it, one fit holder is enough. `why` says what is wrong with it.
    """

    value: str
    lines: frozenset[str] = frozenset()
    fit: bool | None = True
    why: str = ""
    shared: bool = False

    @property
    def type(self) -> str:
        """The record type that can carry it."""
        return address_type(self.value)


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """What the content half says about a node at one moment.

    `fit`: True is known to be ready and in sync (and past its hold-down), False is known not to be, None
    is unknown, which changes nothing. `reason` completes the sentence "node a …": "is in recovery".
    `addresses_known` False: where it is has not been learnt since the start, which is no evidence either.
    """

    name: str
    fit: bool | None
    reason: str = ""
    drained: bool = False
    lines: tuple[str, ...] = ()
    addresses: tuple[Address, ...] = ()
    addresses_known: bool = True


# --- what should stand ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DesiredRecord:
    """A record that should stand, on whose account, and why."""

    value: str
    ttl: int
    weight: int | None = None
    nodes: tuple[str, ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True)
class DesiredSet:
    """What should stand in one record set, and why.

    `missing`: why each node of the line that does not answer there does not. `against`: the reason by
    value for what stands and should not; `unfit` names, for those of them that follow from evidence, the
    undrained nodes that are known to be unfit (none where it is a drain). `held`: not empty, the set is
    left as it is, for this reason. `stopgap`: no node is known to be fit, and what stands is the last answer
    held, or the service's fallback addresses.
    """

    service: str
    key: RecordKey
    records: tuple[DesiredRecord, ...] = ()
    reason: str = ""
    missing: Mapping[str, str] = field(default_factory=dict)
    against: Mapping[str, str] = field(default_factory=dict)
    unfit: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    held: str = ""
    stopgap: bool = False

    @property
    def values(self) -> tuple[str, ...]:
        """The values that should answer."""
        return tuple(r.value for r in self.records)


@dataclass(frozen=True, slots=True)
class Desired:
    """Everything that should stand, by zone and record set. `problems`: what cannot be, in sentences."""

    zones: Mapping[ZoneKey, Mapping[RecordKey, DesiredSet]] = field(default_factory=dict)
    problems: tuple[str, ...] = ()

    def of(self, zone: ZoneKey) -> Mapping[RecordKey, DesiredSet]:
        """The sets of one zone at one provider."""
        return self.zones.get(zone, {})


# --- what to do about it --------------------------------------------------------------------------


class Action(StrEnum):
    """What an operation does to its record set."""

    ADD = "add"
    REPLACE = "replace"
    REMOVE = "remove"


@dataclass(frozen=True, slots=True)
class Operation:
    """One request to a provider.

    - ADD: `new` comes to stand; `old` is empty.
    - REPLACE: `new` stands where `old` stood, without a moment between. Values may be equal and only TTL,
      weight or `enabled` differ.
    - REMOVE: `old` goes; `new` is empty.

    For a provider with `atomic_sets`, `old` and `new` are the whole record set before and after; for any
    other each holds at most one record, and records in `old` carry the provider's ids. A new record that
    replaces one carries that one's id too.
    """

    action: Action
    service: str
    zone: ZoneKey
    key: RecordKey
    new: tuple[Record, ...] = ()
    old: tuple[Record, ...] = ()
    reason: str = ""

    @property
    def values(self) -> tuple[str, ...]:
        """The values that come (or stay, in a whole set)."""
        return tuple(r.value for r in self.new)

    @property
    def old_values(self) -> tuple[str, ...]:
        """The values that stood before."""
        return tuple(r.value for r in self.old)

    @property
    def record_ids(self) -> tuple[str, ...]:
        """The provider's ids of the records that are replaced or removed."""
        return tuple(r.id for r in self.old if r.id is not None)


@dataclass(frozen=True, slots=True)
class Plan:
    """Ordered operations for one zone, and the record sets that are left alone with the reason."""

    zone: ZoneKey
    operations: tuple[Operation, ...] = ()
    held: Mapping[RecordKey, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.operations)
