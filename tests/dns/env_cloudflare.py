"""The cloudflare provider through its own SDK, with a small Cloudflare of our own behind it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dns.core.model import Record, RecordKey
from dns.providers import make_provider
from dns.providers.port import Wiring
from tests.dns.provider_envs import ProviderEnv
from tests.servers_cloudflare import cloudflare_server
from tests.servers_http import Response


@contextmanager
def environment(directory: Path) -> Iterator[ProviderEnv]:
    """Cloudflare on loopback, and a provider that does not wait between its attempts."""
    with cloudflare_server() as (server, account):
        values = {"token": account.token, "endpoint": server.url, "requests_per_second": 0, "timeout": 1}
        provider = make_provider("cf", "cloudflare", values, Wiring(sleep=lambda seconds: None))

        def standing(key: RecordKey) -> list[tuple[str, int]]:
            rows = [r for r in account.records.values() if (r["name"], r["type"]) == (key.name, key.type)]
            return sorted((r["content"], r["ttl"]) for r in rows)

        def place(key: RecordKey, records: tuple[Record, ...]) -> None:
            for record in records:
                account.put(key.name, key.type, record.value, record.ttl)

        @contextmanager
        def lost_answer() -> Iterator[None]:
            # Nothing can be asked afterwards either: the provider looks by itself when it can.
            provider.observe("example.com", frozenset())
            reads = server.misbehaving("reset", lambda request: request.method == "GET")
            with reads, server.misbehaving("lost", lambda request: request.method != "GET"):
                yield

        @contextmanager
        def bad_credentials() -> Iterator[None]:
            token, account.token = account.token, "another"
            yield
            account.token = token

        @contextmanager
        def cut_listing() -> Iterator[None]:
            account.drop_rows = 1
            yield
            account.drop_rows = 0

        provider.observe("example.com", frozenset())
        yield ProviderEnv(
            "cloudflare",
            provider,
            "example.com",
            standing,
            place=place,
            faults={
                "unreachable": server.deaf,
                "lost_answer": lost_answer,
                "cut_listing": cut_listing,
                "bad_credentials": bad_credentials,
                "throttled": lambda: server.misbehaving("answer", response=Response(429, {"errors": []})),
            },
            secrets=(account.token,),
            page_records=501,
        )
        provider.close()
