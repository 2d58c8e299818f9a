"""Exit codes and messages become outcomes: every code has one, with a sentence and a remedy."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.core.complaints import Complaints
from sync.core.model import Outcome
from sync.core.outcome import Verdict, verdict

ROOT = b"/srv/publish/"


def heard(*lines: bytes, names: Sequence[bytes] = (), prefix: bytes = b"") -> Complaints:
    complaints = Complaints(ROOT, prefix, lambda directory: names)
    for line in lines:
        complaints.feed(line)
    return complaints


def judged(code: int, *lines: bytes) -> Verdict:
    return verdict(code, heard(*lines))


# ── codes ────────────────────────────────────────────────────────────────────────────────────────────────


@given(st.integers(-64, 255), st.lists(st.binary(max_size=60), max_size=4))
def test_every_code_has_an_outcome_and_only_zero_is_done(code: int, lines: list[bytes]) -> None:
    found = judged(code, *lines)
    assert (found.outcome is Outcome.DONE) is (code == 0)
    if code:
        assert found.message
        assert found.remedy
        assert len(str(found).splitlines()) == 1


@pytest.mark.parametrize(
    ("outcome", "codes"),
    [
        (Outcome.CONFIGURATION, [1, 2, 3, 4, 5, 6, 124, 126, 127]),
        (Outcome.UNREACHABLE, [10, 30, 35, 255]),
        (Outcome.BROKEN, [11, 12, 13, 14, 15, 16, 21, 22, 125, -6, -11, 99]),
        (Outcome.KILLED, [19, 20, 137, -1, -2, -9, -15]),
        (Outcome.PARTIAL, [23, 25]),
        (Outcome.VANISHED, [24]),
    ],
)
def test_the_table(outcome: Outcome, codes: list[int]) -> None:
    assert {code: judged(code).outcome for code in codes} == dict.fromkeys(codes, outcome)


FULL = b'rsync: [receiver] write failed on "big" (in content): No space left on device (28)'
QUOTA = b'rsync: [receiver] mkstemp "/.page.AbCdEf" (in content) failed: Disk quota exceeded (122)'
DENIED = b'rsync: [receiver] mkstemp "/d/.page.AbCdEf" (in content) failed: Permission denied (13)'
GONE = b'rsync: [sender] link_stat "/srv/publish/gone" failed: No such file or directory (2)'
CLOSED = b'rsync: [sender] send_files failed to open "/srv/publish/closed": Permission denied (13)'
LOST = b'file has vanished: "/srv/publish/lost"'


@pytest.mark.parametrize(
    ("code", "lines", "outcome"),
    [
        (5, [b"@ERROR: max connections (1) reached -- try again later"], Outcome.BUSY),
        (5, [b"@ERROR: Unknown module 'x'"], Outcome.CONFIGURATION),
        (11, [FULL], Outcome.NO_SPACE),
        (11, [QUOTA], Outcome.NO_SPACE),
        (23, [GONE], Outcome.VANISHED),
        (23, [GONE, LOST], Outcome.VANISHED),
        (23, [GONE, CLOSED], Outcome.PARTIAL),
        (23, [GONE, DENIED], Outcome.PARTIAL),
        (23, [QUOTA], Outcome.NO_SPACE),
        (23, [QUOTA, DENIED], Outcome.PARTIAL),
        (24, [LOST], Outcome.VANISHED),
        (23, [b'rsync: [sender] change_dir "/srv/publish" failed: X (2)'], Outcome.CONFIGURATION),
        (3, [b'rsync: [sender] change_dir "/srv/publish/" failed: X (2)'], Outcome.CONFIGURATION),
        (255, [b"ssh: connect to host node port 22: Connection refused"], Outcome.UNREACHABLE),
        (255, [b"ssh: connect to host node port 22: Connection timed out"], Outcome.UNREACHABLE),
        (255, [b"me@node: Permission denied (publickey,password)."], Outcome.CONFIGURATION),
        (255, [b"Host key verification failed."], Outcome.CONFIGURATION),
        (12, [b"ssh: connect to host node port 22: Connection refused"], Outcome.UNREACHABLE),
        (12, [b"ssh: Could not resolve hostname node: Name or service not known"], Outcome.UNREACHABLE),
        (12, [b"me@node: Permission denied (publickey,password)."], Outcome.CONFIGURATION),
        (12, [b"Host key verification failed."], Outcome.CONFIGURATION),
        (12, [b"bash: line 1: rsync: command not found"], Outcome.CONFIGURATION),
        (12, [b"sh: 1: /opt/rsync: not found"], Outcome.CONFIGURATION),
        (12, [b"rsync: [sender] read error: Connection reset by peer (104)"], Outcome.BROKEN),
        (12, [b"rsync: connection unexpectedly closed (0 bytes received so far) [sender]"], Outcome.BROKEN),
    ],
)  # fmt: skip
def test_messages_refine_the_code(code: int, lines: list[bytes], outcome: Outcome) -> None:
    found = judged(code, *lines)
    assert found.outcome is outcome, found
    assert found.message
    assert found.remedy


def test_a_sentence_is_one_line_whatever_the_names_are() -> None:
    line = b'rsync: [receiver] mkstemp "/a\\#012b\\#033[1m" (in content) failed: X (13)'
    assert "a\\x0ab\\x1b[1m" in str(judged(23, line))


def test_the_sentence_names_the_first_path_and_how_many_more() -> None:
    said = str(judged(23, DENIED, QUOTA))
    assert "d/page" in said
    assert "Permission denied" in said
    assert "(and 1 more)" in said


# ── messages ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("line", "path"),
    [
        (b'rsync: [receiver] mkstemp "/d/.page.AbC123" (in content) failed: X (13)', b"d/page"),
        (b'rsync: [receiver] mkstemp "d/.n\\#012l\\#377.AbC123" (in content) failed: X (1)', b"d/n\nl\xff"),
        (b'rsync: [receiver] mkstemp "d/.a "b" (in x).AbC123" (in content) failed: X (1)', b'd/a "b" (in x)'),
        (b'rsync: [receiver] rename ".im.B43Lz4" (in content) -> "im": X (1)', b"im"),
        (b'rsync: [receiver] rename failed for "im" (in content) (from .~tmp~/im): X (1)', b"im"),
        (b'rsync: [generator] rename ".ks.8937" (in content) -> ""ks" (in content)" failed: X (1)', b"ks"),
        (b'rsync: [generator] symlink "/deep/ks" (in content) -> "t" failed: X (1)', b"deep/ks"),
        (b'rsync: [generator] recv_generator: mkdir "/deep/d" (in content) failed: X (1)', b"deep/d"),
        (b"rsync: [generator] delete_file: unlink(a (b)) failed: X (1)", b"a (b)"),
        (b"rsync: [generator] delete_file: rmdir(.x.AbCdEf) failed: X (1)", b".x.AbCdEf"),
        (b"could not make way for new regular file: kd", b"kd"),
        (b"could not make way for new symlink: k\\#012d", b"k\nd"),
        (b"ERROR: d/big failed verification -- update discarded.", b"d/big"),
        (b'ERROR: daemon refused to receive regular file "d/x"', b"d/x"),
        (b'rsync: [generator] failed to set times on "/d" (in content): X (1)', b"d"),
        (b'rsync: [generator] chgrp "/d/page" (in content) failed: X (1)', b"d/page"),
        (b'rsync: [receiver] failed to set permissions on "/.p.AbCdEf" (in content): X (1)', b"p"),
    ],
)  # fmt: skip
def test_a_message_from_the_node_names_its_path(line: bytes, path: bytes) -> None:
    complaints = heard(line)
    assert list(complaints.failed) == [path]
    assert not complaints.source_failed
    assert not complaints.notes


@pytest.mark.parametrize("where", [b"/srv/www", b"/mnt/disk/srv/www"])
def test_names_over_ssh_are_relative_to_the_folder(where: bytes) -> None:
    line = b'rsync: [receiver] mkstemp "%s/d/.page.AbC123" failed: Permission denied (13)' % where
    assert list(heard(line, prefix=b"srv/www").failed) == [b"d/page"]


def test_names_in_a_folder_of_a_module_are_relative_to_the_folder() -> None:
    lines = (
        b'rsync: [receiver] mkstemp "/sub/dir/.page.AbC123" (in content) failed: Permission denied (13)',
        b"rsync: [generator] delete_file: unlink(old/page) failed: X (1)",
        b'rsync: [Receiver] mkdir "sub/dir" (in content) failed: No such file or directory (2)',
    )
    complaints = heard(*lines, prefix=b"sub/dir")
    assert set(complaints.failed) == {b"page", b"old/page"}
    assert len(complaints.notes) == 1


@given(st.lists(st.binary(max_size=300), max_size=80))
def test_no_message_is_too_much(lines: list[bytes]) -> None:
    complaints = heard(*lines)
    assert len(complaints.notes) <= 40
    assert all(len(note) <= 400 for note in complaints.notes)


def test_skipped_deletions_are_noticed_on_either_output() -> None:
    assert heard(b"IO error encountered -- skipping file deletion").deletions_skipped
    assert heard(b"Deletions stopped due to --max-delete limit (3 skipped)").deletions_skipped
    assert not heard(DENIED, GONE).deletions_skipped
