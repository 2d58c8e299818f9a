"""Records while the list of nodes changes: a node source that grows, shrinks and fails, lines it gives, several
nodes behind one address, and what happens when nobody is fit."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.dns_stand import DnsStand, dns_stand, until

ALL = (
    "{name: www, provider: p, zone: example.test, record: www, ttl: 5, types: [A], allow_private: true, "
    "lines: {default: {nodes: all}}%s}"
)
BY_NODES = (
    "{name: www, provider: p, zone: example.test, record: www, ttl: 5, types: [A], allow_private: true}"
)


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[DnsStand]:
    with dns_stand(tmp_path, services=[ALL % ""]) as made:
        yield made


def hosts(stand: DnsStand, names: str) -> list[str]:
    return sorted(stand.address(name) for name in names)


class Source:
    """A node source: a file that `cat` prints."""

    def __init__(self, stand: DnsStand) -> None:
        self._stand = stand
        self._file = stand.folder / "nodes.json"
        stand.options["source"] = f"node_source: {{command: [cat, '{self._file}'], every: 300ms}}"
        stand.nodes = {}

    def says(self, names: str, **more: Any) -> None:
        entries = [
            {
                "name": n,
                "host": self._stand.address(n),
                "port": self._stand.daemons[n].port,
                **more.get(n, {}),
            }
            for n in names
        ]
        self.writes(json.dumps(entries))

    def writes(self, text: str) -> None:
        fresh = self._file.with_suffix(".new")
        fresh.write_text(text)
        fresh.rename(self._file)


def test_nodes_of_a_source_come_and_go_with_their_records(stand: DnsStand) -> None:
    source = Source(stand)
    source.says("ab")
    stand.start()
    until(lambda: stand.zone_values() == hosts(stand, "ab"), "a and b answer")
    source.says("abc")
    until(lambda: stand.zone_values() == hosts(stand, "abc"), "c comes")
    source.says("bc")
    until(lambda: stand.zone_values() == hosts(stand, "bc"), "a goes after three misses")
    assert stand.plan() == {"operations": [], "held": None}


def test_a_source_that_empties_fails_or_loses_over_half_changes_no_record(stand: DnsStand) -> None:
    source = Source(stand)
    source.says("abc")
    stand.start()
    until(lambda: stand.zone_values() == hosts(stand, "abc"), "all answer")
    for bad in ("", "[]", "<html>bad gateway</html>", "<<one>>"):
        if bad == "<<one>>":
            source.says("a")
        else:
            source.writes(bad)
        until(lambda: stand.supervisor.inventory.standing.trouble, f"{bad!r} is noticed")
        assert stand.supervisor.operations.dns_apply()["applied"] == 0
        assert stand.zone_values() == hosts(stand, "abc")
        source.says("abc")
        until(lambda: not stand.supervisor.inventory.standing.trouble, "it answers again")
    assert stand.published() == set("abc")


def test_a_source_s_nodes_bring_their_lines(stand: DnsStand) -> None:
    stand.services = [BY_NODES]
    source = Source(stand)
    source.says("ab", a={"lines": ["telecom"]}, b={"lines": ["unicom"]})
    stand.start()
    until(lambda: stand.zone_values("telecom") == hosts(stand, "a"), "a on telecom")
    until(lambda: stand.zone_values("unicom") == hosts(stand, "b"), "b on unicom")


def test_an_address_of_two_nodes_stands_while_both_are_fit_and_a_shared_one_while_one_is(
    stand: DnsStand,
) -> None:
    both = ", addresses: [{static: 127.0.0.77%s}]"
    stand.nodes = {"a": both % "", "b": both % "", "c": ""}
    stand.start()
    until(lambda: stand.zone_values() == ["127.0.0.43", "127.0.0.77"], "both addresses stand")
    stand.daemons["a"].kill()
    until(lambda: stand.zone_values() == ["127.0.0.43"], "the address goes with a")
    stand.nodes = {"a": both % ", shared: true", "b": both % ", shared: true", "c": ""}
    stand.reload()
    until(lambda: stand.zone_values() == ["127.0.0.43", "127.0.0.77"], "b is enough")
    until(lambda: "b" in stand.published(), "b is published")


@pytest.mark.parametrize(
    ("rule", "left"),
    [
        ("withdraw", []),
        ("hold", ["127.0.0.41"]),
        ("fallback, fallback_addresses: [127.0.0.99]", ["127.0.0.99"]),
    ],
)
def test_when_nobody_is_fit_the_service_s_rule_decides(stand: DnsStand, rule: str, left: list[str]) -> None:
    stand.nodes = {"a": ""}
    stand.services = [ALL % f", when_none_ready: {rule}"]
    stand.start()
    until(lambda: stand.zone_values() == ["127.0.0.41"], "a answers")
    stand.daemons["a"].kill()
    until(lambda: stand.supervisor.engine.field.nodes["a"].state.value == "dead", "a is dead")
    until(lambda: stand.zone_values() == left, rule)
    stand.daemons["a"].start()
    until(lambda: stand.zone_values() == ["127.0.0.41"], "a is back")


def test_a_missing_sdk_is_a_mistake_in_the_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    from app.config import ConfigError, load

    monkeypatch.setitem(sys.modules, "cloudflare", None)
    monkeypatch.delitem(sys.modules, "dns.providers.cloudflare", raising=False)
    monkeypatch.delitem(sys.modules, "dns.providers.cloudflare_errors", raising=False)
    path = tmp_path / "config.yml"
    path.write_text("dns: {providers: {cf: {kind: cloudflare, token: x}}}\n")
    with pytest.raises(ConfigError) as refused:
        load(path, environ={})
    assert "pip install -r requirements-cloudflare.txt" in str(refused.value)
