"""Patterns against rsync itself: the same tree, the same excludes, the same answer."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sync.core.patterns import PatternError, Patterns

TREE = (
    "a/", "b/", "a/a/", "a/b/", "a/b/a/", "b/c/", "b/c/d/", "b/c/d/a/", "x.tmp/", "a/x.tmp/",
    "dir/", "dir/***/",
    "a/a/f", "f", "a/f", "a/b/f", "a/b/a/g", "b/c/d/f", "b/c/d/x.tmp", "x.git", "a/x.git", "b/a", "b/c/d/b",
    "c", "ab", "a/ab", "abc", "b/abc", "a-b", "a]b", "a\\b", "a*b", "a/[x]", "[", "a?", "-", "!",
    "b/!x", "1", "a/9z",
    "dir/f", "dir/g", "dir/***/f", " lead", "trail ", "\u00e9", "a/\udcff", "#x", "~", "b/.f", ".f",
)  # fmt: skip


def _made(tree: Path) -> Path:
    for name in TREE:
        path = tree / name
        if name.endswith("/"):
            path.mkdir(parents=True, exist_ok=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    return tree


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _made(tmp_path_factory.mktemp("tree"))


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("empty")


def _sent(tree: Path, empty: Path, excludes: list[str]) -> set[bytes]:
    """What rsync would send, as it says itself; odd bytes come as \\#ooo."""
    argv = [
        "rsync",
        "-rn",
        "--out-format=%n",
        *(f"--exclude={each}" for each in excludes),
        f"{tree}/",
        f"{empty}/",
    ]
    done = subprocess.run(
        argv, capture_output=True, check=True, env={"PATH": os.environ["PATH"], "LC_ALL": "C"}
    )
    lines = (line for line in done.stdout.split(b"\n") if line and line != b"./")
    return {re.sub(rb"\\#(\d{3})", lambda m: bytes([int(m[1], 8)]), line).rstrip(b"/") for line in lines}


def _carried(tree: Path, patterns: Patterns) -> set[bytes]:
    root = os.fsencode(tree)
    found: set[bytes] = set()
    for top, directories, files in os.walk(root):
        for name, is_dir in [*((d, True) for d in directories), *((f, False) for f in files)]:
            path = os.path.relpath(os.path.join(top, name), root)
            if not patterns.hides(path, is_dir):
                found.add(path)
    return found


PIECES = st.sampled_from(
    ["a", "b", "f", "x", "c", "dir", ".tmp", "*", "**", "***", "?", "/", "/", "[ab]", "[!a]",
     "[^/]", "[a-c]", "[/a]",
     "[]x]", "[x-]", "[[:digit:]]", "[[:bogus:]]", "[[:x]", "[", "]", "\\", "\\*", "-", "!", ".",
     " ", "\u00e9", "#"]
)  # fmt: skip


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(excludes=st.lists(st.lists(PIECES, min_size=1, max_size=6).map("".join), min_size=1, max_size=2))
def test_random_patterns_hide_exactly_what_rsync_hides(tree: Path, empty: Path, excludes: list[str]) -> None:
    try:
        patterns = Patterns(excludes)
    except PatternError:
        return
    assert _carried(tree, patterns) == _sent(tree, empty, excludes)


@pytest.mark.parametrize(
    "pattern",
    ["*.tmp", "*.git", ".~tmp~/", "/a", "a/b", "/a/b", "b/", "dir/***", "/dir/*", "dir/**",
     "**/f", "/**/f", "a/**/f",
     "**", "*", "***", "/***", "a**", "a***", "**b", "a\\b", "a\\\\b", "a\\*b", "a*\\", "\\a*",
     "[", "[a", "a/[x]", "a/?x]", "/",
     "//a", "a//b", "a/", "a/b/", "*/f", "*/*/f", "**/", "?", "[[:alpha:]]", "[[:digit:]]*",
     "[!a]", "!x", "[!]", "\u00e9", "?\u00a9", "#x",
     "[/a]b", "a[/]b", "[^/]/f", "*/***", "x.tmp/", "-", " lead", "trail "],
)  # fmt: skip
def test_each_form_of_pattern_hides_exactly_what_rsync_hides(tree: Path, empty: Path, pattern: str) -> None:
    assert _carried(tree, Patterns([pattern])) == _sent(tree, empty, [pattern])


def test_a_match_of_the_path_itself_says_nothing_of_its_ancestors() -> None:
    patterns = Patterns(["*.git"])
    assert not patterns.excludes(b"x.git/config", False)
    assert patterns.hides(b"x.git/config", False)


def test_a_directory_pattern_leaves_a_file_of_the_name_alone() -> None:
    patterns = Patterns(["cache/"])
    assert patterns.excludes(b"a/cache", True)
    assert not patterns.excludes(b"a/cache", False)


@pytest.mark.parametrize("pattern", ["", "+ a", "- a", "!", "a\nb", "a\0b", "a\rb", "x" * 5000])
def test_what_rsync_would_take_for_something_else_is_refused_with_a_remedy(pattern: str) -> None:
    with pytest.raises(PatternError, match=r"\w{4}"):
        Patterns([pattern])


def test_no_pattern_hides_nothing() -> None:
    assert not Patterns([]).hides(b"a/b", False)
