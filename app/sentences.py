"""Says in another language what the halves have written in English, by the templates it was made from.

What is stored, logged and answered to programs stays English: only pages and mails ask here. The templates with
their translations are `sentences.mo`, which `python -m tools.catalogue` makes of the code itself. Knows no Flask.

    could not take {path}: {error}      names and paths stay; what else stands in a place is looked up again,
    已 …                                so a reason inside a reason is said too, and rsync's own words stay as they are
    A; B    A: B    A → B               where no template fits the whole, each part is tried
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

from babel.messages.mofile import read_mo

FOLDER = Path(__file__).parent / "translations"
PLACE = re.compile(r"\{([^{}]*)\}")
FRAGMENT = re.compile(r"[\s;,(]")
FOREIGN = re.compile(r"rsync: \[|rsync error|rsync warning|ssh: |@ERROR|kex_")
"""How what programs say begins: it is left alone, even where it looks like ours."""
SPLITS = (("; ", "；"), (": ", "："), (" → ", " → "), (", ", "，"))
LENGTH = re.compile(r"\d+(?:\.\d+)? (?:d|h|min|s|ms)(?: \d+ (?:h|min|s))?")
UNITS = {"zh": {"d": "天", "h": "小时", "min": "分钟", "s": "秒", "ms": "毫秒"}}
MOST_PARTS = 40
NAMES = (
    "path name node host url argv address addresses user root folder key interface zone provider service channel "
    "pattern program loc document values names nodes paths channels hostname fqdn apex template scheme close text "
    "nearest contains where version entry rival places"
)
KEPT = frozenset(NAMES.split())
"""Places whose values are somebody's own: a node that is called `new` stays so."""


def _shown(text: str) -> str:
    """Braces that belong to the text stand as ⦃ and ⦄ in a template."""
    return text.replace("⦃", "{").replace("⦄", "}")


@dataclass(frozen=True, slots=True)
class Template:
    """One sentence with places, ready to be recognised."""

    pattern: re.Pattern[str]
    places: tuple[str, ...]
    said: str
    begins: str  # what every such sentence begins with; may be empty
    longest: str  # what every such sentence holds
    weight: int  # letters that are the same in every such sentence

    @classmethod
    def of(cls, template: str, said: str) -> Template:
        """The template; one that is the end of a sentence may follow anything."""
        if FRAGMENT.match(template):
            template, said = "{head}" + template, "{head}" + said
        pieces = PLACE.split(template)
        literals = [_shown(piece) for piece in pieces[::2]]
        places = tuple(piece for piece in pieces[1::2] if "|" not in piece)
        pattern = re.escape(literals[0])
        for number, (piece, after) in enumerate(zip(pieces[1::2], literals[1:], strict=True)):
            first = not literals[0] and number == 0 and after[:1] not in (":", ";") and piece != "head"
            pattern += _place(piece, one_part=first or is_kept(piece)) + re.escape(after)
        return cls(
            re.compile(pattern), places, said, literals[0], max(literals, key=len), sum(map(len, literals))
        )

    def values(self, sentence: str) -> dict[str, str] | None:
        """What stands in the places of this sentence; None for any other."""
        if self.longest not in sentence or not sentence.startswith(self.begins):
            return None
        found = self.pattern.fullmatch(sentence)
        return None if found is None else dict(zip(self.places, found.groups(), strict=True))


def _place(piece: str, *, one_part: bool) -> str:
    """A place as a pattern. A name, or what a sentence begins with, does not reach over a `: `."""
    if "|" in piece:
        return f"(?:{piece})"
    return r"((?:(?!; |: )[\s\S])*?)" if one_part else r"([\s\S]*?)"


def is_kept(place: str) -> bool:
    """Whether what stands there is a name and never looked up."""
    return place.rstrip("0123456789") in KEPT


class Sentences:
    """The sentences of one language."""

    def __init__(self, known: Mapping[str, str], units: Mapping[str, str]) -> None:
        self._known, self._units = known, units
        self._whole = {_shown(e): _shown(said) for e, said in known.items() if not PLACE.search(e)}
        made = (Template.of(e, said) for e, said in known.items() if PLACE.search(e) or FRAGMENT.match(e))
        self._templates = sorted(made, key=lambda t: (not t.begins, -t.weight, t.pattern.pattern))
        self._read = lru_cache(16_384)(self._best)  # the same few sentences stand on every page

    def of(self, sentence: str) -> str:
        """The sentence in this language, as far as it is known."""
        return self._read(sentence)[1] if self._known and sentence else sentence

    def say(self, template: str, **values: object) -> str:
        """One of our own templates, filled in."""
        return fill(self._known.get(template, template), {k: str(v) for k, v in values.items()})

    def _best(self, sentence: str) -> tuple[int, str]:
        """The reading that knows most of the letters, and how many those are."""
        if (whole := self._whole.get(sentence)) is not None:
            return len(sentence) + 1, whole
        best = 0, sentence
        if FOREIGN.match(sentence):
            return best
        if LENGTH.fullmatch(sentence):
            return len(sentence), re.sub("[a-z]+", lambda unit: self._units.get(unit[0], unit[0]), sentence)
        for template in self._templates:
            values = template.values(sentence)
            if values is not None:
                read = {p: (0, v) if is_kept(p) else self._read(v) for p, v in values.items()}
                score = template.weight + sum(n for n, _ in read.values())
                if score > best[0]:
                    best = score, fill(template.said, {p: said for p, (_, said) in read.items()})
        return max(best, *self._in_parts(sentence), key=lambda found: found[0])

    def _in_parts(self, sentence: str) -> Iterator[tuple[int, str]]:
        yield 0, sentence
        if any(sentence.count(english) > MOST_PARTS for english, _ in SPLITS):
            return  # nobody of ours wrote that
        for english, own in SPLITS:
            parts = sentence.split(english, 1 if english == ": " else -1)
            if len(parts) > 1:
                read = [self._read(part) for part in parts]
                yield sum(score for score, _ in read), own.join(said for _, said in read)


def fill(said: str, values: Mapping[str, str]) -> str:
    """A translation with its values."""
    return "".join(
        values.get(piece, "") if position % 2 else _shown(piece)
        for position, piece in enumerate(PLACE.split(said))
    )


@cache
def sentences(language: str) -> Sentences:
    """Those of a language; English ones stay as they are."""
    return Sentences(dict(_read(language)), UNITS.get(language, {}))


def _read(language: str) -> Iterator[tuple[str, str]]:
    path = FOLDER / language / "LC_MESSAGES" / "sentences.mo"
    if not path.is_file():
        return
    with path.open("rb") as file:
        for message in read_mo(file):
            if message.id and message.string:
                yield str(message.id), str(message.string)
