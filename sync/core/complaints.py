"""Reads rsync's messages line by line and sorts the paths they name by whose fault it is; keeps no secret.

    said by                     about               goes to
    [sender]                    a path              source_failed (and vanished, where it is no longer there)
    [receiver], [generator]     a path              failed
    "file has vanished"         a path              source_failed, vanished
    anything else               the whole run       notes

The forms of the messages are those of rsync 3.2 to 3.5 (generator.c, receiver.c, delete.c, flist.c, rsync.c).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from sync.core.listing import unescaped
from sync.core.model import text_of
from sync.core.tempnames import meant

NO_SPACE = frozenset({28, 122, 69})  # ENOSPC, EDQUOT on Linux and on macOS
# ENOENT, ENOTDIR, EISDIR, ELOOP (Linux, macOS): it, or a folder above it, became something else meanwhile.
GONE = (b"(2)", b"(20)", b"(21)", b"(40)", b"(62)")
NOTES_KEPT = 40
NOTE_BYTES = 400

_IN = rb'(?: \(in [^"]*?\))?'
_SAID = re.compile(rb"rsync: (?:\[(\w+)\] )?(.*)", re.DOTALL)
_DELETE = re.compile(rb"delete_file: \w+\((.*)\) failed(.*)", re.DOTALL)
_RENAME_FOR = re.compile(rb'rename failed for "(.*)"' + _IN + rb" \(from .*?\)(:.*)", re.DOTALL)
_RENAME_TO = re.compile(rb'(?:rename|copy) ".*?"' + _IN + rb' -> "(.*)"(?: failed)?(:.*)', re.DOTALL)
_NESTED = re.compile(rb'"(.*)"' + _IN, re.DOTALL)
_SYMLINK = re.compile(rb'(?:symlink|link) "(.*?)"' + _IN + rb' -> ".*"(.*)', re.DOTALL)
_QUOTED = re.compile(rb'([^"]*?)"(.*)"' + _IN + rb"(.*)", re.DOTALL)
_WAY = re.compile(rb"could not make way for (?:new|backup) [a-z ]+: (.*)", re.DOTALL)
_VANISHED = re.compile(rb'(?:file|directory) has vanished: "(.*)"' + _IN, re.DOTALL)
_VERIFY = re.compile(rb"ERROR: (.*) failed verification -- update .*", re.DOTALL)
_REFUSED = re.compile(rb'ERROR: daemon refused to receive [a-z ]+"(.*)"', re.DOTALL)
_ERRNO = re.compile(rb".*[: ]([A-Z][^:\"]*) \((\d+)\)$", re.DOTALL)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_FOLLOW_UP = (b"*** Skipping any contents", b"WARNING: parent dir is absent", b"rsync warning:")


@dataclass
class Complaints:
    """What a run's messages said. Fed with whole lines; owned by the thread that runs the process.

    ``root`` is the source as given to rsync, ``prefix`` the destination's path on the other side: names in
    messages begin with them. ``names_in`` lists a directory of the source (relative path), to tell which
    file a temporary name stood for.
    """

    root: bytes
    prefix: bytes = b""
    names_in: Callable[[bytes], Iterable[bytes]] = lambda directory: ()
    failed: dict[bytes, str] = field(default_factory=dict)
    source_failed: dict[bytes, str] = field(default_factory=dict)
    vanished: set[bytes] = field(default_factory=set)
    blocked: set[bytes] = field(default_factory=set)
    no_space: set[bytes] = field(default_factory=set)
    not_empty: list[bytes] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    closing: str = ""
    deletions_skipped: bool = False

    def feed(self, line: bytes) -> None:
        """Takes one line of stderr, or one of stdout that is no itemized one."""
        if line.startswith(b"rsync error: "):
            self.closing = _text(line)
        elif b"skipping file deletion" in line or line.startswith(b"Deletions stopped due to --max-delete"):
            self.deletions_skipped = True
        elif line.startswith(b"cannot delete non-empty directory: "):
            self.not_empty.append(unescaped(line.partition(b": ")[2]))
        elif line and not line.startswith(_FOLLOW_UP) and not self._names_a_path(line):
            self._note(line)

    def _names_a_path(self, line: bytes) -> bool:
        if found := _SAID.fullmatch(line):
            return self._said(found[1] or b"", found[2])
        if found := _VANISHED.fullmatch(line):
            self._at_source(found[1], b"vanished while it was sent", gone=True)
        elif found := _WAY.fullmatch(line):
            path = unescaped(found[1])
            self.failed.setdefault(path, "could not make way for another kind of file")
            self.blocked.add(path)
        elif found := _VERIFY.fullmatch(line) or _REFUSED.fullmatch(line):
            self.failed[unescaped(found[1])] = _text(line)
        return found is not None

    def _said(self, who: bytes, body: bytes) -> bool:
        if found := _DELETE.fullmatch(body):
            self._failed(unescaped(found[1]).strip(b"/"), found[2], b"cannot be deleted")
        elif found := _RENAME_FOR.fullmatch(body):
            self._on_node(found[1], found[2], b"cannot be put in place")
        elif found := _RENAME_TO.fullmatch(body):
            nested = _NESTED.fullmatch(found[1])
            self._on_node(nested[1] if nested else found[1], found[2], b"cannot be put in place")
        elif found := _SYMLINK.fullmatch(body):
            self._on_node(found[1], found[2], b"cannot be linked")
        elif found := _QUOTED.fullmatch(body):
            what = found[1].strip(b" (:")
            if who == b"sender":
                self._at_source(found[2], what + found[3], gone=found[3].endswith(GONE))
            else:
                return self._on_node(found[2], found[3], what)
        return found is not None

    def _at_source(self, name: bytes, why: bytes, *, gone: bool) -> None:
        path = unescaped(name)
        path = path[len(self.root) :] if (path + b"/").startswith(self.root) else path
        path = path.strip(b"/")
        self.source_failed[path] = _text(why)
        if gone:
            self.vanished.add(path)

    def _on_node(self, name: bytes, why: bytes, what: bytes) -> bool:
        """Whether the name is a path of the content, not the destination itself."""
        path = self._relative(unescaped(name))
        for one in meant(path, self.names_in) if path else ():
            self._failed(one, why, what)
        return bool(path)

    def _failed(self, path: bytes, why: bytes, what: bytes) -> None:
        if b"mkdir" in what:
            self.blocked.add(path)
        error = _ERRNO.fullmatch(why)
        self.failed[path] = _text(what + (b": " + error[1] if error else why))
        if error and int(error[2]) in NO_SPACE:
            self.no_space.add(path)

    def _relative(self, name: bytes) -> bytes:
        """The name without the destination's own path. The daemon's names may begin with a slash or not."""
        bare = name.strip(b"/")
        if bare == self.prefix:
            return b""
        if self.prefix and name.startswith(b"/"):
            _, between, after = (b"/" + bare).partition(b"/" + self.prefix + b"/")
            return after if between else bare
        return bare

    def _note(self, line: bytes) -> None:
        if len(self.notes) < NOTES_KEPT:
            self.notes.append(_text(line))
        else:
            self.notes[-1] = _text(line)


def shown(text: bytes) -> str:
    """The bytes for people, in one line: control characters as ``\\xNN`` like what is not UTF-8."""
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text_of(text))


def _text(line: bytes) -> str:
    """The line for people, cut to a length that a log can bear."""
    text = shown(line.strip())
    return text if len(text) <= NOTE_BYTES else text[: NOTE_BYTES - 1] + "…"
