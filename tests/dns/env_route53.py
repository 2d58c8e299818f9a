"""The route53 provider through boto3, with moto's Route 53 behind it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from dns.core.model import Record, RecordKey
from dns.providers import make_provider
from dns.providers.port import Wiring
from tests.dns.provider_envs import ProviderEnv
from tests.servers_http import Response
from tests.servers_route53 import KEYS, refusal, route53_server


@contextmanager
def environment(directory: Path) -> Iterator[ProviderEnv]:
    """Route 53 on loopback, and a provider that does not wait between its attempts."""
    with route53_server() as (server, found, zone_id):
        client = cast(Any, found)
        values = {
            "access_key_id": KEYS["aws_access_key_id"],
            "access_key_secret": KEYS["aws_secret_access_key"],
            "endpoint": server.url,
            "requests_per_second": 0,
            "timeout": 5,
        }
        provider = make_provider("r53", "route53", values, Wiring(sleep=lambda seconds: None))

        def standing(key: RecordKey) -> list[tuple[str, int]]:
            rows = client.list_resource_record_sets(
                HostedZoneId=zone_id, StartRecordName=key.name, StartRecordType=key.type, MaxItems="1"
            )["ResourceRecordSets"]
            rows = [r for r in rows if (r["Name"], r["Type"]) == (f"{key.name}.", key.type)]
            return sorted((v["Value"], r["TTL"]) for r in rows for v in r["ResourceRecords"])

        def place(key: RecordKey, records: tuple[Record, ...]) -> None:
            beside = [(value, ttl) for value, ttl in standing(key)]
            values = [{"Value": v} for v, _ in beside] + [{"Value": r.value} for r in records]
            rows = {"Name": key.name, "Type": key.type, "TTL": records[0].ttl, "ResourceRecords": values}
            change = {"Action": "UPSERT", "ResourceRecordSet": rows}
            client.change_resource_record_sets(HostedZoneId=zone_id, ChangeBatch={"Changes": [change]})

        @contextmanager
        def lost_answer() -> Iterator[None]:
            # Nothing can be asked afterwards either: the provider looks by itself when it can.
            provider.observe("example.com", frozenset())
            reads = server.misbehaving("reset", lambda request: request.method == "GET")
            with reads, server.misbehaving("lost"):
                yield

        @contextmanager
        def cut_listing() -> Iterator[None]:
            page = server.app

            def endless(request: Any) -> Response:
                answer = page(request)
                text = answer.encoded().decode()
                more = "<NextRecordName>a.</NextRecordName><NextRecordType>A</NextRecordType>"
                more = f"<IsTruncated>true</IsTruncated>{more}"
                text = re.sub("<IsTruncated>false</IsTruncated>", more, text)
                return Response(answer.status, text.encode(), answer.kind)

            provider.observe("example.com", frozenset())
            server.app = endless
            yield
            server.app = page

        yield ProviderEnv(
            "route53",
            provider,
            "example.com",
            standing,
            place=place,
            faults={
                "unreachable": server.deaf,
                "lost_answer": lost_answer,
                "cut_listing": cut_listing,
                "bad_credentials": lambda: server.misbehaving(
                    "answer", response=refusal(403, "SignatureDoesNotMatch")
                ),
                "throttled": lambda: server.misbehaving("answer", response=refusal(400, "Throttling")),
            },
            secrets=tuple(KEYS.values()),
            page_records=301,
        )
        provider.close()
