"""Decides a node's state from what was observed of it, with a reason for every flip; never looks at a node.

             failed                  more than `fatal` of `tries` failed
    READY ────────────► UNHEALTH ───────────────────────────────────────► DEAD
      ▲  ▲                │  ▲  ▲                                           │
      │  └─ relapse ─┐    │  │  └──────────────────── good ─────────────────┘
      │ recovered    ▼    │  │ attempt failed, or
      └─────────── RECOVERY ◄┘ a failed observation while it waits
                     ▲    enough of the tries were good
                  new nodes

Every function is total: an event that means nothing in the present state (a resync that ends after its node
has been found dead) changes nothing and is no flip. Invariants, checked by `Health.check`:

- outside UNHEALTH tries and failures are 0; in it 0 <= failures <= tries, and tries < `unhealth_tries`
  because the last try decides at once;
- a READY node has no failed recoveries to its name;
- every state has a reason.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from hashlib import blake2b

from sync.core.model import Flip, Observation, State

LONGEST_PAUSE_SECONDS = 600.0
JITTER = 0.1
"""A timer is moved by up to this share either way, so that nodes added together are not probed together."""


@dataclass(frozen=True, slots=True)
class SleepTimes:
    """Seconds between two observations in each state; ``total`` is the node source's interval."""

    ready: float = 5.0
    dead: float = 3.0
    unhealth: float = 3.0
    recovery: float = 3.0
    total: float = 4.0


@dataclass(frozen=True, slots=True)
class HealthRules:
    """The numbers of the table; raises ValueError for numbers with which a state could never be left."""

    unhealth_tries: int = 5
    unhealth_fatal: int = 3
    sleep: SleepTimes = SleepTimes()

    def __post_init__(self) -> None:
        if self.unhealth_tries < 1:
            raise ValueError("unhealth_tries must be at least 1")
        if self.unhealth_fatal < 0:
            raise ValueError("unhealth_fatal must not be negative")
        times = (self.sleep.ready, self.sleep.dead, self.sleep.unhealth, self.sleep.recovery)
        if min(times) <= 0:
            raise ValueError("sleep times must be more than 0 seconds")


@dataclass(frozen=True, slots=True)
class Health:
    """A node's state since ``since`` (seconds since the epoch), with the reason it is in.

    ``tries`` and ``failures`` count the observations in UNHEALTH; ``recoveries`` the failed attempts at
    recovery since the node was last READY; ``last_failure`` is what the last failed observation said.
    """

    state: State
    since: float
    reason: str
    tries: int = 0
    failures: int = 0
    recoveries: int = 0
    node: str = ""
    last_failure: str = ""

    def check(self, rules: HealthRules | None = None) -> None:
        """Raises AssertionError when an invariant is broken: a bug of this module, never of its caller."""
        if self.state is State.UNHEALTH:
            held = 0 <= self.failures <= self.tries and (rules is None or self.tries < rules.unhealth_tries)
        else:
            held = self.tries == self.failures == 0
        held = held and self.recoveries >= 0 and (self.state is not State.READY or self.recoveries == 0)
        if not held or not self.reason:
            raise AssertionError(f"a health that cannot be: {self!r}")


Step = tuple[Health, Flip | None]


def new_node(at: float, node: str = "", reason: str = "new node") -> Health:
    """The health every node starts with: in RECOVERY, nothing tried yet."""
    return Health(State.RECOVERY, at, reason, node=node)


def observe(health: Health, observation: Observation, rules: HealthRules) -> Step:
    """The health after one observation, and the flip if it caused one."""
    if not observation.good:
        health = replace(health, last_failure=_failure(observation))
    if health.state is State.UNHEALTH:
        return _tried(health, observation, rules)
    if health.state is State.DEAD:
        return (
            _flip(health, State.UNHEALTH, observation.at, "answers again")
            if observation.good
            else (health, None)
        )
    if observation.good:
        return health, None
    return _flip(health, State.UNHEALTH, observation.at, health.last_failure)


def recovered(health: Health, at: float, reason: str = "full resync done, all changes confirmed") -> Step:
    """READY, when the node was in RECOVERY; its failed attempts are forgotten."""
    if health.state is not State.RECOVERY:
        return health, None
    return _flip(replace(health, recoveries=0, last_failure=""), State.READY, at, reason)


def recovery_failed(health: Health, at: float, reason: str) -> Step:
    """UNHEALTH, when the node was in RECOVERY; the next attempt waits longer (`recovery_pause_seconds`)."""
    if health.state is not State.RECOVERY:
        return health, None
    reason = f"recovery failed: {reason}"
    health = replace(health, recoveries=health.recoveries + 1, last_failure=reason)
    return _flip(health, State.UNHEALTH, at, reason)


def relapsed(health: Health, at: float, reason: str) -> Step:
    """RECOVERY, when the node was READY and needs a full resync (drift, a new destination, a trimmed cursor).

    An UNHEALTH or DEAD node stays what it is: it passes through RECOVERY anyway before it is READY.
    """
    if health.state is not State.READY:
        return health, None
    return _flip(health, State.RECOVERY, at, reason)


def next_observation_seconds(health: Health, rules: HealthRules, n: int | None = None) -> float:
    """Seconds until the next observation; with ``n``, the observation's number, moved by up to a tenth."""
    seconds = {
        State.READY: rules.sleep.ready,
        State.UNHEALTH: rules.sleep.unhealth,
        State.DEAD: rules.sleep.dead,
        State.RECOVERY: rules.sleep.recovery,
    }[health.state]
    return seconds if n is None else seconds * (1.0 + JITTER * jitter(health.node, n))


def recovery_pause_seconds(health: Health, rules: HealthRules) -> float:
    """Seconds to wait in RECOVERY before its attempt: none before the first, then doubling to ten minutes."""
    if health.recoveries == 0:
        return 0.0
    doublings = min(health.recoveries - 1, 64)  # beyond that a float overflows long after the cap was met
    return float(min(rules.sleep.recovery * 2.0**doublings, LONGEST_PAUSE_SECONDS))


def jitter(node: str, n: int) -> float:
    """A number from -1 up to 1 that looks random, and is the same for the same node and number everywhere."""
    digest = blake2b(f"{node}\0{n}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest) / 2.0**63 - 1.0


def _tried(health: Health, observation: Observation, rules: HealthRules) -> Step:
    tries, failures = health.tries + 1, health.failures + (not observation.good)
    if tries < rules.unhealth_tries:
        return replace(health, tries=tries, failures=failures), None
    if failures > rules.unhealth_fatal:
        said = f"; the last said: {health.last_failure}" if health.last_failure else ""
        return _flip(health, State.DEAD, observation.at, f"{failures} of {tries} observations failed{said}")
    reason = f"{tries - failures} of {tries} observations were good, a full resync is due"
    return _flip(health, State.RECOVERY, observation.at, reason)


def _flip(health: Health, state: State, at: float, reason: str) -> tuple[Health, Flip]:
    flip = Flip(health.node, at, health.state, state, reason)
    return replace(health, state=state, since=at, reason=reason, tries=0, failures=0), flip


def _failure(observation: Observation) -> str:
    """Why the observation failed: "2 of 3 probes failed: rsync: connection refused; …"."""
    present = [r for r in observation.results if r.good is not None]
    failed = sum(r.good is False for r in present)
    if not failed:
        return "the observation failed"
    probes = "probe" if len(present) == 1 else "probes"
    return f"{failed} of {len(present)} {probes} failed: {observation.detail}"
