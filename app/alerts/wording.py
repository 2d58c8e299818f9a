"""Puts a notice into words: a title that says it all, and plain text. Adds no facts and escapes for no
medium.

12 nodes dead: a, b, c … and 9 more
Over after 4 min: node a dead
Flapping: node a dead (5 times)
Still after 4 h: 2 nodes out of step: a, b
"""

from __future__ import annotations

import time
from collections.abc import Mapping

from app.alerts.model import Condition, Item, Notice, NoticeKind

SHOWN = 3
LISTED = 50

# one object, several objects; {0} is the object, {n} their number
_PHRASES: Mapping[Condition, tuple[str, str]] = {
    Condition.ERROR: ("{0}", "{n} error strategies"),
    Condition.DEAD: ("node {0} dead", "{n} nodes dead"),
    Condition.RECOVERED: ("{0} recovered", "{n} recovered"),
    Condition.OUT_OF_STEP: ("node {0} out of step", "{n} nodes out of step"),
    Condition.DRIFT: ("drift on node {0}", "drift on {n} nodes"),
    Condition.SOURCE: ("publish directory: {0}", "publish directory: {n} faults"),
    Condition.HELD: ("held: {0}", "{n} steps held"),
    Condition.DNS: ("DNS: {0}", "DNS: {n} troubles"),
    Condition.CUT_OFF: ("supervisor cut off", "supervisor cut off"),
    Condition.SYSTEM: ("system: {0}", "system: {n} troubles"),
    Condition.INVENTORY: ("inventory: {0}", "inventory: {n} troubles"),
}


def one_line(text: str, limit: int = 200) -> str:
    """The text without line breaks and control characters, cut to ``limit`` characters."""
    flat = " ".join("".join(mark if mark.isprintable() else " " for mark in text).split())
    return flat if len(flat) <= limit else f"{flat[: limit - 1]}…"


def title(notice: Notice) -> str:
    """One line that says it all, without the installation's name."""
    if notice.kind in (NoticeKind.TEST, NoticeKind.HOOK) and notice.text:
        return one_line(notice.text.splitlines()[0])
    what = subject_of(notice.condition, notice.items)
    lasted = duration(max((item.seconds(notice.at) for item in notice.items), default=0.0))
    match notice.kind:
        case NoticeKind.RESOLVED:
            return one_line(f"Over after {lasted}: {what}")
        case NoticeKind.REPEAT:
            return one_line(f"Still after {lasted}: {what}")
        case NoticeKind.FLAPPING:
            times = max((item.times for item in notice.items), default=0)
            return one_line(f"Flapping: {what} ({times} times)")
        case _:
            over = (
                f", over after {lasted}"
                if notice.items and all(i.ended_at is not None for i in notice.items)
                else ""
            )
            return one_line(f"{what}{over}")


def subject_of(condition: Condition, items: tuple[Item, ...]) -> str:
    """What is wrong with whom: at most SHOWN names and how many more."""
    one, several = _PHRASES[condition]
    names = [item.object for item in items]
    if len(names) == 1:
        return one.format(names[0])
    if condition is Condition.CUT_OFF or not names:
        return several.format(n=len(names))
    more = f" … and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{several.format(n=len(names))}: {', '.join(names[:SHOWN])}{more}"


def body(notice: Notice) -> str:
    """Plain text for robots, commands and webhooks: title, one line per alert, what to do. No trailing
    newline.
    """
    if notice.kind in (NoticeKind.TEST, NoticeKind.HOOK) and notice.text:
        return notice.text
    lines = [title(notice), ""]
    lines += [f"- {line_of(item, notice.at)}" for item in notice.items[:LISTED]]
    if len(notice.items) > LISTED:
        lines.append(f"- … and {len(notice.items) - LISTED} more")
    wanted = advice(notice)
    if wanted and notice.kind is not NoticeKind.RESOLVED:
        lines += ["", *wanted]
    return "\n".join(lines)


def line_of(item: Item, now: float) -> str:
    """One alert in one line: who, what, since when, for how long."""
    lasted = (
        f"for {duration(item.seconds(now))}"
        if item.ended_at is None
        else f"over after {duration(item.seconds(now))}"
    )
    said = one_line(item.summary, 500)
    return f"{one_line(item.object)}: {said} (since {clock_text(item.since)}, {lasted})"


def advice(notice: Notice) -> list[str]:
    """What to do, each sentence once."""
    return list(dict.fromkeys(one_line(item.advice, 500) for item in notice.items if item.advice))


def duration(seconds: float) -> str:
    """A length of time for people, in at most two units: ``42 s``, ``4 min``, ``2 h 5 min``, ``3 d 4 h``."""
    whole = round(max(0.0, seconds))
    for size, unit, below, sub in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            rest = whole % size // below
            return f"{whole // size} {unit}" + (
                f" {rest} {sub}" if rest and (unit != "min" or whole < 600) else ""
            )
    return f"{whole} s"


def clock_text(at: float) -> str:
    """A time in the machine's zone, with its offset: ``2026-01-31 09:05:00 +0800``."""
    return time.strftime("%Y-%m-%d %H:%M:%S %z", time.localtime(at))
