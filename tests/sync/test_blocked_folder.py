"""Destinations that are closed to whom rsync writes as, wholly or in part.

rsync skips what lies in a folder that it cannot make, without a word; nothing of it may be forgotten.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sync.core.model import State
from tests.servers_rsync import Daemon, daemons  # noqa: F401
from tests.stand import destination, stand_with, wait_until
from tests.trees import write

NOBODY = 65534

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="only root can give folders to others")


def test_what_lies_in_a_folder_that_could_not_be_made_arrives_when_it_can(
    tmp_path: Path,
    daemons: Callable[..., Daemon],  # noqa: F811
) -> None:
    daemon = daemons(uid=NOBODY)
    os.chown(daemon.module_path, NOBODY, NOBODY)
    closed = daemon.module_path / "closed"
    closed.mkdir()  # root's: nobody may make anything in it
    with stand_with(tmp_path, {"a": (destination("a", daemon), daemon.module_path)}) as stand:
        write(stand.root, "closed/folder/deep/1.txt", "one")
        write(stand.root, "closed/folder/2.txt", "two")
        engine = stand.start()
        wait_until(lambda: stand.state("a") is State.READY, 20)
        wait_until(lambda: stand.node("a").dustbin, 20)
        assert set(stand.node("a").dustbin) == {
            b"closed/folder",
            b"closed/folder/2.txt",
            b"closed/folder/deep",
            b"closed/folder/deep/1.txt",
        }
        os.chown(closed, NOBODY, NOBODY)
        wait_until(lambda: not stand.node("a").dustbin, 20, "out of the dustbin")
        assert engine.field.nodes["a"].cursor == engine.field.tail.head
        stand.alike(seconds=3)


def test_a_first_full_resync_in_which_a_node_took_no_file_fails_and_says_what_to_do(
    tmp_path: Path,
    daemons: Callable[..., Daemon],  # noqa: F811
) -> None:
    """Both nodes are alike in it, so none is behind the other: that is no reason to publish them (promise 2)."""
    running = {name: daemons(uid=NOBODY) for name in ("a", "b")}  # their folders are root's
    nodes = {n: (destination(n, d), d.module_path) for n, d in running.items()}
    with stand_with(tmp_path, nodes) as stand:
        write(stand.root, "front.html", "x")
        stand.start()
        for name in nodes:
            wait_until(lambda n=name: "took none of the 6 files" in (stand.node(n).blocked or ""), 20)
            assert "Permission denied" in (stand.node(name).blocked or "")
            assert "rsyncd.conf" in (stand.node(name).blocked or "")
        time.sleep(1.0)
        assert not any(stand.node(n).in_sync or stand.node(n).proven for n in nodes)
        assert not any(flip.new is State.READY for flip in stand.notes.flips)
        assert not any(stand.node(n).dustbin for n in nodes), (
            "nothing that is the node's as a whole is a path's"
        )
        for daemon in running.values():
            os.chown(daemon.module_path, NOBODY, NOBODY)
        stand.all_ready(40)
        stand.alike()


def test_a_node_that_has_the_files_is_complete_with_exceptions_whatever_else_it_refuses(
    tmp_path: Path,
    daemons: Callable[..., Daemon],  # noqa: F811
) -> None:
    """What no node can take takes nobody out (promise 2): here the one thing that was to be carried at all."""
    daemon = daemons(uid=NOBODY)
    os.chown(daemon.module_path, NOBODY, NOBODY)
    with stand_with(tmp_path, {"a": (destination("a", daemon), daemon.module_path)}) as stand:
        shutil.copytree(stand.root, daemon.module_path, dirs_exist_ok=True)
        for path in [daemon.module_path, *daemon.module_path.rglob("*")]:
            os.chown(path, NOBODY, NOBODY)
        (daemon.module_path / "closed").mkdir()
        write(stand.root, "closed/1.txt", "one")
        stand.start()
        wait_until(lambda: stand.state("a") is State.READY, 20)
        assert set(stand.node("a").dustbin) == {b"closed/1.txt"}
        wait_until(lambda: stand.node("a").in_sync, 5)
