"""Asks a node that is about to be configured whether it can be sent to. Changes nothing there that it does not undo.

daemon   the greeting (its protocol says how old the rsync is), then one small file written and deleted again
ssh      `rsync --version` over the very ssh command that will be used, then the same file
"""

from __future__ import annotations

import re
import secrets
import shlex
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from app.config import Config, destination
from app.config.schema.nodes import NodeConfig
from sync.core.args import RsyncOptions, Run
from sync.core.model import Destination, Form, Outcome
from sync.core.scope import Scope
from sync.probes.connection import Deadline, connect, describe, endpoint
from sync.rsync import Runner
from sync.rsync_version import RsyncError, check_rsync
from sync.transports import DestinationError, reach

TIMEOUT_SECONDS = 20.0
OLDEST_PROTOCOL = 31
ANSWERS = {30: "rsync 3.0", 31: "rsync 3.1 to 3.3", 32: "rsync 3.4 or newer"}


@dataclass(frozen=True, slots=True)
class NodeCheck:
    """What came of it. ``trouble`` is None when the node can be sent to; ``version`` in words, as far as known."""

    reachable: bool
    version: str | None
    writable: bool
    trouble: str | None = None

    @property
    def ok(self) -> bool:
        return self.trouble is None


def check_node(config: Config, node: NodeConfig, timer: Callable[[], float] = time.monotonic) -> NodeCheck:
    """What the node answers now; takes at most about a minute. Raises nothing for what the node does."""
    target = destination(config, node)
    if not target.host:
        return NodeCheck(False, None, False, "it has no host yet: it follows its first address")
    options = RsyncOptions(
        program=config.sync.rsync,
        connect_seconds=config.sync.connect_seconds,
        timeout_seconds=min(config.sync.timeout_seconds, TIMEOUT_SECONDS),
        stall_seconds=TIMEOUT_SECONDS,
    )
    try:
        found = _over_ssh(target, options) if target.transport == "ssh" else _greeting(target, options, timer)
    except DestinationError as error:
        return NodeCheck(False, None, False, str(error))
    if found.trouble is not None:
        return found
    trouble = _write(target, options, root_mode(config))
    return replace(found, writable=trouble is None, trouble=trouble)


def _greeting(target: Destination, options: RsyncOptions, timer: Callable[[], float]) -> NodeCheck:
    where = endpoint(target.host, target.port)
    deadline = Deadline.after(options.connect_seconds, timer)
    said = b""
    try:
        with connect(target.host, target.port, deadline) as connection:
            while b"\n" not in said and len(said) < 256:
                connection.settimeout(deadline.left())
                more = connection.recv(256)
                if not more:
                    break
                said += more
    except OSError as error:
        return NodeCheck(False, None, False, describe(error, where, options.connect_seconds))
    return _judged(said, where)


def _judged(said: bytes, where: str) -> NodeCheck:
    """rsync's csprotocol.txt: ``@RSYNCD: 32.0 sha512 …``; the number is the protocol, not the release."""
    found = re.match(rb"@RSYNCD: (\d+)\.", said)
    if found is None:
        trouble = f"what listens on {where} is no rsync daemon" if said else f"{where} closed the connection"
        return NodeCheck(False, None, False, trouble)
    protocol = int(found[1])
    version = f"protocol {protocol} ({ANSWERS.get(min(protocol, 32), 'older than rsync 3.0')})"
    if protocol < OLDEST_PROTOCOL:
        return NodeCheck(True, version, False, f"its rsync is too old: {version}; install 3.2.3 or newer")
    return NodeCheck(True, version, False)


def _over_ssh(target: Destination, options: RsyncOptions) -> NodeCheck:
    remote = reach(target, options)
    shell = remote.options[remote.options.index("-e") + 1]
    host = remote.destination.rpartition(":")[0].strip("[]")
    user = f"{target.ssh_user}@" if target.ssh_user else ""
    command = [*shlex.split(shell), "--", f"{user}{target.host}" if "@" not in host else host]
    try:
        said = check_rsync("rsync", lambda program: _ask(command, program))
    except RsyncError as error:
        return NodeCheck(False, None, False, f"over ssh: {error}")
    except (OSError, subprocess.TimeoutExpired) as error:
        return NodeCheck(False, None, False, f"ssh to {target.host} did not end well: {error}")
    return NodeCheck(True, f"rsync {said}", False)


def _ask(command: list[str], program: str) -> str:
    said = subprocess.run(
        [*command, program, "--version"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=TIMEOUT_SECONDS,
        check=False,
    )
    if said.returncode == 255:
        raise OSError(said.stderr.strip().splitlines()[-1] if said.stderr.strip() else "ssh failed")
    return said.stdout + said.stderr


def root_mode(config: Config) -> int:
    """The publish directory's mode: rsync carries the mode of the folder a file lies in, also that of the root."""
    try:
        return config.publish.root.stat().st_mode & 0o7777
    except OSError:
        return 0o755


def _write(target: Destination, options: RsyncOptions, mode: int) -> str | None:
    """Sends one small file and deletes it again; None when both went well, else what did not."""
    name = f".lockstep-check-{secrets.token_hex(4)}".encode()
    with tempfile.TemporaryDirectory(prefix="lockstep-check-") as folder:
        Path(folder).chmod(mode | 0o700)
        file = Path(folder) / name.decode()
        file.write_text(f"Lockstep's check from {socket.gethostname()}; it deletes this file again.\n")
        runner = Runner(options, folder, Scope())
        sent = runner.run(target, Run(Form.FILES, (name,)))
        if sent.outcome is not Outcome.DONE:
            return sent.message or next(iter(sent.failed.values()), "the file could not be written")
        file.unlink()
        gone = runner.run(target, Run(Form.GONE, (name,)))
        if gone.outcome not in (Outcome.DONE, Outcome.VANISHED):
            return f"{name.decode()} was written but not deleted again: {gone.message}"
    return None


def advice(config: Config, node: NodeConfig) -> str:
    """What to put into the node's rsyncd.conf (or, for ssh, what to see to), ready to be copied."""
    target = destination(config, node)
    if target.transport == "ssh":
        return (
            f"On {target.host}: rsync 3.2.3 or newer installed, {target.ssh_path} there and writable by "
            f"{target.ssh_user or 'the user'}, and this machine's public key in its ~/.ssh/authorized_keys."
        )
    login = (
        f"auth users = {target.user}\nsecrets file = /etc/rsyncd.secrets   # {target.user}:PASSWORD, mode 600\n"
        if target.user
        else ""
    )
    port = f"port = {target.port}\n" if target.port != 873 else ""
    return f"""\
# /etc/rsyncd.conf on {target.host}
{port}uid = www-data
gid = www-data
use chroot = yes
munge symlinks = no
socket options = TCP_NODELAY
listen backlog = 128
reverse lookup = no

[{target.module.split("/")[0]}]
path = /var/www/html
read only = no
# hosts allow = the supervisor's address
{login}"""
