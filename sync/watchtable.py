"""Which watch stands for which directory, both ways; it asks neither the kernel nor the tree."""

from __future__ import annotations


class WatchTable:
    """Numbers of watches and the directories' paths, as last seen.

    A number keeps its path until it is met elsewhere or unmapped. After an exchange two numbers can hold one
    path for a moment; the path then belongs to the one that was mapped last.
    """

    def __init__(self) -> None:
        self.path_of: dict[int, bytes] = {}
        self.number_of: dict[bytes, int] = {}
        self._children: dict[bytes, set[bytes]] = {}

    def map(self, number: int, path: bytes) -> int | None:
        """The number stands for the path from now on, whatever it stood for before.

        The number that loses the path by it, if any: its directory is elsewhere now, in the tree or out of it.
        """
        before = self.path_of.get(number)
        if before == path and self.number_of.get(path) == number:
            return None
        if before is not None:
            self.unmap(number)
        displaced = self.number_of.get(path)
        self.path_of[number] = path
        self.number_of[path] = number
        if path:
            self._children.setdefault(path.rpartition(b"/")[0], set()).add(path)
        return displaced

    def unmap(self, number: int) -> None:
        """Forgets the number, and the path unless it is another's by now. Raises KeyError if unknown."""
        path = self.path_of.pop(number)
        if self.number_of.get(path) != number:
            return
        del self.number_of[path]
        above = path.rpartition(b"/")[0]
        if path and (siblings := self._children.get(above)) is not None:
            siblings.discard(path)
            if not siblings:
                del self._children[above]

    def numbers_below(self, path: bytes) -> set[int]:
        """The numbers of the directory and of all directories below it."""
        found: set[int] = set()
        pending = [path]
        while pending:
            each = pending.pop()
            if (number := self.number_of.get(each)) is not None:
                found.add(number)
            pending += self._children.get(each, ())
        return found
