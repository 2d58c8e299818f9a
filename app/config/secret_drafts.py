"""Keeps secrets of forms that were shown as a diff and not agreed to yet, and removes what nobody agreed to.

A draft lies where it will stay, because the diff names it and the check reads it; a mark beside it says that it
is one. It never removes what a configuration names.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from app.files import write_atomically

KEEP_SECONDS = 3600.0
MARK = ".draft"


def folder_in(data_dir: Path) -> Path:
    """Where secrets that were typed into forms lie."""
    return data_dir / "secrets"


def write(folder: Path, name: str, secret: str) -> None:
    """Puts a secret down as a draft, mode 0600. Raises OSError."""
    write_atomically(_mark(folder, name), b"")  # first: a crash in between leaves a mark, and no secret
    write_atomically(folder / name, secret.encode())


def settle(folder: Path, names: Iterable[str]) -> None:
    """These are drafts no more: the configuration that names them is written."""
    for name in names:
        with suppress(OSError):
            _mark(folder, name).unlink()


def sweep(folder: Path, config: Path, now: float | None = None) -> list[str]:
    """The names of the drafts that were removed: older than an hour, and not in this configuration or one beside it.

    Files that cannot be read or removed are left for the next time.
    """
    removed = []
    now = time.time() if now is None else now
    try:
        marks = [Path(entry) for entry in os.scandir(folder) if entry.name.endswith(MARK)]
        old = [mark for mark in marks if now - mark.stat().st_mtime > KEEP_SECONDS]
    except OSError:
        return []
    for mark in old:
        name = mark.name.removeprefix(".").removesuffix(MARK)
        with suppress(OSError):
            if name not in _configurations(config):  # read again for each: a form may just be saved
                (folder / name).unlink(missing_ok=True)
                removed.append(name)
            mark.unlink()
    return removed


def _configurations(config: Path) -> str:
    """What stands in this configuration and in those beside it, its layers among them. Raises OSError."""
    beside = {config, *config.parent.glob("*.y*ml"), *config.parent.glob(f"*{config.suffix or '.y*ml'}")}
    return "\n".join(path.read_text(errors="replace") for path in sorted(beside) if path.is_file())


def _mark(folder: Path, name: str) -> Path:
    return folder / f".{name}{MARK}"
