"""The ssh transport against a real sshd: it carries the same trees, and never waits for an answer."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from sync.core.args import RsyncOptions, Run
from sync.core.model import Destination, Form, Outcome
from sync.core.scope import Scope
from sync.rsync import Runner, RunResult
from tests.servers_rsync import Sshd, free_port, ssh_server
from tests.trees import ODD_NAMES, assert_alike, link, write

__all__ = ["ssh_server"]  # fixtures


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.mkdir()
    return path


@pytest.fixture
def node(tmp_path: Path) -> Path:
    path = tmp_path / "node"
    path.mkdir()
    return path


@pytest.fixture
def where(ssh_server: Sshd, node: Path) -> Destination:
    return Destination(
        "n",
        ssh_server.host,
        transport="ssh",
        ssh_user=ssh_server.user,
        ssh_port=ssh_server.port,
        ssh_key_file=str(ssh_server.key_file),
        ssh_known_hosts=str(ssh_server.known_hosts),
        ssh_path=str(node),
    )


def run(
    source: Path, destination: Destination, form: Form, *paths: bytes, scope: Scope | None = None
) -> RunResult:
    return Runner(RsyncOptions(connect_seconds=5), source, scope or Scope()).run(
        destination, Run(form, paths)
    )


def test_every_form_works_over_ssh(source: Path, node: Path, where: Destination) -> None:
    paths = [write(source, b"odd/" + name, name) for name in ODD_NAMES] + [link(source, "link", "../x")]
    write(node, "stale/page")
    assert run(source, where, Form.FILES, *paths).outcome is Outcome.DONE
    assert run(source, where, Form.GONE, b"stale").deleted == 2
    assert_alike(source, node)
    write(source, "odd/new")
    write(node, "odd/old")
    assert {line.path for line in run(source, where, Form.AUDIT).listed} == {b"odd/new", b"odd/old"}
    assert run(source, where, Form.SUBTREES, b"odd").outcome is Outcome.DONE
    write(node, "stale")
    assert run(source, where, Form.EVERYTHING).outcome is Outcome.DONE
    assert_alike(source, node)
    assert run(source, where, Form.DEEP_AUDIT).listed == ()


def test_paths_that_fail_are_named_relative_to_the_folder(
    source: Path, node: Path, where: Destination
) -> None:
    """A folder on /proc takes no file, whoever writes it."""
    if not Path("/proc/self").exists():
        pytest.skip("no /proc here")
    path = write(source, "deep/page")
    result = run(source, replace(where, ssh_path="/proc"), Form.FILES, path)
    assert result.outcome is Outcome.PARTIAL, result
    assert set(result.failed) <= {b"deep", b"deep/page"}
    assert result.failed


def test_files_with_blanks_and_percent_signs_can_hold_the_keys(
    source: Path, node: Path, where: Destination, tmp_path: Path
) -> None:
    folder = tmp_path / "my keys %h"
    folder.mkdir()
    assert where.ssh_key_file
    assert where.ssh_known_hosts
    key, known = shutil.copy(where.ssh_key_file, folder), shutil.copy(where.ssh_known_hosts, folder)
    os.chmod(key, 0o600)
    destination = replace(where, ssh_key_file=str(key), ssh_known_hosts=str(known))
    assert run(source, destination, Form.FILES, write(source, "page")).outcome is Outcome.DONE
    assert_alike(source, node)


def test_a_wrong_key_is_a_matter_of_configuration(source: Path, where: Destination, ssh_server: Sshd) -> None:
    wrong = replace(where, ssh_key_file=str(ssh_server.folder / "host_key"))
    result = run(source, wrong, Form.FILES, write(source, "page"))
    assert (result.outcome, result.moved) == (Outcome.CONFIGURATION, False)
    assert result.code in (12, 255)
    assert "ssh.key_file" in result.message


def test_a_missing_key_file_is_a_matter_of_configuration(
    source: Path, where: Destination, tmp_path: Path
) -> None:
    missing = replace(where, ssh_key_file=str(tmp_path / "no-key"))
    result = run(source, missing, Form.FILES, write(source, "page"))
    assert result.outcome is Outcome.CONFIGURATION


def test_a_host_key_that_is_not_known_is_a_matter_of_configuration(
    source: Path, where: Destination, tmp_path: Path, ssh_server: Sshd
) -> None:
    other = (ssh_server.folder / "client_key.pub").read_text().split()
    for text in ("", f"[{ssh_server.host}]:{ssh_server.port} {other[0]} {other[1]}\n"):
        known = tmp_path / "known_hosts"
        known.write_text(text)
        result = run(source, replace(where, ssh_known_hosts=str(known)), Form.FILES, write(source, "page"))
        assert result.outcome is Outcome.CONFIGURATION
        assert "host key" in result.message


def test_nobody_listening_is_unreachable(source: Path, where: Destination) -> None:
    result = run(source, replace(where, ssh_port=free_port()), Form.FILES, write(source, "page"))
    assert result.outcome is Outcome.UNREACHABLE
    assert result.code in (12, 255)  # whichever rsync notices first: that ssh is silent or that it ended
    assert "refused" in result.message


def test_a_missing_folder_is_a_matter_of_configuration(source: Path, where: Destination, node: Path) -> None:
    destination = replace(where, ssh_path=f"{node}/not/made")
    result = run(source, destination, Form.FILES, write(source, "page"))
    assert (result.outcome, dict(result.failed)) == (Outcome.CONFIGURATION, {}), result


def test_a_node_without_rsync_is_a_matter_of_configuration(source: Path, where: Destination) -> None:
    options = RsyncOptions(extra_args=("--rsync-path=/no/such/rsync",))
    run_of_one = Run(Form.FILES, (write(source, "page"),))
    result = Runner(options, source, Scope()).run(where, run_of_one)
    assert result.outcome is Outcome.CONFIGURATION, result
    assert "install" in result.message
