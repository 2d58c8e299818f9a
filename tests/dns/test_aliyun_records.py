"""How AliDNS's records are written and read: lines, TTL, status, weights, remarks, duplicates, pages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import pytest

from dns.core.model import LINES, Record, RecordKey
from dns.errors import RefusedError, StaleError
from tests.dns.alidns_stand import WWW, A, B, C, Stand, stand
from tests.servers_alidns_account import Row


@pytest.fixture
def ali() -> Iterator[Stand]:
    with stand() as found:
        yield found


def test_an_update_always_names_line_and_ttl_since_what_is_left_out_becomes_its_default(ali: Stand) -> None:
    ali.add(A, ttl=1200)
    ali.replace(ali.read()[0], value=B)
    (row,) = ali.account.rows.values()
    assert (row.value, row.line, row.ttl) == (B, "telecom", 1200)
    assert ali.last("UpdateDomainRecord").keys() >= {"Line", "TTL", "RR", "Type", "Value", "RecordId"}


def test_an_update_without_a_line_would_have_moved_the_record_to_default(ali: Stand) -> None:
    row = ali.account.put("www", "A", A, "telecom", ttl=1200)
    ali.account.update({"RecordId": row.id, "RR": "www", "Type": "A", "Value": B})
    assert (row.line, row.ttl) == ("default", 600)


def test_an_update_that_would_change_nothing_is_not_sent(ali: Stand) -> None:
    ali.add(A)
    ali.replace(ali.read()[0])
    assert "UpdateDomainRecord" not in ali.server.requests


def test_an_update_that_changes_nothing_after_all_is_done(ali: Stand) -> None:
    ali.add(A)
    seen = ali.read()[0]
    ali.replace(replace(seen, value=B), value=A)  # what was planned from has meanwhile come about
    assert ali.account.values("www", line="telecom") == {A}


def test_an_update_to_a_value_that_another_record_has_is_for_a_new_plan(ali: Stand) -> None:
    ali.add(A)
    ali.add(B)
    first = ali.read()[0]
    with pytest.raises(StaleError) as stale:
        ali.replace(first, value=B)
    assert stale.value.code == "duplicate"
    assert ali.account.values("www", line="telecom") == {A, B}


def test_an_update_of_a_record_that_is_gone_is_for_a_new_plan(ali: Stand) -> None:
    ali.add(A)
    seen = ali.read()[0]
    ali.account.rows.clear()
    with pytest.raises(StaleError) as stale:
        ali.replace(seen, value=B)
    assert stale.value.code == "gone"


def test_adding_what_stands_disabled_is_for_a_new_plan_because_it_answers_nobody(ali: Stand) -> None:
    ali.account.put("www", "A", A, "telecom", status="DISABLE")
    with pytest.raises(StaleError):
        ali.add(A)


@pytest.mark.parametrize("status", ["DISABLE", "Disable", "disable"])
def test_a_disabled_record_is_observed_and_answers_nobody_however_it_is_spelled(
    ali: Stand, status: str
) -> None:
    ali.account.put("www", "A", A, "telecom", status=status)
    assert [(r.value, r.enabled) for r in ali.read()] == [(A, False)]


@pytest.mark.parametrize("status", ["ENABLE", "Enable", "enable"])
def test_an_enabled_record_answers_however_it_is_spelled(ali: Stand, status: str) -> None:
    ali.account.put("www", "A", A, "telecom", status=status)
    assert [r.enabled for r in ali.read()] == [True]


def test_a_disabled_record_is_given_its_value_before_it_is_switched_on(ali: Stand) -> None:
    ali.account.put("www", "A", A, "telecom", status="DISABLE")
    ali.replace(ali.read()[0], value=B, enabled=True)
    writes = [name for name in ali.server.requests if not name.startswith("Describe")]
    assert writes == ["UpdateDomainRecord", "SetDomainRecordStatus"]
    assert ali.account.values("www", line="telecom") == {B}


def test_a_locked_record_is_foreign_and_cannot_be_changed(ali: Stand) -> None:
    ali.account.put("www", "A", A, "telecom", locked=True)
    (seen,) = ali.read()
    assert seen.foreign
    with pytest.raises(RefusedError) as refusal:
        ali.replace(seen, value=B)
    assert refusal.value.code == "blocked"
    with pytest.raises(RefusedError):
        ali.remove(seen)


@pytest.mark.parametrize("line", [*LINES, "cn_telecom_anhui", "search"])
def test_our_words_for_lines_are_alidns_codes_and_others_pass_through(ali: Stand, line: str) -> None:
    key = WWW._replace(line=line)
    ali.add(A, key)
    (row,) = ali.account.rows.values()
    assert row.line == line
    assert [r.value for r in ali.read(key)] == [A]


def test_a_line_that_alidns_does_not_have_is_refused_with_what_to_do(ali: Stand) -> None:
    with pytest.raises(RefusedError) as refusal:
        ali.add(A, WWW._replace(line="moon"))
    assert refusal.value.code == "plan"
    assert "line" in str(refusal.value)


@pytest.mark.parametrize(("ttl", "code"), [(60, "quota"), (100000, "plan")])
def test_a_ttl_that_the_edition_does_not_take_is_refused(ali: Stand, ttl: int, code: str) -> None:
    with pytest.raises(RefusedError) as refusal:
        ali.add(A, ttl=ttl)
    assert refusal.value.code == code
    assert "ttl" in str(refusal.value).lower()


def test_what_the_edition_allows_can_be_said_and_is_then_known_beforehand() -> None:
    with stand(ttl_min=600, records_per_set=10) as ali:
        able = ali.provider.capabilities("example.com")
        assert (able.ttl_min, able.ttl_max, able.max_answers) == (600, 86400, 10)
        assert able.line_fallback_to_default
        assert able.takes_line("cn_telecom_anhui")


def test_one_address_too_many_for_the_edition_is_refused_and_the_others_stay(ali: Stand) -> None:
    for number in range(10):
        ali.add(f"203.0.113.{number + 1}")
    with pytest.raises(RefusedError) as refusal:
        ali.add(C)
    assert refusal.value.code == "quota"
    assert len(ali.account.values("www", line="telecom")) == 10


def test_a_cname_in_the_same_line_is_a_conflict_and_in_another_is_none(ali: Stand) -> None:
    ali.account.put("www", "CNAME", "cdn.example.net", "telecom")
    with pytest.raises(RefusedError) as refusal:
        ali.add(A)
    assert refusal.value.code == "conflict"
    ali.add(A, WWW._replace(line="unicom"))


def test_the_apex_is_spelled_with_an_at_sign_everywhere(ali: Stand) -> None:
    apex = RecordKey("example.com", "A", "default")
    ali.add(A, apex, weight=5)
    ali.server.fail("lost", "DeleteDomainRecord")
    (seen,) = ali.read(apex)
    ali.remove(seen, apex)
    assert ali.last("AddDomainRecord")["RR"] == "@"
    assert ali.last("SetDNSSLBStatus")["SubDomain"] == "@.example.com"
    assert ali.last("DescribeSubDomainRecords")["SubDomain"] == "@.example.com"


def test_a_name_that_contains_another_is_never_taken_for_it(ali: Stand) -> None:
    for rr in ("www", "www2", "w", "a.www", "xwwwx"):
        ali.account.put(rr, "A", A, "telecom")
    seen = ali.provider.observe("example.com", frozenset({"www.example.com"}))
    assert set(seen.sets) == {WWW}


def test_the_remark_is_a_request_of_its_own_and_survives_an_update(ali: Stand) -> None:
    ali.add(A, remark="lockstep-0f3c")
    assert "Remark" not in ali.last("AddDomainRecord")
    ali.replace(ali.read()[0], value=B, remark="lockstep-0f3c")
    assert [r.remark for r in ali.read()] == ["lockstep-0f3c"]
    assert ali.server.requests.count("UpdateDomainRecordRemark") == 1


def test_a_remark_that_alidns_refuses_does_not_undo_the_record(ali: Stand) -> None:
    answer = ali.add(A, remark="with spaces: not allowed")
    assert ali.account.values("www", line="telecom") == {A}
    assert "remark was not set" in answer.text


def test_the_longest_remark_of_ours_is_taken(ali: Stand) -> None:
    remark = ("lockstep-" + "0f3c" * 20)[:50]
    assert "not set" not in ali.add(A, remark=remark).text


def test_weights_are_switched_on_for_the_set_once_and_then_set(ali: Stand) -> None:
    ali.add(A, weight=3)
    ali.add(B, weight=1)
    assert {r.value: r.weight for r in ali.read()} == {A: 3, B: 1}
    assert ali.server.requests.count("SetDNSSLBStatus") == 1


def test_weights_that_somebody_switched_off_are_switched_on_again(ali: Stand) -> None:
    ali.add(A, weight=3)
    ali.account.slb.clear()
    ali.replace(ali.read()[0], weight=7)
    assert [r.weight for r in ali.read()] == [7]


def test_a_weight_that_could_not_be_set_on_a_new_record_shows_in_the_next_reading(ali: Stand) -> None:
    ali.account.denied.add("SetDNSSLBStatus")
    assert "weight was not set" in ali.add(A, weight=3).text
    assert [r.weight for r in ali.read()] == [1]
    with pytest.raises(RefusedError) as refusal:
        ali.replace(ali.read()[0], weight=3)
    assert refusal.value.code == "rights"


def test_a_weight_refused_after_the_value_was_replaced_does_not_deny_the_replacement(ali: Stand) -> None:
    ali.add(A)
    ali.account.denied.add("SetDNSSLBStatus")
    answer = ali.replace(ali.read()[0], value=B, weight=3)
    assert "weight was not set" in answer.text
    assert ali.account.values("www", line="telecom") == {B}


def test_a_record_that_got_its_value_but_could_not_be_switched_on_is_for_a_new_plan(ali: Stand) -> None:
    ali.account.put("www", "A", A, "telecom", status="DISABLE")
    ali.account.denied.add("SetDomainRecordStatus")
    with pytest.raises(StaleError):
        ali.replace(ali.read()[0], value=B, enabled=True)
    with pytest.raises(RefusedError) as refusal:
        ali.replace(ali.read()[0], enabled=True)
    assert refusal.value.code == "rights"


def test_removing_goes_by_id_and_leaves_the_other_lines_of_the_name(ali: Stand) -> None:
    ali.add(A)
    ali.add(B, WWW._replace(line="unicom"))
    ali.remove(ali.read()[0])
    assert ali.account.values("www", line="unicom") == {B}
    assert "DeleteSubDomainRecords" not in ali.server.requests


def test_removing_what_has_no_id_looks_it_up(ali: Stand) -> None:
    ali.account.put("www", "A", A, "telecom")
    ali.remove(Record(A, 600))
    assert ali.account.rows == {}
    assert ali.remove(Record(A, 600)).text == "gone already"


def test_a_zone_of_many_pages_is_read_whole_with_one_listing(ali: Stand) -> None:
    for number in range(1201):
        ali.account.put(f"n{number}", "A", A, "telecom")
    names = frozenset(f"n{number}.example.com" for number in range(1201))
    seen = ali.provider.observe("example.com", names)
    assert seen.complete
    assert len(seen.sets) == 1201
    assert ali.server.requests == ["DescribeDomainRecords"] * 3


def _meddling(ali: Stand, then: object) -> None:
    def before(action: str, parameters: Mapping[str, str]) -> None:
        if parameters.get("PageNumber") == "2":
            ali.account.before = None
            then()  # type: ignore[operator]

    ali.account.before = before


def _full(ali: Stand, count: int = 501) -> list[Row]:
    return [ali.account.put(f"n{number}", "A", A, "telecom") for number in range(count)]


def test_a_record_deleted_between_two_pages_makes_the_listing_incomplete(ali: Stand) -> None:
    rows = _full(ali)
    _meddling(ali, lambda: ali.account.rows.pop(rows[0].id))
    seen = ali.provider.observe("example.com", frozenset({"n1.example.com"}))
    assert not seen.complete
    assert "changed from 501 to 500" in seen.why


def test_what_slips_between_two_pages_unseen_is_found_standing_when_it_is_added(ali: Stand) -> None:
    rows = _full(ali, 502)

    def swap() -> None:  # the total stays, the rows move up by one: nobody can tell from the pages
        del ali.account.rows[rows[0].id]
        ali.account.put("new", "A", A, "telecom")

    _meddling(ali, swap)
    key = RecordKey("n500.example.com", "A", "telecom")
    assert ali.provider.observe("example.com", frozenset({key.name})).records(key) == ()
    assert rows[500].id in ali.add(A, key).text
    assert len(ali.account.rows) == 502


def test_a_listing_cut_short_is_never_complete(ali: Stand) -> None:
    ali.add(A)
    ali.add(B)
    ali.server.fail("cut", "DescribeDomainRecords", times=5)
    seen = ali.provider.observe("example.com", frozenset({WWW.name}))
    assert not seen.complete
    assert not seen.knows(WWW)


def test_an_unknown_name_is_an_empty_answer_and_an_unknown_zone_never_is(ali: Stand) -> None:
    assert ali.provider.observe("example.com", frozenset({"no.example.com"})).sets == {}
    with pytest.raises(RefusedError) as refusal:
        ali.provider.observe("not-ours.test", frozenset({"www.not-ours.test"}))
    assert refusal.value.code == "zone"


def test_a_garbled_value_of_somebody_else_does_not_break_the_reading(ali: Stand) -> None:
    ali.account.put("www", "A", "not-an-address", "telecom")
    assert [r.value for r in ali.read()] == ["not-an-address"]


def test_check_names_the_zones_there_are(ali: Stand) -> None:
    (sentence,) = ali.provider.check("not-ours.test")
    assert "the account has example.com" in sentence
    assert ali.provider.check("example.com") == ()
