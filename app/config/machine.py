"""Checks what the configuration needs of this machine: rsync, the publish directory, keys. Changes nothing.

`load` does not ask this: a directory that is unmounted while the service runs is a fault to sit out, not a
mistake in the file. A start and `flask check-config` do.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping

from app.config.errors import Problem
from app.config.loader import layered, sources
from app.config.schema.providers import Rfc2136Provider
from app.config.schema.root import Config
from app.config.tree import Loc, problem_at
from sync.rsync_version import RsyncError, RsyncVersion, check_rsync


def problems(
    config: Config,
    environ: Mapping[str, str] | None = None,
    *,
    root: bool = True,
    ask: Callable[[str], RsyncVersion] = check_rsync,
) -> list[Problem]:
    """What is not there or too old, each with the place of the key that names it; ``root``: the directory, too."""
    environ = os.environ if environ is None else environ
    document, _, _ = layered(sources(config.path, config.env, environ), {}, environ)
    found = [*_rsync(config, ask), *_keys(config), *(_root(config) if root else ())]
    return [problem_at(document, loc, said) for loc, said in found]


def _rsync(config: Config, ask: Callable[[str], RsyncVersion]) -> Iterator[tuple[Loc, str]]:
    try:
        ask(config.sync.rsync)
    except RsyncError as error:
        yield ("sync", "rsync"), str(error)


def _keys(config: Config) -> Iterator[tuple[Loc, str]]:
    for name, provider in config.dns.providers.items():
        if not isinstance(provider, Rfc2136Provider) or not config.dns.enabled:
            continue
        for line, keys in provider.lines.items():
            if not os.access(keys.key_file, os.R_OK):
                what = "cannot be read by this account" if keys.key_file.exists() else "is not there"
                yield (
                    ("dns", "providers", name, "lines", line, "key_file"),
                    f"{keys.key_file} {what}: put there what tsig-keygen prints",
                )


def _root(config: Config) -> Iterator[tuple[Loc, str]]:
    root = config.publish.root
    if not root.is_dir():
        what = "is no directory" if root.exists() else "is not there"
        yield ("publish", "root"), f"{root} {what}: create it, mount it, or name another"
    elif not os.access(root, os.R_OK | os.X_OK):
        yield ("publish", "root"), f"{root} cannot be read by this account: give it the right to"
