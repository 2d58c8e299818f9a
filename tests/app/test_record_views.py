"""What pages show of record sets."""

from __future__ import annotations

from typing import Any

import pytest

from app.record_views import is_unaddressed

EMPTY: dict[str, Any] = {"line": "default", "type": "AAAA", "values": [], "desired": [], "held": None}
NONE_HAS_ONE = {
    "a": "node a has no IPv6 address for this line",
    "b": "node b has no IPv6 address for this line",
}


def test_a_type_of_which_no_node_has_an_address_is_not_in_use() -> None:
    assert is_unaddressed({**EMPTY, "missing": NONE_HAS_ONE})


@pytest.mark.parametrize(
    "more",
    [
        {"missing": {**NONE_HAS_ONE, "c": "node c is in recovery"}},
        {"missing": NONE_HAS_ONE, "values": ["2001:db8::1"]},
        {"missing": NONE_HAS_ONE, "held": "somebody else's record stands there"},
        {"missing": NONE_HAS_ONE, "type": "A"},
        {"missing": {}},
    ],
)
def test_a_set_that_is_empty_for_any_other_reason_shows(more: dict[str, Any]) -> None:
    assert not is_unaddressed({**EMPTY, **more})
