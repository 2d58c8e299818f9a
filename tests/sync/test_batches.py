"""A batch looks at the tree once, and a folder that is closed to us is rsync's to complain of."""

from __future__ import annotations

from typing import Any, cast

from sync.batches import Batch, Tools
from sync.core.model import GONE, Change, Kind, Stat
from sync.core.scope import Scope

FILE = Stat(Kind.FILE, 1, 1, 1, 1, 1, 0o644, 1)
DIRECTORY = Stat(Kind.DIRECTORY, 0, 1, 1, 1, 2, 0o755, 2)
TREE = {b"dark": DIRECTORY, b"page": FILE}


def glance(path: bytes) -> Stat:
    if path.startswith(b"dark/"):
        raise PermissionError(13, "Permission denied")
    return TREE.get(path, GONE)


def tools() -> Tools:
    nothing = cast("Any", None)
    return Tools(
        runner=nothing,
        sweeper=nothing,
        look=glance,
        glance=glance,
        count_below=lambda path, limit: 0,
        scope=Scope(),
        store=nothing,
        may_delete=lambda: None,
        is_pending=lambda path: False,
        large_bytes=100,
    )


def test_a_path_in_a_closed_folder_holds_nothing_else_back() -> None:
    batch = Batch([Change(b"dark/x", FILE, 1), Change(b"page", FILE, 2)], 2)
    assert set(batch.steps(tools()).files) == {b"dark/x", b"page"}


def test_a_deletion_in_a_closed_folder_is_not_believed() -> None:
    batch = Batch([Change(b"dark/x", GONE, 1)], 1)
    assert batch.steps(tools()).gone == ()
