"""The source's faults, for real: mounts, replaced and shrunk roots, scopes; what is not known stays on the nodes."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from sync.core.model import State
from sync.core.scope import Scope
from sync.engine import EngineSettings
from tests.servers_rsync import Daemon, daemons, small_tmpfs  # noqa: F401
from tests.stand import Stand, destination, stand_with, wait_until
from tests.trees import tree, write


@pytest.fixture
def stand(tmp_path: Path, daemons: Callable[..., Daemon]) -> Iterator[Stand]:  # noqa: F811
    running = {name: daemons() for name in ("a", "b")}
    with stand_with(tmp_path, {n: (destination(n, d), d.module_path) for n, d in running.items()}) as made:
        yield made


def fault(stand: Stand) -> str:
    assert stand.engine is not None
    return stand.engine.source.fault or ""


def scoped(stand: Stand, scope: Scope) -> EngineSettings:
    settings = stand.settings()
    return replace(settings, survey=replace(settings.survey, scope=scope))


def stays(path: Path, seconds: float = 1.0) -> None:
    """The path stands there and goes on standing there."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert path.exists()
        time.sleep(0.02)


def test_what_is_unmounted_inside_the_root_is_not_deleted(stand: Stand, small_tmpfs: Path) -> None:  # noqa: F811
    inside = stand.root / "cdn"
    inside.mkdir()
    for number in range(30):
        write(small_tmpfs, str(number), "mounted")
    mount = ["mount", "--bind", str(small_tmpfs), str(inside)]
    subprocess.run(mount, check=True)
    try:
        stand.start()
        stand.all_ready()
        stand.alike()
        subprocess.run(["umount", "-l", str(inside)], check=True)
        wait_until(lambda: "mounted" in fault(stand), 10)
        write(stand.root, "goes-on.txt", "x")
        wait_until(lambda: (stand.nodes["a"][1] / "goes-on.txt").exists(), 10)
        stays(stand.nodes["a"][1] / "cdn/7")
        write(small_tmpfs, "7", "written while it was away")
        subprocess.run(mount, check=True)
        wait_until(lambda: not fault(stand), 10)
        stand.alike()
        stand.at_head()
        stand.stop()
        subprocess.run(["umount", "-l", str(inside)], check=True)
        stand.start()  # unmounted while nobody looked
        wait_until(lambda: "mounted" in fault(stand), 10)
        stays(stand.nodes["a"][1] / "cdn/7")
        assert stand.engine is not None
        assert stand.engine.accept_deletions() is None
        stand.alike()
        assert list(stand.store.load().meta.mounts) == []  # type: ignore[union-attr]
    finally:
        subprocess.run(["umount", "-l", str(inside)], check=False, capture_output=True)


def test_a_root_that_was_replaced_while_stopped_waits_for_a_person(stand: Stand) -> None:
    stand.start()
    stand.all_ready()
    stand.stop()
    before = tree(stand.nodes["a"][1])
    stand.root.rename(stand.tmp / "old")
    stand.root.mkdir()
    write(stand.root, "new.txt", "fresh")
    stand.start()
    wait_until(lambda: "replaced" in fault(stand), 10)
    wait_until(lambda: (stand.nodes["b"][1] / "new.txt").exists(), 10)
    time.sleep(0.5)
    assert before.keys() <= tree(stand.nodes["a"][1]).keys()
    assert stand.engine is not None
    assert stand.engine.accept_deletions() is None
    stand.alike()


def test_a_root_that_was_replaced_by_its_equal_is_no_fault(stand: Stand) -> None:
    stand.start()
    stand.all_ready()
    copy = stand.tmp / "copy"
    shutil.copytree(stand.root, copy)
    write(copy, "more.txt", "x")
    stand.root.rename(stand.tmp / "old")
    copy.rename(stand.root)
    stand.alike()
    assert not fault(stand)
    write(stand.root, "later.txt", "is watched")
    stand.alike()
    os.unlink(stand.root / "later.txt")
    stand.alike()


def test_a_tree_that_shrank_while_stopped_waits_for_a_person(stand: Stand) -> None:
    for number in range(300):
        write(stand.root, f"bulk/{number}", "x")
    stand.start()
    stand.all_ready()
    stand.stop()
    shutil.rmtree(stand.root / "bulk")
    stand.start()
    wait_until(lambda: "shrank" in fault(stand), 10)
    stays(stand.nodes["a"][1] / "bulk/5")
    assert stand.engine is not None
    assert stand.engine.accept_deletions() is None
    stand.alike()
    stand.at_head()


def test_a_large_folder_that_is_moved_out_is_judged_with_all_it_held(stand: Stand) -> None:
    for number in range(300):
        write(stand.root, f"bulk/{number}", "x")
    stand.start()
    stand.all_ready()
    (stand.root / "bulk").rename(stand.tmp / "elsewhere")
    wait_until(lambda: "shrank" in fault(stand), 15)
    assert (stand.nodes["a"][1] / "bulk/5").exists()
    (stand.tmp / "elsewhere").rename(stand.root / "bulk")
    wait_until(lambda: not fault(stand), 15)
    stand.alike()
    stand.at_head()
    assert stand.engine is not None
    assert stand.engine.source.held == 0


def test_a_folder_that_is_moved_out_leaves_no_rows_behind(stand: Stand) -> None:
    for number in range(20):
        write(stand.root, f"bulk/deep/{number}", "x")
    stand.start()
    stand.all_ready()
    (stand.root / "bulk").rename(stand.tmp / "elsewhere")
    stand.alike()
    stand.at_head()
    assert stand.engine is not None
    wait_until(lambda: stand.engine.surveyor.files == len(tree(stand.root)), 10)  # type: ignore[union-attr]
    assert {row.path for row in stand.store.manifest()} == tree(stand.root).keys()


def test_a_full_resync_during_a_mass_deletion_deletes_nothing_before_it_is_judged(stand: Stand) -> None:
    for number in range(400):
        write(stand.root, f"bulk/{number}", "x")
    stand.start()
    stand.all_ready()
    shutil.rmtree(stand.root / "bulk")
    assert stand.engine is not None
    stand.engine.resync(["a", "b"])
    wait_until(lambda: "shrank" in fault(stand), 15)
    stays(stand.nodes["a"][1] / "bulk/5")
    assert len(list((stand.nodes["b"][1] / "bulk").iterdir())) == 400
    assert stand.engine.accept_deletions() is None
    stand.alike()


def test_a_file_that_was_out_of_sight_while_it_was_to_be_sent_arrives_when_it_is_back(stand: Stand) -> None:
    stand.start()
    stand.all_ready()
    away = stand.tmp / "away"
    write(stand.root, "start/1.txt", "new content")
    stand.root.rename(away)
    wait_until(lambda: "missing" in fault(stand), 10)
    away.rename(stand.root)
    stand.alike()
    stand.at_head()


def test_only_the_configured_folders_are_carried(stand: Stand) -> None:
    write(stand.root, "www/page.html", "page")
    write(stand.root, "img/logo.svg", "<svg/>")
    write(stand.root, "drafts/idea.txt", "not yet")
    write(stand.nodes["a"][1], "local/kept.txt", "the node's own")
    stand.start(survey=scoped(stand, Scope(paths=(b"www", b"img"))).survey)
    stand.all_ready()
    a = stand.nodes["a"][1]
    carried = {b"www", b"www/page.html", b"img", b"img/logo.svg"}
    assert tree(a).keys() == carried | {b"local", b"local/kept.txt"}
    write(stand.root, "drafts/more.txt", "x")
    write(stand.root, "www/news.html", "x")
    wait_until(lambda: (a / "www/news.html").exists(), 10)
    assert not (a / "drafts").exists()
    stand.audit()
    assert not stand.notes.said("drift")
    shutil.rmtree(stand.root / "www")
    wait_until(lambda: "publish.paths names folders" in fault(stand), 10)
    stays(a / "www/page.html")


def test_what_left_the_scope_while_stopped_goes_and_what_entered_it_comes(stand: Stand) -> None:
    write(stand.root, "note.bak", "x")
    write(stand.root, "note.tmp", "x")
    stand.start()
    stand.all_ready()
    stand.stop()
    stand.start(survey=scoped(stand, Scope(excludes=("*.bak",))).survey)
    a = stand.nodes["a"][1]
    wait_until(lambda: not (a / "note.bak").exists() and (a / "note.tmp").exists(), 10)
    assert (stand.root / "note.bak").exists()


def test_without_delete_nothing_goes_until_it_is_switched_on(stand: Stand) -> None:
    keep = scoped(stand, Scope(excludes=("*.tmp",), delete=False))
    stand.start(survey=keep.survey)
    stand.all_ready()
    os.unlink(stand.root / "start/1.txt")
    write(stand.root, "kind", "file")
    stand.at_head()
    os.unlink(stand.root / "kind")
    write(stand.root, "kind/inside", "folder")
    wait_until(lambda: (stand.nodes["a"][1] / "kind/inside").exists(), 10)
    stand.audit()
    assert (stand.nodes["a"][1] / "start/1.txt").exists()
    assert not stand.notes.said("drift")
    stand.stop()
    stand.start()
    stand.alike()
    stand.all_ready()


def test_a_file_that_became_an_excluded_folder_goes(stand: Stand) -> None:
    survey = scoped(stand, Scope(excludes=("build/",))).survey
    write(stand.root, "build", "a file")
    stand.start(survey=survey)
    stand.all_ready()
    assert (stand.nodes["a"][1] / "build").is_file()
    os.unlink(stand.root / "build")
    write(stand.root, "build/out.o", "x")
    wait_until(lambda: not (stand.nodes["a"][1] / "build").exists(), 10)


def test_a_node_in_recovery_waits_while_the_source_is_away(stand: Stand) -> None:
    stand.root.rename(stand.tmp / "away")
    for number in range(5):
        write(stand.nodes["a"][1], f"start/{number}.txt", "was there")
    stand.start()
    wait_until(lambda: "missing" in fault(stand), 10)
    time.sleep(0.5)
    assert stand.state("a") is State.RECOVERY
    assert (stand.nodes["a"][1] / "start/1.txt").exists()
    (stand.tmp / "away").rename(stand.root)
    stand.all_ready()
    stand.alike()


def test_a_tree_of_ten_thousand_folders_is_watched_and_carried(stand: Stand) -> None:
    for number in range(10_000):
        os.makedirs(stand.root / f"{number // 100}/{number % 100}", exist_ok=True)
    for number in range(0, 10_000, 50):
        write(stand.root, f"{number // 100}/{number % 100}/file", str(number))
    stand.start()
    stand.all_ready(90)
    assert stand.engine is not None
    assert stand.engine.surveyor.watcher.directories >= 10_000
    began = time.monotonic()
    write(stand.root, "77/50/file", "changed")
    wait_until(lambda: (stand.nodes["b"][1] / "77/50/file").read_text() == "changed", 10)
    assert time.monotonic() - began < 5
    stand.alike()
    stand.at_head()


def test_a_source_that_goes_while_it_is_sent_counts_against_no_node(stand: Stand) -> None:
    stand.start()
    stand.all_ready()
    for number in range(200):
        write(stand.root, f"many/{number}", os.urandom(2000))
        if number == 150:
            stand.root.rename(stand.tmp / "away")
            time.sleep(0.3)
            (stand.tmp / "away").rename(stand.root)
    stand.alike()
    stand.at_head()
    assert stand.engine is not None
    assert not any(n.blocked for n in stand.engine.field.nodes.values())
    assert not [f for f in stand.notes.flips if f.old is State.READY]
    assert not stand.notes.said("resync", "cannot be sent to")
