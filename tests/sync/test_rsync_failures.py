"""What goes wrong on real nodes: each failure ends in its outcome, with the paths it touched and a remedy."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sync.core.args import RsyncOptions, Run, left_overs
from sync.core.model import Destination, Form, Outcome
from sync.core.scope import Scope
from sync.rsync import Runner, RunResult
from tests.servers_rsync import PASSWORD, USER, Daemon, daemon, daemons, free_port, small_tmpfs
from tests.trees import ODD_NAMES, assert_alike, link, tree, write

__all__ = ["daemon", "daemons", "small_tmpfs"]  # fixtures
Start = Callable[..., Daemon]
NOBODY = 65534
root_only = pytest.mark.skipif(
    os.getuid() != 0, reason="only root can take rights from rsync and give them back"
)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.mkdir()
    return path


def send(
    source: Path, server: Daemon | Destination, run: Run, scope: Scope | None = None, program: str = "rsync"
) -> RunResult:
    where = server if isinstance(server, Destination) else Destination("n", server.host, port=server.port)
    options = RsyncOptions(program=program, connect_seconds=5, timeout_seconds=20)
    return Runner(options, source, scope or Scope()).run(where, run)


def files(*paths: bytes) -> Run:
    return Run(Form.FILES, paths)


# ── who may come in ──────────────────────────────────────────────────────────────────────────────────────


def test_a_password_opens_the_module_and_stands_in_no_argument(source: Path, daemons: Start) -> None:
    server = daemons(password=PASSWORD)
    path = write(source, "page")
    where = Destination("n", server.host, port=server.port, user=USER, password=PASSWORD)
    assert send(source, where, files(path)).outcome is Outcome.DONE
    assert_alike(source, server.module_path)
    assert PASSWORD not in repr(where)


@pytest.mark.parametrize(
    ("user", "password"), [(USER, "wrong"), ("nobody", PASSWORD), (USER, None), (None, None)]
)
def test_a_wrong_or_missing_password_is_a_matter_of_configuration(
    source: Path, daemons: Start, user: str | None, password: str | None
) -> None:
    server = daemons(password=PASSWORD)
    path = write(source, "page")
    where = Destination("n", server.host, port=server.port, user=user, password=password)
    result = send(source, where, files(path))
    assert (result.outcome, result.code, result.moved) == (Outcome.CONFIGURATION, 5, False)
    assert "auth failed" in result.message
    assert "password" in result.message
    assert PASSWORD not in result.message


def test_an_unknown_module_is_named(source: Path, daemon: Daemon) -> None:
    where = Destination("n", daemon.host, port=daemon.port, module="nowhere")
    result = send(source, where, files(write(source, "page")))
    assert (result.outcome, result.code) == (Outcome.CONFIGURATION, 5)
    assert "Unknown module 'nowhere'" in result.message


@pytest.mark.parametrize("form", [Form.FILES, Form.EVERYTHING])
def test_a_read_only_module_is_a_matter_of_configuration(source: Path, daemons: Start, form: Form) -> None:
    server = daemons(read_only=True)
    path = write(source, "page")
    result = send(source, server, Run(form, (path,) if form is Form.FILES else ()))
    assert (result.outcome, result.code) == (Outcome.CONFIGURATION, 1)
    assert "read only" in result.message


def test_a_full_house_is_busy(source: Path, daemons: Start) -> None:
    server = daemons(max_connections=1)
    path = write(source, "page")
    with socket.create_connection((server.host, server.port)) as guest:
        guest.recv(100)
        guest.sendall(b"@RSYNCD: 31.0\ncontent\n")
        guest.recv(100)  # @RSYNCD: OK: the one place is taken
        result = send(source, server, files(path))
    assert (result.outcome, result.code) == (Outcome.BUSY, 5)


def test_a_missing_destination_folder_is_a_matter_of_configuration(source: Path, daemon: Daemon) -> None:
    where = Destination("n", daemon.host, port=daemon.port, module="content/not/made")
    result = send(source, where, files(write(source, "page")))
    assert result.outcome is Outcome.CONFIGURATION, result
    assert not result.failed


def test_a_refused_connection_is_unreachable(source: Path) -> None:
    result = send(source, Destination("n", "127.0.0.1", port=free_port()), files(write(source, "page")))
    assert (result.outcome, result.code, result.moved) == (Outcome.UNREACHABLE, 10, False)
    assert "refused" in result.message


def test_a_name_that_does_not_resolve_is_unreachable(source: Path) -> None:
    result = send(source, Destination("n", "node.invalid"), files(write(source, "page")))
    assert (result.outcome, result.code) == (Outcome.UNREACHABLE, 10)


def test_a_destination_that_looks_like_an_option_is_refused(source: Path, tmp_path: Path) -> None:
    result = send(source, Destination("n", "-oProxyCommand=x"), files(write(source, "page")))
    assert (result.outcome, result.code) == (Outcome.CONFIGURATION, None)
    assert "host" in result.message


def test_a_missing_program_is_a_matter_of_configuration(source: Path, daemon: Daemon) -> None:
    result = send(source, daemon, files(write(source, "page")), program="no-such-rsync")
    assert (result.outcome, result.code) == (Outcome.CONFIGURATION, 127)
    assert "no-such-rsync" in result.message


def test_a_source_that_is_not_there_blames_no_node(source: Path, daemon: Daemon) -> None:
    write(daemon.module_path, "kept")
    for run in (Run(Form.EVERYTHING), files(b"page"), Run(Form.GONE, (b"kept",)), Run(Form.AUDIT)):
        result = send(source / "missing", daemon, run)
        assert (result.outcome, dict(result.failed)) == (Outcome.CONFIGURATION, {}), result
        assert b"" in result.source_failed
        assert "publish directory" in result.message
    assert (daemon.module_path / "kept").exists()


# ── what a node cannot take ──────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def closed(daemons: Start) -> Daemon:
    """A node whose rsyncd runs as nobody, with a folder ``closed`` in which it may write nothing."""
    server = daemons(uid=NOBODY)
    shutil.chown(server.module_path, NOBODY, NOBODY)
    for parent in (server.module_path, *server.module_path.parents):
        if parent.stat().st_uid == os.getuid() and parent != Path("/"):
            parent.chmod(parent.stat().st_mode | 0o755)
    (server.module_path / "closed").mkdir()
    return server


@root_only
def test_every_path_that_the_node_cannot_write_is_named_and_the_others_arrive(
    source: Path, closed: Daemon
) -> None:
    good = [write(source, b"open/" + name, name) for name in ODD_NAMES]
    bad = [write(source, b"closed/" + name, name) for name in ODD_NAMES]
    links = [link(source, b"closed/link " + name[:200], b"target") for name in ODD_NAMES]
    for name in (b"dot", b".dot"):
        bad.append(write(source, b"closed/" + name))
    result = send(source, closed, files(b"closed", *good, *bad, *links))
    assert (result.outcome, result.code) == (Outcome.PARTIAL, 23)
    assert set(result.failed) >= {*bad, *links}
    assert set(result.failed) <= {*bad, *links, b"closed"}
    assert not result.source_failed
    assert set(tree(closed.module_path / "open")) == set(ODD_NAMES)
    assert "Permission denied" in result.failed[bad[0]]


@root_only
def test_what_lies_in_a_directory_that_cannot_be_made_is_named_too(source: Path, closed: Daemon) -> None:
    paths = [
        write(source, b"closed/new/deep/page"),
        write(source, b"closed/new/page"),
        write(source, b"open"),
    ]
    listed = (b"closed", b"closed/new", b"closed/new/deep", *paths)
    result = send(source, closed, files(*listed))
    assert result.outcome is Outcome.PARTIAL
    assert result.blocked == {b"closed/new"}
    assert set(result.failed) - {b"closed"} == {b"closed/new", b"closed/new/deep", *paths[:2]}
    assert (closed.module_path / "open").exists()
    whole = send(source, closed, Run(Form.EVERYTHING))
    assert (whole.outcome, set(whole.blocked)) == (Outcome.PARTIAL, {b"closed/new"})


@root_only
def test_a_full_resync_names_what_the_node_cannot_write_or_delete(source: Path, closed: Daemon) -> None:
    bad = [write(source, b"closed/" + name, name) for name in ODD_NAMES]
    write(source, "open/page")
    write(closed.module_path, "closed/stale")
    result = send(source, closed, Run(Form.EVERYTHING))
    assert result.outcome is Outcome.PARTIAL
    assert {*bad, b"closed/stale"} <= set(result.failed) <= {*bad, b"closed/stale", b"closed"}
    assert (closed.module_path / "open/page").exists()


@root_only
def test_a_deletion_that_fails_is_named(source: Path, closed: Daemon) -> None:
    names = [b"closed/" + name for name in ODD_NAMES]
    for name in names:
        write(closed.module_path, name)
    (source / "closed").mkdir()
    write(closed.module_path, "free")
    closed.module_path.chmod(0o777)
    result = send(source, closed, Run(Form.GONE, (b"free", *names)))
    assert result.outcome is Outcome.PARTIAL
    assert set(names) <= set(result.failed)
    assert result.deleted == 1


@pytest.fixture
def immutable() -> Iterator[Callable[[Path], None]]:
    """Makes a file immutable until the test ends; skips where the file system or the user cannot."""
    made: list[Path] = []

    def make(path: Path) -> None:
        done = subprocess.run(["chattr", "+i", str(path)], capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"no immutable files here: {done.stderr.strip()}")
        made.append(path)

    if shutil.which("chattr") is None:
        pytest.skip("no chattr here")
    yield make
    for path in made:
        subprocess.run(["chattr", "-i", str(path)], check=True)


@pytest.mark.parametrize("form", [Form.FILES, Form.EVERYTHING])
def test_an_immutable_file_is_named_whatever_is_done_to_it(
    source: Path, daemon: Daemon, immutable: Callable[[Path], None], form: Form
) -> None:
    for name in ("rewritten", "to-link", "to-file/inside", "to-dir", "deleted"):
        write(daemon.module_path, name, "old")
        immutable(daemon.module_path / name)
    paths = [
        write(source, "rewritten", "new"),
        link(source, "to-link", "x"),
        write(source, "to-file", "a file now"),
        write(source, "to-dir/page", "a directory now"),
        write(source, "good", "new"),
    ]
    result = send(source, daemon, Run(form, (*paths, b"to-dir") if form is Form.FILES else ()))
    assert result.outcome is Outcome.PARTIAL
    assert {b"rewritten", b"to-link", b"to-file"} <= set(result.failed)
    assert any(path.startswith(b"to-dir") for path in result.failed)
    assert (b"deleted" in result.failed) is (form is Form.EVERYTHING)
    assert b"good" not in result.failed
    assert (daemon.module_path / "good").read_text() == "new"


@pytest.mark.parametrize("form", [Form.FILES, Form.EVERYTHING])
def test_a_full_disk_is_no_space(source: Path, daemons: Start, small_tmpfs: Path, form: Form) -> None:
    server = daemons({"content": small_tmpfs})
    big, small = write(source, "big", b"x" * 3_000_000), write(source, "small")
    result = send(source, server, Run(form, (big, small) if form is Form.FILES else ()))
    assert (result.outcome, result.code) == (Outcome.NO_SPACE, 11)
    assert set(result.failed) == {big}
    assert "no space left" in result.message
    os.unlink(source / "big")
    if form is Form.FILES:
        assert (
            send(source, server, files(small)).outcome is Outcome.NO_SPACE
        )  # the unfinished file is in the way
        clean = left_overs(files(big, small))
        assert clean is not None
        assert send(source, server, clean).outcome is Outcome.DONE
        assert send(source, server, files(small)).outcome is Outcome.DONE
    assert send(source, server, Run(Form.EVERYTHING)).outcome is Outcome.DONE
    assert_alike(source, small_tmpfs)


def test_a_pass_that_only_deletes_makes_room(source: Path, daemons: Start, small_tmpfs: Path) -> None:
    server = daemons({"content": small_tmpfs})
    for name in ("stale", ".~tmp~/unfinished"):
        write(small_tmpfs, name, b"x" * 450_000)
    write(small_tmpfs, "page", "old")
    write(source, "page", b"y" * 600_000)
    assert send(source, server, Run(Form.EVERYTHING)).outcome is Outcome.NO_SPACE
    result = send(source, server, Run(Form.EVERYTHING, only_delete=True))
    assert (result.outcome, result.files) == (Outcome.DONE, 0)
    assert set(tree(small_tmpfs)) == {b"page"}
    assert (small_tmpfs / "page").read_text() == "old"
    assert send(source, server, Run(Form.EVERYTHING)).outcome is Outcome.DONE
    assert_alike(source, small_tmpfs)


def test_a_disk_without_inodes_is_no_space_with_every_path_named(
    source: Path, daemons: Start, small_tmpfs: Path
) -> None:
    server = daemons({"content": small_tmpfs})
    paths = [write(source, f"f{number}") for number in range(300)]
    result = send(source, server, files(*paths))
    assert (result.outcome, result.code) == (Outcome.NO_SPACE, 23)
    assert 50 < len(result.failed) < 300
    assert set(tree(small_tmpfs)) - {b".~tmp~"} == set(paths) - set(result.failed)


# ── what the source cannot give ──────────────────────────────────────────────────────────────────────────


@pytest.fixture
def as_nobody(tmp_path: Path) -> str:
    """An rsync program that runs without root's rights."""
    if os.getuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("needs root and setpriv to run rsync without rights")
    for parent in (tmp_path, *tmp_path.parents):
        if parent != Path("/"):
            parent.chmod(parent.stat().st_mode | stat.S_IXOTH | stat.S_IROTH)
    script = tmp_path / "rsync-as-nobody"
    options = f"--reuid={NOBODY} --regid={NOBODY} --clear-groups"
    script.write_text(f'#!/bin/sh\nexec setpriv {options} {shutil.which("rsync")} "$@"\n')
    script.chmod(0o755)
    return str(script)


def test_a_path_that_cannot_be_read_here_is_the_sources_error(
    source: Path, daemon: Daemon, as_nobody: str
) -> None:
    good = write(source, "good")
    closed = write(source, b"odd \n#\xff", mode=0o600)
    inside = write(source, "folder/page")
    (source / "folder").chmod(0o700)
    gone = b"gone"
    result = send(source, daemon, files(good, closed, inside, gone), program=as_nobody)
    assert result.outcome is Outcome.PARTIAL
    assert not result.failed
    assert set(result.source_failed) == {closed, inside, gone}
    assert result.vanished == {gone}
    assert (daemon.module_path / "good").exists()


def test_an_unreadable_directory_here_deletes_nothing_there(
    source: Path, daemon: Daemon, as_nobody: str
) -> None:
    write(source, "closed/page")
    write(source, "page")
    write(daemon.module_path, "closed/page")
    write(daemon.module_path, "stale")
    (source / "closed").chmod(0o700)
    result = send(source, daemon, Run(Form.EVERYTHING), program=as_nobody)
    assert (result.outcome, result.deletions_skipped, result.deleted) == (Outcome.PARTIAL, True, 0)
    assert set(result.source_failed) == {b"closed"}
    assert {b"stale", b"closed/page", b"page"} <= set(tree(daemon.module_path))
    audit = send(source, daemon, Run(Form.AUDIT), program=as_nobody)
    assert (audit.outcome, set(audit.source_failed)) == (Outcome.PARTIAL, {b"closed"})
    assert b"closed/page" not in {line.path for line in audit.listed}
    assert (b"stale", "delete") in {(line.path, line.action) for line in audit.listed}
