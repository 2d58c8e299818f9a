"""Reaches a node's folder over ssh: [user@]host:/path/. Never asks: what needs an answer fails."""

from __future__ import annotations

import math
import os
import re

from sync.core.args import Remote, RsyncOptions
from sync.core.model import Destination
from sync.transports import address

_PLAIN = re.compile(r"[\w./:=@,+-]+", re.ASCII)


def remote(destination: Destination, options: RsyncOptions) -> Remote:
    """The folder as rsync is told it. Raises DestinationError.

    -s: the remote path reaches rsync without a shell looking at it.
    """
    node = destination.node
    path = address.checked(node, "ssh.path", destination.ssh_path).rstrip("/") + "/"
    user = destination.ssh_user
    name = address.checked(node, "ssh.user", user, without="@:/%") + "@" if user else ""
    limit = destination.bwlimit or options.bwlimit
    return Remote(
        destination=f"{name}{address.host(node, destination.host)}:{path}",
        options=("-s", "-e", _command(destination, options), *([f"--bwlimit={limit}"] if limit else [])),
        prefix=os.fsencode(path.strip("/")),
    )


def _command(destination: Destination, options: RsyncOptions) -> str:
    """The ssh command as one argument. rsync splits it at blanks and knows quotes, but no backslash."""
    node = destination.node
    if not 0 < destination.ssh_port < 65536:
        raise address.DestinationError(
            node, "ssh.port", str(destination.ssh_port), "write a number from 1 to 65535"
        )
    settings = [
        "BatchMode=yes",
        f"Port={destination.ssh_port}",
        "ControlPersist=no",
        "ServerAliveInterval=30",
    ]
    if options.connect_seconds:
        settings.append(f"ConnectTimeout={math.ceil(options.connect_seconds)}")
    if destination.ssh_known_hosts:
        known = _file(node, "ssh.known_hosts", destination.ssh_known_hosts)
        settings += ["StrictHostKeyChecking=yes", f"UserKnownHostsFile={known}"]
    else:
        settings.append("StrictHostKeyChecking=accept-new")
    if destination.ssh_key_file:
        key = _file(node, "ssh.key_file", destination.ssh_key_file)
        settings += ["IdentitiesOnly=yes", f"IdentityFile={key}"]
    return " ".join(["ssh", *(f"-o {_word(setting)}" for setting in settings)])


def _file(node: str, key: str, path: str) -> str:
    """The file as ssh's configuration writes it: blanks quoted, % doubled (ssh_config(5), TOKENS)."""
    if re.search(r"[\x00-\x1f\x7f\"'\\]", path):
        raise address.DestinationError(
            node, key, path, "leave out quotes, backslashes and control characters"
        )
    doubled = path.replace("%", "%%")
    return doubled if _PLAIN.fullmatch(doubled) else f'"{doubled}"'


def _word(setting: str) -> str:
    return setting if _PLAIN.fullmatch(setting) else f"'{setting}'"
