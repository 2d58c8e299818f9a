"""Who asks and what they may do, as values. Looks nothing up."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """What a person may do: look; look and operate; everything."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMINISTRATOR = "administrator"


class Scope(StrEnum):
    """What a token may do. ``report``: say where one node is, and nothing else."""

    READ = "read"
    OPERATE = "operate"
    REPORT = "report"


ROLE_MAY = {
    Role.VIEWER: frozenset({"read"}),
    Role.OPERATOR: frozenset({"read", "operate"}),
    Role.ADMINISTRATOR: frozenset({"read", "operate", "administer", "report"}),
}
SCOPE_MAY = {
    Scope.READ: frozenset({"read"}),
    Scope.OPERATE: frozenset({"read", "operate"}),
    Scope.REPORT: frozenset({"report"}),
}


@dataclass(frozen=True, slots=True)
class Visitor:
    """One who asks. ``kind``: user, token, or local (this machine, while there is no administrator).

    ``session`` is the row of a person's session. ``node`` is the only node a report may be about.
    """

    kind: str
    name: str
    may: frozenset[str]
    id: int = 0
    role: Role | None = None
    session: int | None = None
    node: str | None = None
    key: str = ""

    # What flask-login asks.
    is_authenticated = True
    is_active = True
    is_anonymous = False

    def get_id(self) -> str:
        """The session's key, which the cookie holds."""
        return self.key

    def __repr__(self) -> str:  # a dataclass would print the key
        return f"Visitor({self.kind} {self.name})"


LOCAL = Visitor("local", "this machine", ROLE_MAY[Role.OPERATOR], role=Role.OPERATOR)
"""Settings name programs to run, so whoever may change them may do what the service may: that takes a person."""
