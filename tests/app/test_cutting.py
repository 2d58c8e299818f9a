"""Pages cut out of lists that change meanwhile."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.cutting import Key, key_of_text, page_of, text_of_key

KEYS = st.tuples(st.booleans(), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=8))


def one(item: Key) -> Key:
    return item


@given(st.sets(KEYS, max_size=20), st.integers(1, 7))
def test_the_pages_together_are_the_list_in_its_order(items: set[Key], limit: int) -> None:
    found: list[Key] = []
    after: Key | None = None
    for _ in range(len(items) + 1):  # one page too many at most, or it would never end
        shown, after = page_of(items, one, limit, after)
        found += shown
        assert len(shown) <= limit
        if after is None:
            break
        assert len(shown) == limit
    assert found == sorted(items)


@given(st.sets(st.integers(), min_size=6, max_size=20), st.data())
def test_what_comes_and_goes_meanwhile_moves_nothing_else(items: set[int], data: st.DataObject) -> None:
    first, after = page_of(items, lambda n: (n,), 3)
    gone = data.draw(st.sampled_from(first))
    new = data.draw(st.integers())
    later, _ = page_of({*items, new} - {gone}, lambda n: (n,), 100, after)
    assert set(later) - {new} == items - set(first) - {new}


@given(KEYS)
def test_a_key_comes_back_from_its_text(key: Key) -> None:
    text = text_of_key(key)
    assert text is not None
    assert text.isascii()
    assert text.replace("-", "").replace("_", "").isalnum()
    assert key_of_text(text, (False, 0.0, "")) == key


def test_at_the_end_there_is_no_text() -> None:
    assert text_of_key(None) is None


@given(st.text(max_size=40))
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        key_of_text(text, (False, 0.0, "", 1))


@pytest.mark.parametrize(
    "other", [("a",), (1, 0.0, "a"), (False, 0.0), (False, float("nan"), "a"), ([], 0.0, "a")]
)
def test_a_key_of_another_list_is_refused(other: Key) -> None:
    with pytest.raises(ValueError):
        key_of_text(text_of_key(other) or "", (False, 0.0, ""))
