"""What goes wrong in the field, for real: dead and hanging daemons, lost roots, poison paths, drift, restarts."""

from __future__ import annotations

import mmap
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from sync.core.model import State
from sync.core.scope import Scope
from sync.ports import SaveMeta
from sync.probes import ProbeSeries, ProbeSpec
from tests.servers_rsync import Daemon, daemons  # noqa: F401
from tests.stand import Stand, destination, node, sql_store, wait_until
from tests.trees import differences, tree, write


@pytest.fixture
def made(tmp_path: Path, daemons: Callable[..., Daemon]) -> Iterator[tuple[Stand, dict[str, Daemon]]]:  # noqa: F811
    root = tmp_path / "publish"
    root.mkdir()
    for number in range(5):
        write(root, f"start/{number}.txt", f"file {number}")
    running = {name: daemons() for name in ("a", "b")}
    nodes = {n: (node(n, destination(n, d)), d.module_path) for n, d in running.items()}
    with sql_store(tmp_path / "var") as store:
        stand = Stand(tmp_path, root, nodes, store)
        yield stand, running
        stand.stop()


Made = tuple[Stand, dict[str, Daemon]]


def events_of(stand: Stand, kind: str, words: str = "") -> int:
    return len(stand.notes.said(kind, words))


def test_a_dead_node_is_found_and_comes_back_through_a_full_resync(made: Made) -> None:
    stand, daemons_ = made
    stand.start()
    stand.all_ready()
    daemons_["b"].kill()
    wait_until(lambda: stand.state("b") is State.DEAD, 20)
    write(stand.root, "while-away.txt", "x")
    os.unlink(stand.root / "start/0.txt")
    stand.alike("a")
    daemons_["b"].start()
    stand.all_ready()
    stand.alike()
    stand.at_head()
    path = [str(f.new) for f in stand.notes.flips if f.node == "b"]
    assert path == ["ready", "unhealth", "dead", "unhealth", "recovery", "ready"]


def test_a_hanging_daemon_is_left_and_does_not_delay_the_others(made: Made) -> None:
    stand, daemons_ = made
    settings, path = stand.nodes["b"]
    impatient = ProbeSeries([ProbeSpec("rsync", timeout_seconds=0.5, attempts=1)])
    stand.nodes["b"] = (replace(settings, probes=impatient), path)
    stand.start()
    stand.all_ready()
    daemons_["b"].sigstop()
    write(stand.root, "news.txt", "hot")
    began = time.monotonic()
    stand.alike("a", seconds=5)
    assert time.monotonic() - began < 3
    wait_until(lambda: stand.state("b") is State.DEAD, 30)
    daemons_["b"].sigcont()
    stand.all_ready()
    stand.alike()


def test_a_clean_restart_sends_only_what_differs_and_proofs_renew_themselves(made: Made) -> None:
    stand, _ = made
    stand.start()
    stand.all_ready()
    stand.alike()
    stand.stop()
    write(stand.root, "offline.txt", "written while nobody looked")
    shutil.rmtree(stand.root / "start")
    before = events_of(stand, "resync")
    stand.start()
    stand.all_ready()
    stand.alike()
    assert events_of(stand, "resync") == before
    assert not any(n.last_audit_at for n in stand.engine.field.nodes.values())


def test_after_a_crash_an_audit_renews_the_proof(made: Made) -> None:
    stand, _ = made
    stand.start()
    stand.all_ready()
    stand.stop()
    saved = stand.store.load().meta
    assert saved is not None
    assert saved.clean_stop
    stand.store.put(SaveMeta(replace(saved, clean_stop=False)))
    stand.start()
    stand.all_ready()
    assert all(n.last_audit_at for n in stand.engine.field.nodes.values())


def test_a_poison_path_is_isolated_and_the_others_arrive(made: Made) -> None:
    stand, daemons_ = made
    stand.start()
    stand.all_ready()
    # A non-empty folder of ours stands where the file should go, and cannot be removed there.
    block = daemons_["b"].module_path / "blocked"
    block.mkdir()
    os.system(f"chattr +i {block}") if _can_be_immutable(stand.tmp) else pytest.skip(
        "no immutable files here"
    )
    try:
        for number in range(20):
            write(stand.root, f"many/{number}.txt", str(number))
        write(stand.root, "blocked", "a file")
        stand.alike("a")
        b = stand.engine.field.nodes["b"]
        wait_until(lambda: b"blocked" in b.dustbin, 10)
        wait_until(lambda: len(list((daemons_["b"].module_path / "many").iterdir())) == 20)
        assert list(b.dustbin) == [b"blocked"]
        wait_until(lambda: b.out_of_step, 10, "out of step, as the other has the path")
        assert not b.in_sync
    finally:
        os.system(f"chattr -i {block}")
    wait_until(lambda: not b.dustbin, 20)
    stand.all_ready()
    stand.alike()


def _can_be_immutable(tmp: Path) -> bool:
    probe = tmp / "probe"
    probe.write_text("")
    works = os.system(f"chattr +i {probe} 2>/dev/null") == 0
    os.system(f"chattr -i {probe} 2>/dev/null")
    return works


def test_drift_is_found_sends_the_node_through_recovery_and_is_repaired(made: Made) -> None:
    stand, daemons_ = made
    stand.start()
    stand.all_ready()
    module = daemons_["b"].module_path
    (module / "start/1.txt").write_text("somebody else wrote here")
    (module / "stranger.txt").write_text("x")
    (module / ".left.txt.Ab12Cd").write_text("rsync's own")
    stand.engine.call(lambda: setattr(stand.engine.field.nodes["b"], "audit_due", True))
    wait_until(lambda: events_of(stand, "drift"), 10)
    stand.all_ready()
    stand.alike()
    assert [str(f.new) for f in stand.notes.flips if f.node == "b"][-2:] == ["recovery", "ready"]
    assert stand.notes.said("drift")[0].facts["paths"] == 2


def test_a_change_no_event_told_of_is_nobodys_drift(made: Made) -> None:
    stand, _ = made
    write(stand.root, "mapped.bin", b"a" * 8192)
    stand.start()
    stand.all_ready()
    with open(stand.root / "mapped.bin", "r+b") as file:
        view = mmap.mmap(file.fileno(), 0)
        view[:4] = b"bbbb"
        view.flush()
        view.close()
        os.utime(file.fileno())  # the close below would tell; the manifest must differ
    for name in ("a", "b"):
        stand.engine.call(lambda n=name: setattr(stand.engine.field.nodes[n], "audit_due", True))
    stand.alike()
    stand.at_head()
    assert not stand.notes.said("drift")


def test_a_missing_root_deletes_nothing_until_it_is_back(made: Made) -> None:
    stand, _ = made
    stand.start()
    stand.all_ready()
    stand.alike()
    before = tree(stand.nodes["a"][1])
    away = stand.tmp / "away"
    stand.root.rename(away)
    wait_until(lambda: stand.engine.source.fault, 10)
    time.sleep(1.0)
    assert tree(stand.nodes["a"][1]) == before
    away.rename(stand.root)
    wait_until(lambda: not stand.engine.source.fault, 10)
    write(stand.root, "after.txt", "goes on")
    stand.alike()
    stand.at_head()


def test_a_replaced_root_waits_for_a_person(made: Made) -> None:
    stand, _ = made
    stand.start()
    stand.all_ready()
    before = tree(stand.nodes["a"][1])
    stand.root.rename(stand.tmp / "old")
    stand.root.mkdir()
    write(stand.root, "new.txt", "fresh")
    wait_until(lambda: "replaced" in (stand.engine.source.fault or ""), 15)
    wait_until(lambda: (stand.nodes["a"][1] / "new.txt").exists(), 10, "what is new goes out")
    time.sleep(0.5)
    assert before.keys() <= tree(stand.nodes["a"][1]).keys()
    assert stand.engine.accept_deletions() is None
    stand.alike()
    stand.at_head()


def test_an_emptied_root_is_a_fault(made: Made) -> None:
    stand, _ = made
    stand.start()
    stand.all_ready()
    shutil.rmtree(stand.root / "start")
    wait_until(lambda: "empty" in (stand.engine.source.fault or ""), 10)
    time.sleep(0.5)
    assert (stand.nodes["a"][1] / "start/1.txt").exists()
    write(stand.root, "again.txt", "x")
    wait_until(lambda: not stand.engine.source.fault, 10)
    stand.alike()


def test_a_mass_deletion_waits_and_a_large_one_asks(made: Made) -> None:
    stand, _ = made
    for number in range(400):
        write(stand.root, f"bulk/{number}", "x")
    stand.start()
    stand.all_ready()
    stand.alike()
    for number in range(150):
        os.unlink(stand.root / f"bulk/{number}")
    wait_until(lambda: stand.engine.source.held, 5, "held for a moment")
    stand.alike(seconds=20)  # 150 of 400: goes once the tree is still
    for number in range(150, 390):
        os.unlink(stand.root / f"bulk/{number}")
    wait_until(lambda: "shrank" in (stand.engine.source.fault or ""), 20)
    assert (stand.nodes["a"][1] / "bulk/200").exists()
    assert stand.engine.resync(["a"], accept_deletions=True) is None
    stand.alike()
    stand.at_head()


def test_a_first_resync_that_would_wipe_strangers_asks_first(made: Made) -> None:
    stand, daemons_ = made
    for number in range(30):
        write(daemons_["b"].module_path, f"precious/{number}", "not ours")
    stand.start()
    b = stand.engine.field.nodes["b"]
    wait_until(lambda: b.held, 20)
    assert (daemons_["b"].module_path / "precious/1").exists()
    assert b.state is State.RECOVERY
    wait_until(lambda: stand.state("a") is State.READY, 10)
    assert stand.engine.resync(["b"], accept_deletions=True) is None
    stand.all_ready()
    stand.alike()


def test_a_growing_file_holds_back_nobody_and_ends_up_complete(made: Made) -> None:
    stand, _ = made
    stand.start()
    stand.all_ready()
    end = time.monotonic() + 3
    with open(stand.root / "grows.log", "wb") as file:
        while time.monotonic() < end:
            file.write(os.urandom(100_000))
            file.flush()
            time.sleep(0.02)
        write(stand.root, "other.txt", "in between")
        wait_until(lambda: (stand.nodes["a"][1] / "other.txt").exists(), 3)
    stand.alike(seconds=30)
    stand.at_head()


def test_a_removed_node_is_let_go_and_an_added_one_is_filled(made: Made) -> None:
    stand, daemons_ = made
    stand.start()
    stand.all_ready()
    kept = [s for s, _ in stand.nodes.values() if s.name == "a"]
    stand.engine.set_nodes(kept)
    write(stand.root, "later.txt", "x")
    stand.alike("a")
    assert list(stand.engine.field.nodes) == ["a"]
    assert not (daemons_["b"].module_path / "later.txt").exists()
    stand.engine.set_nodes([s for s, _ in stand.nodes.values()])
    stand.all_ready()
    stand.alike()


def test_what_leaves_the_scope_is_deleted_from_the_nodes(made: Made) -> None:
    stand, _ = made
    write(stand.root, "note.bak", "x")
    stand.start()
    stand.all_ready()
    settings = stand.settings()
    narrower = replace(settings, survey=replace(settings.survey, scope=Scope(excludes=("*.tmp", "*.bak"))))
    stand.engine.reconfigure(narrower)
    wait_until(lambda: not (stand.nodes["a"][1] / "note.bak").exists(), 10)
    assert (stand.root / "note.bak").exists()
    stand.engine.reconfigure(settings)
    wait_until(lambda: (stand.nodes["a"][1] / "note.bak").exists(), 10)


def test_hard_links_written_through_another_name_arrive(made: Made) -> None:
    stand, _ = made
    write(stand.root, "one.txt", "first")
    os.link(stand.root / "one.txt", stand.root / "start/two.txt")
    stand.start()
    stand.all_ready()
    with open(stand.root / "one.txt", "a") as file:
        file.write(" and second")
    stand.alike()


def test_odd_names_and_kinds_arrive(made: Made) -> None:
    stand, _ = made
    stand.start()
    stand.all_ready()
    for name in (b"new\nline", b"-rf", b"#hash", b" blank ", b"\xff\xfe", b"*", b"[x]", b"a\\#123", b";semi"):
        write(stand.root, name, name)
        write(stand.root, b"d-" + name + b"/in", name)
    os.symlink("target", stand.root / "sym")
    (stand.root / "sym2").symlink_to("start")
    stand.alike()
    shutil.rmtree(stand.root / "start")
    write(stand.root, "start", "a file now")
    os.unlink(stand.root / "sym")
    write(stand.root, "sym/inside", "a folder now")
    stand.alike()
    stand.at_head()
    assert not differences(tree(stand.root), tree(stand.nodes["b"][1]))
