"""Decides when a failed path is tried again, and how a failed batch's culprits are found; it runs nothing.

An entry keeps the time and seq of its *first* failure: a path that is rewritten has been lacking since then
all the same. Discarding stops the trying, not the lacking.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

LONGEST_DELAY_SECONDS = 600.0
RUNS = 64
"""Runs an isolation may cost by default: finds some five culprits among a thousand paths."""

Item = tuple[bytes, int]
"""A path with its size in bytes."""


@dataclass(frozen=True, slots=True)
class Binned:
    """One path that failed on one node while it was reachable. Times are seconds since the epoch."""

    node: str
    path: bytes
    seq: int
    first_seq: int
    first_failed_at: float
    error: str
    code: int | None
    attempts: int
    next_try_at: float
    discarded: bool = False


def failed(
    old: Binned | None,
    *,
    node: str,
    path: bytes,
    seq: int,
    error: str,
    code: int | None,
    now: float,
    base_seconds: float,
) -> Binned:
    """The entry after one more failure: its next try base_seconds · 2^(attempts - 1) away, 10 min at most."""
    attempts = 1 if old is None else old.attempts + 1
    delay = min(base_seconds * 2.0 ** min(attempts - 1, 64), LONGEST_DELAY_SECONDS)
    return Binned(
        node=node,
        path=path,
        seq=seq if old is None else max(seq, old.seq),
        first_seq=seq if old is None else old.first_seq,
        first_failed_at=now if old is None else old.first_failed_at,
        error=error,
        code=code,
        attempts=attempts,
        next_try_at=now + delay,
        discarded=old is not None and old.discarded,
    )


def retry(entry: Binned, now: float) -> Binned:
    """The entry as an operator's retry makes it: due at once, no longer discarded."""
    return replace(entry, next_try_at=now, discarded=False)


def discard(entry: Binned) -> Binned:
    """The entry as an operator's discard makes it: never due, still lacking."""
    return replace(entry, discarded=True)


def due(entries: Iterable[Binned], now: float) -> tuple[Binned, ...]:
    """The entries to try now, those that have waited longest first."""
    ready = (e for e in entries if not e.discarded and e.next_try_at <= now)
    return tuple(sorted(ready, key=lambda e: (e.next_try_at, e.path)))


def lacking(entries: Iterable[Binned]) -> dict[bytes, int]:
    """Path → seq of its first failure, discarded entries included: what promise 2 judges by."""
    return {e.path: e.first_seq for e in entries}


def halves(items: Sequence[Item]) -> tuple[tuple[Item, ...], tuple[Item, ...]]:
    """The items in two halves, the smaller files in the first. A single item is the second half."""
    ranked = tuple(sorted(items, key=lambda item: (item[1], item[0])))
    return ranked[: len(ranked) // 2], ranked[len(ranked) // 2 :]


@dataclass(frozen=True, slots=True)
class Culprit:
    """Why a path counts as failed; ``alone`` is False when no run was left to try it alone."""

    error: str
    code: int | None
    alone: bool = True


@dataclass(frozen=True, slots=True)
class _Group:
    items: tuple[Item, ...]
    suspect: bool = False  # what it was split from failed, and the other part went well


@dataclass(frozen=True, slots=True)
class Isolation:
    """The search for the paths that make a batch fail: run `batch`, tell `after`, until it is empty.

    Each path is always in exactly one of `confirmed`, `failed` and `unresolved`. For k culprits among
    n paths it takes at most 2·k·log2(n) + 1 runs, and never more than the budget: what is still open then is
    failed with the last error, so that a full disk does not cost a run for every file.
    """

    waiting: tuple[_Group, ...]
    runs_left: int
    error: str
    code: int | None
    confirmed: frozenset[bytes] = frozenset()
    failed: Mapping[bytes, Culprit] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        items: Iterable[Item],
        error: str,
        code: int | None = None,
        named: Iterable[bytes] = (),
        runs: int = RUNS,
    ) -> Isolation:
        """The search in a batch that has failed with ``error``; ``named`` are paths its messages spoke of."""
        batch = tuple(dict(items).items())
        return cls((), runs, error, code)._split(batch, frozenset(named))._settled()

    @property
    def batch(self) -> tuple[bytes, ...]:
        """The paths to run next; empty when the search is over."""
        return tuple(path for path, _ in self.waiting[0].items) if self.waiting else ()

    @property
    def unresolved(self) -> tuple[bytes, ...]:
        """The paths nothing is known of yet: give the search up, and these are still pending."""
        return tuple(path for group in self.waiting for path, _ in group.items)

    def after(
        self, good: bool, error: str = "", code: int | None = None, named: Iterable[bytes] = ()
    ) -> Isolation:
        """The search after `batch` was run. Raises IndexError when there was nothing to run."""
        tried, rest = self.waiting[0], self.waiting[1:]
        spent = replace(self, waiting=rest, runs_left=self.runs_left - 1)
        if good:
            paths = (path for path, _ in tried.items)
            return replace(spent, confirmed=self.confirmed.union(paths))._unfold()._settled()
        spent = replace(
            spent, error=error or self.error, code=code if error else self.code, waiting=_cleared(rest)
        )
        return spent._split(tried.items, frozenset(named))._settled()

    def _split(self, items: tuple[Item, ...], named: frozenset[bytes]) -> Isolation:
        """The items, which have failed together, as two groups: the named ones last, else the larger.

        A path the messages named most likely is a culprit, so the rest goes at once; it may also hold the
        directories that the named ones need.
        """
        if len(items) <= 1:
            alone = {path: Culprit(self.error, self.code) for path, _ in items}
            return replace(self, failed={**self.failed, **alone})
        first = tuple(item for item in items if item[0] not in named)
        second = tuple(item for item in items if item[0] in named)
        if not first or not second:
            first, second = halves(items)
        return replace(self, waiting=(_Group(first), _Group(second, suspect=True), *self.waiting))

    def _unfold(self) -> Isolation:
        """A suspect whose other half went well must hold a culprit: it is split without another run.

        Not when it is a single path: nothing is blamed that has not failed alone.
        """
        if self.waiting and self.waiting[0].suspect and len(self.waiting[0].items) > 1:
            return replace(self, waiting=self.waiting[1:])._split(self.waiting[0].items, frozenset())
        return self

    def _settled(self) -> Isolation:
        """With no runs left, everything open is failed."""
        if self.runs_left > 0 or not self.waiting:
            return self
        given_up = {path: Culprit(self.error, self.code, alone=False) for path in self.unresolved}
        return replace(self, waiting=(), failed={**self.failed, **given_up})


def _cleared(groups: tuple[_Group, ...]) -> tuple[_Group, ...]:
    """The suspicion against the next group is gone: its other half failed by itself."""
    return (replace(groups[0], suspect=False), *groups[1:]) if groups else groups
