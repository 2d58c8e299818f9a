"""A comparison of the tree with what is known of it: it does not run ahead of what keeps its findings."""

from __future__ import annotations

from pathlib import Path

import pytest

from sync import comparison
from sync.comparison import Chunk, Compared, Comparison
from sync.core.live import Live
from sync.core.scope import Scope
from tests.trees import write


class Database:
    """Of a store, what a comparison asks: whether it works, and to wait until what was put is stored."""

    def __init__(self, trouble: str | None = None) -> None:
        self.told: list[Chunk | Compared] = []
        self.waited_after: list[int] = []
        self._trouble = trouble

    def trouble(self) -> str | None:
        return self._trouble

    def flush(self, timeout_seconds: float) -> bool:
        self.waited_after.append(len(self.told))
        return True


def compare(root: Path, store: Database) -> None:
    Comparison(
        root=bytes(root),
        scope=Scope(),
        live=Live(),
        store=store,  # type: ignore[arg-type]
        root_dev=None,
        result=Compared([b""], 0, first=True),
        tell=store.told.append,
        stopping=lambda: False,
    ).run()


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(comparison, "CHUNK", 10)
    for number in range(35):
        write(tmp_path, str(number))
    return tmp_path


def test_each_part_is_stored_before_the_next_is_read(root: Path) -> None:
    store = Database()
    compare(root, store)
    assert store.waited_after == [1, 2, 3]
    chunks = [told for told in store.told if isinstance(told, Chunk)]
    assert sum(len(chunk.changed) for chunk in chunks) == 35


def test_a_database_that_is_away_is_not_waited_for(root: Path) -> None:
    store = Database("the database is away")
    compare(root, store)
    assert store.waited_after == []
    assert isinstance(store.told[-1], Compared)
