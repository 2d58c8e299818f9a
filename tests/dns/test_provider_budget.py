"""How requests are held back, repeated and counted: the parts that every provider shares."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dns.errors import ProviderError, RefusedError, UnavailableError, UnknownOutcomeError
from dns.providers.backoff import ATTEMPTS, with_backoff
from dns.providers.budget import Budget
from dns.providers.paging import Page, read_pages
from dns.providers.port import Wiring
from tests.dns.alidns_stand import Clock


@given(
    rate=st.floats(0.2, 50),
    pauses=st.lists(st.floats(0, 2), min_size=1, max_size=80),
    actions=st.lists(st.sampled_from(["Add", "Update"]), min_size=80, max_size=80),
)
def test_no_second_ever_sees_more_of_an_action_than_the_budget(
    rate: float, pauses: list[float], actions: list[str]
) -> None:
    clock = Clock()
    budget = Budget(rate, lambda: clock.now, clock.sleep)
    sent: dict[str, list[float]] = {"Add": [], "Update": []}
    for pause, action in zip(pauses, actions, strict=False):
        clock.now += pause
        budget.take(action)
        sent[action].append(clock.now)
    for times in sent.values():
        for start in times:
            within = [at for at in times if start <= at < start + 1 - 1e-6]
            assert len(within) <= max(1, rate)


def test_a_burst_within_the_budget_waits_for_nothing() -> None:
    clock = Clock()
    budget = Budget(20, lambda: clock.now, clock.sleep)
    assert [budget.take("Add") for _ in range(20)] == [0.0] * 20
    assert budget.take("Update") == 0.0
    assert budget.take("Add") == pytest.approx(1.0)


def test_no_budget_means_no_waiting() -> None:
    clock = Clock()
    budget = Budget(0, lambda: clock.now, clock.sleep)
    for _ in range(1000):
        budget.take("Add")
    assert clock.slept == []


class Flaky:
    """Raises the errors in turn, then answers."""

    def __init__(self, *errors: ProviderError) -> None:
        self.errors, self.calls = list(errors), 0

    def __call__(self) -> str:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "answer"


def _wiring(clock: Clock, chance: float = 0.5) -> Wiring:
    return Wiring(sleep=clock.sleep, random=lambda: chance)


THROTTLED = UnavailableError("throttled", "slow down")


def test_a_throttled_request_goes_again_after_pauses_that_double() -> None:
    clock = Clock()
    assert with_backoff(Flaky(*[THROTTLED] * 3), _wiring(clock)) == "answer"
    assert clock.slept == [pytest.approx(p) for p in (0.2, 0.4, 0.8)]


@given(chance=st.floats(0, 1))
def test_a_pause_lies_between_half_and_one_and_a_half_of_its_length(chance: float) -> None:
    clock = Clock()
    with_backoff(Flaky(THROTTLED), _wiring(clock, chance))
    assert 0.1 <= clock.slept[0] <= 0.3 + 1e-9


def test_the_providers_own_wish_is_heeded_but_not_for_ever() -> None:
    clock = Clock()
    with_backoff(Flaky(UnavailableError("throttled", "…", 2.0)), _wiring(clock))
    with_backoff(Flaky(UnavailableError("throttled", "…", 3600.0)), _wiring(clock))
    assert clock.slept == [2.0, 3.0]


def test_the_last_error_is_raised_as_it_is() -> None:
    flaky = Flaky(*[THROTTLED] * 99)
    with pytest.raises(UnavailableError) as failure:
        with_backoff(flaky, _wiring(Clock()))
    assert failure.value is THROTTLED
    assert flaky.calls == ATTEMPTS


@pytest.mark.parametrize(
    "error",
    [
        UnknownOutcomeError("server", "perhaps"),
        UnknownOutcomeError("throttled", "perhaps"),
        RefusedError("credentials", "no"),
        UnavailableError("unreachable", "nobody there"),
    ],
)
def test_what_may_have_happened_or_will_not_help_is_sent_once(error: ProviderError) -> None:
    flaky = Flaky(error)
    with pytest.raises(ProviderError):
        with_backoff(flaky, _wiring(Clock()))
    assert flaky.calls == 1


def _id(row: object) -> str:
    return str(row["id"])  # type: ignore[index]


@given(count=st.integers(0, 60), size=st.integers(1, 20))
def test_every_page_is_read_and_none_twice(count: int, size: int) -> None:
    rows = [{"id": number} for number in range(count)]
    asked: list[int] = []

    def fetch(number: int) -> Page:
        asked.append(number)
        return Page(rows[(number - 1) * size : number * size], count)

    listing = read_pages(fetch, _id)
    assert listing.complete
    assert list(listing.rows) == rows
    assert asked == list(range(1, max(1, -(-count // size)) + 1))


@given(count=st.integers(1, 60), size=st.integers(1, 20), data=st.data())
def test_a_page_with_a_record_missing_is_never_complete(count: int, size: int, data: st.DataObject) -> None:
    rows = [{"id": number} for number in range(count)]
    lost = data.draw(st.integers(0, count - 1))

    def fetch(number: int) -> Page:
        page = rows[(number - 1) * size : number * size]
        return Page([row for row in page if row["id"] != lost], count)

    listing = read_pages(fetch, _id)
    assert not listing.complete
    assert listing.why


@given(count=st.integers(2, 60), size=st.integers(1, 20), other=st.integers(0, 60))
def test_a_total_that_changes_between_pages_is_never_complete(count: int, size: int, other: int) -> None:
    rows = [{"id": number} for number in range(count)]
    if other == count or count <= size:
        return
    listing = read_pages(
        lambda number: Page(rows[(number - 1) * size : number * size], count if number == 1 else other), _id
    )
    assert not listing.complete


def test_the_same_page_twice_is_never_complete() -> None:
    listing = read_pages(lambda number: Page([{"id": 1}, {"id": 2}], 4), _id)
    assert not listing.complete
    assert "twice" in listing.why


def test_a_listing_that_never_ends_is_ended() -> None:
    assert not read_pages(lambda number: Page([{"id": number}], 10**9), _id).complete
