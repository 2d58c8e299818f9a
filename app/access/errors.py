"""What can go wrong with people and tokens."""

from __future__ import annotations

from app.operations import Refused


class AccessError(Refused):
    """A name, password, role or scope that cannot be taken; the message says what can."""

    def __init__(self, message: str, code: str = "bad_request", field: str = "") -> None:
        super().__init__(code, message)
        self.field = field
