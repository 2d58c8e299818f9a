"""The demo environment: three real rsync daemons on loopback as nodes, sample pages, and the service over them."""

from __future__ import annotations

import getpass
import grp
import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import click

from app import ROOT, create_app
from app.config import load
from app.serving import serve
from app.supervisor import CannotStart
from sync.rsync_version import check_rsync

NODES = 3
PORT = 7873
START_SECONDS = 5.0

CONFIG = """\
# Written by the demo at each start.
use chroot = {chroot}
munge symlinks = no
reverse lookup = no
listen backlog = 128
socket options = TCP_NODELAY
log file = {folder}/rsyncd.log
pid file = {folder}/rsyncd.pid
uid = {user}
gid = {group}

[content]
path = {folder}/content
read only = no
"""

PAGES = {
    "index.html": """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Published with Lockstep</title>
<link rel="stylesheet" href="style.css">
<h1>It works</h1>
<p>Change this file under <code>publish/</code> and watch it arrive on every node.</p>
</html>
""",
    "style.css": "body { font: 1.1rem/1.6 system-ui, sans-serif; max-width: 40rem; margin: 4rem auto; }\n",
    "docs/hello.txt": "A folder is carried with everything in it.\n",
}


@dataclass
class Daemon:
    """One demo node's rsync daemon."""

    name: str
    host: str
    port: int
    folder: Path
    process: subprocess.Popen[bytes]

    def end(self) -> None:
        """Ends the daemon by its process id."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def run() -> None:
    """Runs until Ctrl-C; ends everything it started. Raises CannotStart with what to do."""
    os.environ.setdefault("LOCKSTEP_ENV", "demo")
    config = load(env="demo")
    check_rsync(config.sync.rsync)
    make_pages(config.publish.root)
    with daemons(config.data_dir / "demo", config.sync.rsync) as started:
        os.environ["LOCKSTEP__NODES"] = json.dumps([node_entry(daemon) for daemon in started])
        for daemon in started:
            click.echo(
                f"node {daemon.name}: rsync://{daemon.host}:{daemon.port}/content in {shown(daemon.folder)}"
            )
        click.echo(f"publish directory: {shown(config.publish.root)}")
        click.echo(f"page: http://{config.web.host}:{config.web.port}/   end with Ctrl-C")
        serve(create_app(load(env="demo")))


def shown(path: Path) -> str:
    """The path as one would type it here."""
    return os.path.relpath(path) if path.is_relative_to(ROOT) else str(path)


def make_pages(root: Path) -> None:
    """A few sample pages, when there is no publish directory yet."""
    if root.exists():
        return
    for name, text in PAGES.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def node_entry(daemon: Daemon) -> dict[str, object]:
    """The daemon as under ``nodes`` in config.yml."""
    return {"name": daemon.name, "host": daemon.host, "port": daemon.port, "module": "content"}


@contextmanager
def daemons(folder: Path, rsync: str) -> Iterator[list[Daemon]]:
    """Three daemons, each with an address and a folder of its own, ended afterwards."""
    started: list[Daemon] = []
    try:
        for number in range(1, NODES + 1):
            started.append(start(f"demo-{number}", number, folder / f"demo-{number}", rsync))
        yield started
    finally:
        for daemon in started:
            daemon.end()


def start(name: str, number: int, folder: Path, rsync: str) -> Daemon:
    """One daemon. Linux answers on all of 127.0.0.0/8; elsewhere the nodes share an address and differ by port.

    Where the usual port is taken (another demo runs), any free one is.
    """
    (folder / "content").mkdir(parents=True, exist_ok=True)
    own = f"127.0.0.{10 + number}"
    host, port = (own, PORT) if free_port(own) is not None else ("127.0.0.1", PORT + number)
    port = free_port(host, port) or free_port(host) or port
    text = CONFIG.format(
        chroot="yes" if os.getuid() == 0 else "no",
        folder=folder,
        user=getpass.getuser(),
        group=grp.getgrgid(os.getgid()).gr_name,
    )
    (folder / "rsyncd.conf").write_text(text, encoding="utf-8")
    (folder / "rsyncd.pid").unlink(missing_ok=True)
    command = [
        rsync,
        "--daemon",
        "--no-detach",
        f"--config={folder}/rsyncd.conf",
        f"--address={host}",
        f"--port={port}",
    ]
    setpriv = shutil.which("setpriv")
    if setpriv:  # should the service be killed, the kernel ends its daemons
        command = [setpriv, "--pdeathsig", "TERM", *command]
    # A session of its own, so that Ctrl-C reaches the service alone, which then ends its daemons in order.
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    daemon = Daemon(name, host, port, folder, process)
    if not answers(daemon):
        daemon.end()
        raise CannotStart(
            f"the demo's rsync daemon for {name} does not answer on {host}:{port}: is the port taken? "
            f"its log is {folder}/rsyncd.log"
        )
    return daemon


def free_port(host: str, port: int = 0) -> int | None:
    """The port, or any where it is 0, if a server could listen on it; None where it could not."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return None
        return int(probe.getsockname()[1])


def answers(daemon: Daemon) -> bool:
    """Whether the daemon greets, within a few seconds; another program on the port does not count."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and daemon.process.poll() is None:
        try:
            with socket.create_connection((daemon.host, daemon.port), 1) as connection:
                return connection.recv(8) == b"@RSYNCD:" and daemon.process.poll() is None
        except OSError:
            time.sleep(0.02)
    return False
