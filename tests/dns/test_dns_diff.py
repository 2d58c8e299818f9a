"""The order and the kind of operations: the table at the head of `dns.core.diff`."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dns.core.diff import UNCLAIMED, diff
from dns.core.model import (
    Action,
    Capabilities,
    DesiredRecord,
    DesiredSet,
    Observed,
    Plan,
    Record,
    RecordKey,
    RecordSet,
)
from dns.core.ownership import Entry, Ownership
from tests.dns.world import KEY, PER_RECORD, WHOLE_SETS, WITHOUT_UPDATE, WWW, address_of

A, B, C, D = (address_of(n) for n in range(4))
OURS = "lockstep-here"


def wanted(*values: str, ttl: int = 600, held: str = "") -> DesiredSet:
    records = tuple(DesiredRecord(v, ttl, None, ("n",), f"{v} is fit") for v in values)
    return DesiredSet("www", WWW, records, "default → n", held=held)


def there(*values: str, ttl: int = 600) -> Observed:
    return Observed({WWW: RecordSet(WWW, tuple(Record(v, ttl, f"id-{v}") for v in values))})


def plan(want: DesiredSet | None, observed: Observed, able: Capabilities = PER_RECORD) -> Plan:
    desired = {WWW: want} if want else {}
    return diff(KEY, desired, observed, Ownership(frozenset({WWW})), able, OURS)


def shape(made: Plan) -> list[tuple[Action, tuple[str, ...], tuple[str, ...]]]:
    return [(o.action, o.old_values, o.values) for o in made.operations]


def test_an_old_and_a_new_value_become_one_replacement_that_keeps_the_id() -> None:
    made = plan(wanted(B), there(A))
    assert shape(made) == [(Action.REPLACE, (A,), (B,))]
    assert made.operations[0].new[0].id == made.operations[0].old[0].id == f"id-{A}"


def test_without_update_in_place_the_addition_comes_first_when_nothing_else_answers() -> None:
    assert shape(plan(wanted(B), there(A), WITHOUT_UPDATE)) == [
        (Action.ADD, (), (B,)),
        (Action.REMOVE, (A,), ()),
    ]


def test_a_removal_comes_first_where_another_answer_stays() -> None:
    made = plan(wanted(B, C), there(A, B), WITHOUT_UPDATE)
    assert shape(made) == [(Action.REMOVE, (A,), ()), (Action.ADD, (), (C,))]


def test_whole_sets_change_at_once_with_the_old_set_as_what_is_expected() -> None:
    assert shape(plan(wanted(B, C), there(A, B), WHOLE_SETS)) == [(Action.REPLACE, (A, B), (B, C))]
    assert shape(plan(wanted(A), Observed(), WHOLE_SETS)) == [(Action.ADD, (), (A,))]
    assert shape(plan(wanted(), there(A), WHOLE_SETS)) == [(Action.REMOVE, (A,), ())]


def test_a_ttl_alone_is_replaced_in_place_or_held_where_that_cannot_be() -> None:
    made = plan(wanted(A, ttl=60), there(A))
    assert shape(made) == [(Action.REPLACE, (A,), (A,))]
    assert made.operations[0].reason == "ttl 600 → 60"
    stuck = plan(wanted(A, ttl=60), there(A), WITHOUT_UPDATE)
    assert stuck.operations == ()
    assert "TTL" in stuck.held[WWW]


def test_a_disabled_record_does_not_answer_and_is_enabled() -> None:
    observed = Observed({WWW: RecordSet(WWW, (Record(A, 600, "1", enabled=False),))})
    made = plan(wanted(A), observed)
    assert shape(made) == [(Action.REPLACE, (A,), (A,))]
    assert made.operations[0].new[0].enabled


def test_weights_count_only_where_they_are_asked_for() -> None:
    observed = Observed({WWW: RecordSet(WWW, (Record(A, 600, "1", weight=7),))})
    assert plan(wanted(A), observed).operations == ()
    heavy = replace(wanted(A), records=(DesiredRecord(A, 600, 3),))
    assert [o.new[0].weight for o in plan(heavy, observed).operations] == [3]
    assert plan(heavy, observed, replace(PER_RECORD, weights=False)).operations == ()


def test_twins_are_reduced_to_one() -> None:
    observed = Observed({WWW: RecordSet(WWW, (Record(A, 600, "1"), Record(A, 600, "2")))})
    made = plan(wanted(A), observed)
    assert [(o.action, o.record_ids) for o in made.operations] == [(Action.REMOVE, ("2",))]


def test_new_records_carry_the_remark_where_there_are_remarks() -> None:
    assert plan(wanted(A), Observed()).operations[0].new[0].remark == OURS
    assert plan(wanted(A), Observed(), WHOLE_SETS).operations[0].new[0].remark == ""


@pytest.mark.parametrize(
    ("want", "observed", "word"),
    [
        (wanted(B), replace(there(A), complete=False, why="page 3 is missing"), "page 3 is missing"),
        (wanted(B), replace(there(A), unread_lines=frozenset({"default"}), why="refused"), "refused"),
        (None, replace(there(A), complete=False), "not complete"),
        (wanted(held="the ttl is out of range"), there(A), "out of range"),
    ],
)
def test_what_is_not_known_for_certain_is_held(
    want: DesiredSet | None, observed: Observed, word: str
) -> None:
    made = plan(want, observed)
    assert made.operations == ()
    assert word in made.held[WWW]


def test_a_set_that_is_not_ours_is_held_whatever_is_wanted() -> None:
    ownership = Ownership(held={WWW: "not ours"})
    made = diff(KEY, {WWW: wanted(B)}, there(A), ownership, PER_RECORD)
    assert (made.operations, made.held) == ((), {WWW: "not ours"})


def test_an_owned_set_that_nobody_claims_is_removed_with_the_guard_s_word() -> None:
    ownership = Ownership(frozenset({WWW}), entries={WWW: Entry("www")})
    made = diff(KEY, {}, there(A, B), ownership, PER_RECORD)
    assert [(o.service, o.reason) for o in made.operations] == [("www", UNCLAIMED)] * 2


def test_a_cname_on_another_line_is_in_nobody_s_way() -> None:
    cname = RecordKey(WWW.name, "CNAME", "telecom")
    observed = Observed({cname: RecordSet(cname, (Record("x.test", 600),))})
    assert plan(wanted(A), observed).operations


@given(
    st.sets(st.sampled_from([A, B, C, D])),
    st.sets(st.sampled_from([A, B, C, D])),
    st.sampled_from([PER_RECORD, WITHOUT_UPDATE, WHOLE_SETS]),
)
def test_no_prefix_of_a_plan_leaves_a_set_empty_that_should_not_be(
    old: set[str], new: set[str], able: Capabilities
) -> None:
    standing = set(old)
    for operation in plan(wanted(*sorted(new)), there(*sorted(old)), able).operations:
        standing = (standing - set(operation.old_values)) | set(operation.values)
        assert standing or not new or not old
    assert standing == new
