"""Loads the configuration: files, environment, secrets in files of their own, in that order. Never writes
anything.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from app.config.checks import warnings
from app.config.environment import override, substitute
from app.config.errors import ConfigError, Problem
from app.config.schema.base import Base
from app.config.schema.root import Config
from app.config.secret_files import SecretFiles
from app.config.tree import Item, merge
from app.config.validation import validated
from app.config.yaml_text import read

DEFAULT_ENV = "prod"
DEFAULT_FILE = "config.yml"


@dataclass(frozen=True, slots=True)
class Sources:
    """Where a configuration comes from: the main file, the environment's file beside it (it need not
    exist).
    """

    main: Path
    env: str

    @property
    def overlay(self) -> Path:
        """``config.<env>.yml`` for ``config.yml``."""
        return self.main.with_name(f"{self.main.stem}.{self.env}{self.main.suffix}")


def load(
    path: Path | str | None = None, env: str | None = None, environ: Mapping[str, str] | None = None
) -> Config:
    """The configuration, whole and valid. Raises `ConfigError` with every problem there is.

    ``path`` defaults to LOCKSTEP_CONFIG, then ``config.yml`` in the working directory; ``env`` to
    LOCKSTEP_ENV, then prod; ``environ`` to the process's environment.
    """
    environ = os.environ if environ is None else environ
    return load_texts(sources(path, env, environ), {}, environ)


def sources(path: Path | str | None, env: str | None, environ: Mapping[str, str]) -> Sources:
    """Which files a call of `load` reads. Raises `ConfigError` for an environment's name that is none."""
    chosen = env or environ.get("LOCKSTEP_ENV") or DEFAULT_ENV
    if not re.fullmatch(r"[A-Za-z0-9_-]+", chosen):
        raise ConfigError([Problem("LOCKSTEP_ENV", 0, 0, "", "must consist of letters, digits, '-', '_'")])
    main = Path(path or environ.get("LOCKSTEP_CONFIG") or DEFAULT_FILE)
    return Sources(Path(os.path.abspath(main)), chosen)


def load_texts(found: Sources, texts: Mapping[Path, str], environ: Mapping[str, str]) -> Config:
    """As `load`, with the text of some files given instead of read: what a file would mean if it were
    written so.
    """
    document, problems, files = layered(found, texts, environ)
    document, unset = substitute(document, environ)
    secrets = SecretFiles(found.main.parent)
    document = secrets.resolved(document)
    wrong = {**unset, **secrets.problems}
    config, more = validated(document, Base(found.main.parent, files), wrong)
    problems += [*wrong.values(), *more]
    if problems or config is None:
        raise ConfigError(_in_order(problems, files))
    config._path, config._env = found.main, found.env
    config._warnings = (*secrets.warnings, *warnings(config))
    return config


def layered(
    found: Sources, texts: Mapping[Path, str], environ: Mapping[str, str]
) -> tuple[Item, list[Problem], tuple[Path, ...]]:
    """The files and variables laid over each other, what was wrong with them, and the files read.

    Raises `ConfigError` when a file cannot be read at all: then nothing more can be said.
    """
    items, problems, files = _read_all(found, texts)
    if len(items) < len(files):
        raise ConfigError(problems)
    document = items[0]
    for item in items[1:]:
        document = merge(document, item)
    document, more = override(document, environ)
    return document, problems + more, files


def _read_all(
    found: Sources, texts: Mapping[Path, str]
) -> tuple[list[Item], list[Problem], tuple[Path, ...]]:
    files = [found.main, *([found.overlay] if found.overlay in texts or found.overlay.exists() else [])]
    items: list[Item] = []
    problems: list[Problem] = []
    for path in files:
        try:
            text = texts[path] if path in texts else path.read_bytes().decode("utf-8-sig")
        except OSError as error:
            problems.append(Problem(display(path), 1, 1, "", f"cannot be read: {error.strerror}"))
            continue
        except UnicodeDecodeError as error:
            line = path.read_bytes()[: error.start].count(b"\n") + 1
            problems.append(Problem(display(path), line, 1, "", "not UTF-8 text: save it as UTF-8"))
            continue
        item, more = read(text, display(path))
        items += [item] if item else []
        problems += more
    return items, problems, tuple(files)


def display(path: Path) -> str:
    """The path as messages show it: relative to the working directory where it lies below it."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def _in_order(problems: list[Problem], files: tuple[Path, ...]) -> list[Problem]:
    order = {display(path): index for index, path in enumerate(files)}
    return sorted(set(problems), key=lambda p: (order.get(p.file, len(order)), p))
