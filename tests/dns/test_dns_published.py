"""On whose account a record stands."""

from __future__ import annotations

from dns.core.desired import compute
from dns.core.guard import Context
from dns.core.model import Address, Capabilities
from dns.core.published import accounts, why_unpublished
from tests.dns.world import KEY, WWW, MemoryProvider, World, address_of, node, service

A, B = address_of(0), address_of(1)


def test_a_node_is_published_where_one_of_its_addresses_stands() -> None:
    world = World(MemoryProvider(), [service()], [node("a"), node("b", False)])
    done = world.reconcile()
    assert done.planned is not None
    assert accounts(done.published, done.planned.desired, world.nodes) == {"a": (WWW,)}
    assert why_unpublished("b", done.planned.desired) == "node b is dead"
    assert why_unpublished("a", done.planned.desired) is None


def test_a_node_stays_published_while_its_withdrawal_is_held() -> None:
    world = World(MemoryProvider(), [service()], [node("a"), node("b")])
    world.reconcile()
    world.nodes = [node("a", False), node("b")]
    done = world.reconcile(context=Context(frozen="maintenance"))
    assert done.planned is not None
    assert set(accounts(done.published, done.planned.desired, world.nodes)) == {"a", "b"}


def test_a_shared_address_counts_for_its_undrained_holders() -> None:
    behind = (Address(A),)
    nodes = [
        node("a", addresses=behind),
        node("b", addresses=behind),
        node("c", drained=True, addresses=behind),
    ]
    desired = compute([service()], nodes, {}, 0.0, {KEY: Capabilities()}).of(KEY)
    assert set(accounts({WWW: (A,)}, desired, nodes)) == {"a", "b"}


def test_an_address_that_is_nobody_s_counts_for_nobody() -> None:
    assert accounts({WWW: (B,)}, {}, [node("a")]) == {}
