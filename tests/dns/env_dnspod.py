"""The dnspod provider through Tencent Cloud's SDK, with a small DNSPod of our own behind it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dns.core.model import Record, RecordKey, relative_name
from dns.providers import make_provider
from dns.providers.dnspod import LINES
from dns.providers.port import Wiring
from tests.dns.provider_envs import ProviderEnv
from tests.servers_dnspod import dnspod_server
from tests.servers_http import Request, Response


def _reads(request: Request) -> bool:
    return request.headers.get("x-tc-action", "").startswith("Describe")


@contextmanager
def environment(directory: Path) -> Iterator[ProviderEnv]:
    """DNSPod on loopback, and a provider that does not wait between its attempts."""
    with dnspod_server() as (server, account):
        values = {
            "secret_id": account.secret_id,
            "secret_key": account.secret_key,
            "endpoint": server.url,
            "requests_per_second": 0,
            "timeout": 1,
        }
        provider = make_provider("pod", "dnspod", values, Wiring(sleep=lambda seconds: None))

        def standing(key: RecordKey) -> list[tuple[str, int]]:
            wanted = (relative_name(key.name, "example.com"), key.type, LINES.theirs(key.line))
            rows = [r for r in account.records.values() if (r["Name"], r["Type"], r["Line"]) == wanted]
            return sorted((r["Value"], r["TTL"]) for r in rows)

        def place(key: RecordKey, records: tuple[Record, ...]) -> None:
            name = relative_name(key.name, "example.com")
            for record in records:
                account.put(name, key.type, record.value, LINES.theirs(key.line), record.ttl)

        @contextmanager
        def lost_answer() -> Iterator[None]:
            # Nothing can be asked afterwards either: the provider looks by itself when it can.
            with server.misbehaving("reset", _reads), server.misbehaving("lost"):
                yield

        @contextmanager
        def bad_credentials() -> Iterator[None]:
            key, account.secret_key = account.secret_key, "another"
            yield
            account.secret_key = key

        @contextmanager
        def cut_listing() -> Iterator[None]:
            account.drop_rows = 1
            yield
            account.drop_rows = 0

        throttling = {
            "Response": {"Error": {"Code": "RequestLimitExceeded", "Message": "slow"}, "RequestId": "r"}
        }
        yield ProviderEnv(
            "dnspod",
            provider,
            "example.com",
            standing,
            lines=("default", "telecom", "edu", "百度"),
            place=place,
            faults={
                "unreachable": server.deaf,
                "lost_answer": lost_answer,
                "cut_listing": cut_listing,
                "bad_credentials": bad_credentials,
                "throttled": lambda: server.misbehaving("answer", response=Response(200, throttling)),
            },
            secrets=(account.secret_key, account.secret_id),
            page_records=3001,
        )
        provider.close()
