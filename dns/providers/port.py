"""The contract of a DNS provider. It says what every provider does and never talks to one itself.

A provider turns operations into requests and a provider's listing into records; it decides nothing. What
should stand, in which order and whether at all is decided in `dns.core`; retrying is the executor's, by
`permanent`.

**One file per provider**, one line in `dns.providers.PROVIDERS`, one entry in
`tests/dns/provider_envs.py`. The class carries `Settings`, a frozen dataclass whose fields are its
configuration keys (besides `kind`): defaults for what may be left out, `field(repr=False,
metadata={"secret": True})` for secrets, `SettingsError` from `__post_init__` for what can be known to be
wrong. It is built as ``Class(name, settings, wiring)``, which neither connects nor raises for anything
but settings (`SettingsError`).

**capabilities(zone)** says what can be expressed there, without I/O. Optimism is a bug: what it claims is
relied upon.

**observe(zone, names)** reads every record at those names: all types, all lines, disabled and locked ones
too, with at most one listing (all its pages) per zone and line. Values are canonical, lines in Lockstep's
words, names fully qualified. A page that is missing, repeated, or counts that do not add up, make it
`complete=False` with `why`; a listing that fails as a whole raises. A zone that the account does not have
raises `RefusedError("zone", …)`: it is never an empty answer. A provider with ``reads_back=False`` never
gets this call.

**apply(operation)** carries out exactly one operation (see `Operation`) and returns the provider's answer
in a few words for the history (a record id, a serial); with the ids of the records that came to stand
where it has ids. When it returns, the change is accepted. REPLACE must leave no moment without an answer
(update in place, or one atomic message). Applying ADD for a record that stands, and REMOVE for one that
is gone, is success. It sets the record's remark where there are remarks and `Record.remark` is not empty;
a failure of the remark alone is no failure of the operation (say so in the answer). TTL and line are
always sent. Where old values are known they are checked, if the provider can (a prerequisite):
`StaleError` when they do not hold. It sends every request once; repeating is not its business, except to
wait for its own request budget before sending.

**Errors** are `ProviderError`s and nothing else, each request inside a time limit: `RefusedError`
(permanent: credentials, rights, zone, quota, a value it will not take), `UnavailableError` (certainly no
effect: could not connect, throttled, busy), `UnknownOutcomeError` (perhaps it happened: time-out after
sending, a connection cut, 5xx or garbage in answer to a write), `StaleError`. `code` is a short word from
a bounded set. Messages name provider, zone and what to do next, and never a secret.

**check(zone)** is for people (`providers check`): it reads the zone and returns sentences about what is
missing (rights, zone, line, edition limits); empty means well. It writes nothing and raises nothing but
`ProviderError`.

One provider object serves one executor thread; `close()` releases what it holds and can be called twice.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Protocol

from dns.core.model import ADDRESS_TYPES, Capabilities, Observed, Operation, canonical_value
from dns.errors import RefusedError
from dns.process import Finished, run_program


@dataclass(frozen=True, slots=True)
class Answer:
    """What a provider said to an operation that it accepted: words for the history, and ids by value."""

    text: str = ""
    ids: Mapping[str, str] = field(default_factory=dict)


class ProgramRunner(Protocol):
    """Runs a program to its end within limits, like `dns.process.run_program`; never raises for what it
    does.
    """

    def __call__(
        self, argv: Sequence[str], *, timeout_seconds: float, stdin: bytes = b"", output_bytes: int = 4096
    ) -> Finished: ...


@dataclass(frozen=True, slots=True)
class Wiring:
    """What the outside hands to a provider: time, waiting, chance, programs. The defaults are the real
    ones.
    """

    clock: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], object] = time.sleep
    random: Callable[[], float] = random.random
    run: ProgramRunner = run_program
    notice: Callable[[str], None] = lambda sentence: None
    """Takes one sentence that a person should read; it is an event, not an error."""


def refuse_no_addresses(operation: Operation) -> None:
    """Raises RefusedError for a new value that is no address of the set's type: it came from a bug or a
    person.

    It also keeps white space and line breaks out of files and messages, where they would become records.
    """
    for value in operation.values:
        try:
            same = canonical_value(operation.key.type, value) == value
        except ValueError:
            same = False
        if not same or operation.key.type not in ADDRESS_TYPES:
            raise RefusedError(
                "value",
                f"zone {operation.zone.zone}: {value[:60]!r} is no {operation.key.type} record's value",
            )


class Provider(Protocol):
    """See the module's text: it is the contract."""

    kind: ClassVar[str]
    name: str

    def capabilities(self, zone: str) -> Capabilities:
        """What can be expressed in this zone; no I/O."""
        ...

    def observe(self, zone: str, names: frozenset[str]) -> Observed:
        """Every record at these names, or a `ProviderError`."""
        ...

    def apply(self, operation: Operation) -> Answer:
        """Carry out one operation; returns when it is accepted, else raises a `ProviderError`."""
        ...

    def check(self, zone: str) -> tuple[str, ...]:
        """What is missing for this zone, in sentences; empty when all is well."""
        ...

    def close(self) -> None:
        """Release connections; harmless when called again."""
        ...
