"""Every sentence that the code may show has its Chinese and is recognised as it is stored: with names, numbers and
other sentences in it. Names, paths and the words of rsync stay as they are.
"""

from __future__ import annotations

import ast
import re
import time
from pathlib import Path

import pytest
from babel.messages.mofile import read_mo
from babel.messages.pofile import read_po
from hypothesis import given, settings
from hypothesis import strategies as st

from app.sentences import FRAGMENT, KEPT, Sentences, fill, is_kept, sentences
from tools.sentences import PLACE, of_source, templates

ROOT = Path(__file__).resolve().parents[2]
CATALOGUE = ROOT / "app" / "translations" / "zh" / "LC_MESSAGES"
CHINESE = re.compile(r"[\u4e00-\u9fff]")
ENGLISH_TOO = re.compile(r"[a-z_]+|([a-z]+ \| )+[a-z]+|null: [a-z_.]+|ttl .*|IPv.*|rsync.*|DNS.*|dns|\S*")
"""What says the same in Chinese: keys and their values as they are typed."""


@pytest.fixture(scope="module")
def wanted() -> dict[str, set[str]]:
    return templates(ROOT)


@pytest.fixture(scope="module")
def known() -> dict[str, str]:
    with (CATALOGUE / "sentences.po").open("rb") as file:
        return {str(m.id): str(m.string) for m in read_po(file, locale="zh") if m.id}


# ── completeness ─────────────────────────────────────────────────────────────────────────────────────────


def test_every_sentence_of_the_code_has_its_chinese(
    wanted: dict[str, set[str]], known: dict[str, str]
) -> None:
    missing = {said: where for said, where in wanted.items() if not known.get(said)}
    assert missing == {}, "write it into sentences.po, then: python -m tools.catalogue"
    assert known.keys() - wanted.keys() == set(), "nobody says that any more: python -m tools.catalogue"


def test_the_chinese_is_chinese(known: dict[str, str]) -> None:
    plain = {e: PLACE.sub("", said) for e, said in known.items()}
    assert [
        e for e, said in plain.items() if not CHINESE.search(said) and not ENGLISH_TOO.fullmatch(said)
    ] == []


def test_every_translation_has_the_same_places(known: dict[str, str]) -> None:
    def places(text: str) -> list[str]:
        return sorted(place for place in PLACE.findall(text) if "|" not in place)

    assert [e for e, said in known.items() if places(e) != places(said)] == []


def test_the_compiled_catalogue_is_that_of_its_source(known: dict[str, str]) -> None:
    with (CATALOGUE / "sentences.mo").open("rb") as file:
        assert {str(m.id): str(m.string) for m in read_mo(file) if m.id} == known


# ── recognising them ─────────────────────────────────────────────────────────────────────────────────────


def example(template: str) -> tuple[str, dict[str, str]]:
    """A sentence as it would be stored, and what stands in its places."""
    values: dict[str, str] = {}

    def put(found: re.Match[str]) -> str:
        if "|" in found[1]:
            return found[1].split("|")[0]
        values[found[1]] = f"Wert{len(values)}"
        return values[found[1]]

    return PLACE.sub(put, template).replace("⦃", "{").replace("⦄", "}"), values


def test_every_sentence_is_recognised_with_names_in_it(known: dict[str, str]) -> None:
    chinese = sentences("zh")
    wrong = {}
    for template, said in known.items():
        sentence, values = example(template)
        if FRAGMENT.match(template):
            sentence, said = "Wert9" + sentence, "Wert9" + said
        expected = fill(said, values)
        found = chinese.of(sentence)
        if found != expected:
            wrong[sentence] = found
    assert wrong == {}


@pytest.mark.parametrize(
    ("english", "chinese"),
    [
        ("node a is in dead: rsync: connection refused (10.0.0.1:873)",
         "节点 a 处于失效：rsync：连接被拒绝（10.0.0.1:873）"),
        ("4 of 5 observations failed; the last said: 1 of 2 probes failed: rsync: connection refused (a:873)",
         "5 次观测中有 4 次失败；最后一次：2 个探测中有 1 个失败：rsync：连接被拒绝（a:873）"),
        ("telecom → nodes a, b: node c is drained; node d is in recovery: new node; and 3 more",
         "电信 → 节点 a, b：节点 c 已摘除；节点 d 处于恢复中：新节点；另有 3 项"),
        ("could not take a/new and 3 more: Permission denied (13)",
         "无法接收 a/new 及另外 3 个：Permission denied (13)"),
        ("could not take new: new node", "无法接收 new：新节点"),
        ("out of step: lacks x (one of 4 in its dustbin), which b has had for 30 s",
         "步调不一致：缺少 x（其回收箱中 4 个之一），而 b 拥有它已 30 秒"),
        ("config.yml:3:5: nodes[0].hots: unknown key (did you mean 'host'?)",
         "config.yml:3:5：nodes[0].hots：未知的键（是指 'host' 吗？）"),
        ('the node cannot write: rsync: [receiver] mkstemp "/x" failed: No space (28); '
         "look at its disk and its rsyncd log",
         '节点无法写入：rsync: [receiver] mkstemp "/x" failed: No space (28)；请查看其磁盘和 rsyncd 日志'),
        ("must be a whole number, not 'abc'", "必须是整数，而不是 'abc'"),
        ("12 paths differ from the source: a, b, c and 9 more", "12 个路径与源不同：a, b, c及另外 9 个"),
        ("5 min", "5 分钟"), ("2 h 5 min", "2 小时 5 分钟"), ("3.2 s", "3.2 秒"),
    ],
)  # fmt: skip
def test_sentences_inside_sentences_are_said_too(english: str, chinese: str) -> None:
    assert sentences("zh").of(english) == chinese


@pytest.mark.parametrize(
    "foreign",
    [
        'rsync: [receiver] mkstemp "/srv/x" failed: Permission denied (13)',
        "rsync error: some files/attrs were not transferred (see previous errors) (code 23) at main.c(1338)",
        "index.html", "sh-telecom", "10.0.0.1", "", "a, b, c", "DomainRecordDuplicate",
    ],
)  # fmt: skip
def test_what_others_say_stays_as_it_is(foreign: str) -> None:
    assert sentences("zh").of(foreign) == foreign


def test_a_name_that_is_a_word_of_ours_stays_a_name() -> None:
    for name in ("new", "ready", "everything", "failed"):
        assert f" {name} " in sentences("zh").of(f"node {name} is drained")


def test_english_is_left_alone() -> None:
    assert sentences("en").of("node a is in dead: new node") == "node a is in dead: new node"
    assert sentences("en").say("Over after {lasted}: {what}", lasted="4 s", what="x") == "Over after 4 s: x"


def test_braces_of_a_name_do_no_harm() -> None:
    said = Sentences({"could not take {path}: {error}": "无法接收 {path}：{error}"}, {})
    assert said.of("could not take {error}{0}: {path}") == "无法接收 {error}{0}：{path}"


def test_a_long_foreign_text_costs_little() -> None:
    began = time.process_time()
    for text in (
        "x, y; z: " * 400,
        "a: " * 16,
        "node a is in dead: " * 12,
        "(" * 3000,
        "x (y) " * 16,
        "{" * 50,
    ):
        assert sentences("zh").of(text)
    assert time.process_time() - began < 10


PIECES = st.sampled_from(
    [
        "node ",
        "a",
        " is in ",
        "dead",
        ": ",
        "; ",
        ", ",
        " → ",
        " (",
        ")",
        "failed",
        " and 3 more",
        "{x}",
        "new node",
        "é",
        "\n",
    ]
)


@given(st.text(max_size=120))
@settings(max_examples=100, deadline=None)
def test_any_text_can_be_read_and_english_stays(text: str) -> None:
    assert bool(sentences("zh").of(text)) == bool(text)
    assert sentences("en").of(text) == text


@given(st.lists(PIECES, max_size=20).map("".join))
@settings(max_examples=100, deadline=None)
def test_what_is_put_together_loses_no_number(text: str) -> None:
    assert text.count("3") == sentences("zh").of(text).count("3"), text


NAME = st.text("abcxyz-_.0123456789", min_size=1, max_size=12).filter(lambda name: not name.isalpha())


@given(NAME, NAME, st.integers(0, 10**6))
@settings(max_examples=100, deadline=None)
def test_names_and_numbers_come_through(node: str, path: str, number: int) -> None:
    for sentence in (
        f"node {node} is in dead: could not take {path} and {number} more: new node",
        f"{number} paths differ from the source: {path}; node {node} is drained",
        f"out of step: lacks {path}, which {node} has had for {number} s",
    ):
        said = sentences("zh").of(sentence)
        assert said != sentence
        assert node in said
        assert path in said
        assert str(number) in said


# ── finding them ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ('def f(n):\n    """A docstring of words."""\n    return "the node is gone"', ["the node is gone"]),
        ('log.warning("nobody sees this %s", x)', []),
        ('_("gettext has this one")', []),
        ("f\"{n} path{'s' if n > 1 else ''} left\"", ["{n} path{s|} left"]),
        ("f\"it {'went away' if x else 'came'} today\"", ["it went away today", "it came today"]),
        ('def f(n):\n    more = f" and {n} more" if n else ""\n    return f"took {n.path}{more}: {e}"',
         ["took {path} and {n} more: {e}", "took {path}: {e}"]),
        ('def f():\n    said = "one way or other"\n    return f"it went {said}"',
         ["one way or other", "it went {said}"]),
        ('x = "part one, " + f"part {n}"', ["part one, part {n}"]),
        ('f"{a.name} and {b.name} fight"', ["{a} and {b} fight"]),
        ('f"{a} at {b}"', []),
        ('x = "single"', []),
    ],
)  # fmt: skip
def test_sentences_are_found_in_code(code: str, found: list[str]) -> None:
    ast.parse(code)
    assert of_source(code) == found


def test_a_new_sentence_anywhere_would_be_found(tmp_path: Path) -> None:
    for half in ("sync", "dns", "app"):
        (tmp_path / half / "core").mkdir(parents=True)
        (tmp_path / half / "core" / "thing.py").write_text(
            f'def f(x):\n    return f"{half} says {{x}} loudly"\n'
        )
    assert {f"{half} says {{x}} loudly" for half in ("sync", "dns", "app")} <= templates(tmp_path).keys()


def test_names_that_stay_are_places_that_there_are(wanted: dict[str, set[str]]) -> None:
    places = {place for template in wanted for place in PLACE.findall(template)}
    unused = KEPT - {p.rstrip("0123456789") for p in places if is_kept(p)}
    assert unused == set(), "no sentence has these places any more: drop them from NAMES in app/sentences.py"
