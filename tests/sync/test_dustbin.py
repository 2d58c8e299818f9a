"""Tests of the dustbin's delays and of the search for a failed batch's culprits."""

from __future__ import annotations

from collections.abc import Collection
from math import ceil, log2

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sync.core.dustbin import Binned, Isolation, Item, discard, due, failed, halves, lacking, retry

BATCH_ERROR = "some files could not be carried"


def binned(*seqs: int, base_seconds: float = 5.0, start: float = 100.0) -> Binned:
    entry = None
    for i, seq in enumerate(seqs):
        entry = failed(
            entry,
            node="a",
            path=b"x",
            seq=seq,
            error=f"e{i}",
            code=23,
            now=start + i,
            base_seconds=base_seconds,
        )
    assert entry is not None
    return entry


def test_the_delay_doubles_up_to_ten_minutes() -> None:
    delays = []
    for n in range(1, 12):
        entry = binned(*[1] * n)
        delays.append(entry.next_try_at - (100.0 + n - 1))
    assert delays == [5, 10, 20, 40, 80, 160, 320, 600, 600, 600, 600]


@settings(deadline=None)
@given(st.lists(st.integers(1, 1000), min_size=1, max_size=200), st.floats(0.01, 100))
def test_whatever_fails_again_keeps_what_it_first_was(seqs: list[int], base_seconds: float) -> None:
    entry = binned(*seqs, base_seconds=base_seconds)
    assert (entry.first_seq, entry.first_failed_at) == (seqs[0], 100.0)
    assert entry.seq == max(seqs)
    assert entry.attempts == len(seqs)
    assert entry.error == f"e{len(seqs) - 1}"
    assert lacking([entry]) == {b"x": seqs[0]}


def test_discarding_stops_the_trying_and_not_the_lacking_even_when_it_fails_anew() -> None:
    gone = discard(binned(7))
    again = failed(gone, node="a", path=b"x", seq=9, error="e", code=23, now=200.0, base_seconds=5)
    for entry in (gone, again):
        assert due([entry], 1e9) == ()
        assert lacking([entry]) == {b"x": 7}
    assert due([retry(again, 300.0)], 300.0) == (retry(again, 300.0),)


def test_what_is_due_comes_in_the_order_of_waiting() -> None:
    entries = [binned(1, start=t) for t in (30.0, 10.0, 20.0, 40.0)]
    assert [e.next_try_at for e in due(entries, 35.0)] == [15.0, 25.0, 35.0]


items_lists = st.dictionaries(st.binary(min_size=1, max_size=3), st.integers(0, 9), max_size=40).map(
    lambda sizes: list(sizes.items())
)


@settings(deadline=None)
@given(items_lists)
def test_halves_are_halves_with_the_smallest_first(items: list[Item]) -> None:
    first, second = halves(items)
    assert sorted(first + second) == sorted(items)
    assert len(second) - len(first) in (0, 1)
    assert max((s for _, s in first), default=0) <= min((s for _, s in second), default=9)


# ── the search ───────────────────────────────────────────────────────────────────────────────────────────


def search(isolation: Isolation, poison: Collection[bytes], *, naming: bool = False) -> tuple[Isolation, int]:
    """Runs the search against a node that fails whenever a poison path is in the batch; checks every step."""
    everything = {*isolation.confirmed, *isolation.failed, *isolation.unresolved}
    runs = 0
    while batch := isolation.batch:
        runs += 1
        culprits = sorted(set(batch) & set(poison))
        named = culprits[:1] if naming else []
        if culprits:
            isolation = isolation.after(False, f"failed: {culprits[0]!r}", 23, named=named)
        else:
            isolation = isolation.after(True)
        parts = [*isolation.confirmed, *isolation.failed, *isolation.unresolved]
        assert len(parts) == len(set(parts))
        assert set(parts) == everything
    return isolation, runs


def bound(n: int, k: int) -> int:
    return 2 * k * ceil(log2(max(n, 2))) + 1


@settings(deadline=None)
@given(st.data(), st.integers(1, 300), st.booleans())
def test_exactly_the_poison_paths_fail_and_the_others_are_confirmed(
    data: st.DataObject, n: int, naming: bool
) -> None:
    items = [(b"%d" % i, data.draw(st.integers(0, 3))) for i in range(min(n, 5))]
    items += [(b"%d" % i, i % 7) for i in range(5, n)]
    poison = data.draw(st.sets(st.sampled_from([p for p, _ in items]), max_size=4))
    named = data.draw(st.sets(st.sampled_from([p for p, _ in items]), max_size=4))
    if not poison and n == 1:
        return  # a single path that failed is known to fail
    start = Isolation.of(items, BATCH_ERROR, 23, named=named, runs=10_000)
    end, runs = search(start, poison, naming=naming)
    assert set(end.failed) == (poison if n > 1 else {b"0"})
    assert end.confirmed == {p for p, _ in items} - set(end.failed)
    assert all(c.alone for c in end.failed.values())
    if poison and not named and not naming:
        assert runs <= bound(n, len(poison))
    if n > 1:
        assert {p: c.error for p, c in end.failed.items()} == {p: f"failed: {p!r}" for p in poison}


def test_a_single_path_that_failed_needs_no_run() -> None:
    end = Isolation.of([(b"x", 1)], "Permission denied", 23)
    assert end.batch == ()
    assert end.failed[b"x"].error == "Permission denied"
    assert end.failed[b"x"].alone


def test_culprits_that_were_named_cost_one_run_for_all_others_and_one_each() -> None:
    items = [(b"%d" % i, 1) for i in range(1000)]
    end, runs = search(Isolation.of(items, BATCH_ERROR, 23, named=[b"17"]), {b"17"})
    assert (set(end.failed), runs) == ({b"17"}, 2)
    end, runs = search(Isolation.of(items, BATCH_ERROR, 23, named=[b"17", b"400"]), {b"17", b"400"})
    assert (set(end.failed), runs) == ({b"17", b"400"}, 3)


def test_a_name_that_was_wrong_costs_little() -> None:
    items = [(b"%d" % i, 1) for i in range(256)]
    start = Isolation.of(items, BATCH_ERROR, 23, named=[b"3", b"not in the batch"])
    end, runs = search(start, {b"200"})
    assert set(end.failed) == {b"200"}
    assert runs <= bound(256, 1) + 2


def test_a_full_disk_costs_no_more_runs_than_the_budget_and_the_small_files_come_first() -> None:
    items = [(b"%d" % i, i) for i in range(10_000)]
    isolation, runs, free, taken = Isolation.of(items, "No space left on device", 11), 0, 40_000, 0
    while batch := isolation.batch:
        runs += 1
        size = sum(int(path) for path in batch)
        good = taken + size <= free
        taken += size if good else 0
        isolation = isolation.after(good, "" if good else "No space left on device", None if good else 11)
    assert runs <= 64
    assert len(isolation.confirmed) + len(isolation.failed) == 10_000
    assert len(isolation.confirmed) > 150
    assert all(int(path) < 300 for path in isolation.confirmed)
    assert {c.error for c in isolation.failed.values()} == {"No space left on device"}
    assert not all(c.alone for c in isolation.failed.values())


@settings(deadline=None)
@given(st.integers(2, 200), st.integers(0, 20), st.sets(st.integers(0, 199), min_size=1))
def test_the_budget_is_kept_and_nothing_is_lost_when_it_ends(n: int, runs: int, numbers: set[int]) -> None:
    items = [(b"%d" % i, 1) for i in range(n)]
    poison = {b"%d" % i for i in numbers if i < n}
    end, used = search(Isolation.of(items, BATCH_ERROR, 23, runs=runs), poison)
    assert used <= runs
    assert end.confirmed | set(end.failed) == {p for p, _ in items}
    assert poison <= set(end.failed)


def test_a_failure_that_passed_by_itself_blames_nobody() -> None:
    end, runs = search(Isolation.of([(b"%d" % i, 1) for i in range(100)], BATCH_ERROR, 23), set())
    assert end.failed == {}
    assert len(end.confirmed) == 100
    assert runs <= 8


def test_giving_up_leaves_the_rest_pending() -> None:
    isolation = Isolation.of([(b"%d" % i, 1) for i in range(4)], BATCH_ERROR, 23).after(True)
    assert isolation.confirmed == {b"0", b"1"}
    assert set(isolation.unresolved) == {b"2", b"3"}
    with pytest.raises(IndexError):
        Isolation.of([(b"x", 1)], BATCH_ERROR).after(True)
