"""A provider against the strict AliDNS, with a clock that stands still unless somebody sleeps."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from dns.core.model import Action, Operation, Record, RecordKey, RecordSet, ZoneKey
from dns.providers.aliyun import Aliyun, AliyunSettings
from dns.providers.port import Answer, Wiring
from tests.servers_alidns import AliDns
from tests.servers_alidns_account import Account

ZONE = ZoneKey("ali", "example.com")
WWW = RecordKey("www.example.com", "A", "telecom")
A, B, C = "203.0.113.10", "203.0.113.20", "203.0.113.30"


@dataclass
class Clock:
    """Time that passes only while somebody sleeps."""

    now: float = 1000.0
    slept: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@dataclass
class Stand:
    """The server, its account and a provider that talks to it."""

    server: AliDns
    provider: Aliyun
    clock: Clock

    @property
    def account(self) -> Account:
        return self.server.account

    def add(self, value: str = A, key: RecordKey = WWW, **more: Any) -> Answer:
        new = Record(value, more.pop("ttl", 600), **more)
        return self.provider.apply(Operation(Action.ADD, "svc", ZONE, key, (new,)))

    def replace(self, old: Record, key: RecordKey = WWW, **changed: Any) -> Answer:
        fields = {"value": old.value, "ttl": old.ttl, "id": old.id, "weight": old.weight} | changed
        return self.provider.apply(Operation(Action.REPLACE, "svc", ZONE, key, (Record(**fields),), (old,)))

    def remove(self, old: Record, key: RecordKey = WWW) -> Answer:
        return self.provider.apply(Operation(Action.REMOVE, "svc", ZONE, key, (), (old,)))

    def read(self, key: RecordKey = WWW) -> tuple[Record, ...]:
        seen = self.provider.observe("example.com", frozenset({key.name}))
        assert seen.complete, seen.why
        return seen.sets.get(key, RecordSet(key)).records

    def last(self, action: str) -> dict[str, str]:
        """The parameters of the last request of this action that the account acted upon."""
        return [parameters for name, parameters in self.account.seen if name == action][-1]


@contextmanager
def stand(server: AliDns | None = None, **settings: Any) -> Iterator[Stand]:
    """The provider with its server, which is started here and ended."""
    with server or AliDns() as running:
        clock = Clock()
        values = {
            "access_key_id": running.account.key_id,
            "access_key_secret": running.account.secret,
            "endpoint": running.endpoint,
            "requests_per_second": 1000,
            "timeout": 0.5,
            "connect_timeout": 0.5,
            **settings,
        }
        wiring = Wiring(monotonic=lambda: clock.now, sleep=clock.sleep, random=lambda: 0.5)
        provider = Aliyun("ali", AliyunSettings(**values), wiring)
        try:
            yield Stand(running, provider, clock)
        finally:
            provider.close()
