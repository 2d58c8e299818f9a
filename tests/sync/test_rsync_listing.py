"""Itemized lines, progress, temporary names and versions are read back exactly as rsync writes them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sync.core.listing import Listed, Progress, counted, listed, progress, unescaped
from sync.core.tempnames import is_temporary, meant, stem
from sync.rsync import RsyncError, check_rsync

NAMES = st.binary(min_size=1, max_size=255).filter(lambda name: b"\0" not in name and b"/" not in name)


def escaped(name: bytes) -> bytes:
    """As rsync does it with -8 (log.c, filtered_fwrite)."""
    name = re.sub(rb"\\(?=#[0-9]{3})", rb"\\#134", name)
    return re.sub(rb"[\x00-\x08\x0a-\x1f]", lambda found: b"\\#%03o" % found[0][0], name)


@given(NAMES, st.booleans())
@example(b"\\#134", False)
@example(b"\\#12\n", False)
@example(b"a|b -> c", True)
def test_any_name_is_read_back(name: bytes, directory: bool) -> None:
    assert unescaped(escaped(name)) == name
    line = b"send|<f+++++++++|12|345|d/" + escaped(name) + (b"/" if directory else b"")
    assert listed(line) == Listed(b"d/" + name, "send", "<f+++++++++", 12, 345, directory)


FIELDS = st.sampled_from(
    [b"send", b"recv", b"del.", b"<f+", b"*deleting", b"cd+", b"12", b"-1", b"x", b"d/", b""]
)


@given(st.one_of(st.binary(), st.lists(FIELDS, min_size=4, max_size=6).map(b"|".join)))
def test_what_is_counted_of_a_line_is_what_it_is_read_as(line: bytes) -> None:
    item = listed(line)
    expected = item and (item.action == "delete", item.is_directory, item.moved)
    assert counted(line) == expected


@given(st.binary())
def test_other_lines_are_none_or_a_value_and_never_an_error(line: bytes) -> None:
    assert listed(line) is None or b"|" in line
    assert progress(line) is None or b"%" in line


@pytest.mark.parametrize(
    ("line", "action"),
    [
        (b"send|cL+++++++++|7|0|x", "create"),
        (b"send|.d..t......|7|0|./", "attributes"),
        (b"send|.f...p.....|7|0|x", "attributes"),
        (b"send|hf+++++++++|7|0|x", "link"),
        (b"del.|*deleting  |0|0|x/", "delete"),
    ],
)
def test_actions(line: bytes, action: str) -> None:
    found = listed(line)
    assert found
    assert found.action == action
    assert found.path in (b"x", b"")


def test_progress_counts_first_and_then_says_how_far_it_is() -> None:
    first = progress(b"     32768   0%    0.00kB/s    0:00:00  ")
    assert first == Progress(32768, None, 0.0, 0, 0, True)
    counting = progress(b"   3000000  10%    2.00MB/s    0:00:01 (xfr#3, ir-chk=1000/1010)", first)
    assert counting == Progress(3000000, None, 2 * 1024**2, 10, 1010, True)
    known = progress(b"  30000000  50%    1.00GB/s    0:00:01 (xfr#4, to-chk=505/1010)  ", counting)
    assert known == Progress(30000000, 50, 1024**3, 505, 1010, False)
    between = progress(b"  31000000  51%  512.00kB/s    0:00:07", known)
    assert between == Progress(31000000, 51, 512 * 1024, 505, 1010, False)


def test_of_a_list_of_files_it_is_known_from_the_start_how_far_it_is() -> None:
    first = progress(b"    557056  18%  501.96kB/s    0:00:04  ", counted=True)
    assert first == Progress(557056, 18, 501.96 * 1024, 0, 0, False)
    then = progress(b"   3000000 100%  503.51kB/s    0:00:05 (xfr#1, to-chk=0/1)", first, counted=True)
    assert then == Progress(3000000, 100, 503.51 * 1024, 1, 1, False)


@given(NAMES, st.from_regex(rb"\A[A-Za-z0-9]{6}\Z"))
@example(b".htaccess", b"AbCdEf")
@example(b"\xe6\xbc\xa2" * 85, b"AbCdEf")
@example(b"n" * 255, b"AbCdEf")
@example(b"ends.", b"AbCdEf")
def test_a_temporary_name_leads_back_to_its_file(name: bytes, suffix: bytes) -> None:
    temporary = stem(name) + b"." + suffix
    assert len(temporary) <= 255
    assert is_temporary(temporary)
    found = meant(b"d/" + temporary, lambda directory: [b"other", name])
    assert b"d/" + name in found or name == temporary or b"d/other" in found


def test_a_temporary_name_may_stand_for_two_files_and_then_means_both() -> None:
    assert meant(b".page.AbCdEf", lambda directory: [b"page", b".page"]) == [b"page", b".page"]
    assert meant(b".page.AbCdEf", lambda directory: [b".page.AbCdEf", b"page"]) == [b".page.AbCdEf"]
    assert meant(b"d/.page.AbCdEf", lambda directory: []) == [b"d/page"]
    assert meant(b"d/page", lambda directory: []) == [b"d/page"]


def test_this_machines_rsync_is_taken() -> None:
    version = check_rsync("rsync")
    assert version >= (3, 2, 3, "")
    assert str(version) in version.text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("openrsync: protocol version 29\nrsync version 2.6.9 compatible\n", "is openrsync"),
        ("rsync  version 3.1.3  protocol version 31\n", "too old"),
        ("rsync  version 3.2.2  protocol version 31\n", "too old"),
        ("rsync  version 3.4.3  protocol version 32\n", "3.4.4 or newer"),
        ("hello\n", "is no rsync"),
        ("", "is no rsync"),
    ],
)
def test_programs_that_do_not_do_are_refused_with_a_remedy(text: str, words: str) -> None:
    with pytest.raises(RsyncError, match=words) as caught:
        check_rsync("prog", lambda program: text)
    assert "install" in str(caught.value)


@pytest.mark.parametrize("version", ["3.2.3", "3.2.7", "3.4.1", "3.4.4", "v3.5.0", "4.0"])
def test_programs_that_do_are_taken(version: str) -> None:
    assert check_rsync("p", lambda program: f"rsync  version {version}  protocol version 32\n").major >= 3


def test_a_program_that_cannot_be_started_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no program")
    for program in ("no-such-rsync-program", str(tmp_path / "file"), str(tmp_path)):
        with pytest.raises(RsyncError, match="install"):
            check_rsync(program)
