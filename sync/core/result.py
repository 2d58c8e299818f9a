"""What one rsync run came to, as a value; judged in sync/core/outcome.py, made in sync/rsync.py."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sync.core.listing import Listed
from sync.core.model import Form, Outcome

Path = bytes  # RunResult has a field of the name bytes, which hides the type


@dataclass(frozen=True, slots=True)
class RunResult:
    """How one run ended. ``code`` is None when no process was started, negative for a signal.

    ``failed`` holds the paths that the node's side complained of, ``source_failed`` those of ours; both map
    to the reason. A failed directory that is also in ``blocked`` could not be made: everything below it was
    skipped without a word, and stands in ``failed`` only where the run had listed it. ``vanished`` is the part
    of source_failed that is simply not there any more; b"" in source_failed is the publish directory itself.
    ``not_empty``: directories that rsync left on the node because something excluded is in them.
    ``deletions_skipped``: what should have been deleted was not (an error at the source, or --max-delete).
    ``moved``: the node answered with more than a greeting, so the run is a good observation.
    """

    form: Form
    outcome: Outcome
    code: int | None
    seconds: float
    files: int = 0
    bytes: int = 0
    deleted: int = 0
    listed: tuple[Listed, ...] = ()
    failed: Mapping[Path, str] = field(default_factory=dict)
    source_failed: Mapping[Path, str] = field(default_factory=dict)
    blocked: frozenset[Path] = frozenset()
    vanished: frozenset[Path] = frozenset()
    not_empty: tuple[Path, ...] = ()
    deletions_skipped: bool = False
    moved: bool = False
    message: str = ""
