"""Promises 2 to 5 over all node states, services and interruptions, against a provider in memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from hypothesis import given, settings
from hypothesis import strategies as st

from dns.core.guard import Context, Rails
from dns.core.model import (
    Address,
    Capabilities,
    DesiredSet,
    Fallback,
    LinePlan,
    NodeFacts,
    Operation,
    RecordKey,
    Service,
    WhenNoneReady,
)
from dns.errors import RefusedError, StaleError, UnavailableError, UnknownOutcomeError
from dns.executor import Pass, Planned
from tests.dns.world import KEY, KINDS, ZONE, Crash, MemoryProvider, World, address_of

NAMES = ("a", "b", "c", "d")
FALLBACK_ADDRESS = "198.18.9.9"
SHARED_ADDRESS = "198.18.5.5"
LINES = ("default", "telecom", "unicom")


def facts(name: str) -> st.SearchStrategy[NodeFacts]:
    own = Address(address_of(NAMES.index(name)))
    choices = st.lists(
        st.sampled_from(
            [
                own,
                replace(own, fit=False, why="does not answer on port 80"),
                replace(own, fit=None),
                replace(own, lines=frozenset({"telecom"})),
                Address(SHARED_ADDRESS),
                Address(SHARED_ADDRESS, shared=True),
            ]
        ),
        max_size=2,
        unique_by=lambda a: a.value,
    )
    return st.builds(
        NodeFacts,
        st.just(name),
        st.sampled_from([True, False, None]),
        st.just("is as it is"),
        st.sampled_from([False, False, False, True]),
        st.sampled_from([(), ("telecom",), ("default", "unicom")]),
        st.one_of(st.just((own,)), choices.map(tuple)),
        st.sampled_from([True, True, True, False]),
    )


NODES = st.tuples(*(facts(name) for name in NAMES)).map(list)
TIERS = st.one_of(
    st.none(),
    st.lists(
        st.lists(st.sampled_from(NAMES), min_size=1, max_size=3, unique=True).map(tuple), max_size=3
    ).map(tuple),
)
PLANS = st.builds(LinePlan, TIERS, st.sampled_from(Fallback), st.sampled_from([None, None, 1, 2]))
LINE_PLANS = st.one_of(st.none(), st.dictionaries(st.sampled_from(LINES), PLANS, min_size=1))


def services(name: str) -> st.SearchStrategy[Service]:
    return st.builds(
        Service,
        st.just(name),
        st.just("mem"),
        st.just(ZONE),
        st.just(name),
        st.just(("A",)),
        st.sampled_from([600, 1200]),
        LINE_PLANS,
        st.sampled_from(WhenNoneReady),
        st.just((FALLBACK_ADDRESS,)),
        allow_private=st.just(True),
    )


SERVICES = st.tuples(services("www"), services("api")).map(list)
ERRORS: tuple[Exception | type[Crash] | None, ...] = (
    *(None, None, None),
    RefusedError("quota", "no more records"),
    UnavailableError("busy", "try later"),
    StaleError("prerequisite", "something else stands"),
    UnknownOutcomeError("timeout", "no answer"),
    Crash,
)


@dataclass
class Reader:
    """Asks for every set after every write, and holds what it sees against promises 3, 4 and 5."""

    world: World
    desired: dict[RecordKey, DesiredSet] = field(default_factory=dict)
    before: dict[RecordKey, set[str]] = field(default_factory=dict)
    foreign: dict[RecordKey, list[object]] = field(default_factory=dict)

    def begin(self, planned: Planned) -> Context:
        self.desired = dict(planned.desired)
        self.before = {key: set(self.world.values(key)) for key in planned.desired}
        return Context(rails=Rails(100.0, 10**6))

    def look(self) -> None:
        for key, wanted in self.desired.items():
            now, before = set(self.world.values(key)), self.before[key]
            if wanted.values and before:
                assert now, f"{key} went empty on the way to {wanted.values}"
            self._added_are_fit(now - before)
            self._unfit_do_not_come(key, now - before)
        for key, records in self.foreign.items():
            assert self.world.provider.sets[key] == records, "a foreign record was touched"

    def _added_are_fit(self, added: set[str]) -> None:
        for value in added - {FALLBACK_ADDRESS}:
            holders = [n for n in self.world.nodes if value in {a.value for a in n.addresses}]
            fit = [
                n.fit is True and next(a for a in n.addresses if a.value == value).fit is True
                for n in holders
                if not n.drained
            ]
            shared = any(a.shared for n in holders for a in n.addresses if a.value == value and not n.drained)
            assert any(fit) if shared else fit and all(fit), f"{value} was added without proof"

    def _unfit_do_not_come(self, key: RecordKey, added: set[str]) -> None:
        assert added <= set(self.desired[key].values)


def _world(able: Capabilities, made: list[Service], nodes: list[NodeFacts]) -> tuple[World, Reader]:
    provider = MemoryProvider(able)
    world = World(provider, made, nodes)
    reader = Reader(world)
    provider.watch = reader.look
    return world, reader


def _pass(world: World, reader: Reader) -> Pass:
    return world.executor.reconcile(ZONE, world.services, lambda: world.nodes, reader.begin)


def _foreign(world: World, reader: Reader, keys: list[RecordKey]) -> None:
    for key in keys:
        world.provider.put(key, "198.18.7.7")
        reader.foreign[key] = list(world.provider.sets[key])


FOREIGN = st.lists(
    st.sampled_from([RecordKey(f"{n}.{ZONE}", "A", line) for n in ("www", "other") for line in LINES]),
    max_size=2,
    unique=True,
)


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(KINDS), SERVICES, st.lists(NODES, min_size=1, max_size=4), FOREIGN)
def test_every_history_of_node_states_keeps_the_promises_and_comes_to_rest(
    able: Capabilities, made: list[Service], states: list[list[NodeFacts]], foreign: list[RecordKey]
) -> None:
    world, reader = _world(able, made, states[0])
    _foreign(world, reader, foreign)
    for nodes in states:
        world.nodes = nodes
        _pass(world, reader)
        listings, writes = world.provider.listings, world.provider.writes
        second = _pass(world, reader)
        assert second.planned is not None
        assert second.planned.plan.operations == ()
        assert (world.provider.listings, world.provider.writes) == (listings + 1, writes)
        for key, wanted in second.planned.desired.items():
            if key not in second.sets_held:
                assert sorted(wanted.values) == world.values(key)


@settings(max_examples=400, deadline=None)
@given(
    st.sampled_from(KINDS),
    SERVICES,
    st.lists(
        st.tuples(NODES, st.lists(st.tuples(st.sampled_from(ERRORS), st.booleans()), max_size=6)),
        min_size=2,
        max_size=4,
    ),
    FOREIGN,
)
def test_every_interruption_leaves_no_owned_set_empty_and_is_finished_by_the_next_pass(
    able: Capabilities,
    made: list[Service],
    states: list[tuple[list[NodeFacts], list[tuple[Exception | type[Crash] | None, bool]]]],
    foreign: list[RecordKey],
) -> None:
    world, reader = _world(able, made, states[0][0])
    _foreign(world, reader, foreign)
    for nodes, failures in states:
        world.nodes = nodes
        _interrupt(world, failures)
        try:
            _pass(world, reader)
        except Crash:
            world.restart()
        _interrupt(world, [])
        _pass(world, reader)
        last = _pass(world, reader)
        assert last.planned is not None
        assert last.planned.plan.operations == ()
        _nothing_orphaned(world, reader)


def _interrupt(world: World, failures: list[tuple[Exception | type[Crash] | None, bool]]) -> None:
    """Each write fails as listed, before it happens or (what only an unknown outcome and a crash do)
    after.
    """
    first = world.provider.writes

    def at(after: bool) -> Callable[[int, Operation], None]:
        def fail(number: int, operation: Operation) -> None:
            place = number - first - 1
            if place >= len(failures):
                return
            error, when = failures[place]
            late = when and (error is Crash or isinstance(error, UnknownOutcomeError))
            if error is not None and late is after:
                raise error

        return fail

    world.provider.fail, world.provider.lose = at(False), at(True)


def _nothing_orphaned(world: World, reader: Reader) -> None:
    """Whatever stands is either somebody else's from the start, or in the ledger."""
    known = world.ledger.entries(KEY)
    for key, records in world.provider.sets.items():
        if key not in reader.foreign and records:
            assert {r.value for r in records} == {r.value for r in known[key].records}


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(KINDS), NODES, NODES)
def test_unknown_nodes_lose_nothing_and_gain_nothing(
    able: Capabilities, before: list[NodeFacts], after: list[NodeFacts]
) -> None:
    everybody = Service("www", "mem", ZONE, "www", ("A",), 600, {"default": LinePlan()}, allow_private=True)
    world, reader = _world(able, [everybody], before)
    _pass(world, reader)
    published = world.values(RecordKey(f"www.{ZONE}", "A"))
    world.nodes = [
        replace(node, fit=None, drained=False, addresses=old.addresses)
        for node, old in zip(after, before, strict=True)
    ]
    _pass(world, reader)
    bad = {a.value for n in world.nodes for a in n.addresses if a.fit is False}
    assert set(world.values(RecordKey(f"www.{ZONE}", "A"))) - bad == set(published) - bad


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(KINDS), SERVICES, NODES, NODES)
def test_while_the_ledger_is_away_nothing_is_added_and_nothing_goes_empty(
    able: Capabilities, made: list[Service], before: list[NodeFacts], after: list[NodeFacts]
) -> None:
    world, reader = _world(able, made, before)
    _pass(world, reader)
    had = {key: set(world.values(key)) for key in world.provider.sets}
    world.nodes, world.ledger.away = after, True
    _pass(world, reader)
    for key, values in had.items():
        now = set(world.values(key))
        assert now <= values
        assert now or not values
    world.ledger.away = False
    drift = _pass(world, reader).drift
    assert not drift
    assert not _pass(world, reader).entries
