"""Which directories are new as a whole; in doubt, none is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sync.core.live import Live
from sync.core.model import GONE, Change, Kind, Stat
from sync.novelty import ASKED_AT_ONCE, Novelty
from sync.ports import StoreError

DIRECTORY = Stat(Kind.DIRECTORY, 0, 1, 1, 1, 1, 0o755, 2)
FILE = Stat(Kind.FILE, 1, 1, 1, 1, 2, 0o644, 1)


class Journal:
    """Rows as they were stored."""

    def __init__(self, *stored: bytes) -> None:
        self.stored = {path: Change(path, GONE, 1) for path in stored}
        self.asked: list[bytes] = []
        self.away = False

    def rows(self, paths: Sequence[bytes]) -> Mapping[bytes, Change]:
        if self.away:
            raise StoreError("the database is away")
        self.asked += paths
        return {path: self.stored[path] for path in paths if path in self.stored}


def live(*paths: bytes) -> Live:
    known = Live()
    for path in paths:
        known.add(path, DIRECTORY)
    return known


def directories(*paths: bytes) -> list[tuple[bytes, Stat]]:
    return [(path, DIRECTORY) for path in paths]


def test_a_directory_without_a_row_is_new_and_so_is_all_below_it() -> None:
    journal = Journal()
    found = Novelty(journal.rows).among([*directories(b"n/a/b", b"n", b"n/a"), (b"n/f", FILE)], live())
    assert found == {b"n", b"n/a", b"n/a/b"}
    assert journal.asked == [b"n"], "only the topmost is looked up"


def test_what_is_there_already_or_has_a_tombstone_is_not_new() -> None:
    novelty = Novelty(Journal(b"back").rows)
    assert novelty.among(directories(b"back", b"back/below", b"old"), live(b"old")) == frozenset()


def test_a_deletion_that_may_not_be_stored_yet_counts() -> None:
    novelty = Novelty(Journal().rows)
    novelty.dropped(b"again")
    novelty.dropped(b"n/again")
    assert novelty.among(directories(b"again", b"n", b"n/again", b"n/again/x"), live()) == {b"n"}


def test_in_doubt_nothing_is_new() -> None:
    journal = Journal()
    many = directories(*(b"d%d" % n for n in range(ASKED_AT_ONCE + 1)))
    assert Novelty(journal.rows).among(many, live()) == frozenset()
    journal.away = True
    assert Novelty(journal.rows).among(directories(b"n"), live()) == frozenset()
