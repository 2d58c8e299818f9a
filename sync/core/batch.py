"""Turns dirty paths into what rsync is given. Looks only through the functions it is handed; never runs anything.

For each dirty path the tree is looked at from the top, because rsync goes wrong silently where a listed
path's parent is not what it was (a child listed below a path that became a symlink: exit 0, and the node
keeps a directory):

    an ancestor is missing                    → the topmost missing ancestor is deleted on the node
    an ancestor is a file, symlink or other   → that ancestor is sent in the path's place
    the path is missing                       → it is deleted on the node
    the path is there                         → it is sent; a directory without its contents

Order of the steps: files and trees first and together (rsync makes them appear at the end), then large files
one by one, then deletions, so that a page does not precede its assets and nothing linked vanishes early.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from sync.core.journal import ancestors, topmost
from sync.core.model import Kind, Stat

TREES_ABOVE = 1000     # paths in a batch, from which on whole directories may stand for their contents
TREE_SHARE = 2         # … where at least one in so many of a directory's paths is in the batch

Look = Callable[[bytes], Stat]
CountBelow = Callable[[bytes, int], int]


@dataclass(frozen=True, slots=True)
class Steps:
    """What one batch sends, in this order; ``sizes`` (bytes) of everything that is there."""

    files: tuple[bytes, ...] = ()
    trees: tuple[bytes, ...] = ()
    large: tuple[bytes, ...] = ()
    gone: tuple[bytes, ...] = ()
    sizes: Mapping[bytes, int] = field(default_factory=dict)

    @property
    def paths(self) -> tuple[bytes, ...]:
        """Every path that is listed."""
        return self.files + self.trees + self.large + self.gone


def resolve(paths: Iterable[bytes], look: Look, is_inside: Callable[[bytes], bool]) -> dict[bytes, Stat]:
    """The paths that must be listed for these dirty ones, with what stands there now (GONE: nothing does).

    ``is_inside`` says whether a path may be listed at all: ancestors above the configured sub-folders may not.
    """
    seen: dict[bytes, Stat] = {}
    listed: dict[bytes, Stat] = {}
    for path in paths:
        for ancestor in ancestors(path):
            stat = seen.get(ancestor)
            if stat is None:
                stat = seen[ancestor] = look(ancestor)
            if stat.kind is not Kind.DIRECTORY and is_inside(ancestor):
                listed[ancestor] = stat
                break
        else:
            stat = seen.get(path)
            if stat is None:
                stat = seen[path] = look(path)
            listed[path] = stat
    return listed


def plan(
    listed: Mapping[bytes, Stat],
    *,
    large_bytes: int,
    delete: bool,
    count_below: CountBelow,
    trees_above: int = TREES_ABOVE,
) -> Steps:
    """The batch's steps. Without ``delete`` nothing is deleted (a change of kind still replaces what stood there).

    ``count_below(directory, limit)`` answers how many paths lie below a directory, counting no further than
    ``limit``; it is asked only for batches of more than ``trees_above`` paths.
    """
    there = {path: stat for path, stat in listed.items() if stat.kind is not Kind.GONE}
    large = sorted(p for p, s in there.items() if s.kind is Kind.FILE and s.size > large_bytes)
    small = [p for p in there if p not in set(large)] if large else list(there)
    trees: list[bytes] = []
    if len(small) > trees_above:
        trees = _trees([p for p in small if there[p].kind is Kind.DIRECTORY], small, count_below)
        if trees:
            tops = set(trees)
            small = [p for p in small if p not in tops and not any(a in tops for a in ancestors(p))]
    gone = topmost(p for p, s in listed.items() if s.kind is Kind.GONE) if delete else []
    return Steps(
        files=tuple(small),
        trees=tuple(trees),
        large=tuple(large),
        gone=tuple(gone),
        sizes={p: s.size if s.kind is Kind.FILE else 0 for p, s in there.items()},
    )


def _trees(directories: list[bytes], paths: list[bytes], count_below: CountBelow) -> list[bytes]:
    """The topmost directories of the batch of whose contents the batch holds a good share."""
    tops = topmost(directories)
    among = set(tops)
    inside = dict.fromkeys(tops, 0)
    for path in paths:
        for ancestor in ancestors(path):
            if ancestor in among:
                inside[ancestor] += 1
                break
    return [top for top, n in inside.items() if n and count_below(top, n * TREE_SHARE) < n * TREE_SHARE]
