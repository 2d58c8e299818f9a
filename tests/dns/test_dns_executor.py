"""One pass after another against a provider in memory: order, failures, lost answers, drift,
adoption, the database away.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from dns.core.guard import Context
from dns.core.model import Action, Fallback, LinePlan, Operation, Record, RecordKey
from dns.errors import RefusedError, StaleError, UnavailableError, UnknownOutcomeError
from tests.dns.world import (
    PER_RECORD,
    WHOLE_SETS,
    WITHOUT_REMARKS,
    WWW,
    ZONE,
    MemoryProvider,
    World,
    address_of,
    node,
    service,
)

A, B, C = (address_of(n) for n in range(3))


def world(*names: str, able: object = PER_RECORD, **changes: object) -> World:
    provider = MemoryProvider(able)  # type: ignore[arg-type]
    return World(provider, [service(**changes)], [node(name) for name in names])


def failing(error: Exception, *actions: Action) -> Callable[[int, Operation], None]:
    def fail(number: int, operation: Operation) -> None:
        if operation.action in actions:
            raise error

    return fail


def test_a_pass_in_which_nothing_changed_sends_one_listing_and_no_write() -> None:
    made = world("a", "b")
    made.reconcile()
    listings, writes = made.provider.listings, made.provider.writes
    assert made.reconcile().applied == 0
    assert (made.provider.listings - listings, made.provider.writes - writes) == (1, 0)


def test_withdrawals_go_before_additions() -> None:
    made = world("a", "b", lines={"default": LinePlan((("a", "b"),))})
    made.services.insert(0, service("api", lines={"default": LinePlan((("c",),), Fallback.NONE)}))
    made.reconcile()
    made.nodes = [node("a", False), node("b"), node("c")]
    done = made.reconcile()
    assert [(e.service, e.action) for e in done.entries] == [("www", Action.REMOVE), ("api", Action.ADD)]


def test_a_changed_address_is_an_update_in_place() -> None:
    made = world("a")
    made.reconcile()
    made.nodes = [node("a", addresses=node("b").addresses)]
    done = made.reconcile()
    assert [(e.action, e.old_values, e.values) for e in done.entries] == [(Action.REPLACE, (A,), (B,))]


def test_each_operation_is_in_the_history_with_its_reason_and_answer() -> None:
    made = world("a")
    made.reconcile()
    entry = made.history[0]
    assert (entry.at, entry.service, entry.key, entry.action, entry.values) == (
        1000.0,
        "www",
        WWW,
        Action.ADD,
        (A,),
    )
    assert (entry.reason, entry.answer, entry.ok, entry.code) == (
        "node a is ready and in sync",
        "done",
        True,
        "",
    )


def test_a_failed_addition_cancels_only_the_removal_that_would_empty_the_set() -> None:
    made = world("a", able=replace(PER_RECORD, update_in_place=False))
    made.reconcile()
    made.nodes = [node("a", False), node("b")]
    made.services.append(service("api", lines={"default": LinePlan((("b",),))}))
    made.provider.fail = lambda n, o: (
        failing(RefusedError("quota", "full"), Action.ADD)(n, o) if o.key == WWW else None
    )
    done = made.reconcile()
    assert made.values() == [A]
    assert "last answer" in done.sets_held[WWW]
    assert made.values(RecordKey(f"api.{ZONE}", "A")) == [B]
    made.provider.fail = lambda n, o: None
    made.reconcile()
    assert made.values() == [B]


@pytest.mark.parametrize("able", [PER_RECORD, WHOLE_SETS])
def test_a_refused_replacement_still_takes_the_unfit_record_away_where_an_answer_stays(able: object) -> None:
    made = world("a", "b", able=able, lines={"default": LinePlan(max_answers=2)})
    made.reconcile()
    made.nodes = [node("a", False), node("b"), node("c")]
    refuse = RefusedError("quota", "full")

    def fail(number: int, operation: Operation) -> None:
        if C in operation.values:
            raise refuse

    made.provider.fail = fail
    made.reconcile()
    assert made.values() == [B]


def test_an_answer_that_was_lost_is_read_and_nothing_is_sent_twice() -> None:
    made = world("a")

    def lose(number: int, operation: Operation) -> None:
        raise UnknownOutcomeError("timeout", "no answer")

    made.provider.lose = lose
    done = made.reconcile()
    assert made.provider.writes == 1
    assert [(e.ok, e.answer) for e in done.entries] == [(True, "stands after all (timeout)")]
    assert made.ledger.entries(done.zone)[WWW].values == {A}


def test_an_answer_that_was_lost_and_a_change_that_did_not_happen_is_a_failure_left_for_the_next_pass() -> (
    None
):
    made = world("a")
    made.provider.fail = failing(UnknownOutcomeError("timeout", "no answer"), Action.ADD)
    assert [(e.ok, e.code) for e in made.reconcile().entries] == [(False, "timeout")]
    assert made.provider.writes == 1
    made.provider.fail = lambda n, o: None
    made.reconcile()
    assert made.values() == [A]


def test_when_it_cannot_be_read_either_the_pass_ends_and_the_intent_remains() -> None:
    made = world("a", able=WITHOUT_REMARKS)

    def lose(number: int, operation: Operation) -> None:
        def down() -> None:
            raise UnavailableError("unreachable", "nobody there")

        made.provider.fail_listing = down
        raise UnknownOutcomeError("timeout", "no answer")

    made.provider.lose = lose
    done = made.reconcile()
    assert "next pass" in done.unfinished
    made.provider.lose, made.provider.fail_listing = (lambda n, o: None), (lambda: None)
    made.restart()
    assert made.reconcile().entries == ()
    assert made.values() == [A]


def test_a_stale_prerequisite_plans_anew_from_what_stands() -> None:
    made = world("a", able=WHOLE_SETS)
    made.reconcile()
    made.nodes = [node("b"), node("a", False)]
    once = []

    def fail(number: int, operation: Operation) -> None:
        if not once:
            once.append(number)
            raise StaleError("prerequisite", "something else stands")

    made.provider.fail = fail
    done = made.reconcile()
    assert [e.ok for e in done.entries] == [False, True, True, True]
    assert made.values() == [B]


def test_a_plan_that_went_stale_on_the_way_is_dropped_and_made_anew() -> None:
    made = world("a", "b", lines={"default": LinePlan()})
    seen: list[str] = []

    def watch() -> None:
        seen.append(",".join(made.values()))
        if len(seen) == 1:
            made.nodes = [node("a"), node("b", False, "is in recovery")]

    made.provider.watch = watch
    made.reconcile()
    assert seen == [A]
    assert made.values() == [A]


def test_facts_that_change_without_changing_the_answer_do_not_stop_a_plan() -> None:
    made = world("a", "b")
    made.provider.watch = lambda: setattr(
        made, "nodes", [node("a", True, "was observed"), node("b"), node("c", False)]
    )
    assert made.reconcile().applied == 2
    assert made.provider.listings == 2


def test_five_failures_in_a_row_leave_the_rest_to_the_next_pass() -> None:
    made = world("a")
    made.services = [service(f"s{number}") for number in range(9)]
    made.provider.fail = failing(UnavailableError("busy", "later", 30.0), Action.ADD)
    done = made.reconcile()
    assert made.provider.writes == 5
    assert "in a row" in done.unfinished
    assert done.retry_after_seconds == 30.0


def test_one_set_that_fails_does_not_stop_the_others() -> None:
    made = world("a")
    made.services = [service(f"s{number}") for number in range(4)]
    made.provider.fail = lambda n, o: (
        failing(RefusedError("name", "no"), Action.ADD)(n, o) if o.service == "s1" else None
    )
    done = made.reconcile()
    assert [e.service for e in done.entries if e.ok] == ["s0", "s2", "s3"]


def test_a_listing_cut_short_holds_everything() -> None:
    made = world("a")
    made.reconcile()
    made.nodes, made.provider.complete = [node("a", False), node("b")], False
    done = made.reconcile()
    assert done.entries == ()
    assert "page 2 of 3 is missing" in done.sets_held[WWW]
    assert made.values() == [A]


def test_a_listing_that_fails_is_the_pass_s_error() -> None:
    made = world("a")

    def down() -> None:
        raise RefusedError("credentials", "provider mem: the key is not valid")

    made.provider.fail_listing = down
    done = made.reconcile()
    assert done.error is not None
    assert done.error.permanent
    assert done.entries == ()


def test_a_hold_of_the_guard_changes_nothing_and_says_why() -> None:
    made = world("a")
    done = made.reconcile(context=Context(frozen="maintenance"))
    assert done.held is not None
    assert "maintenance" in done.held
    assert (done.needs_person, made.provider.writes) == (True, 0)
    assert done.planned is not None
    assert len(done.planned.plan.operations) == 1


@pytest.mark.parametrize("able", [PER_RECORD, WHOLE_SETS])
def test_a_record_edited_by_hand_is_put_right_with_an_event(able: object) -> None:
    made = world("a", able=able)
    made.reconcile()
    made.provider.sets[WWW][0] = replace(made.provider.sets[WWW][0], value="198.18.7.7")
    done = made.reconcile()
    assert made.values() == [A]
    assert "198.18.0.1 → 198.18.7.7" in done.drift[WWW]
    assert not made.reconcile().drift


def test_a_record_deleted_or_disabled_by_hand_is_put_right() -> None:
    made = world("a", "b")
    made.reconcile()
    del made.provider.sets[WWW][0]
    made.provider.sets[WWW][0] = replace(made.provider.sets[WWW][0], enabled=False, ttl=5)
    assert made.reconcile().drift
    assert made.values() == [A, B]
    assert {r.ttl for r in made.provider.sets[WWW]} == {600}


def test_a_foreign_record_holds_its_set_until_it_is_handed_over() -> None:
    made = world("a")
    made.provider.put(WWW, "198.18.7.7", ttl=60)
    assert "not ours" in made.reconcile().sets_held[WWW]
    assert made.provider.writes == 0
    done = made.reconcile(adopt=["www"])
    assert done.adopted == (WWW,)
    assert [e.action for e in done.entries] == [Action.REPLACE]
    assert made.values() == [A]
    assert made.reconcile(adopt=["www"]).adopted == ()


def test_a_cname_in_the_way_holds_the_set() -> None:
    made = world("a")
    made.provider.put(RecordKey(WWW.name, "CNAME"), "elsewhere.test")
    assert "CNAME to elsewhere.test" in made.reconcile().sets_held[WWW]


def test_a_lost_ledger_is_rebuilt_from_the_remarks_and_otherwise_holds() -> None:
    for able, expected in ((PER_RECORD, [B]), (WITHOUT_REMARKS, [A])):
        made = world("a", able=able)
        made.reconcile()
        made.ledger.stored.clear()
        made.restart()
        made.nodes = [node("a", False), node("b")]
        done = made.reconcile()
        assert made.values() == expected
        assert bool(done.sets_held) is (expected == [A])


def test_a_crash_between_intent_and_answer_leaves_no_orphan() -> None:
    made = world("a", able=WITHOUT_REMARKS)

    def crash(number: int, operation: Operation) -> None:
        raise KeyboardInterrupt

    made.provider.lose = crash
    with pytest.raises(KeyboardInterrupt):
        made.reconcile()
    made.provider.lose = lambda n, o: None
    made.restart()
    assert made.reconcile().sets_held == {}
    entry = made.ledger.entries(made.reconcile().zone)[WWW]
    assert (entry.values, entry.intended) == ({A}, ())


def test_the_records_of_a_removed_service_go_only_when_a_person_says_so() -> None:
    made = world("a")
    made.reconcile()
    made.services = []
    assert "apply --yes" in made.reconcile().sets_held[WWW]
    assert made.values() == [A]
    made.reconcile(context=Context(confirmed=True))
    assert made.values() == []
    assert made.ledger.entries(made.reconcile().zone) == {}


def test_what_cannot_be_read_back_is_judged_by_the_ledger() -> None:
    made = world("a", able=replace(WHOLE_SETS, reads_back=False))
    made.reconcile()
    made.restart()
    assert made.reconcile().entries == ()
    made.nodes = [node("a", False), node("b")]
    made.reconcile()
    assert made.values() == [B]
    assert made.provider.listings == 0


def test_while_the_database_is_away_the_unfit_go_and_it_is_written_down_later() -> None:
    made = world("a", "b")
    made.reconcile()
    made.ledger.away = True
    made.nodes = [node("a", False), node("b"), node("c")]
    done = made.reconcile()
    assert made.values() == [B]
    assert "database is away" in str(done.sets_held) or done.applied == 1
    made.ledger.away = False
    done = made.reconcile()
    assert made.values() == [B, C]
    assert not done.drift


def test_the_suspects_are_the_nodes_whose_health_is_the_reason() -> None:
    made = world("a", "b", "c")
    made.reconcile()
    made.nodes = [node("a", False), node("b", drained=True), node("c")]
    done = made.reconcile(context=Context(cut_off="cut off"))
    assert done.planned is not None
    assert done.planned.suspects == {"a"}


def test_a_disabled_twin_of_a_record_goes() -> None:
    made = world("a")
    made.reconcile()
    twin = Record(A, 600, "twin", enabled=False, remark="lockstep-test")
    made.provider.sets[WWW].append(twin)
    made.reconcile()
    assert [r.id for r in made.provider.sets[WWW]] != ["twin"]
    assert made.values() == [A]


def test_a_freeze_between_two_operations_stops_the_rest() -> None:
    made = world("a", "b", "c")
    around = [Context(), Context(frozen="maintenance")]
    done = made.executor.reconcile(
        ZONE,
        made.services,
        lambda: made.nodes,
        lambda planned: around.pop(0),
        interrupted=lambda: made.provider.writes == 1,
    )
    assert made.provider.writes == 1
    assert "maintenance" in (done.held or "")
    assert (len(done.entries), made.values()) == (1, [A])


def test_a_listing_that_lags_behind_does_not_make_our_record_a_stranger() -> None:
    made = world("a", able=WITHOUT_REMARKS)
    real = made.provider.observe
    before = real(ZONE, frozenset({WWW.name}))
    made.provider.observe = lambda zone, names: before  # type: ignore[method-assign]
    made.reconcile()
    made.provider.observe = real  # type: ignore[method-assign]
    done = made.reconcile()
    assert (done.sets_held, done.entries, made.values()) == ({}, (), [A])


@pytest.mark.parametrize(("nodes", "expected"), [("b", [B]), ("", [])])
def test_what_may_stand_at_a_provider_that_cannot_be_read_is_written_again_or_taken_away(
    nodes: str, expected: list[str]
) -> None:
    made = world("a", able=replace(WHOLE_SETS, reads_back=False))
    lost = UnknownOutcomeError("timeout", "no answer")

    def lose(number: int, operation: Operation) -> None:
        raise lost

    made.provider.lose = lose
    assert not made.reconcile().applied
    made.provider.lose = lambda n, o: None
    made.nodes = [node("a", False), *(node(name) for name in nodes)]
    made.reconcile()
    assert made.values() == expected
    assert made.reconcile().entries == ()


def test_no_nodes_at_all_is_a_fault_and_changes_nothing() -> None:
    made = world("a")
    made.reconcile()
    made.nodes = []
    done = made.reconcile()
    assert "not one node" in (done.held or "")
    assert made.values() == [A]
    made.reconcile(context=Context(confirmed=True))
    assert made.values() == []
