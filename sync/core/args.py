"""Decides rsync's arguments and its file list for each form of run. Starts nothing and reads nothing.

    form        what it is made of
    FILES       -lptD -O --modify-window=-1 -c --force --delay-updates, the paths on stdin
    GONE        FILES' with -d --delete-after --delete-missing-args: what the list names and the source
                lacks goes (--force alone would take excluded files below a directory along)
    SUBTREES    the same with -r, and --delete-after where the scope deletes; when new to the node as a whole
                -r -R -lptD -O --modify-window=-1 --force -I, the paths as arguments
    EVERYTHING  -r -lptD -O --modify-window=-1 --force, and --delete-after where the scope deletes
    AUDIT       EVERYTHING with -n, and --ignore-errors so that one folder that cannot be read here does not hide
                whatever else is too much there; with paths: FILES with -n and --delete-missing-args
    DEEP_AUDIT  the same with -c

Never among them, because each would break a promise: --inplace and --temp-dir (a page half written),
--update (a rollback is not sent), --ignore-errors in a run that writes (an unreadable directory would delete).
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from sync.core.model import Form
from sync.core.scope import LEFT_OVER, Scope

AUDITS = frozenset({Form.AUDIT, Form.DEEP_AUDIT})
SENDS = frozenset({Form.FILES, Form.SUBTREES, Form.EVERYTHING})
LISTED = frozenset({Form.FILES, Form.GONE, Form.SUBTREES})
# Without %L: rsync ends with 13 when a long path and a long link target meet in one line (log.c). Without it
# a line holds one name, at its end, and nothing needs to be told apart.
OUT_FORMAT = "--out-format=%o|%i|%l|%b|%n"
# -8: else names over 1,024 bytes are escaped in pieces, and a literal \#123 across two pieces is not.
SPOKEN = ("-i", "-8", OUT_FORMAT)
# Nanoseconds in every form: by seconds alone, an event run leaves a link or file that was touched within
# the second with another time, and the next audit takes that for drift.
KEPT = ("-lptD", "-O", "--modify-window=-1", "--force")


@dataclass(frozen=True, slots=True)
class RsyncOptions:
    """The ``sync`` section as far as it is about one process. ``program`` may be a name or a path."""

    program: str = "rsync"
    connect_seconds: float = 5
    timeout_seconds: float = 300
    stall_seconds: float = 600
    compress: bool = False
    bwlimit: str | None = None
    extra_args: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Run:
    """What one run carries. ``paths`` are relative to the root; for audits none means the whole scope.

    ``large``: send without checksumming first (-I in place of -c). ``max_delete`` stops EVERYTHING after that
    many deletions. ``delete`` overrides the scope's where it is not None. ``purge``: delete the paths of a
    GONE run even if the source has them, and whatever the filters say (they have left the scope).
    ``only_delete``: EVERYTHING or SUBTREES without sending, to make room on a node that has none left.
    ``pull``: an audit of paths the other way round, into an empty root: lists what the node says it has there.
    ``fresh``: SUBTREES that are new to the node as a whole. They appear as they arrive, for nobody knows of them
    yet; nothing is checksummed, for there is nothing to compare with (what is there after all goes again); and
    they are arguments in place of a list, for which rsync works while it still reads the tree. All three make it a
    third of the time (measured: 5,000 files to 10 nodes in 0.9 s in place of 2.9 s).
    Raises ValueError for a GONE run that names the root, which would empty the node.
    """

    form: Form
    paths: tuple[bytes, ...] = ()
    large: bool = False
    max_delete: int | None = None
    delete: bool | None = None
    purge: bool = False
    only_delete: bool = False
    pull: bool = False
    fresh: bool = False

    def __post_init__(self) -> None:
        if self.form is Form.GONE and any(not path.strip(b"/.") for path in self.paths):
            raise ValueError("the root itself cannot be deleted on a node")

    @property
    def delays(self) -> bool:
        """Whether the node holds updates back in ``.~tmp~`` until the end.

        A single small file has nothing to wait for. A large one has: what arrived of it before a broken
        connection is kept there, and need not be sent again.
        """
        if self.form is Form.FILES:
            return self.large or len(self.paths) > 1
        return self.form is Form.SUBTREES and not self.fresh

    @property
    def is_listed(self) -> bool:
        """Whether the run reads a file list from stdin."""
        return (self.form in LISTED or bool(self.paths)) and not self.fresh


@dataclass(frozen=True, slots=True)
class Remote:
    """A destination as a transport says it: options, the destination argument, what the environment needs.

    ``prefix`` is where the content begins in the paths that the other side's messages name.
    """

    destination: str
    options: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)  # may hold the password
    prefix: bytes = b""


def argv(
    run: Run, options: RsyncOptions, scope: Scope, root: str, remote: Remote, *, progress: bool
) -> list[str]:
    """The arguments of one run, the program first; no secret is among them.

    ``root`` is the publish directory, absolute. ``progress``: rsync says how far it is (what sends, only).
    """
    result = [options.program, *_form(run, scope), *SPOKEN]
    if progress and run.form in SENDS and not run.purge:
        result += ["--info=progress2", "--no-h"]
    if run.is_listed:
        result += ["--files-from=-", "--from0"]
    if not run.purge:
        result += scope.rsync_filters()
    if options.timeout_seconds:
        result.append(f"--timeout={math.ceil(options.timeout_seconds)}")
    if options.compress:
        result.append("-z")
    source = root.rstrip("/") + "/"
    sources = [f"{source}./{os.fsdecode(path)}" for path in run.paths] if run.fresh else [source]
    ends = [*sources, remote.destination]
    return [*result, *remote.options, *options.extra_args, "--", *(reversed(ends) if run.pull else ends)]


def _form(run: Run, scope: Scope) -> list[str]:
    deletes = scope.delete if run.delete is None else run.delete
    content = "-I" if run.large else "-c"
    sends = ["--existing", "--ignore-existing"] if run.only_delete else []
    match run.form:
        case Form.FILES:
            return [*KEPT, content, *_delay(run)]
        case Form.GONE:
            return ["-d", *KEPT, content, "--delete-after", "--delete-missing-args"]
        case Form.SUBTREES if run.fresh:
            return ["-r", "-R", *KEPT, "-I"]
        case Form.SUBTREES:
            return ["-r", *KEPT, content, *_delay(run), *(["--delete-after"] if deletes else []), *sends]
        case Form.EVERYTHING:
            limit = [] if run.max_delete is None else [f"--max-delete={run.max_delete}"]
            return [*_whole(deletes), *limit, *sends]
        case Form.AUDIT | Form.DEEP_AUDIT:
            deep = ["-c"] if run.form is Form.DEEP_AUDIT else []
            if run.pull:
                return ["-n", *KEPT, "--ignore-missing-args"]
            if run.paths:
                missing = ["--delete-missing-args"] if deletes else ["--ignore-missing-args"]
                return ["-n", *KEPT, *missing, *deep]
            blind = ["--ignore-errors"] if deletes else []
            return ["-n", *_whole(deletes), *blind, *deep]


def _delay(run: Run) -> list[str]:
    return ["--delay-updates"] if run.delays else []


def _whole(deletes: bool) -> list[str]:
    return ["-r", *KEPT, *(["--delete-after"] if deletes else [])]


def left_overs(run: Run) -> Run | None:
    """The run that removes what a listed run which ended early left on the node; None when it leaves nothing.

    --delay-updates keeps the unfinished file in ``.~tmp~``: where there was no space, it takes the rest.
    """
    if not run.delays:
        return None
    if run.form is Form.SUBTREES:
        return replace(run, only_delete=True)
    folders = {path.rpartition(b"/")[0] for path in run.paths}
    names = sorted(folder + b"/" + LEFT_OVER if folder else LEFT_OVER for folder in folders)
    return Run(Form.GONE, tuple(names), purge=True)


def file_list(paths: Sequence[bytes]) -> bytes:
    """What stdin gets: NUL after each path, and ``./`` before it.

    Without the prefix rsync skips a name that begins with ``#`` or ``;``, and exits with 0.
    """
    return b"".join([b"./%s\0" % path for path in paths])
