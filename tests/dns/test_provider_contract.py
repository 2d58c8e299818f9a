"""The contract of `dns.providers.port`, run against every provider in `provider_envs.ENVIRONMENTS`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from dns.core.diff import diff
from dns.core.model import (
    Action,
    Capabilities,
    DesiredRecord,
    DesiredSet,
    Observed,
    Operation,
    Plan,
    Record,
    RecordKey,
    RecordSet,
    ZoneKey,
    qualified_name,
)
from dns.core.ownership import Ownership
from dns.errors import (
    ProviderError,
    RefusedError,
    SettingsError,
    UnavailableError,
    UnknownOutcomeError,
)
from dns.providers import PROVIDERS, provider_class, secret_keys, settings_of
from dns.providers.port import Answer
from tests.dns.provider_envs import ENVIRONMENTS, ProviderEnv, environment, far_side

A, B, C = "203.0.113.10", "203.0.113.20", "203.0.113.30"
SIX = "2001:db8::10"
REMARK = "lockstep-contract"


class Zone:
    """A zone at a provider, driven the way the executor drives it: read, diff, apply in order."""

    def __init__(self, env: ProviderEnv) -> None:
        self.env = env
        self.provider = env.provider
        self.key = ZoneKey(env.provider.name, env.zone)
        self.able = env.provider.capabilities(env.zone)
        self.remembered: dict[RecordKey, RecordSet] = {}

    def record_key(self, record: str = "www", type_: str = "A", line: str = "default") -> RecordKey:
        return RecordKey(qualified_name(record, self.env.zone), type_, line)

    def observe(self, *names: str) -> Observed:
        if not self.able.reads_back:
            return Observed(dict(self.remembered))
        return self.provider.observe(self.env.zone, frozenset(names))

    def plan(
        self, key: RecordKey, values: Sequence[str], ttl: int = 0, weights: dict[str, int] | None = None
    ) -> Plan:
        records = tuple(
            DesiredRecord(v, ttl or self.env.ttls[0], (weights or {}).get(v), ("n",), "a reason")
            for v in values
        )
        wanted = {key: DesiredSet("svc", key, records, "a reason")}
        observed = self.observe(key.name)
        return diff(self.key, wanted, observed, Ownership(frozenset({key})), self.able, REMARK)

    def bring(
        self, key: RecordKey, values: Sequence[str], ttl: int = 0, weights: dict[str, int] | None = None
    ) -> list[Operation]:
        """Make the set hold these values; returns what it took."""
        operations = list(self.plan(key, values, ttl, weights).operations)
        for operation in operations:
            self.apply(operation)
        return operations

    def apply(self, operation: Operation) -> Answer:
        answer = self.provider.apply(operation)
        assert isinstance(answer, Answer)
        if not self.able.reads_back:
            before = self.remembered.get(operation.key, RecordSet(operation.key)).records
            kept = tuple(r for r in before if r.value not in operation.old_values)
            self.remembered[operation.key] = RecordSet(operation.key, kept + operation.new)
        return answer

    def addition(self, key: RecordKey, value: str) -> Operation:
        return Operation(
            Action.ADD,
            "svc",
            self.key,
            key,
            (Record(value, self.env.ttls[0], remark=REMARK),),
            (),
            "a reason",
        )

    def values(self, key: RecordKey) -> list[str]:
        return [value for value, _ in self.env.standing(key)]


@pytest.fixture(scope="module", params=ENVIRONMENTS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def shared(kind: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[object]:
    with far_side(kind, tmp_path_factory.mktemp(kind)) as found:
        yield found


@pytest.fixture
def env(kind: str, shared: object, tmp_path: Path) -> Iterator[ProviderEnv]:
    with environment(kind, tmp_path, shared) as found:
        yield found


@pytest.fixture
def zone(env: ProviderEnv) -> Zone:
    return Zone(env)


def _needs(condition: object, what: str) -> None:
    if not condition:
        pytest.skip(f"the provider has no {what}")


def test_every_provider_of_the_registry_has_an_environment() -> None:
    assert sorted(ENVIRONMENTS) == sorted(PROVIDERS)


def test_what_is_added_stands_as_it_was_asked(zone: Zone) -> None:
    key = zone.record_key()
    zone.bring(key, [A])
    assert zone.env.standing(key) == [(A, zone.env.ttls[0])]


def test_what_is_added_is_read_back_canonical_and_once(zone: Zone) -> None:
    key = zone.record_key()
    zone.bring(key, [A])
    records = zone.observe(key.name).records(key)
    assert [(r.value, r.ttl, r.enabled, r.foreign) for r in records] == [(A, zone.env.ttls[0], True, False)]


def test_applying_a_plan_and_planning_again_gives_nothing(zone: Zone) -> None:
    key = zone.record_key()
    for values in ([A], [A, B], [B, C], [C], []):
        zone.bring(key, values)
        assert zone.plan(key, values).operations == ()
        assert zone.values(key) == sorted(values)


def test_an_ipv6_address_has_one_spelling(zone: Zone) -> None:
    key = zone.record_key(type_="AAAA")
    zone.bring(key, [SIX])
    assert [r.value for r in zone.observe(key.name).records(key)] == [SIX]


def test_the_zone_itself_can_carry_addresses(zone: Zone) -> None:
    key = zone.record_key("@")
    zone.bring(key, [A])
    assert zone.values(key) == [A]
    assert zone.plan(key, [A]).operations == ()
    zone.bring(key, [])
    assert zone.values(key) == []


def test_a_replacement_keeps_line_and_ttl(zone: Zone) -> None:
    key = zone.record_key(line=zone.env.lines[-1])
    ttl = zone.env.ttls[1]
    zone.bring(key, [A], ttl)
    operations = zone.bring(key, [B], ttl)
    assert zone.env.standing(key) == [(B, ttl)]
    if zone.able.update_in_place or zone.able.atomic_sets:
        assert [o.action for o in operations] == [Action.REPLACE]


def test_a_ttl_changes_without_the_value(zone: Zone) -> None:
    _needs(zone.able.update_in_place or zone.able.atomic_sets, "update in place")
    key = zone.record_key()
    zone.bring(key, [A], zone.env.ttls[0])
    zone.bring(key, [A], zone.env.ttls[1])
    assert zone.env.standing(key) == [(A, zone.env.ttls[1])]


def test_lines_and_types_do_not_touch_each_other(zone: Zone) -> None:
    keys = [zone.record_key(line=line) for line in zone.env.lines] + [zone.record_key(type_="AAAA")]
    for key in keys:
        zone.bring(key, [SIX if key.type == "AAAA" else A])
    zone.bring(keys[0], [B])
    zone.bring(keys[0], [])
    assert zone.values(keys[0]) == []
    for key in keys[1:]:
        assert zone.values(key) == [SIX if key.type == "AAAA" else A]


def test_names_that_contain_each_other_are_kept_apart(zone: Zone) -> None:
    short, long = zone.record_key("w"), zone.record_key("www")
    deep = zone.record_key("w.www")
    for key, value in ((short, A), (long, B), (deep, C)):
        zone.bring(key, [value])
    if zone.able.reads_back:
        assert set(zone.observe(short.name).sets) == {short}
    zone.bring(short, [])
    assert (zone.values(short), zone.values(long), zone.values(deep)) == ([], [B], [C])


def test_adding_what_stands_and_removing_what_is_gone_is_success(zone: Zone) -> None:
    key = zone.record_key()
    addition = zone.addition(key, A)
    zone.apply(addition)
    zone.apply(addition)
    assert zone.values(key) == [A]
    standing = zone.observe(key.name).records(key)
    removal = Operation(Action.REMOVE, "svc", zone.key, key, (), standing, "a reason")
    zone.apply(removal)
    zone.apply(removal)
    assert zone.values(key) == []


def test_somebody_elses_record_is_seen_and_stays(zone: Zone) -> None:
    _needs(zone.env.place, "way for others to write")
    key, other = zone.record_key(), zone.record_key("other")
    zone.env.place(other, (Record(C, zone.env.ttls[0]),))
    zone.bring(key, [A])
    if zone.able.reads_back:
        seen = zone.observe(key.name, other.name)
        assert [r.value for r in seen.records(other)] == [C]
        assert all(r.remark != REMARK for r in seen.records(other))
    zone.bring(key, [])
    assert zone.values(other) == [C]


def test_a_record_edited_by_hand_is_seen(zone: Zone) -> None:
    _needs(zone.env.place and zone.able.reads_back, "way for others to write")
    key = zone.record_key()
    zone.bring(key, [A])
    zone.env.place(key, (Record(B, zone.env.ttls[0]),))
    assert B in [r.value for r in zone.observe(key.name).records(key)]
    zone.bring(key, [A])
    assert zone.values(key) == [A]


def test_records_carry_our_remark_where_there_are_remarks(zone: Zone) -> None:
    _needs(zone.able.remarks, "remarks")
    key = zone.record_key()
    zone.bring(key, [A, B])
    zone.bring(key, [A, C])
    assert [r.remark for r in zone.observe(key.name).records(key)] == [REMARK, REMARK]


def test_weights_are_written_and_read_back(zone: Zone) -> None:
    _needs(zone.able.weights, "weights")
    key = zone.record_key()
    zone.bring(key, [A, B], weights={A: 3, B: 1})
    if zone.able.reads_back:
        assert {r.value: r.weight for r in zone.observe(key.name).records(key)} == {A: 3, B: 1}
    assert zone.plan(key, [A, B], weights={A: 3, B: 1}).operations == ()
    zone.bring(key, [A, B], weights={A: 2, B: 5})
    if zone.able.reads_back:
        assert {r.value: r.weight for r in zone.observe(key.name).records(key)} == {A: 2, B: 5}


def test_a_listing_of_several_pages_is_read_whole(zone: Zone) -> None:
    _needs(zone.env.page_records and zone.env.place, "pages")
    keys = [zone.record_key(f"page{number}") for number in range(zone.env.page_records)]
    for key in keys:
        zone.env.place(key, (Record(A, zone.env.ttls[0]),))
    seen = zone.observe(*(key.name for key in keys))
    assert seen.complete
    assert set(seen.sets) == set(keys)


def test_a_listing_cut_short_is_never_complete(zone: Zone) -> None:
    cut = zone.env.faults.get("cut_listing")
    _needs(cut, "listing that can be cut")
    zone.bring(zone.record_key(), [A])
    assert cut is not None
    with cut():
        try:
            seen = zone.observe(zone.record_key().name)
        except ProviderError:
            return
    assert not seen.complete or seen.unread_lines
    assert seen.why


def test_a_zone_that_is_not_there_is_refused_and_never_empty(zone: Zone) -> None:
    _needs(zone.able.reads_back and zone.env.foreign_zone, "foreign zones")
    foreign = zone.env.foreign_zone or ""
    with pytest.raises(RefusedError) as refusal:
        zone.provider.observe(foreign, frozenset({f"www.{foreign}"}))
    assert refusal.value.permanent
    assert foreign in str(refusal.value)
    assert zone.provider.check(foreign)


def test_a_zone_that_is_there_passes_the_check(zone: Zone) -> None:
    assert zone.provider.check(zone.env.zone) == ()


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("unreachable", UnavailableError),
        ("throttled", UnavailableError),
        ("bad_credentials", RefusedError),
        ("lost_answer", UnknownOutcomeError),
    ],
)
def test_a_failure_is_the_error_that_says_what_to_do(
    zone: Zone, fault: str, expected: type[ProviderError]
) -> None:
    during = zone.env.faults.get(fault)
    _needs(during, f"fault {fault}")
    assert during is not None
    key = zone.record_key()
    with during(), pytest.raises(expected) as failure:
        zone.provider.apply(zone.addition(key, A))
    assert failure.value.permanent is (expected is RefusedError)
    assert failure.value.code.replace("_", "").isalnum()
    assert zone.provider.name in str(failure.value)
    assert len(str(failure.value)) < 500
    for secret in zone.env.secrets:
        assert secret not in f"{failure.value!r} {failure.value}"
    if fault == "lost_answer":
        assert zone.values(key) == [A]
    else:
        assert zone.values(key) == []


@pytest.mark.parametrize("fault", ["unreachable", "throttled", "bad_credentials"])
def test_a_reading_that_fails_raises_and_is_never_empty(zone: Zone, fault: str) -> None:
    during = zone.env.faults.get(fault)
    _needs(during and zone.able.reads_back, f"fault {fault}")
    assert during is not None
    key = zone.record_key()
    zone.bring(key, [A])
    with during():
        try:
            seen = zone.observe(key.name)
        except ProviderError:
            return
    assert not seen.knows(key)


def test_what_cannot_be_written_is_refused_and_leaves_what_stood(zone: Zone) -> None:
    key = zone.record_key()
    zone.bring(key, [A])
    operation = zone.addition(key._replace(name=f"other.{zone.env.zone}"), A)
    broken = replace(operation, new=(Record("not an address", zone.env.ttls[0]),))
    with pytest.raises(ProviderError):
        zone.provider.apply(broken)
    assert zone.values(key) == [A]


def test_closing_twice_does_no_harm(zone: Zone) -> None:
    zone.provider.close()
    zone.provider.close()


def test_capabilities_hold_together(zone: Zone) -> None:
    able = zone.able
    assert isinstance(able, Capabilities)
    assert 0 <= able.ttl_min <= min(zone.env.ttls) < max(zone.env.ttls) <= able.ttl_max
    assert all(able.takes_line(line) for line in zone.env.lines)


@pytest.mark.parametrize("name", sorted(PROVIDERS))
def test_secrets_are_marked_and_never_shown(name: str) -> None:
    settings = provider_class(name).Settings
    for key in secret_keys(name):
        assert not settings.__dataclass_fields__[key].repr, f"{name}.{key} shows in a repr"


@pytest.mark.parametrize("name", sorted(PROVIDERS))
def test_an_unknown_setting_is_named(name: str) -> None:
    with pytest.raises(SettingsError) as refusal:
        settings_of(name, {"no_such_key": 1})
    assert refusal.value.key == "no_such_key"
