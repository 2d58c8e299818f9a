"""What a start makes of what was stored, and how long tombstones are kept; the clock is in the test's hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.stores.rows import meta_of, meta_row
from sync.core.dustbin import Binned
from sync.core.journal import Tail
from sync.core.model import GONE, Destination, State
from sync.core.scope import Scope
from sync.field import Field
from sync.node import NodeSettings
from sync.ports import (
    ClearBinned,
    DropRows,
    Meta,
    NodeRecord,
    NoStore,
    Saved,
    SaveMeta,
    TrimTombstones,
    Write,
)
from sync.probes import ProbeSeries
from sync.record import TOMBSTONE_SECONDS, Record, Restart, machine_id
from sync.survey import SurveySettings

SURVEY = SurveySettings(b"/srv/publish", Scope())
RESTART = Restart(audit_seconds=1800, max_lag_seconds=30, clean=True)
A = NodeSettings("a", Destination("a", "192.0.2.1"), ProbeSeries([]))


class Written(NoStore):
    def __init__(self) -> None:
        self.writes: list[Write] = []

    def put(self, *writes: Write) -> None:
        self.writes += writes


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def made() -> tuple[Record, Field, Written, Clock]:
    store, clock = Written(), Clock()
    field = Field(store, clock, clock)
    return Record(field, SURVEY), field, store, clock


def meta(**more: object) -> Meta:
    return replace(Meta(machine_id(), "/srv/publish", head=100, clean_stop=True), **more)  # type: ignore[arg-type]


def stored(**more: object) -> NodeRecord:
    base = NodeRecord(
        "a",
        A.destination.spec_key,
        State.READY,
        999_000.0,
        "full resync done",
        cursor=90,
        proof_seq=80,
        proof_at=999_500.0,
        introduced=True,
    )
    return replace(base, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("other", [{"machine": "another"}, {"root": "/srv/other"}])
def test_a_manifest_of_another_machine_or_root_is_dropped_with_every_cursor(other: dict[str, str]) -> None:
    record, field, store, _ = made()
    assert record.adopt(meta(**other)) is None
    assert DropRows(None) in store.writes
    record.restore_nodes(Saved(None, (stored(),)), None, [A], RESTART)
    assert field.nodes["a"].cursor is None
    assert field.nodes["a"].state is State.RECOVERY
    assert record.meta.head == 100  # seqs are never given twice


def test_a_node_is_as_it_was_and_its_fresh_proof_renews_itself_after_a_clean_stop() -> None:
    record, field, _, _ = made()
    record.restore_nodes(Saved(meta(), (stored(),)), record.adopt(meta()), [A], RESTART)
    node = field.nodes["a"]
    assert (node.state, node.cursor, node.proven, node.renewable) == (State.READY, 90, False, True)


@pytest.mark.parametrize(
    ("record_", "rules"),
    [
        (stored(), replace(RESTART, clean=False)),
        (stored(proof_at=999_000.0 - 1800), RESTART),
        (stored(proof_at=None), RESTART),
        (stored(drift=2), RESTART),
        (stored(), replace(RESTART, begins_to_delete=True)),
    ],
)
def test_an_old_proof_or_one_in_doubt_does_not_renew_itself(record_: NodeRecord, rules: Restart) -> None:
    record, field, _, _ = made()
    record.restore_nodes(Saved(meta(), (record_,)), record.adopt(meta()), [A], rules)
    assert not field.nodes["a"].renewable
    assert not field.nodes["a"].proven


@pytest.mark.parametrize(
    "record_", [stored(cursor=None), stored(cursor=40), stored(spec_key="rsync://b:873/x")]
)
def test_a_node_without_a_usable_cursor_is_resynced(record_: NodeRecord) -> None:
    record, field, _, _ = made()
    kept = meta(trimmed=50)
    record.restore_nodes(Saved(kept, (record_,)), record.adopt(kept), [A], RESTART)
    assert field.nodes["a"].cursor is None
    assert field.nodes["a"].state is State.RECOVERY


def binned(path: bytes) -> Binned:
    return Binned("a", path, 90, 90, 999_900.0, "no space", 11, 3, 1_000_100.0, discarded=True)


def test_the_dustbin_of_a_node_that_is_resynced_goes_with_its_cursor() -> None:
    """Else it would come back with the start after that: a discarded entry says for ever that the path lacks."""
    record, field, store, _ = made()
    saved = Saved(meta(), (stored(cursor=None),), (binned(b"x"), binned(b"y")))
    record.restore_nodes(saved, record.adopt(meta()), [A], RESTART)
    assert not field.nodes["a"].dustbin
    assert [w for w in store.writes if isinstance(w, ClearBinned)] == [ClearBinned("a")]


def test_the_dustbin_of_a_node_with_its_cursor_comes_back() -> None:
    record, field, store, _ = made()
    saved = Saved(meta(), (stored(),), (binned(b"x"),))
    record.restore_nodes(saved, record.adopt(meta()), [A], RESTART)
    assert list(field.nodes["a"].dustbin) == [b"x"]
    assert not [w for w in store.writes if isinstance(w, ClearBinned)]


def test_a_drain_by_command_outlives_a_new_destination() -> None:
    record, field, _, _ = made()
    moved = stored(spec_key="rsync://b:873/x", drained=True)
    record.restore_nodes(Saved(meta(), (moved,)), record.adopt(meta()), [A], RESTART)
    assert field.nodes["a"].drained


class Day:
    """A service over some days: its record lives on in what it stores, a deletion now and then is noted."""

    def __init__(self) -> None:
        self.record, self.field, self.store, self.clock = made()
        self.born: dict[int, float] = {}  # seq → when its tombstone was made
        self.record.trim_tombstones()

    def delete(self) -> None:
        row = self.field.tail.append(b"path-%d" % self.field.tail.head, GONE)
        self.born[row.seq] = self.clock.now
        self.record.save(SURVEY, None, None)

    def restart(self) -> None:
        """Through what the database holds, JSON and all."""
        kept = meta_of(meta_row(self.record.meta)["document"])
        self.record, self.field, self.store, clock = made()
        clock.now = self.clock.now
        self.clock = clock
        self.record.adopt(kept)
        self.field.tail = Tail(kept.head)
        self.hour()

    def hour(self) -> None:
        self.record.trim_tombstones()

    def ages(self) -> list[float]:
        """Of the tombstones that are left, in hours."""
        trimmed = self.record.meta.trimmed
        return [(self.clock.now - at) / 3600 for seq, at in self.born.items() if seq > trimmed]


def test_tombstones_go_before_they_are_a_day_old_and_not_long_before() -> None:
    day = Day()
    for _ in range(60):
        day.delete()
        day.clock.now += 1800
        day.delete()
        day.clock.now += 1800
        day.hour()
        assert max(day.ages(), default=0) <= 24
    assert max(day.ages()) > 20
    assert any(isinstance(write, TrimTombstones) for write in day.store.writes)


@pytest.mark.parametrize("minutes", [1, 7, 25, 61, 150, 700])
def test_how_old_tombstones_are_survives_restarts_however_often(minutes: int) -> None:
    """Each start begins its hours anew; a service that is restarted all the time would never trim."""
    day = Day()
    for _ in range(72 * 60 // minutes):
        day.delete()
        for _ in range(minutes // 60):
            day.clock.now += 3600
            day.hour()
        day.clock.now += minutes % 60 * 60
        day.restart()
        assert max(day.ages(), default=0) <= 24
        assert len(day.record.meta.marks) < 160
    assert max(day.ages()) > 8


def test_after_days_of_standing_still_old_tombstones_are_trimmed_at_the_start() -> None:
    day = Day()
    day.delete()
    day.clock.now += 3 * TOMBSTONE_SECONDS
    day.restart()
    assert not day.ages()


def test_a_clock_that_goes_back_keeps_no_tombstone_for_ever() -> None:
    day = Day()
    day.delete()
    day.clock.now -= 10 * TOMBSTONE_SECONDS
    day.hour()
    for _ in range(25):
        day.clock.now += 3600
        day.hour()
    assert day.record.meta.trimmed == 1


def test_head_and_rows_are_stored_in_one_transaction() -> None:
    class Transactions(Written):
        def put(self, *writes: Write) -> None:
            self.writes.append(writes)  # type: ignore[arg-type]

    store, clock = Transactions(), Clock()
    record = Record(Field(store, clock, clock), SURVEY)
    record.save(SURVEY, None, None, behind=(TrimTombstones(1),))
    (transaction,) = store.writes
    assert [type(w) for w in transaction] == [TrimTombstones, SaveMeta]  # type: ignore[attr-defined]
