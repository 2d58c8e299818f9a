"""What should stand: tiers, lines, fall-backs and the words that explain them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from dns.core.desired import compute
from dns.core.model import (
    Address,
    Capabilities,
    Desired,
    DesiredSet,
    Fallback,
    LinePlan,
    NodeFacts,
    RecordKey,
    Service,
    WhenNoneReady,
)
from tests.dns.world import KEY, ZONE, address_of, node, service

A, B, C, D = (address_of(n) for n in range(4))
ABLE = Capabilities(lines=None, line_fallback_to_default=True, weights=True)


def desired(
    one: Service | Sequence[Service],
    nodes: Sequence[NodeFacts],
    published: dict[RecordKey, tuple[str, ...]] | None = None,
    able: Capabilities = ABLE,
) -> Desired:
    many = [one] if isinstance(one, Service) else list(one)
    return compute(many, nodes, {KEY: published or {}}, 0.0, {KEY: able})


def of(
    one: Service,
    nodes: Sequence[NodeFacts],
    line: str = "default",
    type_: str = "A",
    published: tuple[str, ...] = (),
    able: Capabilities = ABLE,
) -> DesiredSet:
    key = RecordKey(one.fqdn, type_, line)
    return desired(one, nodes, {key: published}, able).of(KEY)[key]


def lines(**plans: LinePlan) -> Service:
    return service(lines=plans)


def tiers(*names: str, **changes: object) -> LinePlan:
    return replace(LinePlan(tuple(tuple(tier) for tier in names)), **changes)  # type: ignore[arg-type]


def test_every_fit_node_answers_where_all_are_asked_for() -> None:
    found = of(service(), [node("a"), node("b", False, "is in recovery"), node("c")])
    assert found.values == (A, C)
    assert found.reason == "default → nodes a, c: node b is in recovery"
    assert found.missing == {"b": "node b is in recovery"}
    assert found.records[0].reason == "node a is ready and in sync"


def test_a_line_whose_node_is_away_is_answered_by_another_and_says_why() -> None:
    found = of(lines(unicom=tiers("a")), [node("a", False, "is in recovery"), node("b")], "unicom")
    assert found.values == (B,)
    assert found.reason == "unicom → node b: node a is in recovery"


def test_the_first_tier_with_a_fit_node_answers() -> None:
    one = lines(telecom=tiers("ab", "c"))
    assert of(one, [node("a"), node("b"), node("c")], "telecom").values == (A, B)
    assert of(one, [node("a", False), node("b"), node("c")], "telecom").values == (B,)
    assert of(one, [node("a", False), node("b", False), node("c")], "telecom").values == (C,)


def test_without_fallback_a_line_stays_to_its_own_nodes() -> None:
    one = lines(telecom=tiers("a", fallback=Fallback.NONE))
    assert of(one, [node("a", False), node("b")], "telecom").values == ()


def test_what_is_unknown_stays_and_is_not_added() -> None:
    nodes = [node("a", None), node("b", None), node("c")]
    assert of(service(), nodes, published=(A,)).values == (A, C)


def test_an_unknown_node_that_is_published_holds_its_tier() -> None:
    one = lines(telecom=tiers("a", "b"))
    assert of(one, [node("a", None), node("b")], "telecom", published=(A,)).values == (A,)
    assert of(one, [node("a", None), node("b")], "telecom", published=(B,)).values == (B,)


def test_when_everybody_is_unknown_nothing_changes_whatever_stands() -> None:
    nodes = [node("a", None), node("b", False)]
    found = of(service(), nodes, published=("198.18.8.8", B))
    assert found.values == ("198.18.8.8",)
    assert "unknown changes nothing" in found.records[0].reason


def test_a_drained_node_goes_even_when_it_is_unknown() -> None:
    found = of(service(), [node("a", None, drained=True), node("b")], published=(A, B))
    assert found.values == (B,)
    assert found.against == {A: "node a is drained"}
    assert found.unfit == {A: ()}


def test_the_evidence_names_the_nodes_whose_health_it_is() -> None:
    found = of(service(), [node("a", False), node("b")], published=(A, B, "198.18.8.8"))
    assert found.unfit == {A: ("a",)}
    assert found.against["198.18.8.8"] == "198.18.8.8 is no node's address any more"


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (WhenNoneReady.WITHDRAW, ()),
        (WhenNoneReady.HOLD, (B,)),
        (WhenNoneReady.FALLBACK, ("198.18.9.9",)),
    ],
)
def test_when_no_node_is_fit_the_service_says_what_happens(
    policy: WhenNoneReady, expected: tuple[str, ...]
) -> None:
    one = service(when_none_ready=policy, fallback_addresses=("198.18.9.9", "2001:db8::9"))
    found = of(one, [node("a", False), node("b", False)], published=(B,))
    assert found.values == expected
    assert "node a is dead; node b is dead" in found.reason


def test_holding_adds_nothing() -> None:
    one = service(when_none_ready=WhenNoneReady.HOLD)
    assert of(one, [node("a", False)], published=()).values == ()


def test_of_more_than_max_answers_those_that_stand_stay() -> None:
    one = service(lines={"default": LinePlan(max_answers=2)})
    nodes = [node(name) for name in "abcd"]
    assert of(one, nodes).values == (A, B)
    assert of(one, nodes, published=(C, D)).values == (C, D)
    assert of(one, [node("a"), node("b"), node("c", False), node("d")], published=(C, D)).values == (A, D)


def test_the_provider_bounds_the_answers_too() -> None:
    assert len(of(service(), [node(n) for n in "abcd"], able=replace(ABLE, max_answers=3)).values) == 3


def test_weights_go_to_the_records_of_their_nodes() -> None:
    one = lines(default=LinePlan(weights={"a": 5}))
    found = of(one, [node("a"), node("b")])
    assert [r.weight for r in found.records] == [5, 1]
    assert [r.weight for r in of(service(), [node("a")]).records] == [None]


def test_each_type_has_its_own_tiers() -> None:
    both = node("b", addresses=(Address(B), Address("2001:0db8::0b")))
    one = replace(lines(default=tiers("a", "b")), types=("A", "AAAA"))
    assert of(one, [node("a"), both]).values == (A,)
    six = of(one, [node("a"), both], type_="AAAA")
    assert six.values == ("2001:db8::b",)
    assert six.reason == "default → node b: node a has no IPv6 address for this line"


def test_no_ipv6_address_anywhere_is_no_reason_for_the_fallback_addresses() -> None:
    one = replace(
        service(when_none_ready=WhenNoneReady.FALLBACK), types=("AAAA",), fallback_addresses=("2001:db8::9",)
    )
    assert of(one, [node("a")], type_="AAAA").values == ()
    assert of(one, [node("a", False)], type_="AAAA").values == ("2001:db8::9",)


def test_an_address_bound_to_a_line_answers_there_only() -> None:
    uplinks = (Address(A, frozenset({"telecom"})), Address(B, frozenset({"unicom", "default"})))
    one = service(lines={line: LinePlan() for line in ("default", "telecom", "unicom")})
    nodes = [node("a", addresses=uplinks)]
    assert [of(one, nodes, line).values for line in ("default", "telecom", "unicom")] == [(B,), (A,), (B,)]


def test_a_dead_uplink_of_a_live_node_goes() -> None:
    uplinks = (Address(A, fit=False, why="does not answer on port 80"), Address(B))
    found = of(service(), [node("a", addresses=uplinks)], published=(A, B))
    assert found.values == (B,)
    assert found.against[A] == f"node a's address {A} does not answer on port 80"


def test_an_address_of_several_nodes_needs_them_all() -> None:
    behind = (Address(A),)
    well, ill = node("a", addresses=behind), node("b", False, addresses=behind)
    assert of(service(), [well, ill], published=(A,)).values == ()
    assert of(service(), [well, replace(ill, drained=True)]).values == (A,)
    assert of(service(), [well, replace(ill, fit=None)]).values == ()
    assert of(service(), [well, replace(ill, fit=None)], published=(A,)).values == (A,)


def test_an_address_declared_shared_needs_one_of_them() -> None:
    behind = (Address(A, shared=True),)
    well, ill = node("a", addresses=behind), node("b", False, addresses=behind)
    found = of(service(), [ill, well])
    assert found.values == (A,)
    assert set(found.records[0].nodes) == {"a", "b"}
    assert of(service(), [ill, replace(ill, name="c")], published=(A,)).values == ()


def test_lines_come_from_the_nodes_where_a_service_lists_none() -> None:
    one = service(lines=None)
    nodes = [node("a", lines=("telecom", "oversea")), node("b", lines=("unicom",)), node("c")]
    found = {key.line: wanted.values for key, wanted in desired(one, nodes).of(KEY).items()}
    assert found == {"default": (C,), "telecom": (A,), "oversea": (A,), "unicom": (B,)}
    nodes[0] = node("a", False, lines=("telecom", "oversea"))
    assert of(one, nodes, "telecom").values == (B, C)


def test_default_is_everybody_when_every_node_names_other_lines() -> None:
    nodes = [node("a", lines=("telecom",)), node("b", lines=("unicom",))]
    assert of(service(lines=None), nodes).values == (A, B)


def test_a_provider_without_lines_gets_default_alone() -> None:
    nodes = [node("a", lines=("telecom",)), node("b", lines=("unicom",))]
    found = desired(service(lines=None), nodes, able=Capabilities())
    assert [key.line for key in found.of(KEY)] == ["default"]


def test_without_a_fall_back_to_default_every_line_is_written_in_full() -> None:
    able = Capabilities(lines=frozenset({"default", "telecom", "unicom"}))
    found = desired(lines(default=LinePlan(), telecom=tiers("a")), [node("a"), node("b")], able=able)
    assert {k.line: w.values for k, w in found.of(KEY).items()} == {
        "default": (A, B),
        "telecom": (A,),
        "unicom": (A, B),
    }


def test_an_open_set_of_lines_is_written_on_those_the_zone_uses() -> None:
    able = Capabilities(lines=None)
    one, other = service("one"), service("other", lines={"default": LinePlan(), "edu": tiers("a")})
    found = desired([one, other], [node("a"), node("b")], able=able)
    assert {(k.name.split(".")[0], k.line) for k in found.of(KEY)} == {
        (name, line) for name in ("one", "other") for line in ("default", "edu")
    }


def test_private_addresses_are_not_published_unless_the_service_allows_it() -> None:
    nodes = [node("a", addresses=(Address("10.0.0.1"),)), node("b", addresses=(Address("9.9.9.9"),))]
    found = of(service(allow_private=False), nodes, published=("10.0.0.1",))
    assert found.values == ("9.9.9.9",)
    assert "allow_private" in found.against["10.0.0.1"]
    assert of(service(allow_private=True), nodes).values == ("10.0.0.1", "9.9.9.9")


def test_what_may_be_the_address_of_a_node_not_yet_learnt_stays() -> None:
    nodes = [node("a", None, addresses=(), addresses_known=False), node("b")]
    assert of(service(), nodes, published=("198.18.8.8", B)).values == (B, "198.18.8.8")


def test_a_service_that_cannot_be_is_held_with_the_reason() -> None:
    found = desired(service(ttl=5), [node("a")], able=replace(ABLE, ttl_min=600))
    assert found.problems == ("service www: ttl 5 is outside what the provider mem takes: 600 to 86400 s",)
    assert all(wanted.held == found.problems[0] for wanted in found.of(KEY).values())


def test_two_services_of_one_name_are_a_problem_and_the_first_counts() -> None:
    found = desired([service("www"), replace(service("two"), record="www")], [node("a")])
    assert "both claim" in found.problems[0]
    assert [wanted.service for wanted in found.of(KEY).values()] == ["www"]


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"record": "-bad"}, "no label"),
        ({"record": "a b"}, "no label"),
        ({"record": "x" * 64}, "no label"),
        ({"lines": {"mars": LinePlan()}}, "line mars"),
        ({"when_none_ready": WhenNoneReady.FALLBACK}, "fallback_addresses is empty"),
        ({"fallback_addresses": ("nonsense",)}, "no IPv4"),
        ({"types": ("A", "MX")}, "type MX"),
    ],
)
def test_what_a_provider_cannot_express_is_said(changes: dict[str, object], word: str) -> None:
    able = Capabilities(lines=frozenset({"default", "telecom"}))
    assert any(word in problem for problem in desired(service(**changes), [node("a")], able=able).problems)


def test_weights_are_as_if_not_given_where_the_provider_has_none() -> None:
    weighted = service(lines={"default": LinePlan(weights={"a": 3})})
    found = desired(weighted, [node("a")], able=Capabilities(lines=frozenset({"default"}), weights=False))
    assert found.problems == ()
    assert [record.weight for wanted in found.of(KEY).values() for record in wanted.records] == [None]


def test_names_are_put_together_in_one_spelling() -> None:
    assert service(record="@").fqdn == ZONE
    assert service(record="*").fqdn == f"*.{ZONE}"
    assert replace(service(record="WWW"), zone="Example.TEST.").fqdn == f"www.{ZONE}"
    assert replace(service(record="www"), zone="例子.test").fqdn == "www.xn--fsqu00a.test"


def test_the_same_choice_is_made_whatever_the_order_of_what_stands() -> None:
    one = service(lines={"default": LinePlan(max_answers=2)})
    nodes = [node(name) for name in "abcd"]
    assert of(one, nodes, published=(C, A)).values == of(one, nodes, published=(A, C)).values
