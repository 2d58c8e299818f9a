"""A tree that changes as fast as it can: what follows from hints alone must equal a scan at the end."""

from __future__ import annotations

import os
import random
import shutil
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from sync.core.scope import Scope
from sync.scan import scan
from sync.watcher import Watcher
from tests.follower import Follower, same_trees
from tests.sync.test_watcher import exchange


def _some(rng: random.Random, root: Path, *, folders: bool) -> Path:
    """A path that exists below the root. Raises IndexError when there is none."""
    return rng.choice([p for p in root.rglob("*") if not folders or (p.is_dir() and not p.is_symlink())])


def _name(rng: random.Random) -> str:
    return rng.choice(["a", "b", "c", "d.tmp", "new\nline", "-x", "\udcff"])


def _step(rng: random.Random, root: Path, outside: Path) -> None:
    folder = rng.choice([root, *(p for p in root.rglob("*") if p.is_dir() and not p.is_symlink())])
    path = folder / _name(rng)
    match rng.randrange(11):
        case 0 | 1:
            path.write_text(str(rng.random()))
        case 2:
            deep = path / _name(rng) / _name(rng)
            deep.mkdir(parents=True)
            (deep / "f").touch()
        case 3:
            _some(rng, root, folders=False).rename(path)
        case 4:
            exchange(_some(rng, root, folders=False), _some(rng, root, folders=False))
        case 5:
            shutil.rmtree(_some(rng, root, folders=True))
        case 6:
            _some(rng, root, folders=False).unlink()
        case 7:
            path.symlink_to(_name(rng))
        case 8:
            _some(rng, root, folders=True).rename(outside / f"{rng.random()}")
        case 9:
            rng.choice(list(outside.iterdir())).rename(path)
        case _:
            _some(rng, root, folders=False).chmod(rng.choice([0o700, 0o750, 0o755]))


@pytest.mark.parametrize("seed", range(8))
def test_hints_alone_lead_to_the_tree_as_it_is(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    root, outside = tmp_path / "publish", tmp_path / "outside"
    root.mkdir()
    outside.mkdir()
    scope = Scope(excludes=("*.tmp",)) if seed % 2 else Scope()
    follower = Follower(os.fsencode(root), scope)
    watcher = Watcher(root, scope, follower)
    assert watcher.start()
    try:
        for _ in range(400):
            with suppress(OSError, shutil.Error, IndexError):
                _step(rng, root, outside)
        assert watcher.canary(20)
        known = follower.settle()
        assert watcher.healthy() is None
        there = dict(scan(os.fsencode(root), scope))
        assert same_trees(known, there), (set(known) ^ set(there), seed)
    finally:
        watcher.stop()
        follower.stop()


def test_no_path_of_many_new_trees_is_missed(tmp_path: Path) -> None:
    root = tmp_path / "publish"
    root.mkdir()
    follower = Follower(os.fsencode(root), Scope())
    watcher = Watcher(root, Scope(), follower)
    assert watcher.start()
    try:
        for number in range(200):
            deep = root / f"{number}" / "a" / "b" / "c"
            deep.mkdir(parents=True)
            for above in (deep, deep.parent, deep.parent.parent):
                (above / "f").write_text("x")
        assert watcher.canary(20)
        known = follower.settle()
        assert same_trees(known, dict(scan(os.fsencode(root), Scope())))
        assert len(known) == 200 * 7
    finally:
        watcher.stop()
        follower.stop()


class Pausing(Follower):
    """Holds the watcher's reader at the first hint, as a process that is stopped would."""

    def __init__(self, root: bytes, scope: Scope) -> None:
        super().__init__(root, scope)
        self.held, self.free = threading.Event(), threading.Event()

    def dirty(self, path: bytes) -> None:
        self.held.set()
        self.free.wait(60)
        super().dirty(path)


def test_nothing_is_lost_when_the_queue_overflows_in_the_midst_of_changes(tmp_path: Path) -> None:
    rng = random.Random(7)
    root, outside = tmp_path / "publish", tmp_path / "outside"
    root.mkdir()
    outside.mkdir()
    follower = Pausing(os.fsencode(root), Scope())
    watcher = Watcher(root, Scope(), follower)
    assert watcher.start()
    try:
        for number in range(300):
            if number == 150:
                (root / "x").touch()
                assert follower.held.wait(20)
                for _ in range(9000):
                    (root / "x").touch()
                    (root / "y").touch()
            if number == 200:
                follower.free.set()
            with suppress(OSError, shutil.Error, IndexError):
                _step(rng, root, outside)
        assert watcher.canary(20)
        assert watcher.overflows >= 1
        assert same_trees(follower.settle(), dict(scan(os.fsencode(root), Scope())))
    finally:
        follower.free.set()
        watcher.stop()
        follower.stop()
