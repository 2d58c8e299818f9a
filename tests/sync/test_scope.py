"""The scope against rsync itself: what is sent, what is deleted and what survives on the receiver."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sync.core.patterns import PatternError
from sync.core.scope import Scope
from tests.servers_rsync import Daemon, daemons  # noqa: F401

FULL = ("-a", "-O", "--modify-window=-1", "--delete-after")


def _fill(root: Path, names: list[str]) -> None:
    """Names that end in a slash are directories."""
    for name in names:
        path = root / name
        (path if name.endswith("/") else path.parent).mkdir(parents=True, exist_ok=True)
        if not name.endswith("/"):
            path.write_text(name)


def _tree(root: Path) -> set[str]:
    return {
        str(p.relative_to(root)) + ("/" if p.is_dir() and not p.is_symlink() else "") for p in root.rglob("*")
    }


def _run(source: Path, destination: str, scope: Scope, *form: str, listed: bytes | None = None) -> None:
    argv = ["rsync", *form, *scope.rsync_filters(), "--", f"{source}/", destination]
    subprocess.run(argv, check=True, input=listed, capture_output=True, env={"PATH": os.environ["PATH"]})


def _carries(scope: Scope, name: str) -> bool:
    return scope.carries(os.fsencode(name.rstrip("/")), name.endswith("/"))


SOURCE = [
    "index", "a/", "a/f", "a/b/", "a/b/f", "a/b/x.git", "a/c/", "a/c/f", "p/", "p/q/", "p/q/f", "w*/", "w*/f",
    "wx/", "wx/f", "x.git", "cache/", "cache/f", ".~tmp~/", ".~tmp~/f", "a/b/.~tmp~/", "a/b/.~tmp~/f", "e/",
]  # fmt: skip
EXTRA = [
    "gone", "a/gone", "a/b/gone", "a/b/d/", "a/b/d/gone", "a/b/gone.git", "a/c/gone", "p/q/gone", "p/gone",
    "w*/gone", "wx/gone", "cache/gone", "gone.git", ".~tmp~/", ".~tmp~/left", "a/b/.~tmp~/",
    "a/b/.~tmp~/left", "new/", "new/gone",
]  # fmt: skip

SCOPES = [
    Scope(),
    Scope(excludes=("*.git", "*.svn", "*.tmp", ".~tmp~/")),
    Scope(excludes=("/cache", "a/b/", "*.git")),
    Scope(paths=(b"a/b",)),
    Scope(paths=(b"a/b", b"p"), excludes=("*.git",)),
    Scope(paths=(b"a", b"a/b", b"w*"), excludes=("c",)),
    Scope(paths=(b"index", b"missing/x")),
]


def _expected_after(scope: Scope) -> set[str]:
    """The source's carried paths, and what only the receiver had and is not carried, with its parents."""
    kept = {name for name in SOURCE if _carries(scope, name)}
    for name in EXTRA:
        is_left_over = ".~tmp~" in name
        if not _carries(scope, name) and not (is_left_over and _left_over_reached(scope, name)):
            kept |= {str(parent) + "/" for parent in Path(name).parents if str(parent) != "."} | {name}
    return kept


def _left_over_reached(scope: Scope, name: str) -> bool:
    above = name.split(".~tmp~")[0].rstrip("/")
    return _carries(scope, above + "/") if above else True


@pytest.mark.parametrize("scope", SCOPES, ids=str)
def test_a_full_run_carries_and_deletes_exactly_the_scope_locally(tmp_path: Path, scope: Scope) -> None:
    source, node = tmp_path / "source", tmp_path / "node"
    _fill(source, SOURCE)
    _fill(node, EXTRA)
    _run(source, f"{node}/", scope, *FULL)
    assert _tree(node) == _expected_after(scope)


def test_a_full_run_carries_and_deletes_exactly_the_scope_on_a_daemon(
    tmp_path: Path,
    daemons: Callable[..., Daemon],  # noqa: F811
) -> None:
    source = tmp_path / "source"
    _fill(source, SOURCE)
    daemon = daemons()
    for scope in SCOPES:
        shutil.rmtree(daemon.module_path)
        _fill(daemon.module_path, EXTRA)
        _run(source, daemon.url(), scope, *FULL)
        assert _tree(daemon.module_path) == _expected_after(scope), scope


FILES = st.sampled_from(["f", "g", "x.git", "t.tmp", "[f]", "f\\"])
FOLDERS = st.sampled_from(["a", "b", "[a]", "x.git", ".~tmp~", "c*"])
NAMES = st.builds(lambda folders, name: "/".join([*(f"d{f}" if f != ".~tmp~" else f for f in folders), name]),
                  st.lists(FOLDERS, max_size=3), FILES)  # fmt: skip
CONFIGURED = st.lists(FOLDERS.filter(lambda f: f != ".~tmp~").map("d{}".format), min_size=1, max_size=2).map(
    "/".join
)
EXCLUDES = st.lists(
    st.sampled_from(["*.git", "/da", "db/", "da/db", "d*/f", "**/g", "dx.git/***", "[[]f]"]), max_size=2
)


@settings(max_examples=40, deadline=None)
@given(
    names=st.lists(NAMES, max_size=8),
    paths=st.lists(CONFIGURED, max_size=2),
    excludes=EXCLUDES,
)
def test_what_rsync_sends_of_a_random_tree_is_what_the_scope_carries(
    tmp_path_factory: pytest.TempPathFactory, names: list[str], paths: list[str], excludes: list[str]
) -> None:
    source, node = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("node")
    _fill(source, names)
    scope = Scope(tuple(os.fsencode(p) for p in paths), tuple(excludes))
    _run(source, f"{node}/", scope, *FULL)
    assert _tree(node) == {name for name in _tree(source) if _carries(scope, name)}
    shutil.rmtree(source)
    shutil.rmtree(node)


def test_a_subtree_run_deletes_left_overs_and_extras_but_nothing_that_is_excluded(tmp_path: Path) -> None:
    source, node = tmp_path / "source", tmp_path / "node"
    _fill(source, SOURCE)
    _fill(node, EXTRA)
    scope = Scope(excludes=("*.git",))
    form = (
        "-lptgoD",
        "-r",
        "-O",
        "-c",
        "-0",
        "--files-from=-",
        "--delete-after",
        "--force",
        "--delay-updates",
    )
    _run(source, f"{node}/", scope, *form, listed=b"./a/b\0")
    below = {name for name in _tree(node) if name.startswith("a/b/")}
    assert below == {"a/b/", "a/b/f", "a/b/gone.git"}
    assert {"a/gone", "gone", ".~tmp~/left"} <= _tree(node)


def test_a_listed_file_travels_under_filters_with_paths(tmp_path: Path) -> None:
    source, node = tmp_path / "source", tmp_path / "node"
    _fill(source, SOURCE)
    scope = Scope(paths=(b"a/b", b"w*"), excludes=("*.git",))
    form = ("-lptgoD", "-O", "-c", "-0", "--files-from=-", "--delete-missing-args", "--force")
    node.mkdir()
    _run(source, f"{node}/", scope, *form, listed=b"./a/b/f\0./w*/f\0./a/b/x.git\0./index\0")
    assert _tree(node) == {"a/", "a/b/", "a/b/f", "w*/", "w*/f"}


def test_a_listed_missing_path_is_deleted_under_filters_with_paths(tmp_path: Path) -> None:
    source, node = tmp_path / "source", tmp_path / "node"
    _fill(source, SOURCE)
    _fill(node, ["a/b/gone", "a/b/d/gone", "a/b/gone.git"])
    scope = Scope(paths=(b"a/b",), excludes=("*.git",))
    form = ("-lptgoD", "-O", "-c", "-0", "--files-from=-", "--delete-missing-args", "--force")
    _run(source, f"{node}/", scope, *form, listed=b"./a/b/gone\0./a/b/d\0")
    assert _tree(node) == {"a/", "a/b/", "a/b/gone.git"}


def test_an_ancestor_of_a_configured_path_is_carried_only_as_a_directory() -> None:
    scope = Scope(paths=(b"a/b",))
    assert scope.carries(b"a", True)
    assert not scope.carries(b"a", False)
    assert not scope.carries(b"a/c", True)
    assert scope.carries(b"a/b/c", False)


def test_left_overs_of_rsync_are_never_carried() -> None:
    assert not Scope().carries(b"a/.~tmp~", True)
    assert not Scope().carries(b"a/.~tmp~/f", False)
    assert not Scope().admits(b".~tmp~", True)


@given(names=st.lists(NAMES, max_size=6), paths=st.lists(CONFIGURED, max_size=2), excludes=EXCLUDES)
def test_a_walk_that_asks_admits_finds_what_carries_says(
    names: list[str], paths: list[str], excludes: list[str]
) -> None:
    scope = Scope(tuple(os.fsencode(p) for p in paths), tuple(excludes))
    for name in map(os.fsencode, names):
        parts = name.split(b"/")
        walked = [b"/".join(parts[: n + 1]) for n in range(len(parts))]
        asked = all(scope.admits(path, path != name) for path in walked)
        assert asked == scope.carries(name, False)


def test_the_fingerprint_tells_scopes_apart_but_not_their_order() -> None:
    one = Scope((b"a", b"b"), ("x", "y"))
    assert one.fingerprint == Scope((b"b", b"a"), ("y", "x")).fingerprint
    others = (
        Scope((b"a",), ("b", "x", "y")),
        Scope((b"a", b"b"), ("x",)),
        Scope((b"a", b"b"), ("x", "y"), delete=False),
    )
    assert len({one.fingerprint, *(other.fingerprint for other in others)}) == 4


@pytest.mark.parametrize("path", [b"", b"/a", b"a/", b"a//b", b"../a", b"a/./b", b"a\0b"])
def test_a_path_that_is_no_folder_below_the_root_is_refused(path: bytes) -> None:
    with pytest.raises(PatternError, match=r"publish\.root"):
        Scope(paths=(path,))
