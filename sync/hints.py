"""What a watcher says: hints that something happened, never what. It is for the hearer to look."""

from __future__ import annotations

from typing import Protocol


class Sink(Protocol):
    """Where the hints go, called from the watcher's thread: quick, never raising.

    It must not wait for a lock that anybody holds while calling the watcher.
    """

    def dirty(self, path: bytes) -> None:
        """The path, relative to the root, changed or went."""

    def doubt(self, prefix: bytes, reason: str) -> None:
        """Everything at and below the prefix must be scanned (b"": the whole tree)."""
