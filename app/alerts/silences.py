"""Which alerts are kept quiet, and until when. Decides nothing about what is told afterwards."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any

from app.alerts.model import Condition, Silence


class Silences:
    """The silences that have not ended, by id."""

    def __init__(self, silences: Iterable[Silence] = ()) -> None:
        self._by_id = {silence.id: silence for silence in silences}

    def begin(self, silence: Silence) -> None:
        """Begins a silence, or replaces the one with its id."""
        self._by_id[silence.id] = silence

    def end(self, silence_id: str) -> bool:
        """Ends one early; False when there is none of this id."""
        return self._by_id.pop(silence_id, None) is not None

    def expire(self, now: float) -> None:
        """Drops what has ended."""
        self._by_id = {name: one for name, one in self._by_id.items() if one.until > now}

    def cover(self, condition: Condition, name: str) -> bool:
        """Whether nothing is to be told of this condition of this object."""
        return any(
            silence.condition in (None, condition)
            and (silence.object is None or fnmatchcase(name, silence.object))
            for silence in self._by_id.values()
        )

    def all(self) -> tuple[Silence, ...]:
        """The silences, soonest end first."""
        return tuple(sorted(self._by_id.values(), key=lambda silence: (silence.until, silence.id)))

    def to_json(self) -> list[dict[str, Any]]:
        """Plain values for the database."""
        return [
            {
                "id": silence.id,
                "until": silence.until,
                "condition": None if silence.condition is None else silence.condition.value,
                "object": silence.object,
                "comment": silence.comment,
            }
            for silence in self._by_id.values()
        ]

    @classmethod
    def from_json(cls, values: Iterable[Mapping[str, Any]]) -> Silences:
        """The silences of ``to_json``. Raises KeyError, TypeError or ValueError for anything else."""
        return cls(
            Silence(
                value["id"],
                float(value["until"]),
                None if value["condition"] is None else Condition(value["condition"]),
                value["object"],
                value["comment"],
            )
            for value in values
        )
