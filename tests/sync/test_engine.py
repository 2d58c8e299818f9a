"""The content half end to end, over real rsync daemons: what is published arrives, and what is not known stays."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.servers_rsync import Daemon, daemons  # noqa: F401
from tests.stand import Stand, destination, node, sql_store
from tests.trees import write


@pytest.fixture
def stand(tmp_path: Path, daemons: Callable[..., Daemon]) -> Iterator[Stand]:  # noqa: F811
    root = tmp_path / "publish"
    root.mkdir()
    nodes = {}
    for name in ("a", "b", "c"):
        daemon = daemons()
        nodes[name] = (node(name, destination(name, daemon)), daemon.module_path)
    with sql_store(tmp_path / "var") as store:
        made = Stand(tmp_path, root, nodes, store)
        yield made
        made.stop()


def test_new_nodes_get_everything_and_then_each_change(stand: Stand) -> None:
    write(stand.root, "index.html", "one")
    write(stand.root, "img/logo.svg", "<svg/>")
    (stand.root / "empty").mkdir()
    stand.start()
    stand.all_ready()
    stand.alike()
    write(stand.root, "index.html", "two")
    stand.alike()
    (stand.root / "img").rename(stand.root / "pictures")
    stand.alike()
    os.unlink(stand.root / "index.html")
    stand.alike()
    shutil.rmtree(stand.root / "pictures")
    os.symlink("nowhere", stand.root / "link")
    stand.alike()
    stand.at_head()


def subtrees(stand: Stand) -> int:
    assert stand.engine is not None
    return stand.engine.field.counts["runs", "subtrees", "done"]


def test_a_new_tree_goes_as_one_and_a_tree_that_was_there_before_file_by_file(stand: Stand) -> None:
    stand.fill(400)  # so many that what is deleted here is no reason to stop
    stand.start()
    stand.all_ready()
    made = stand.tmp / "made"
    names = (b"-n", b" blank ", b"#hash", b"line\nbreak", b"inv\xffalid", b"deep/dots/\xc3\xbc")
    for number in range(150):
        write(made, f"dir {number % 3}/{number}.html", str(number))
    for name in names:
        write(made, name, "odd")
    os.symlink("dir 0/0.html", made / "link")
    shutil.copytree(made, stand.tmp / "copy", symlinks=True)
    made.rename(stand.root / "-new")
    stand.alike()
    stand.at_head()
    assert subtrees(stand) == 3, "one run for each node"
    shutil.rmtree(stand.root / "-new")
    stand.alike()
    stand.at_head()
    (stand.tmp / "copy").rename(stand.root / "-new")
    stand.alike()
    stand.at_head()
    assert subtrees(stand) == 3, "it was there before: its pages appear together"
