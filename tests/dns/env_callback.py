"""The callback provider with a small service of our own behind it that keeps what it is told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dns.core.model import RecordKey
from dns.providers import make_provider
from dns.providers.port import Wiring
from tests.dns.provider_envs import ProviderEnv
from tests.servers_http import HttpServer, Request, Response

TOKEN = "tok3n-in-the-url"


class Keeper:
    """A dynamic DNS service: POST sets a whole set, DELETE forgets it."""

    def __init__(self) -> None:
        self.sets: dict[RecordKey, list[tuple[str, int]]] = {}

    def __call__(self, request: Request) -> Response:
        if request.query.get("token") != TOKEN:
            return Response(403, {"error": "no"})
        told = request.json if request.method == "POST" else request.query
        key = RecordKey(told["domain"], told["type"], told["line"])
        if request.method == "DELETE":
            self.sets.pop(key, None)
        else:
            self.sets[key] = sorted((ip, int(told["ttl"])) for ip in told["ips"].split(","))
        return Response(200, {"result": "good"})


@contextmanager
def environment(directory: Path) -> Iterator[ProviderEnv]:
    """The service, and a provider that tells it everything."""
    keeper = Keeper()
    with HttpServer(keeper) as server:
        gone = f"{server.url}/dns?token={TOKEN}&domain=#{{domain}}&type=#{{recordType}}&line=#{{line}}"
        told = {
            "domain": "#{domain}",
            "type": "#{recordType}",
            "line": "#{line}",
            "ips": "#{ips}",
            "ttl": "#{ttl}",
        }
        values = {
            "url": f"{server.url}/dns?token={TOKEN}",
            "headers": {"Content-Type": "application/json"},
            "body": json.dumps(told),
            "contains": "good",
            "withdraw": {"url": gone, "method": "DELETE"},
            "timeout": 1,
            "requests_per_second": 0,
        }
        provider = make_provider("hook", "callback", values, Wiring(sleep=lambda seconds: None))

        @contextmanager
        def bad_credentials() -> Iterator[None]:
            with server.misbehaving("answer", response=Response(403, {"error": "no"})):
                yield

        yield ProviderEnv(
            "callback",
            provider,
            "example.com",
            lambda key: keeper.sets.get(key, []),
            lines=("default", "telecom"),
            faults={
                "unreachable": server.deaf,
                "lost_answer": lambda: server.misbehaving("lost"),
                "bad_credentials": bad_credentials,
                "throttled": lambda: server.misbehaving("answer", response=Response(429)),
            },
            foreign_zone=None,
            secrets=(TOKEN,),
        )
        provider.close()
