"""The test environments of the providers: what the contract suite runs against. One line here per provider.

Each environment is a file of its own, `tests/dns/env_<kind>.py`, with a context manager
``environment(directory: Path) -> Iterator[ProviderEnv]`` that starts what the provider talks to (on
loopback, on a free port), yields, and ends it. What is slow to start may be shared by all tests of a
kind: then the file also has ``server(directory)``, a context manager too, and ``environment(directory,
shared)`` gets what that yielded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path

from dns.core.model import Record, RecordKey
from dns.providers.port import Provider

ENVIRONMENTS = [
    "zonefile",
    "rfc2136",
    "aliyun",
    "cloudflare",
    "dnspod",
    "route53",
    "callback",
]


@dataclass
class ProviderEnv:
    """A provider with what it talks to.

    - `zone` exists there and is empty of addresses at first; `lines` are usable ones, default first;
      `ttls` two different TTLs it takes.
    - `standing(key)` is what the far side itself holds, not asked through the provider: pairs (value,
      ttl), sorted.
    - `place(key, records)` puts somebody else's records there behind the provider's back, None where
      nobody else can.
    - `faults`: by name, a context manager during which the far side misbehaves. Known names:
      ``unreachable`` (nobody listens: UnavailableError), ``lost_answer`` (a write happens, its answer is
      lost: UnknownOutcomeError), ``cut_listing`` (a page is missing), ``bad_credentials`` (RefusedError),
      ``throttled`` (UnavailableError).
    - `foreign_zone`: a zone it does not have, None where any zone will do.
    - `secrets`: texts that must never show.
    - `page_records`: how many records make more than one page, 0 where there are no pages.
    """

    kind: str
    provider: Provider
    zone: str
    standing: Callable[[RecordKey], list[tuple[str, int]]]
    lines: tuple[str, ...] = ("default",)
    ttls: tuple[int, int] = (600, 1200)
    place: Callable[[RecordKey, tuple[Record, ...]], None] | None = None
    faults: Mapping[str, Callable[[], AbstractContextManager[object]]] = field(default_factory=dict)
    foreign_zone: str | None = "not-ours.test"
    secrets: tuple[str, ...] = ()
    page_records: int = 0


@contextmanager
def far_side(kind: str, directory: Path) -> Iterator[object]:
    """What all tests of a kind share, None where its file has no `server`."""
    module = import_module(f"tests.dns.env_{kind}")
    if not hasattr(module, "server"):
        yield None
        return
    with module.server(directory) as shared:
        yield shared


@contextmanager
def environment(kind: str, directory: Path, shared: object = None) -> Iterator[ProviderEnv]:
    """The environment of a kind, ended on leaving."""
    opened = import_module(f"tests.dns.env_{kind}").environment
    with opened(directory) if shared is None else opened(directory, shared) as env:
        yield env
