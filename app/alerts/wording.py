"""Puts a notice into words: a title that says it all, and plain text. Adds no facts and escapes for no
medium.

12 nodes dead: a, b, c … and 9 more
Over after 4 min: node a dead
Flapping: node a dead (5 times)
Still after 4 h: 2 nodes out of step: a, b

In the notice's language, unless another is asked for; what is stored is English.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

from app.alerts.model import OF_NODES, Condition, Item, Notice, NoticeKind
from app.sentences import Sentences, sentences

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


def title(notice: Notice, language: str | None = None) -> str:
    """One line that says it all, without the installation's name."""
    language = language or notice.language
    words = sentences(language)
    if notice.kind in (NoticeKind.TEST, NoticeKind.HOOK) and notice.text:
        return one_line(words.of(notice.text.splitlines()[0]))
    what = subject_of(notice.condition, notice.items, language)
    longest = max((item.seconds(notice.at) for item in notice.items), default=0.0)
    lasted = duration(longest, language)
    match notice.kind:
        case NoticeKind.RESOLVED:
            return one_line(words.say("Over after {lasted}: {what}", lasted=lasted, what=what))
        case NoticeKind.REPEAT:
            return one_line(words.say("Still after {lasted}: {what}", lasted=lasted, what=what))
        case NoticeKind.FLAPPING:
            times = max((item.times for item in notice.items), default=0)
            return one_line(words.say("Flapping: {what} ({times} times)", what=what, times=times))
        case _:
            if notice.items and all(i.ended_at is not None for i in notice.items):
                what = words.say("{what}, over after {lasted}", what=what, lasted=lasted)
            return one_line(what)


def subject_of(condition: Condition, items: tuple[Item, ...], language: str = "en") -> str:
    """What is wrong with whom: at most SHOWN names and how many more."""
    words = sentences(language)
    one, several = _PHRASES[condition]
    names = [object_of(item, words) for item in items]
    if len(names) == 1:
        return words.say(one, **{"0": names[0]})
    total = words.say(several, n=len(names))
    if condition is Condition.CUT_OFF or not names:
        return total
    shown = ", ".join(names[:SHOWN])
    if len(names) > SHOWN:
        return words.say(
            "{total}: {names} … and {left} more", total=total, names=shown, left=len(names) - SHOWN
        )
    return f"{total}: {shown}"


def object_of(item: Item, words: Sentences) -> str:
    """Whom it is about: a node's name as it is, anything else in this language."""
    return item.object if item.condition in OF_NODES - {Condition.ERROR} else words.of(item.object)


def body(notice: Notice) -> str:
    """Plain text for robots, commands and webhooks: title, one line per alert, what to do. No trailing
    newline.
    """
    words = sentences(notice.language)
    if notice.kind in (NoticeKind.TEST, NoticeKind.HOOK) and notice.text:
        return "\n".join(words.of(line) for line in notice.text.split("\n"))
    lines = [title(notice), ""]
    lines += [f"- {line_of(item, notice.at, notice.language)}" for item in notice.items[:LISTED]]
    if len(notice.items) > LISTED:
        lines.append(f"- {left_out(notice)}")
    wanted = advice(notice)
    if wanted and notice.kind is not NoticeKind.RESOLVED:
        lines += ["", *wanted]
    return "\n".join(lines)


def left_out(notice: Notice) -> str:
    """How many alerts are not listed; empty when all are."""
    left = len(notice.items) - LISTED
    return sentences(notice.language).say("… and {left} more", left=left) if left > 0 else ""


def line_of(item: Item, now: float, language: str = "en") -> str:
    """One alert in one line: who, what, since when, for how long."""
    words = sentences(language)
    said = one_line(words.of(item.summary), 500)
    return f"{one_line(object_of(item, words))}: {said} ({span_of(item, now, language)})"


def span_of(item: Item, now: float, language: str = "en") -> str:
    """Since when and for how long."""
    words, since, lasted = sentences(language), clock_text(item.since), duration(item.seconds(now), language)
    if item.ended_at is None:
        return words.say("since {since}, for {lasted}", since=since, lasted=lasted)
    return words.say("since {since}, over after {lasted}", since=since, lasted=lasted)


def times_of(item: Item, language: str = "en") -> str:
    """How often it came lately; empty for once."""
    return sentences(language).say("{times} times lately", times=item.times) if item.times > 1 else ""


def advice(notice: Notice) -> list[str]:
    """What to do, each sentence once."""
    words = sentences(notice.language)
    return list(dict.fromkeys(one_line(words.of(item.advice), 500) for item in notice.items if item.advice))


def footer(notice: Notice) -> str:
    """Whose notice it is, of what kind, and when it was made."""
    words = sentences(notice.language)
    kind = f"{words.of(notice.severity.value)} {words.of(notice.condition.value)}"
    return f"{notice.name}, {kind}, {clock_text(notice.at)}"


def duration(seconds: float, language: str = "en") -> str:
    """A length of time for people, in at most two units: ``42 s``, ``4 min``, ``2 h 5 min``, ``3 d 4 h``."""
    return sentences(language).of(_duration(seconds))


def _duration(seconds: float) -> str:
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
