"""Durations: what people type, in seconds, and back."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.config.durations import UNITS, seconds, text


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        (5, 5),
        (0, 0),
        (0.25, 0.25),
        ("5", 5),
        ("500ms", 0.5),
        ("5s", 5),
        ("10m", 600),
        ("1h", 3600),
        ("1.5h", 5400),
    ],
)
def test_a_duration_is_seconds_or_a_number_with_its_unit(typed: object, expected: float) -> None:
    assert seconds(typed) == expected


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "s",
        "5 s",
        "5d",
        "-5s",
        "1h30m",
        "5S",
        "0x5",
        "1e3",
        "inf",
        "nan",
        True,
        None,
        [],
        -1,
        float("inf"),
        float("nan"),
    ],
)
def test_anything_else_is_refused_and_told_how_durations_are_written(typed: object) -> None:
    with pytest.raises(ValueError, match="must be a duration"):
        seconds(typed)


@given(st.integers(0, 10**9), st.sampled_from(sorted(UNITS)))
def test_a_unit_multiplies(number: int, unit: str) -> None:
    assert seconds(f"{number}{unit}") == pytest.approx(number * UNITS[unit])


@given(st.integers(0, 10**9))
def test_what_is_written_back_reads_the_same_to_the_millisecond(milliseconds: int) -> None:
    value = milliseconds / 1000
    assert seconds(text(value)) == pytest.approx(value, abs=1e-9)


@given(st.text(max_size=8))
def test_no_text_does_anything_but_parse_or_raise_a_value_error(typed: str) -> None:
    with contextlib.suppress(ValueError):
        assert seconds(typed) >= 0
