"""When all nodes are looked at together."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from sync.pace import APART_SECONDS, SOON_SECONDS, Pace


def test_nothing_is_due_while_nothing_happened() -> None:
    pace = Pace()
    assert not pace.is_due(5.0, idle=True)
    assert pace.wait_seconds(5.0) is None


def test_what_must_not_wait_is_looked_at_as_soon_as_no_message_waits() -> None:
    pace = Pace()
    pace.looked(1.0)
    pace.at_once()
    assert not pace.is_due(1.001, idle=False)
    assert pace.is_due(1.001, idle=True)


def test_a_flood_of_messages_holds_no_look_up_for_long() -> None:
    pace = Pace()
    pace.looked(1.0)
    pace.at_once()
    assert pace.is_due(1.0 + APART_SECONDS, idle=False)


@given(st.lists(st.floats(0, 0.1), min_size=1, max_size=60))
def test_every_message_is_followed_by_a_look_in_time_and_looks_are_not_crowded(gaps: list[float]) -> None:
    pace, now = Pace(), 0.0
    looks: list[float] = []
    owed_since: float | None = None
    for gap in [*gaps, 1.0]:
        arrival = now + gap
        while (wait := pace.wait_seconds(now)) is not None and now + wait < arrival:
            now += wait
            assert pace.is_due(now, idle=True)
            pace.looked(now)
            looks.append(now)
            assert owed_since is not None
            assert now - owed_since <= SOON_SECONDS + 1e-9
            owed_since = None
        now = arrival
        pace.soon(now)
        owed_since = now if owed_since is None else owed_since
    assert all(b - a >= SOON_SECONDS - 1e-9 for a, b in pairwise(looks))
