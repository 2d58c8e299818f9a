"""The aliyun provider with a strict AliDNS of our own behind it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from dns.core.model import Record, RecordKey, relative_name
from dns.providers import make_provider
from dns.providers.port import Wiring
from tests.dns.provider_envs import ProviderEnv
from tests.servers_alidns import AliDns


@contextmanager
def environment(directory: Path) -> Iterator[ProviderEnv]:
    """AliDNS on loopback, and a provider that does not wait between its attempts."""
    with AliDns() as server:
        account = server.account
        values = {
            "access_key_id": account.key_id,
            "access_key_secret": account.secret,
            "endpoint": server.endpoint,
            "requests_per_second": 1000,
            "timeout": 1,
        }
        provider = make_provider("ali", "aliyun", values, Wiring(sleep=lambda seconds: None))

        def standing(key: RecordKey) -> list[tuple[str, int]]:
            name = relative_name(key.name, "example.com")
            rows = [r for r in account.rows.values() if (r.rr, r.type, r.line) == (name, key.type, key.line)]
            return sorted((r.value, r.ttl) for r in rows)

        def place(key: RecordKey, records: tuple[Record, ...]) -> None:
            for record in records:
                status = "ENABLE" if record.enabled else "DISABLE"
                name = relative_name(key.name, "example.com")
                account.put(name, key.type, record.value, key.line, record.ttl, status=status)

        @contextmanager
        def misbehave(*faults: tuple[str, str | None]) -> Iterator[None]:
            for kind, action in faults:
                server.fail(kind, action, times=100)
            yield
            server.faults.clear()

        @contextmanager
        def lost_answer() -> Iterator[None]:
            # Nothing can be asked afterwards either: the provider looks by itself when it can.
            writes = [("lost", a) for a in ("AddDomainRecord", "UpdateDomainRecord", "DeleteDomainRecord")]
            with misbehave(*writes, ("reset", "DescribeSubDomainRecords")):
                yield

        @contextmanager
        def bad_credentials() -> Iterator[None]:
            secret, account.secret = account.secret, "another"
            yield
            account.secret = secret

        @contextmanager
        def unreachable() -> Iterator[None]:
            with server.deaf():
                yield

        try:
            yield ProviderEnv(
                "aliyun",
                provider,
                "example.com",
                standing,
                lines=("default", "telecom", "edu"),
                place=place,
                faults={
                    "unreachable": unreachable,
                    "lost_answer": lost_answer,
                    "cut_listing": lambda: misbehave(("cut", "DescribeDomainRecords")),
                    "bad_credentials": bad_credentials,
                    "throttled": lambda: misbehave(("error", None)),
                },
                secrets=(account.key_id, account.secret),
                page_records=501,
            )
        finally:
            with suppress(Exception):
                provider.close()
