"""Decides which channels hear of a notice. Pure.

the route of what is over (RESOLVED):  ``recovered`` where it is given, else as for its beginning
everything else:                       the condition's own, else the severity's, else ``default``
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from app.alerts.model import Condition, NoticeKind, Severity

DEFAULT = "default"
WORDS = frozenset({DEFAULT, *Condition, *Severity})
"""Every word ``alerts.routes`` may use."""


@dataclass(frozen=True, slots=True)
class Routes:
    """The ``alerts.routes`` table: channel names by condition, severity or ``default``. An empty list
    tells nobody.
    """

    table: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def channels(self, condition: Condition, severity: Severity, kind: NoticeKind) -> tuple[str, ...]:
        """The channels for such a notice, each once."""
        words: tuple[str, ...] = (condition.value, severity.value, DEFAULT)
        if kind is NoticeKind.RESOLVED:
            words = (Condition.RECOVERED.value, *words)
        for word in words:
            if word in self.table:
                return tuple(dict.fromkeys(self.table[word]))
        return ()
