"""Starts the very rsyncs that the service would, by hand and without it: the baseline."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from sync.core.args import RsyncOptions, Run, argv, file_list
from sync.core.model import Destination
from sync.core.scope import Scope
from sync.transports import reach

EXCLUDES = ("*.git", "*.svn", "*.tmp", ".~tmp~/")
ENVIRONMENT = {**os.environ, "LC_ALL": "C", "RSYNC_PASSWORD": ""}


def commands(
    run: Run, root: Path, port: int, modules: Iterable[str], progress: bool = False
) -> list[list[str]]:
    """The service's own arguments for this run, one command a node."""
    options, scope = RsyncOptions("/usr/bin/env", timeout_seconds=300), Scope(excludes=EXCLUDES)
    made = []
    for module in modules:
        to = Destination(module, "127.0.0.1", module=module, port=port)
        command = argv(run, options, scope, str(root), reach(to, options), progress=progress)
        made.append(["rsync", *command[1:]])
    return made


def run_all(
    commands: Sequence[Sequence[str]], at_once: int, stdin: Path | None = None, quiet: bool = True
) -> list[int]:
    """Runs them all, so many at once, and waits for the last; their exit codes. posix_spawn: nothing is cheaper."""
    waiting = list(reversed(commands))
    running: dict[int, int] = {}
    codes: list[int] = []
    poller = select.poll()
    while waiting or running:
        while waiting and len(running) < at_once:
            pid = _spawn(waiting.pop(), stdin)
            descriptor = os.pidfd_open(pid)
            running[descriptor] = pid
            poller.register(descriptor, select.POLLIN)
        for descriptor, _ in poller.poll():
            poller.unregister(descriptor)
            os.close(descriptor)
            codes.append(os.waitstatus_to_exitcode(os.waitpid(running.pop(descriptor), 0)[1]))
    if quiet and any(codes):
        raise RuntimeError(f"rsync by hand ended with {sorted(set(codes))}")
    return codes


def _spawn(command: Sequence[str], stdin: Path | None) -> int:
    null = os.devnull
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, str(stdin or null), os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, null, os.O_WRONLY, 0),
        (os.POSIX_SPAWN_OPEN, 2, null, os.O_WRONLY, 0),
    ]
    return os.posix_spawnp(command[0], command, ENVIRONMENT, file_actions=actions)


def write_list(path: Path, paths: Sequence[bytes]) -> Path:
    """What rsync reads from its stdin."""
    path.write_bytes(file_list(paths))
    return path


def timed(commands: Sequence[Sequence[str]], at_once: int, stdin: Path | None = None) -> float:
    """Seconds until the last has ended."""
    began = time.perf_counter()
    run_all(commands, at_once, stdin)
    return time.perf_counter() - began
