"""Whether a plan may be carried out now: the guard, hold-downs, isolation and ownership."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dns.core.diff import UNCLAIMED
from dns.core.guard import Apply, Context, Hold, guard
from dns.core.holddown import HoldDown, left, remaining_seconds, returned, wait_seconds
from dns.core.isolation import Asked, Isolation, judge
from dns.core.model import Action, Capabilities, Observed, Operation, Plan, Record, RecordKey, RecordSet
from dns.core.ownership import Entry, adopted, decide, remark_of
from tests.dns.world import KEY, WWW, ZONE

OURS = remark_of("here")


def removal(name: str = "www", reason: str = "node a is dead") -> Operation:
    key = RecordKey(f"{name}.{ZONE}", "A")
    return Operation(Action.REMOVE, name, KEY, key, (), (Record("198.18.0.1", 600),), reason)


def names(*some: str) -> frozenset[str]:
    return frozenset(f"{name}.{ZONE}" for name in some)


@pytest.mark.parametrize(
    ("context", "word", "needs_person"),
    [
        (Context(frozen="maintenance until noon"), "maintenance until noon", True),
        (Context(cut_off="cut off: nobody answers"), "cut off", False),
        (Context(all_nodes=3, known_nodes=2, seconds_since_start=20), "1 of 3 nodes", False),
    ],
)
def test_nothing_is_written_while_frozen_blind_or_starting(
    context: Context, word: str, needs_person: bool
) -> None:
    verdict = guard(Plan(KEY, (removal(),)), context)
    assert isinstance(verdict, Hold)
    assert word in verdict.reason
    assert verdict.needs_person is needs_person


@pytest.mark.parametrize(
    "context",
    [Context(all_nodes=3, known_nodes=3), Context(all_nodes=3, known_nodes=0, seconds_since_start=120)],
)
def test_the_hold_of_the_start_ends_when_all_are_known_or_the_time_has_passed(context: Context) -> None:
    assert isinstance(guard(Plan(KEY, (removal(),)), context), Apply)


def test_an_empty_plan_is_never_held() -> None:
    assert isinstance(guard(Plan(KEY), Context(frozen="x", cut_off="y")), Apply)


def test_the_records_of_a_service_that_is_gone_wait_for_a_person() -> None:
    plan = Plan(KEY, (removal("old", UNCLAIMED), removal("www")))
    verdict = guard(plan, Context(configured_names=names("www")))
    assert isinstance(verdict, Apply)
    assert [o.service for o in verdict.plan.operations] == ["www"]
    assert "apply --yes" in verdict.plan.held[RecordKey(f"old.{ZONE}", "A")]
    confirmed = guard(plan, Context(configured_names=names("www"), confirmed=True))
    assert isinstance(confirmed, Apply)
    assert len(confirmed.plan.operations) == 2


def test_a_line_that_a_service_no_longer_answers_goes_by_itself() -> None:
    verdict = guard(Plan(KEY, (removal("www", UNCLAIMED),)), Context(configured_names=names("www")))
    assert isinstance(verdict, Apply)
    assert verdict.plan.operations


def test_much_that_goes_without_evidence_waits_for_a_person() -> None:
    plan = Plan(KEY, tuple(removal(name) for name in ("a", "b", "c")))
    around = {"configured_names": names("a", "b", "c"), "answering": 4}
    verdict = guard(plan, Context(**around))  # type: ignore[arg-type]
    assert isinstance(verdict, Hold)
    assert verdict.needs_person
    evidence = {o.key: frozenset({"198.18.0.1"}) for o in plan.operations}
    assert isinstance(guard(plan, Context(**around, evidence=evidence)), Apply)  # type: ignore[arg-type]
    assert isinstance(guard(plan, Context(**around, confirmed=True)), Apply)  # type: ignore[arg-type]


def test_a_few_that_go_without_evidence_do_not_wait() -> None:
    plan = Plan(KEY, (removal("a"), removal("b")))
    assert isinstance(guard(plan, Context(configured_names=names("a", "b"), answering=2)), Apply)


# --- hold-downs


def test_a_flapping_node_waits_twice_as_long_each_time_and_never_beyond_ten_minutes() -> None:
    memory, waits = returned(HoldDown(), 0), []
    assert remaining_seconds(memory, 0, 10) == 0
    for turn in range(1, 9):
        memory = returned(left(memory, turn * 100.0), turn * 100.0 + 50)
        waits.append(wait_seconds(memory, 10))
    assert waits == [10, 20, 40, 80, 160, 320, 600, 600]


def test_an_hour_of_calm_forgets() -> None:
    memory = returned(left(left(returned(HoldDown(), 0), 10), 11), 20)
    assert memory.withdrawals == 1
    assert remaining_seconds(memory, 25, 10) == 5
    assert remaining_seconds(memory, 30, 10) == 0
    assert left(memory, 20 + 3600).withdrawals == 1
    assert left(memory, 20 + 3599).withdrawals == 2


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 1000)), max_size=30))
def test_the_wait_stays_within_bounds(events: list[tuple[bool, float]]) -> None:
    memory, at = HoldDown(), 0.0
    for fit, step in events:
        at += step
        memory = returned(memory, at) if fit else left(memory, at)
        assert 0 <= remaining_seconds(memory, at, 10) <= 600


# --- isolation


def asked(nodes: str = "", canaries: str = "", answered: str = "") -> Asked:
    return Asked(frozenset(nodes), frozenset(canaries), frozenset(answered))


def test_with_nobody_to_ask_the_evidence_stands() -> None:
    assert not judge(Isolation(), asked(), 0, 60).cut_off


def test_one_answer_is_enough_to_believe_the_evidence() -> None:
    assert not judge(Isolation(), asked("abc", "", "b"), 0, 60).cut_off
    assert not judge(Isolation(), asked("ab", "x", "x"), 0, 60).cut_off
    assert not judge(Isolation(), asked("ab", "x", "a"), 0, 60).cut_off


def test_without_canaries_the_evidence_stands_after_a_while() -> None:
    memory = judge(Isolation(), asked("ab"), 100, 60)
    assert memory.cut_off
    memory = judge(memory, asked("ab"), 159, 60)
    assert memory.cut_off
    memory = judge(memory, asked("ab"), 160, 60)
    assert not memory.cut_off
    assert not judge(memory, asked("ab"), 161, 60).cut_off


def test_a_node_that_answers_ends_a_cut_off_without_canaries() -> None:
    memory = judge(Isolation(), asked("ab"), 0, 60)
    assert not judge(memory, asked("ab", "", "a"), 1, 60).cut_off


def test_with_canaries_it_lasts_until_one_answers() -> None:
    memory = judge(Isolation(), asked("ab", "xy"), 0, 60)
    memory = judge(memory, asked("ab", "xy", "a"), 1000, 60)
    assert memory.cut_off
    assert not judge(memory, asked("ab", "xy", "y"), 1001, 60).cut_off


def test_canaries_alone_are_enough_to_ask() -> None:
    assert judge(Isolation(), asked("", "x"), 0, 60).cut_off


# --- ownership


def standing(*records: Record, key: RecordKey = WWW) -> Observed:
    return Observed({key: RecordSet(key, records)})


def record(value: str, name: str | None = None, remark: str = "") -> Record:
    return Record(value, 600, name, remark=remark)


ABLE = Capabilities(remarks=True)


def test_what_nobody_wrote_down_is_held_until_adopted() -> None:
    found = decide({WWW: "www"}, standing(record("198.18.0.1", "1")), {}, ABLE, OURS)
    assert "dns adopt" in found.held[WWW]
    assert WWW not in found.owned
    entries = adopted([WWW], standing(record("198.18.0.1", "1")), "www")
    assert WWW in decide({WWW: "www"}, standing(record("198.18.0.1", "1")), entries, ABLE, OURS).owned


def test_the_remark_gives_a_set_back_when_the_ledger_is_lost() -> None:
    found = decide({WWW: "www"}, standing(record("198.18.0.1", "1", OURS)), {}, ABLE, OURS)
    assert found.regained[WWW].service == "www"
    mixed = standing(record("198.18.0.1", "1", OURS), record("198.18.0.2", "2"))
    assert WWW in decide({WWW: "www"}, mixed, {}, ABLE, OURS).held
    other = standing(record("198.18.0.1", "1", remark_of("elsewhere")))
    assert WWW in decide({WWW: "www"}, other, {}, ABLE, OURS).held


def test_a_record_added_to_our_set_by_somebody_else_holds_it() -> None:
    entry = Entry("www", (record("198.18.0.1", "1"),))
    found = decide(
        {WWW: "www"}, standing(record("198.18.0.1", "1"), record("198.18.0.9", "9")), {WWW: entry}, ABLE, OURS
    )
    assert "198.18.0.9" in found.held[WWW]


@pytest.mark.parametrize("name", ["1", None])
def test_a_record_of_ours_edited_by_hand_stays_ours(name: str | None) -> None:
    entry = Entry("www", (record("198.18.0.1", name),))
    found = decide({WWW: "www"}, standing(record("198.18.0.9", name)), {WWW: entry}, Capabilities(), "")
    assert WWW in found.owned


def test_an_intent_is_evidence_too() -> None:
    found = decide(
        {WWW: "www"},
        standing(record("198.18.0.1", "1")),
        {WWW: Entry("www", (), ("198.18.0.1",))},
        ABLE,
        OURS,
    )
    assert WWW in found.owned


def test_a_locked_record_is_never_ours() -> None:
    locked = Record("198.18.0.1", 600, "1", remark=OURS, foreign=True)
    assert WWW in decide({WWW: "www"}, standing(locked), {WWW: Entry("www", (locked,))}, ABLE, OURS).held
    assert adopted([WWW], standing(locked), "www") == {}


def test_a_zone_that_is_wholly_ours_holds_nothing_foreign() -> None:
    found = decide({WWW: "www"}, standing(record("198.18.0.1")), {}, Capabilities(owns_zone=True), "")
    assert WWW in found.owned


def test_a_set_that_was_not_read_is_not_adopted() -> None:
    unread = Observed({WWW: RecordSet(WWW, (record("198.18.0.1"),))}, complete=False)
    assert adopted([WWW], unread, "www") == {}


def test_the_remark_is_short_and_plain() -> None:
    assert len(remark_of("x" * 100)) == 50
    assert remark_of("b7f3").replace("-", "").isalnum()


def test_a_line_that_nobody_claims_any_more_stays_where_its_askers_would_be_left_alone() -> None:
    plan = Plan(KEY, (removal("www", UNCLAIMED),))
    around = Context(configured_names=names("www"), falls_back=False)
    verdict = guard(plan, around)
    assert isinstance(verdict, Apply)
    assert not verdict.plan.operations
    assert "without an answer" in "".join(verdict.plan.held.values())
    agreed = guard(plan, replace(around, confirmed=True))
    assert agreed.plan.operations == plan.operations


def test_nothing_unclaimed_goes_while_the_list_of_nodes_is_not_believed() -> None:
    plan = Plan(KEY, (removal("www", UNCLAIMED),))
    verdict = guard(plan, Context(configured_names=names("www"), nodes_gone="2 of 3 nodes are gone at once"))
    assert not verdict.plan.operations
    assert "2 of 3" in "".join(verdict.plan.held.values())
