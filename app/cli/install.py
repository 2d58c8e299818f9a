"""`flask install` and `flask uninstall`: the service at boot, by systemd or launchd. They touch no configuration."""

from __future__ import annotations

import getpass
import os
import pwd
import shutil
import subprocess
import sys
from pathlib import Path

import click

from app import ROOT
from app.cli.output import fail, speaks_plainly
from app.config import Config
from app.config.schema.providers import ZonefileProvider
from app.installation import configuration
from app.service_file import PLIST, UNIT, PathError, Place, plist, unit

FOLDERS = {"systemd": Path("/etc/systemd/system"), "launchd": Path("/Library/LaunchDaemons")}
NAMES = {"systemd": UNIT, "launchd": PLIST}


def _kind() -> str:
    return "launchd" if sys.platform == "darwin" else "systemd"


kind_option = click.option(
    "--kind", type=click.Choice(list(FOLDERS)), default=_kind, help="Default: this system's."
)


@click.command()
@click.option("--user", help="Runs as this user; default: who owns data_dir, else the caller.")
@click.option("--print", "show", is_flag=True, help="Print the file and do nothing.")
@click.option(
    "--to", type=click.Path(path_type=Path, file_okay=False), help="Write it into this folder, start nothing."
)
@kind_option
@speaks_plainly
def install(user: str | None, show: bool, to: Path | None, kind: str) -> None:
    """Makes the service start at boot, and starts it."""
    config = configuration()
    place = place_of(config, user or owner(config.data_dir))
    try:
        text = made(kind, place)
    except PathError as error:
        fail(str(error))
    if show:
        click.echo(text, nl=False)
        return
    folder = to or FOLDERS[kind]
    if to is None:
        _must_be_able(kind)
    path = folder / NAMES[kind]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        fail(f"{path} could not be written: {error.strerror}")
    click.echo(f"{path} is written; it runs as {place.user}")
    if to is None:
        start(kind, path)


def place_of(config: Config, user: str) -> Place:
    """Where the service lives. The folders it writes: configuration, data, log, zone files."""
    writable = [Path(p.path) for p in config.dns.providers.values() if isinstance(p, ZonefileProvider)]
    if config.log.path is not None:
        writable.append(config.log.path.parent)
    return Place(ROOT, Path(sys.executable), user, config.path, config.env, config.data_dir, tuple(writable))


def owner(data_dir: Path) -> str:
    """Whose the data is; where there is none yet, who calls (through sudo too)."""
    try:
        return pwd.getpwuid(data_dir.stat().st_uid).pw_name
    except (OSError, KeyError):
        return os.environ.get("SUDO_USER") or getpass.getuser()


def made(kind: str, place: Place) -> str:
    """The file for systemd or launchd, from the one under deploy/."""
    if kind == "launchd":
        return plist((ROOT / "deploy" / "launchd" / PLIST).read_bytes(), place).decode()
    return unit((ROOT / "deploy" / UNIT).read_text(encoding="utf-8"), place)


def _must_be_able(kind: str) -> None:
    program = "launchctl" if kind == "launchd" else "systemctl"
    if shutil.which(program) is None or (kind == "systemd" and not Path("/run/systemd/system").is_dir()):
        fail(f"{kind} does not run here; `flask install --print` shows the file, --to FOLDER writes it")
    if os.geteuid() != 0:
        fail("only root can install a service: sudo -E flask install --user NAME, or --print")


def start(kind: str, path: Path) -> None:
    """Lets systemd or launchd know, and starts it. Ends the command with status 2 when that fails."""
    if kind == "launchd":
        _call(["launchctl", "bootstrap", "system", str(path)])
    else:
        _call(["systemctl", "daemon-reload"])
        _call(["systemctl", "enable", "--now", UNIT])
        click.echo("it runs: systemctl status lockstep, journalctl -u lockstep, systemctl reload lockstep")


def _call(command: list[str], *, must: bool = True) -> None:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0 and must:
        fail(f"{' '.join(command)} failed: {done.stderr.strip() or done.stdout.strip()}")


@click.command()
@click.option(
    "--from", "folder", type=click.Path(path_type=Path, file_okay=False), help="Where --to wrote it."
)
@kind_option
@speaks_plainly
def uninstall(folder: Path | None, kind: str) -> None:
    """Stops the service and takes it out of the boot. Configuration and data stay."""
    path = (folder or FOLDERS[kind]) / NAMES[kind]
    if not path.exists():
        fail(f"{path} is not there: nothing is installed")
    if folder is None:
        _must_be_able(kind)
        if kind == "launchd":
            _call(["launchctl", "bootout", "system", str(path)], must=False)
        else:
            _call(["systemctl", "disable", "--now", UNIT], must=False)
    try:
        path.unlink()
    except OSError as error:
        fail(f"{path} could not be removed: {error.strerror}")
    if folder is None and kind == "systemd":
        _call(["systemctl", "daemon-reload"])
    click.echo(f"{path} is removed; configuration and data stay")
