"""What a start makes of what was stored, and how long tombstones are kept; the clock is in the test's hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sync.core.model import GONE, Destination, State
from sync.core.scope import Scope
from sync.field import Field
from sync.node import NodeSettings
from sync.ports import DropRows, Meta, NodeRecord, NoStore, Saved, SaveMeta, TrimTombstones, Write
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


def test_a_drain_by_command_outlives_a_new_destination() -> None:
    record, field, _, _ = made()
    moved = stored(spec_key="rsync://b:873/x", drained=True)
    record.restore_nodes(Saved(meta(), (moved,)), record.adopt(meta()), [A], RESTART)
    assert field.nodes["a"].drained


def test_tombstones_are_kept_for_a_day() -> None:
    record, field, store, clock = made()
    assert record.trim_tombstones() is None
    for _ in range(5):
        field.tail.append(b"x", GONE)
    clock.now += TOMBSTONE_SECONDS - 1
    assert record.trim_tombstones() is None
    field.tail.append(b"y", GONE)
    clock.now += 1
    assert record.trim_tombstones() == 0
    clock.now += TOMBSTONE_SECONDS - 1
    assert record.trim_tombstones() == 5
    assert TrimTombstones(5) in store.writes
    assert record.meta.trimmed == 5


def test_head_and_rows_are_stored_in_one_transaction() -> None:
    class Transactions(Written):
        def put(self, *writes: Write) -> None:
            self.writes.append(writes)  # type: ignore[arg-type]

    store, clock = Transactions(), Clock()
    record = Record(Field(store, clock, clock), SURVEY)
    record.save(SURVEY, None, None, behind=(TrimTombstones(1),))
    (transaction,) = store.writes
    assert [type(w) for w in transaction] == [TrimTombstones, SaveMeta]  # type: ignore[attr-defined]
