"""An rsync that was started before its list was known: used where the guess was right, ended where it was not."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from sync.core.args import RsyncOptions, Run
from sync.core.model import Destination, Form, Outcome
from sync.core.scope import Scope
from sync.rsync import Begun, Cancel, RunHandle, Runner
from tests.servers_rsync import Daemon, daemon, daemons
from tests.trees import assert_alike, write

__all__ = ["daemon", "daemons"]  # fixtures
ONE = Run(Form.FILES, (b".",), delete=False)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.mkdir()
    return path


class Early:
    """A runner with one run begun for one file."""

    def __init__(self, source: Path, server: Daemon, **options: object) -> None:
        self.to = Destination("n", server.host, port=server.port)
        self.runner = Runner(RsyncOptions(**options), source, Scope())  # type: ignore[arg-type]
        self.stop, self.handle = Cancel(), RunHandle()
        begun = self.runner.begin(self.to, ONE, stop=self.stop, handle=self.handle)
        assert begun is not None
        self.begun: Begun = begun

    def run(self, *paths: bytes) -> RunHandle:
        """Sends the paths with what was begun; the handle of the process that did it."""
        handle = RunHandle()
        run = Run(Form.FILES, paths, delete=False)
        result = self.runner.run(self.to, run, stop=self.stop, handle=handle, begun=self.begun)
        assert result.outcome is Outcome.DONE, result.message
        assert result.files == len(paths)
        return handle


def test_it_sends_what_is_written_after_it_was_started(source: Path, daemon: Daemon) -> None:
    early = Early(source, daemon)
    time.sleep(0.05)
    assert early.run(write(source, "page", "new")).pid is None, "another process was started"
    assert_alike(source, daemon.module_path)


def test_a_wrong_guess_is_ended_and_another_process_sends(source: Path, daemon: Daemon) -> None:
    early = Early(source, daemon)
    other = early.run(write(source, "page"), write(source, "asset"))
    assert other.pid not in (None, early.handle.pid)
    assert_alike(source, daemon.module_path)


def test_what_is_dropped_does_nothing_and_complains_of_nothing(source: Path, daemon: Daemon) -> None:
    write(daemon.module_path, "kept")
    before = daemon.log.read_text()
    early = Early(source, daemon)
    early.begun.drop()
    early.begun.drop()
    assert [p.name for p in daemon.module_path.iterdir()] == ["kept"]
    assert "error" not in daemon.log.read_text()[len(before) :]


def test_a_list_that_no_pipe_holds_gets_a_process_of_its_own(source: Path, daemon: Daemon) -> None:
    deep = "/".join(["d" * 200] * 17)
    names = [write(source, f"{deep}/{n}") for n in range(20)]
    to = Destination("n", daemon.host, port=daemon.port)
    runner, stop = Runner(RsyncOptions(), source, Scope()), Cancel()
    run = Run(Form.FILES, tuple(names), delete=False)
    begun = runner.begin(to, run, stop=stop)
    result = runner.run(to, run, stop=stop, begun=begun)
    assert result.outcome is Outcome.DONE, result.message
    assert_alike(source, daemon.module_path)


def test_a_node_that_is_away_is_the_same_result_as_without_it(source: Path, daemon: Daemon) -> None:
    page = write(source, "page")
    daemon.kill()
    early = Early(source, daemon)
    time.sleep(0.2)
    run = Run(Form.FILES, (page,), delete=False)
    result = early.runner.run(early.to, run, stop=early.stop, begun=early.begun)
    assert result.outcome is Outcome.UNREACHABLE


def test_cancelling_ends_what_was_begun(source: Path, daemon: Daemon) -> None:
    early = Early(source, daemon)
    early.stop.cancel("node removed")
    began = time.monotonic()
    early.begun.drop()
    assert time.monotonic() - began < 5


def test_nothing_is_begun_where_rsync_cannot_be_started(source: Path, daemon: Daemon) -> None:
    runner = Runner(RsyncOptions(program="/nonexistent/rsync"), source, Scope())
    to = Destination("n", daemon.host, port=daemon.port)
    assert runner.begin(to, ONE, stop=Cancel()) is None


def test_another_publish_directory_is_not_sent_from_the_old_one(tmp_path: Path, daemon: Daemon) -> None:
    for release in ("old", "new"):
        write(tmp_path / release, "page", release)
    current = tmp_path / "current"
    current.symlink_to("old")
    early = Early(current, daemon)
    time.sleep(0.1)  # it has entered the old one
    current.unlink()
    current.symlink_to("new")
    assert early.run(b"page").pid != early.handle.pid
    assert (daemon.module_path / "page").read_text() == "new"
