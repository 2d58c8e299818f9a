"""Every form of run against a real rsync daemon: the node's tree ends byte for byte as it should."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from sync.core.args import RsyncOptions, Run
from sync.core.model import Destination, Form, Outcome
from sync.core.scope import Scope
from sync.rsync import Progress, Runner, RunResult
from tests.servers_rsync import Daemon, daemon, daemons, rsyncd
from tests.trees import ODD_NAMES, assert_alike, link, tree, write

__all__ = ["daemon", "daemons"]  # fixtures


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """One daemon for the module; each test has a folder of its own in it."""
    started = rsyncd(tmp_path_factory.mktemp("server"))
    yield started
    started.stop()


@dataclass
class Pair:
    """A source, a node and the way between them."""

    source: Path
    node: Path
    destination: Destination

    def run(self, form: Form, *paths: bytes, scope: Scope | None = None, **options: object) -> RunResult:
        runner = Runner(RsyncOptions(connect_seconds=5, timeout_seconds=20), self.source, scope or Scope())
        return runner.run(self.destination, Run(form, paths, **options))  # type: ignore[arg-type]

    def send(self, *paths: bytes) -> RunResult:
        result = self.run(Form.FILES, *paths)
        assert result.outcome is Outcome.DONE, result
        return result


@pytest.fixture
def pair(tmp_path: Path, server: Daemon, request: pytest.FixtureRequest) -> Pair:
    source = tmp_path / "source"
    source.mkdir()
    name = f"{tmp_path.name}"
    node = server.module_path / name
    node.mkdir()
    where = Destination("node", "127.0.0.1", port=server.port, module=f"content/{name}")
    return Pair(source, node, where)


def paths_of(result: RunResult) -> set[tuple[str, bytes]]:
    return {(line.action, line.path) for line in result.listed}


# ── files ────────────────────────────────────────────────────────────────────────────────────────────────


def test_files_arrive_with_contents_modes_link_targets_and_mtimes(pair: Pair) -> None:
    paths = [
        write(pair.source, "page.html", "a page", mode=0o640),
        write(pair.source, "deep/er/run.sh", "#!/bin/sh", mode=0o755),
        link(pair.source, "link", "../outside/the tree"),
        link(pair.source, "dangling", b"\xff nowhere\n"),
    ]
    os.mkdir(pair.source / "empty", 0o711)
    os.utime(pair.source / "page.html", ns=(1, 1_234_567_890_123_456_789))
    result = pair.send(*paths, b"empty", b"deep", b"deep/er")
    assert_alike(pair.source, pair.node)
    assert (result.files, result.deleted, result.moved) == (4, 0, True)


def test_names_of_any_bytes_arrive_and_go(pair: Pair) -> None:
    paths = [write(pair.source, b"odd/" + name, name) for name in ODD_NAMES]
    paths += [link(pair.source, b"links/" + name, name) for name in ODD_NAMES]
    pair.send(*paths)
    assert_alike(pair.source, pair.node)
    for path in paths:
        os.unlink(os.path.join(os.fsencode(pair.source), path))
    result = pair.run(Form.GONE, *paths)
    assert (result.outcome, result.deleted) == (Outcome.DONE, len(paths))
    assert_alike(pair.source, pair.node)


def test_a_rewrite_of_the_same_size_and_mtime_is_sent(pair: Pair) -> None:
    path = write(pair.source, "page", "one")
    os.utime(pair.source / "page", (1000, 1000))
    pair.send(path)
    write(pair.source, "page", "two")
    os.utime(pair.source / "page", (1000, 1000))
    assert pair.run(Form.EVERYTHING).files == 0
    pair.send(path)
    assert_alike(pair.source, pair.node)


@pytest.mark.parametrize("form", [Form.FILES, Form.SUBTREES])
def test_a_large_run_sends_again_what_looks_the_same(pair: Pair, form: Form) -> None:
    path = write(pair.source, "sub/film", "one")
    pair.send(path)
    assert pair.run(form, b"sub/film", large=True).files == 1
    assert pair.run(form, b"sub/film").files == 0


def test_a_time_that_differs_by_less_than_a_second_is_sent(pair: Pair) -> None:
    paths = [write(pair.source, "page"), link(pair.source, "link", "page"), write(pair.source, "touched")]
    for name, nanoseconds in ((b"page", 1), (b"link", 2), (b"touched", 3)):
        os.utime(os.fsencode(pair.source) + b"/" + name, ns=(0, 10**18 + nanoseconds), follow_symlinks=False)
    pair.send(*paths)
    assert_alike(pair.source, pair.node)
    os.utime(pair.source / "touched", ns=(0, 10**18 + 4))
    os.utime(pair.source / "link", ns=(0, 10**18 + 5), follow_symlinks=False)
    pair.send(*paths)
    assert_alike(pair.source, pair.node)
    assert pair.run(Form.AUDIT).listed == ()


def test_a_change_of_mode_alone_is_sent(pair: Pair) -> None:
    path = write(pair.source, "page", "one", mode=0o600)
    pair.send(path)
    (pair.source / "page").chmod(0o644)
    pair.send(path)
    assert_alike(pair.source, pair.node)


def test_a_rollback_to_an_older_file_is_sent(pair: Pair) -> None:
    path = write(pair.source, "page", "new")
    pair.send(path)
    write(pair.source, "page", "old")
    os.utime(pair.source / "page", (1000, 1000))
    pair.send(path)
    assert_alike(pair.source, pair.node)


KINDS: dict[str, Callable[[Path], object]] = {
    "file": lambda root: write(root, "thing", "a file"),
    "symlink": lambda root: link(root, "thing", "target"),
    "empty directory": lambda root: (root / "thing").mkdir(),
    "full directory": lambda root: write(root, "thing/in/it", "deep"),
}


def remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        for inner in path.iterdir():
            remove(inner)
        path.rmdir()
    elif path.is_symlink() or path.exists():
        path.unlink()


def listing(root: Path) -> tuple[bytes, ...]:
    return tuple(sorted(tree(root)))


@pytest.mark.parametrize("before", KINDS)
@pytest.mark.parametrize("after", KINDS)
@pytest.mark.parametrize("form", [Form.FILES, Form.SUBTREES, Form.EVERYTHING])
@pytest.mark.parametrize("delete", [True, False])
def test_any_kind_replaces_any_other(pair: Pair, before: str, after: str, form: Form, delete: bool) -> None:
    KINDS[before](pair.source)
    assert pair.run(Form.SUBTREES, *listing(pair.source)).outcome is Outcome.DONE
    assert_alike(pair.source, pair.node)
    remove(pair.source / "thing")
    KINDS[after](pair.source)
    paths = {Form.FILES: listing(pair.source), Form.SUBTREES: (b"thing",), Form.EVERYTHING: ()}[form]
    result = pair.run(form, *paths, scope=Scope(delete=delete))
    assert result.outcome is Outcome.DONE, result
    both_directories = "directory" in before and "directory" in after
    if not both_directories or (form is not Form.FILES and delete):
        assert_alike(pair.source, pair.node)
    else:
        assert tree(pair.source).items() <= tree(pair.node).items()


def test_a_path_that_vanished_is_named_and_stays_on_the_node(pair: Pair) -> None:
    kept = write(pair.source, "kept", "k")
    gone = write(pair.source, "gone", "g")
    pair.send(kept, gone)
    os.unlink(pair.source / "gone")
    write(pair.source, "kept", "new")
    result = pair.run(Form.FILES, kept, gone, b"never/was")
    assert result.outcome is Outcome.VANISHED
    assert set(result.source_failed) == result.vanished == {gone, b"never/was"}
    assert not result.failed
    assert sorted(tree(pair.node)) == [b"gone", b"kept"]
    assert (pair.node / "kept").read_text() == "new"


def test_an_empty_list_starts_nothing(pair: Pair) -> None:
    result = pair.run(Form.FILES)
    assert (result.outcome, result.code) == (Outcome.DONE, None)


def test_a_list_longer_than_a_pipe_holds_arrives(pair: Pair) -> None:
    paths = [write(pair.source, f"{'directory' * 10}/{number:05}", "") for number in range(1500)]
    assert sum(map(len, paths)) > 1 << 17
    assert pair.send(*paths).files == len(paths)
    assert_alike(pair.source, pair.node)


# ── deletions ────────────────────────────────────────────────────────────────────────────────────────────


def test_gone_files_and_full_directories_are_deleted_and_nothing_else(pair: Pair) -> None:
    write(pair.source, "kept")
    for name in ("kept", "gone", "full/of/things", "full/more", "beside"):
        write(pair.node, name)
    os.utime(pair.node / "kept", ns=(0, (pair.source / "kept").stat().st_mtime_ns))
    result = pair.run(Form.GONE, b"gone", b"full", b"never-was")
    assert result.outcome is Outcome.DONE
    assert sorted(tree(pair.node)) == [b"beside", b"kept"]
    assert result.deleted == 5


def test_a_path_that_came_back_is_sent_instead_of_deleted(pair: Pair) -> None:
    path = write(pair.source, "back", "here")
    write(pair.node, "back", "old")
    assert pair.run(Form.GONE, path).outcome is Outcome.DONE
    assert_alike(pair.source, pair.node)


def test_a_purge_deletes_what_the_source_still_has(pair: Pair) -> None:
    """What leaves the scope goes from the nodes; the source keeps it."""
    for name in ("kept", "sub/page", "sub/left.tmp", "left/page", "left/page.tmp"):
        write(pair.source, name)
    pair.run(Form.EVERYTHING)
    scope = Scope(paths=(b"kept", b"sub"), excludes=("*.tmp",))
    result = pair.run(Form.GONE, b"sub/left.tmp", b"left", b"no/where", scope=scope, purge=True)
    assert (result.outcome, result.deleted, dict(result.source_failed)) == (Outcome.DONE, 4, {})
    assert set(tree(pair.node)) == {b"kept", b"sub", b"sub/page"}
    assert (pair.source / "left/page.tmp").exists()


def test_the_root_is_never_deleted() -> None:
    for root in (b"", b".", b"/", b"./"):
        with pytest.raises(ValueError, match="root"):
            Run(Form.GONE, (b"page", root))


def test_subtrees_bring_exactly_themselves_in_line(pair: Pair) -> None:
    write(pair.source, "sub/new/page")
    for name in ("sub/old/page", "sub/stale", "other/page"):
        write(pair.node, name)
    result = pair.run(Form.SUBTREES, b"sub")
    assert result.outcome is Outcome.DONE
    assert set(tree(pair.node)) == {b"sub", b"sub/new", b"sub/new/page", b"other", b"other/page"}


def test_without_delete_nothing_is_deleted(pair: Pair) -> None:
    write(pair.source, "sub/new")
    write(pair.node, "sub/old")
    for form, paths in ((Form.SUBTREES, (b"sub",)), (Form.EVERYTHING, ())):
        result = pair.run(form, *paths, scope=Scope(delete=False))
        assert (result.outcome, result.deleted) == (Outcome.DONE, 0)
    assert set(tree(pair.node)) == {b"sub", b"sub/new", b"sub/old"}
    assert pair.run(Form.AUDIT, scope=Scope(delete=False)).listed == ()
    assert pair.run(Form.AUDIT, b"sub/old", scope=Scope(delete=False)).listed == ()


def test_a_run_can_be_told_not_to_delete(pair: Pair) -> None:
    write(pair.node, "old")
    assert pair.run(Form.EVERYTHING, delete=False).deleted == 0
    assert pair.run(Form.EVERYTHING).deleted == 1


def test_everything_stops_at_the_limit_of_deletions_and_says_so(pair: Pair) -> None:
    write(pair.source, "page")
    for number in range(5):
        write(pair.node, f"old{number}")
    result = pair.run(Form.EVERYTHING, max_delete=2)
    assert (result.outcome, result.deleted, result.deletions_skipped) == (Outcome.DONE, 2, True)
    assert len(tree(pair.node)) == 4


def test_excluded_paths_are_neither_sent_nor_deleted(pair: Pair) -> None:
    scope = Scope(excludes=("*.tmp",))
    write(pair.source, "sub/page")
    write(pair.source, "sub/mine.tmp")
    write(pair.node, "sub/theirs.tmp")
    write(pair.node, "went/theirs.tmp")
    write(pair.node, "went/page")
    assert pair.run(Form.SUBTREES, b"sub", scope=scope).outcome is Outcome.DONE
    result = pair.run(Form.GONE, b"went", scope=scope)
    assert (result.outcome, set(result.not_empty)) == (Outcome.DONE, {b"went"})
    assert pair.run(Form.EVERYTHING, scope=scope).not_empty in ((b"went",), (b"went", b"went"))
    assert {b"sub/page", b"sub/theirs.tmp", b"went/theirs.tmp"} <= set(tree(pair.node))
    assert not {b"sub/mine.tmp", b"went/page"} & set(tree(pair.node))
    assert pair.run(Form.AUDIT, scope=scope).listed == ()


def test_left_over_directories_of_a_killed_run_go_with_the_next_full_one(pair: Pair) -> None:
    write(pair.node, ".~tmp~/page")
    assert pair.run(Form.EVERYTHING, scope=Scope(excludes=(".~tmp~/",))).outcome is Outcome.DONE
    assert not (pair.node / ".~tmp~").exists()


# ── everything and audits ────────────────────────────────────────────────────────────────────────────────


def test_everything_makes_any_node_alike(pair: Pair) -> None:
    for name in ODD_NAMES:
        write(pair.source, b"odd/" + name, name)
        write(pair.node, b"stale/" + name, name)
    link(pair.source, "a-link", "b")
    write(pair.node, "a-link/was/a/directory")
    os.mkfifo(pair.source / "fifo")
    assert pair.run(Form.EVERYTHING).outcome is Outcome.DONE
    assert_alike(pair.source, pair.node)
    for form in (Form.AUDIT, Form.DEEP_AUDIT):
        assert pair.run(form).listed == ()


def test_progress_ends_with_every_file(pair: Pair) -> None:
    for number in range(30):
        write(pair.source, f"d{number % 3}/f{number}", os.urandom(20_000))
    seen: list[Progress] = []
    runner = Runner(RsyncOptions(), pair.source, Scope())
    result = runner.run(pair.destination, Run(Form.EVERYTHING), progress=seen.append)
    assert (result.outcome, result.files) == (Outcome.DONE, 30)
    assert seen[-1].bytes == 600_000
    assert seen[-1].files_done == seen[-1].files_total > 30
    assert not seen[-1].counting
    assert_alike(pair.source, pair.node)


@pytest.mark.parametrize("form", [Form.FILES, Form.SUBTREES])
def test_progress_of_what_an_event_sends_is_told_too(pair: Pair, form: Form) -> None:
    write(pair.source, "d/large", os.urandom(3_000_000))
    write(pair.source, "d/small", os.urandom(1000))
    paths = (b"d/large", b"d/small") if form is Form.FILES else (b"d",)
    seen: list[Progress] = []
    runner = Runner(RsyncOptions(), pair.source, Scope())
    result = runner.run(pair.destination, Run(form, paths), progress=seen.append)
    assert (result.outcome, result.files) == (Outcome.DONE, 2)
    assert (seen[-1].bytes, seen[-1].percent, seen[-1].counting) == (3_001_000, 100, False)
    if form is Form.FILES:
        assert not seen[0].counting
    assert_alike(pair.source, pair.node)


def test_an_audit_lists_every_difference_and_changes_nothing(pair: Pair) -> None:
    for name in (*ODD_NAMES, b"same"):
        write(pair.source, name, "here")
    link(pair.source, "moved", "new")
    link(pair.node, "moved", "old")
    pair.send(b"same")
    write(pair.node, "extra -> name", "there")
    write(pair.node, "extra/in/it")
    before = tree(pair.node)
    result = pair.run(Form.AUDIT)
    assert result.outcome is Outcome.DONE
    assert paths_of(result) == {("send", name) for name in ODD_NAMES} | {
        ("create", b"moved"),
        ("delete", b"extra -> name"),
        ("delete", b"extra"),
        ("delete", b"extra/in"),
        ("delete", b"extra/in/it"),
    }
    assert {line.path for line in result.listed if line.is_directory} == {b"extra", b"extra/in"}
    assert tree(pair.node) == before


def test_an_audit_by_metadata_sees_nanoseconds_and_a_deep_one_contents(pair: Pair) -> None:
    path = write(pair.source, "page", "one")
    pair.send(path)
    stat = (pair.node / "page").stat()
    os.utime(pair.node / "page", ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    assert paths_of(pair.run(Form.AUDIT)) == {("attributes", path)} or paths_of(pair.run(Form.AUDIT)) == {
        ("send", path)
    }
    write(pair.node, "page", "two")
    os.utime(pair.node / "page", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert pair.run(Form.AUDIT).listed == ()
    assert paths_of(pair.run(Form.DEEP_AUDIT)) == {("send", path)}
    assert paths_of(pair.run(Form.DEEP_AUDIT, path)) == {("send", path)}


def test_a_second_look_is_at_the_named_paths_alone(pair: Pair) -> None:
    write(pair.source, "d/differs", "1")
    write(pair.source, "d/other", "1")
    write(pair.source, "alike", "1")
    pair.send(b"alike")
    write(pair.node, "extra/inside")
    result = pair.run(Form.AUDIT, b"d/differs", b"alike", b"extra", b"nowhere")
    assert result.outcome is Outcome.DONE
    assert {p for a, p in paths_of(result) if a == "send"} == {b"d/differs"}
    assert {p for a, p in paths_of(result) if a == "delete"} == {b"extra", b"extra/inside"}
    assert b"d/other" not in {line.path for line in result.listed}
    assert (pair.node / "extra/inside").exists()
    assert not (pair.node / "d").exists()


def test_long_paths_with_long_link_targets_do_not_end_the_run(pair: Pair) -> None:
    """With %L in the output format rsync ended with 13 on these."""
    directory = os.fsencode(pair.source)
    os.mkdir(directory + b"/d")
    here = os.open(directory + b"/d", os.O_RDONLY)
    try:
        for _ in range(12):
            os.mkdir("p" * 250, dir_fd=here)
            deeper = os.open("p" * 250, os.O_RDONLY, dir_fd=here)
            os.close(here)
            here = deeper
        os.symlink("t" * 3000, "link", dir_fd=here)
    finally:
        os.close(here)
    result = pair.run(Form.EVERYTHING)
    assert result.outcome is Outcome.DONE, result.message
    assert pair.run(Form.AUDIT).listed == ()


def test_a_small_file_takes_milliseconds(pair: Pair) -> None:
    """Without TCP_NODELAY on both ends the best of ten would be 40 ms or more."""
    path, best = write(pair.source, "page"), 1.0
    for number in range(10):
        write(pair.source, path, str(number))
        began = time.perf_counter()
        pair.send(path)
        best = min(best, time.perf_counter() - began)
    assert best < 0.035
