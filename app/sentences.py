"""Says in another language what the halves have written in English, by the templates it was made from.

What is stored, logged and answered to programs stays English: only pages and mails ask here. The templates with
their translations are `sentences.mo`, which `python -m tools.catalogue` makes of the code itself. Knows no Flask.

    could not take {path}: {error}      names and paths stay; what else stands in a place is looked up again,
    已 …                                so a reason inside a reason is said too, and rsync's own words stay as they are
    A; B    A: B    A → B    A (B)      where no template fits the whole, each part is tried
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

from babel.messages.mofile import read_mo

FOLDER = Path(__file__).parent / "translations"
PLACE = re.compile(r"\{([^{}]*)\}")
WORD = re.compile(r"(?<![^\W\d_])[A-Za-z]+(?![^\W\d_])")
FRAGMENT = re.compile(r"[\s;,(]")
FOREIGN = re.compile(
    r"(?:rsync: )?\[(?:sender|receiver|generator|Receiver|client|server)[^\]]*\] .*?\(\d+\)"
    r"|rsync (?:error|warning): .*?\(code \d+\)(?: at \S+)?|@?ERROR: [^;]*"
)
"""What rsync says: it is left alone, even where it looks like ours."""
MASK = 0xE000  # a character for private use stands for it while the rest is read
SPLITS = (("; ", "；"), (": ", "："), (" → ", " → "), (", ", "，"))
LENGTH = re.compile(r"\d+(?:\.\d+)? (?:d|h|min|s|ms)(?: \d+ (?:h|min|s))?")
UNITS = {"zh": {"d": "天", "h": "小时", "min": "分钟", "s": "秒", "ms": "毫秒"}}
MOST_PARTS = 16
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

    pattern: str
    places: tuple[str, ...]
    said: str
    begins: str  # what every such sentence begins with; may be empty
    words: frozenset[str]  # what every such sentence holds
    weight: float  # what is the same in every such sentence

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
            pattern,
            places,
            said,
            literals[0],
            frozenset(WORD.findall("ß\0ß".join(literals))),
            sum(map(worth, literals)),
        )

    def values(self, sentence: str) -> dict[str, str] | None:
        """What stands in the places of this sentence; None for any other."""
        if not sentence.startswith(self.begins):
            return None
        found = compiled(self.pattern).fullmatch(sentence)
        return None if found is None else dict(zip(self.places, found.groups(), strict=True))


@cache  # when it is first needed: all of them at once would take the first reader half a second
def compiled(pattern: str) -> re.Pattern[str]:
    """The pattern, ready for use."""
    return re.compile(pattern)


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
        self._templates = sorted(made, key=lambda t: (not t.begins, -t.weight, t.pattern))
        common = Counter(word for template in self._templates for word in template.words)
        self._by_word: dict[str, list[int]] = {}  # each template by its rarest word
        for number, template in enumerate(self._templates):
            rarest = min(template.words, key=lambda word: (common[word], word), default="")
            self._by_word.setdefault(rarest, []).append(number)
        self._read = lru_cache(32_768)(self._best)  # the same few sentences stand on every page

    def of(self, sentence: str) -> str:
        """The sentence in this language, as far as it is known."""
        if not self._known or not sentence:
            return sentence
        foreign = list(dict.fromkeys(FOREIGN.findall(sentence)))[:99]
        masks = {chr(MASK + number): text for number, text in enumerate(foreign)}
        for mask, text in masks.items():
            sentence = sentence.replace(text, mask)
        said = self._read(sentence)[1]
        return re.sub("[\ue000-\ue0ff]", lambda mask: masks.get(mask[0], mask[0]), said) if masks else said

    def say(self, template: str, **values: object) -> str:
        """One of our own templates, filled in."""
        texts = {name: str(value) for name, value in values.items()}
        said = self._known.get(template)
        return fill(said, texts) if said is not None else self.of(fill(template, texts))

    def _best(self, sentence: str) -> tuple[float, str]:
        """The reading that knows most of the letters, in the longest pieces, and what it is worth."""
        if (whole := self._whole.get(sentence)) is not None:
            return worth(sentence) + 1, whole
        best = 0.0, sentence
        if LENGTH.fullmatch(sentence):
            return worth(sentence), re.sub("[a-z]+", lambda unit: self._units.get(unit[0], unit[0]), sentence)
        for template in self._candidates(sentence):
            values = template.values(sentence)
            if values is not None:
                read = {p: (0.0, v) if is_kept(p) else self._read(v) for p, v in values.items()}
                score = template.weight + sum(n for n, _ in read.values())
                if score > best[0]:
                    best = score, fill(template.said, {p: said for p, (_, said) in read.items()})
        return max(best, *self._in_parts(sentence), key=lambda found: found[0])

    def _candidates(self, sentence: str) -> Iterator[Template]:
        """The templates whose rarest word stands in it, in their order: a few of over a thousand."""
        words = {"", *WORD.findall(sentence)}
        for number in sorted(n for word in words for n in self._by_word.get(word, ())):
            yield self._templates[number]

    def _in_parts(self, sentence: str) -> Iterator[tuple[float, str]]:
        """Readings of a sentence that was put together of others: `A; B`, `A: B`, `A → B`, `A, B`, `A (B)`."""
        yield 0.0, sentence
        if any(sentence.count(english) > MOST_PARTS for english, _ in SPLITS):
            return  # nobody of ours wrote that
        for english, own in SPLITS:
            for at in range(1, sentence.count(english) + 1):
                parts = sentence.split(english)
                yield self._joined(english.join(parts[:at]), own, english.join(parts[at:]))
        if sentence.endswith(")"):
            before, _bracket, inside = sentence[:-1].rpartition(" (")
            score, said = self._joined(before, "（", inside)
            yield score, f"{said}）"

    def _joined(self, left: str, own: str, right: str) -> tuple[float, str]:
        (known, first), (more, second) = self._read(left), self._read(right)
        if known and more:
            return known + more + (own != "，"), first + own + second
        return known + more, first + (", " if own == "，" else own) + second  # a list of names stays one


def worth(text: str) -> float:
    """How much it says that a sentence holds this: one long piece more than several short ones."""
    return math.pow(len(text), 1.5)


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
