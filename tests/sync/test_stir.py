"""When the nodes may get ready for a change that has not settled yet."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sync.core.stir import LEAST_QUIET_SECONDS, Stir


@given(quiet=st.floats(LEAST_QUIET_SECONDS, 60), began=st.floats(0, 1e6))
def test_it_is_told_once_and_well_before_the_quiet_is_over(quiet: float, began: float) -> None:
    stir = Stir()
    stir.begins(began, quiet)
    told_at = stir.at
    assert told_at is not None
    assert began < told_at < began + quiet / 2 + 1e-6
    assert not stir.is_due(began)
    assert stir.is_due(told_at)
    assert not stir.is_due(told_at + quiet)


@given(quiet=st.floats(0, LEAST_QUIET_SECONDS, exclude_max=True))
def test_without_quiet_there_is_no_time_to_get_ready_in(quiet: float) -> None:
    stir = Stir()
    stir.begins(5.0, quiet)
    assert not stir.is_due(6.0)
