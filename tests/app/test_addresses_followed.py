"""Addresses that the service learns by itself, through the whole application into records: asked for at a URL, IPv6."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.address_book import ASK_SECONDS
from tests.dns_stand import bind_provider, dns_stand, until
from tests.servers_bind import bind_server
from tests.servers_receiver import Receiver, Say, http_receiver

BOTH = (
    "{name: www, provider: p, zone: %s, record: www, ttl: 5, types: [A, AAAA], allow_private: true, "
    "lines: {default: {nodes: all}}}"
)


@pytest.fixture
def asked() -> Iterator[Receiver]:
    with http_receiver() as running:
        yield running


def test_an_address_asked_for_at_a_url_is_followed_and_garbage_changes_nothing(
    tmp_path: Path, asked: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ASK_SECONDS, "url", 0.2)
    with dns_stand(tmp_path, "ab", services=[BOTH % "example.test"]) as stand:
        stand.nodes["a"] = f", addresses: [{{url: ['{asked.url}/ip']}}]"
        asked.says(b"10.20.30.40\n")
        stand.start()
        until(lambda: stand.zone_values() == ["10.20.30.40", stand.address("b")], "the answer is published")
        asked.says(b"10.20.30.41\n")
        until(
            lambda: stand.zone_values() == ["10.20.30.41", stand.address("b")], "a changed answer is followed"
        )
        replaced = [h for h in stand.history() if "10.20.30.41" in str(h)]
        assert replaced, stand.history()
        for bad in (Say(b"<html>log in first</html>"), Say(b"", 503), Say(b"10.20.30.42 or so")):
            before = len(asked.asked)
            asked.says(bad)
            until(lambda before=before: len(asked.asked) > before + 1, "it was asked again")  # type: ignore[misc]
            assert [address.value for address in stand.supervisor.book.addresses("a")[0]] == ["10.20.30.41"]
        assert stand.events("address")


def test_ipv6_addresses_are_published_beside_ipv4_and_asked_of_a_real_bind(tmp_path: Path) -> None:
    with bind_server(tmp_path / "bind", ["six.test"]) as bind:
        more = {"provider": bind_provider(bind, ("default",)), "services": [BOTH % "six.test"]}
        with dns_stand(tmp_path / "stand", "ab", **more) as stand:
            stand.nodes["a"] = ", addresses: [{static: 127.0.0.41}, {static: 'fd00:0:0::41'}]"
            stand.nodes["b"] = ", addresses: [{static: 'FD00::0042'}]"
            stand.start()

            def answers(kind: str) -> list[str]:
                return sorted(bind.ask("www.six.test", kind, "default"))

            until(lambda: answers("AAAA") == ["fd00::41", "fd00::42"], "both AAAA answer")
            until(lambda: answers("A") == ["127.0.0.41"], "and a's A")
            stand.daemons["a"].kill()
            until(lambda: answers("AAAA") == ["fd00::42"], "a's IPv6 address is withdrawn too")
            until(lambda: answers("A") == [], "and nobody else has IPv4")
            stand.daemons["a"].start()
            until(lambda: answers("AAAA") == ["fd00::41", "fd00::42"], "a is back", 60)
            assert stand.plan() == {"operations": [], "held": None}, (
                "however an address is written, it is one"
            )
