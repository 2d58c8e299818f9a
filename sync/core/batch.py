"""Turns journal rows into what rsync is given. Looks only through the functions it is handed; never runs anything.

A path is deleted on a node only if its journal row says that it is gone, for such a row has passed the rails;
that a look now finds nothing proves little (the tree may just have been unmounted). And each path is looked at
from the top, because rsync goes wrong silently where a parent is not what it was (a child listed below a path
that became a symlink: exit 0, and the node keeps a directory):

    row        now                                         listed
    ─────────  ──────────────────────────────────────────  ──────────────────────────────────────────────
    any        an ancestor is a file, symlink or other     that ancestor, in the path's place
    any        there                                       the path; a directory without its contents
    gone       missing                                     its topmost ancestor with a gone row in the batch
    not gone   missing                                     nothing: vanished, the surveyor looks again
    gone       outside the scope                           left: deleted although the source still has it

Order of the steps: trees that are new to the node, for nobody knows of them before something else links to them;
then files and other trees and together (rsync makes them appear at the end), then large files
one by one, then deletions, so that a page does not precede its assets and nothing linked vanishes early.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from sync.core.journal import ancestors, topmost
from sync.core.model import GONE, Kind, Stat

TREES_ABOVE = 1000  # paths in a batch, from which on whole directories may stand for their contents
FRESH_ABOVE = 100  # … and from which on directories that are new to the node may
FRESH_AT_ONCE = 200  # they are arguments, whose room is limited
TREE_SHARE = 2  # … where at least one in so many of a directory's paths is in the batch

Look = Callable[[bytes], Stat]
CountBelow = Callable[[bytes, int], int]


@dataclass(frozen=True, slots=True)
class Listed:
    """What must be listed for a batch: paths that are there, with what stands there now, and the others."""

    there: Mapping[bytes, Stat]
    gone: tuple[bytes, ...] = ()
    left: tuple[bytes, ...] = ()
    vanished: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Steps:
    """What one batch sends, in this order; ``sizes`` (bytes) of everything that is there.

    ``fresh``: trees that are new to the node as a whole.
    """

    fresh: tuple[bytes, ...] = ()
    files: tuple[bytes, ...] = ()
    trees: tuple[bytes, ...] = ()
    large: tuple[bytes, ...] = ()
    gone: tuple[bytes, ...] = ()
    left: tuple[bytes, ...] = ()
    vanished: tuple[bytes, ...] = ()
    sizes: Mapping[bytes, int] = field(default_factory=dict)


def resolve(rows: Mapping[bytes, bool], look: Look, carries: Callable[[bytes, bool], bool]) -> Listed:
    """What to list for these rows: path → whether its journal row says gone. ``carries`` is the scope's.

    ``look`` is asked of a path only when all its ancestors were found to be directories.
    """
    seen: dict[bytes, Stat] = {}

    def seen_or_look(path: bytes) -> Stat:
        stat = seen.get(path)
        if stat is None:
            stat = seen[path] = look(path)
        return stat

    there: dict[bytes, Stat] = {}
    gone: dict[bytes, None] = {}
    left: list[bytes] = []
    vanished: list[bytes] = []
    for path, row_is_gone in rows.items():
        blocking = _not_a_directory(path, seen_or_look)
        if blocking is not None and carries(blocking, False):
            there[blocking] = seen[blocking]
            continue
        stat = seen_or_look(path) if blocking is None else GONE
        if not carries(path, stat.kind is Kind.DIRECTORY):
            if row_is_gone:
                left.append(path)
        elif stat.kind is not Kind.GONE:
            there[path] = stat
        elif row_is_gone:
            gone[next((a for a in ancestors(path) if rows.get(a) and _is_gone(a, seen)), path)] = None
        else:
            vanished.append(path)
    return Listed(there, tuple(topmost(gone)), tuple(topmost(left)), tuple(vanished))


def _not_a_directory(path: bytes, look: Look) -> bytes | None:
    """The topmost ancestor that is there and is not a directory."""
    for ancestor in ancestors(path):
        kind = look(ancestor).kind
        if kind is Kind.GONE:
            return None
        if kind is not Kind.DIRECTORY:
            return ancestor
    return None


def _is_gone(path: bytes, seen: Mapping[bytes, Stat]) -> bool:
    return path in seen and seen[path].kind is Kind.GONE


def plan(
    listed: Listed,
    *,
    large_bytes: int,
    delete: bool,
    count_below: CountBelow,
    fresh: Collection[bytes] = (),
    trees_above: float = TREES_ABOVE,
) -> Steps:
    """The batch's steps. Without ``delete`` nothing is deleted (a change of kind still replaces what stood there).

    ``count_below(directory, limit)`` answers how many paths lie below a directory, counting no further than
    ``limit``; it is asked only for batches of more than ``trees_above`` paths.
    """
    there = listed.there
    large = {p for p, s in there.items() if s.kind is Kind.FILE and s.size > large_bytes}
    small = [p for p in there if p not in large]
    new: list[bytes] = []
    trees: list[bytes] = []
    if fresh and len(small) > FRESH_ABOVE and not large:
        appeared = [p for p in fresh if p in there and there[p].kind is Kind.DIRECTORY]
        new = _trees(appeared, small, count_below)
        new = new if len(new) <= FRESH_AT_ONCE else []
        small = _outside(small, new)
    if len(small) > trees_above and not large:
        trees = _trees([p for p in small if there[p].kind is Kind.DIRECTORY], small, count_below)
        small = _outside(small, trees)
    return Steps(
        fresh=tuple(new),
        files=tuple(small),
        trees=tuple(trees),
        large=tuple(sorted(large)),
        gone=listed.gone if delete else (),
        left=listed.left if delete else (),
        vanished=listed.vanished,
        sizes={p: s.size if s.kind is Kind.FILE else 0 for p, s in there.items()},
    )


def _outside(paths: list[bytes], trees: list[bytes]) -> list[bytes]:
    tops = set(trees)
    return [p for p in paths if p not in tops and not any(a in tops for a in ancestors(p))] if tops else paths


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
    return [top for top, n in inside.items() if n and 0 <= count_below(top, n * TREE_SHARE) < n * TREE_SHARE]
