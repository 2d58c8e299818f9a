"""Nodes of every kind and their failures, for real: passwords, ssh, read-only, full disks, poison, the field's lag."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from sync.core.model import Destination, State
from tests.servers_rsync import PASSWORD, USER, Daemon, Sshd, daemons, small_tmpfs, ssh_server  # noqa: F401
from tests.stand import Stand, destination, stand_with, wait_until
from tests.trees import assert_alike, write

Daemons = Callable[..., Daemon]


@pytest.fixture
def two(tmp_path: Path, daemons: Daemons) -> Iterator[tuple[Stand, dict[str, Daemon]]]:  # noqa: F811
    running = {name: daemons() for name in ("a", "b")}
    nodes = {n: (destination(n, d), d.module_path) for n, d in running.items()}
    with stand_with(tmp_path, nodes) as stand:
        yield stand, running


Two = tuple[Stand, dict[str, Daemon]]


def refuse(daemon: Daemon) -> None:
    """From now on the daemon lets nobody at its module; it greets all the same."""
    (daemon.folder / "rsyncd.conf").write_text("hosts deny = *\n" + daemon.config)


def admit(daemon: Daemon) -> None:
    (daemon.folder / "rsyncd.conf").write_text(daemon.config)


def test_a_daemon_with_a_password_is_served_and_the_password_is_told_to_nobody(
    tmp_path: Path,
    daemons: Daemons,  # noqa: F811
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    right, wrong = daemons(password=PASSWORD), daemons(password=PASSWORD)
    nodes = {
        "right": (destination("right", right, user=USER, password=PASSWORD), right.module_path),
        "wrong": (destination("wrong", wrong, user=USER, password="guessed it"), wrong.module_path),
    }
    with stand_with(tmp_path, nodes) as stand:
        stand.start()
        wait_until(lambda: stand.state("right") is State.READY)
        stand.alike("right")
        wait_until(lambda: stand.node("wrong").blocked, 20, "says why")
        assert "auth" in (stand.node("wrong").blocked or "")
        assert not list(wrong.module_path.iterdir())
        said = caplog.text + repr(stand.notes.events) + repr(stand.node("wrong"))
        assert PASSWORD not in said
        assert "guessed it" not in said


def test_a_node_over_ssh_gets_everything_and_its_drift_is_repaired(
    tmp_path: Path,
    ssh_server: Sshd,  # noqa: F811
) -> None:
    folder = tmp_path / "over ssh"
    folder.mkdir()
    to = Destination(
        "s",
        ssh_server.host,
        transport="ssh",
        ssh_user=ssh_server.user,
        ssh_port=ssh_server.port,
        ssh_key_file=str(ssh_server.key_file),
        ssh_known_hosts=str(ssh_server.known_hosts),
        ssh_path=str(tmp_path / "ssh"),
    )
    (tmp_path / "ssh").mkdir()
    with stand_with(tmp_path, {"s": (to, tmp_path / "ssh")}) as stand:
        stand.start()
        stand.all_ready()
        write(stand.root, b"new\nline", "odd")
        os.unlink(stand.root / "start/1.txt")
        stand.alike()
        stand.at_head()
        (tmp_path / "ssh/start/2.txt").write_text("somebody else")
        stand.audit()
        stand.all_ready()
        stand.alike()


def test_a_module_that_became_read_only_is_shown_and_its_node_falls_out_of_step(two: Two) -> None:
    stand, running = two
    stand.start()
    stand.all_ready()
    conf = running["b"].folder / "rsyncd.conf"
    conf.write_text(running["b"].config.replace("read only = no", "read only = yes"))
    write(stand.root, "news.txt", "x")
    wait_until(lambda: "read only" in (stand.node("b").blocked or ""), 10, "says why")
    wait_until(lambda: stand.node("b").out_of_step, 10, "out of step after the lag (promise 2b)")
    assert "changes behind" in (stand.node("b").out_of_step or "")
    assert stand.node("a").in_sync
    assert not stand.node("b").in_sync
    conf.write_text(running["b"].config)
    stand.all_ready(40)
    stand.alike()


def test_what_every_node_is_late_with_takes_nobody_out(two: Two) -> None:
    stand, running = two
    stand.start()
    stand.all_ready()
    for daemon in running.values():
        refuse(daemon)
    write(stand.root, "news.txt", "x")
    wait_until(lambda: stand.node("a").blocked and stand.node("b").blocked)
    end = time.monotonic() + 2 * stand.settings().max_lag_seconds
    while time.monotonic() < end:
        assert stand.node("a").in_sync
        assert stand.node("b").in_sync
        time.sleep(0.05)
    for daemon in running.values():
        admit(daemon)
    stand.alike(seconds=40)


def test_a_path_that_no_node_can_take_takes_nobody_out(two: Two) -> None:
    stand, running = two
    stand.start()
    stand.all_ready()
    blocks = [daemon.module_path / "poison" for daemon in running.values()]
    for block in blocks:
        block.mkdir()
    immutable = [subprocess.run(["chattr", "+i", str(b)], capture_output=True, check=False) for b in blocks]
    if any(done.returncode for done in immutable):
        pytest.skip("no immutable files here")
    try:
        write(stand.root, "poison", "a file")
        wait_until(lambda: all(b"poison" in stand.node(n).dustbin for n in stand.nodes), 10)
        end = time.monotonic() + 2 * stand.settings().max_lag_seconds
        while time.monotonic() < end:
            assert all(stand.node(n).in_sync for n in stand.nodes)
            time.sleep(0.05)
    finally:
        for block in blocks:
            subprocess.run(["chattr", "-i", str(block)], check=True)
    stand.engine.retry_paths(lambda name, path: True)  # type: ignore[union-attr]
    stand.alike()
    stand.at_head()


def test_a_full_disk_isolates_what_does_not_fit_and_recovers_when_it_is_freed(
    tmp_path: Path,
    daemons: Daemons,  # noqa: F811
    small_tmpfs: Path,  # noqa: F811
) -> None:
    full, roomy = daemons({"content": small_tmpfs}), daemons()
    nodes = {
        "full": (destination("full", full), small_tmpfs),
        "roomy": (destination("roomy", roomy), roomy.module_path),
    }
    with stand_with(tmp_path, nodes) as stand:
        stand.start()
        stand.all_ready()
        write(stand.root, "big.bin", os.urandom(3_000_000))
        for number in range(20):
            write(stand.root, f"small/{number}", str(number))
        stand.alike("roomy")
        wait_until(lambda: b"big.bin" in stand.node("full").dustbin, 20, "isolated")
        wait_until(lambda: len(list(small_tmpfs.glob("small/*"))) == 20, 20, "the others arrive")
        assert "space" in stand.node("full").dustbin[b"big.bin"].error.lower()
        wait_until(lambda: stand.node("full").out_of_step, 10, "out of step (promise 2a)")
        subprocess.run(["mount", "-o", "remount,size=20m", str(small_tmpfs)], check=True)
        stand.all_ready(60)
        stand.alike()


def test_a_path_the_source_cannot_read_counts_against_no_node(two: Two) -> None:
    if os.getuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("needs root, to take its rights away from rsync")
    stand, _ = two
    weak = stand.tmp / "weak-rsync"
    weak.write_text('#!/bin/sh\nexec setpriv --bounding-set=-all --inh-caps=-all -- rsync "$@"\n')
    weak.chmod(0o755)
    stand.start(options=replace(stand.settings().options, program=str(weak)))
    stand.all_ready()
    write(stand.root, "secret.txt", "s", mode=0o000)
    write(stand.root, "open.txt", "o")
    wait_until(lambda: b"secret.txt" in stand.engine.field.source_errors, 10)  # type: ignore[union-attr]
    wait_until(lambda: all((path / "open.txt").exists() for _, path in stand.nodes.values()))
    stand.at_head()
    assert all(n.in_sync and not n.dustbin for n in stand.engine.field.nodes.values())  # type: ignore[union-attr]
    stand.audit()
    assert not stand.notes.said("drift")
    os.chmod(stand.root / "secret.txt", 0o644)
    stand.alike()
    wait_until(lambda: not stand.engine.field.source_errors, 10)  # type: ignore[union-attr]


def test_corruption_that_only_a_checksum_sees_is_found_by_a_deep_audit_and_repaired(two: Two) -> None:
    stand, running = two
    stand.start()
    stand.all_ready()
    victim = running["b"].module_path / "start/1.txt"
    stat = victim.stat()
    victim.write_bytes(b"X" * stat.st_size)
    os.utime(victim, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    stand.audit("b")
    assert not stand.notes.said("drift")
    stand.audit("b", deep=True)
    assert stand.notes.said("drift")
    stand.all_ready()
    assert_alike(stand.root, running["b"].module_path)
    stand.audit("b", deep=True)
    assert len(stand.notes.said("drift")) == 1


def test_drift_that_cannot_be_repaired_ends_in_the_dustbin_and_not_in_a_circle(two: Two) -> None:
    stand, running = two
    stand.start()
    stand.all_ready()
    stranger = running["b"].module_path / "stranger.txt"
    stranger.write_text("nobody can delete this")
    if subprocess.run(["chattr", "+i", str(stranger)], capture_output=True, check=False).returncode:
        pytest.skip("no immutable files here")
    try:
        for _ in range(3):
            stand.audit("b")
            wait_until(lambda: stand.state("b") is State.READY)
        assert list(stand.node("b").dustbin) == [b"stranger.txt"]
        assert len([f for f in stand.notes.flips if f.old is State.READY]) == 1
        wait_until(lambda: stand.node("b").dustbin[b"stranger.txt"].attempts > 1, 10, "goes on trying")
    finally:
        subprocess.run(["chattr", "-i", str(stranger)], check=True)
    wait_until(lambda: not stranger.exists(), 20)
    stand.all_ready()


def test_a_node_that_comes_back_catches_up_with_what_came_while_it_was_resynced(two: Two) -> None:
    stand, running = two
    stand.start()
    stand.all_ready()
    running["b"].kill()
    wait_until(lambda: stand.state("b") is State.DEAD, 20)
    for number in range(1500):
        write(stand.root, f"bulk/{number}", os.urandom(200))
    running["b"].start()
    number = 0
    while stand.state("b") is not State.READY:  # the tail goes on while b is resynced
        write(stand.root, f"meanwhile/{number % 50}", str(number))
        number += 1
        time.sleep(0.01)
        assert number < 3000
    stand.all_ready()
    stand.alike()
    stand.at_head()
