"""Holds the unit and the plist to what systemd and launchd take, and the service to systemd's protocol."""

from __future__ import annotations

import plistlib
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from app.cli.install import made
from app.service_file import PathError, Place
from app.systemd import Heart, Notifier
from tests.servers_lockstep import ROOT, Lockstep
from tests.servers_lockstep import lockstep as lockstep


def place(folder: Path, user: str = "daemon") -> Place:
    return Place(ROOT, Path(sys.executable), user, folder / "config.yml", "prod", folder / "var")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze here")
@pytest.mark.parametrize("name", ["plain", "with blank", 'odd %h $x "q"'])
@pytest.mark.parametrize("user", ["daemon", "root"])
def test_systemd_takes_the_unit(tmp_path: Path, name: str, user: str) -> None:
    path = tmp_path / "lockstep.service"
    path.write_text(made("systemd", place(tmp_path / name, user)))
    done = subprocess.run(
        ["systemd-analyze", "verify", str(path)], capture_output=True, text=True, check=False
    )
    about_it = [line for line in done.stderr.splitlines() if "lockstep" in line]
    assert (done.returncode, about_it) == (0, [])


def test_the_unit_names_what_is_here_and_says_it_once(tmp_path: Path) -> None:
    lines = made("systemd", place(tmp_path / "with blank")).splitlines()
    assert f"WorkingDirectory={ROOT}" in lines
    assert f"ExecStart={sys.executable} wsgi.py" in lines
    assert f'Environment="LOCKSTEP_CONFIG={tmp_path}/with blank/config.yml"' in lines
    assert f'ReadWritePaths="{tmp_path}/with blank" "{tmp_path}/with blank/var"' in lines
    keys = [line.partition("=")[0] for line in lines if "=" in line and not line.startswith("#")]
    assert len(keys) == len(set(keys))
    assert not [line for line in lines if "/opt/lockstep" in line]


def test_a_folder_that_cannot_stand_in_a_unit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PathError, match="rename the folder"):
        made("systemd", place(tmp_path / "two\nlines"))


def test_the_plist_names_what_is_here(tmp_path: Path) -> None:
    said = plistlib.loads(made("launchd", place(tmp_path)).encode())
    assert said["ProgramArguments"] == [sys.executable, "wsgi.py"]
    assert (said["UserName"], said["WorkingDirectory"]) == ("daemon", str(ROOT))
    assert said["EnvironmentVariables"]["LOCKSTEP_CONFIG"] == str(tmp_path / "config.yml")


def test_install_writes_into_a_folder_and_uninstall_removes_it(lockstep: Lockstep) -> None:
    units = lockstep.folder / "units"
    assert lockstep.run("install", "--to", str(units), "--kind", "systemd").returncode == 0
    assert (units / "lockstep.service").read_text() == lockstep.run(
        "install", "--print", "--kind", "systemd"
    ).stdout
    assert lockstep.run("uninstall", "--from", str(units), "--kind", "systemd").returncode == 0
    assert not list(units.iterdir())
    assert lockstep.run("uninstall", "--from", str(units), "--kind", "systemd").returncode == 2


# ── the protocol ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def listening(tmp_path: Path) -> tuple[str, Callable[[], list[str]]]:
    """A socket as systemd's, and what came so far."""
    path = str(tmp_path / "notify")
    receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    receiver.bind(path)
    receiver.settimeout(0.2)

    def came() -> list[str]:
        found = []
        while True:
            try:
                found.append(receiver.recv(4096).decode())
            except TimeoutError:
                return found

    return path, came


def test_the_service_tells_systemd_that_it_is_ready_reloads_lives_and_ends(
    lockstep: Lockstep, listening: tuple[str, Callable[[], list[str]]]
) -> None:
    path, came = listening
    lockstep.environ |= {"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "600000"}
    said: list[str] = []

    def heard(word: str) -> bool:
        said.extend(came())
        return any(word in text for text in said)

    lockstep.start()
    lockstep.until(lambda: heard("READY=1"), "READY=1")
    lockstep.until(lambda: heard("WATCHDOG=1"), "WATCHDOG=1")
    lockstep.process.send_signal(1)  # type: ignore[union-attr]  # SIGHUP
    lockstep.until(lambda: heard("RELOADING=1"), "RELOADING=1")
    lockstep.until(lambda: heard("STATUS=reloaded"), "READY=1 after the reload")
    assert lockstep.stop() == 0
    assert heard("STOPPING=1")


def test_a_stuck_engine_starves_the_watchdog() -> None:
    now, posted = [0.0], []
    notifier = Notifier({"WATCHDOG_USEC": "3000000"})
    told: list[float] = []
    notifier.alive = lambda: told.append(now[0])  # type: ignore[method-assign]
    heart = Heart(notifier, posted.append, lambda: now[0])
    for second in range(10):
        now[0] = float(second)
        heart.tick()
        if second < 4:
            for answer in posted:
                answer()
            posted.clear()
    assert told == [0.0, 1.0, 2.0, 3.0, 4.0]


def test_without_systemd_nothing_is_said_and_another_process_s_watchdog_is_not_ours() -> None:
    Notifier({}).ready("here")
    assert Notifier({"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"}).watchdog_seconds is None
    Notifier({"NOTIFY_SOCKET": "/nowhere/notify"}).stopping()
