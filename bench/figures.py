"""Says what a benchmark found, and writes the table of all of them; measures nothing."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import median


@dataclass(frozen=True)
class Figure:
    """One ratio: ours over the baseline, both from one run. ``limit`` None: reported only.

    ``unit`` is what ``ours`` and ``baseline`` are in; ``how`` says in a sentence what was divided by what.
    """

    name: str
    what: str
    ours: float
    baseline: float
    limit: float | None
    how: str
    unit: str = "s"
    notes: tuple[str, ...] = ()

    @property
    def ratio(self) -> float:
        """Ours over the baseline."""
        return self.ours / self.baseline if self.baseline else math.inf

    @property
    def met(self) -> bool | None:
        """Whether the limit was kept; None where there is none."""
        return None if self.limit is None else self.ratio <= self.limit

    def row(self) -> str:
        """The figure as a row of the table."""
        limit = "–" if self.limit is None else f"{self.limit:g}"
        said = {None: "reported", True: "met", False: "**not met**"}[self.met]
        ours, baseline = (_shown(value, self.unit) for value in (self.ours, self.baseline))
        return f"| {self.what} | {ours} | {baseline} | {self.ratio:.3g} | {limit} | {said} |"


@dataclass
class Samples:
    """The lengths of alternating rounds, in seconds."""

    rounds: dict[str, list[float]] = field(default_factory=dict)

    def add(self, who: str, seconds: float) -> None:
        """Takes one round of one contender."""
        self.rounds.setdefault(who, []).append(seconds)

    def median(self, who: str) -> float:
        """The median round."""
        return median(self.rounds[who])

    def spread(self, who: str) -> str:
        """The quickest and slowest round, for the notes."""
        taken = self.rounds[who]
        return f"{who}: {len(taken)} rounds, {min(taken) * 1000:.0f} to {max(taken) * 1000:.0f} ms"


def table(figures: Iterable[Figure]) -> str:
    """The figures as a Markdown table."""
    head = ("| what | ours | against | ratio | limit | |", "|---|---|---|---|---|---|")
    return "\n".join([*head, *(figure.row() for figure in figures)])


def details(figures: Sequence[Figure]) -> str:
    """How each ratio was taken."""
    lines = []
    for figure in figures:
        lines.append(f"- **{figure.what}**: {figure.how}")
        lines += [f"  - {note}" for note in figure.notes]
    return "\n".join(lines)


def _shown(value: float, unit: str) -> str:
    if unit != "s":
        return f"{value:.2f} {unit}"
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.2f} s"
