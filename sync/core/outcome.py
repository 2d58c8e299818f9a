"""Decides what the end of an rsync run means, with one sentence and a remedy; starts and reads nothing.

code            outcome          unless the messages say
0               DONE
1, 2, 3, 4, 6   CONFIGURATION
5               CONFIGURATION    "max connections": BUSY
10, 30, 35      UNREACHABLE
11              BROKEN           no space, quota: NO_SPACE; a missing parent, permission: CONFIGURATION
12–16, 21, 22   BROKEN
19, 20, 137     KILLED           (and -1, -2, -9, -15)
23              PARTIAL          all vanished: VANISHED; all no space: NO_SPACE; no source: CONFIGURATION
24              VANISHED
25              PARTIAL
124 to 127      CONFIGURATION
255             UNREACHABLE      key or host key refused: CONFIGURATION
other signals   BROKEN
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from sync.core.complaints import Complaints, shown
from sync.core.model import Outcome


@dataclass(frozen=True, slots=True)
class Verdict:
    """An outcome with one sentence of what happened and, unless all is well, one of what to do."""

    outcome: Outcome
    message: str = ""
    remedy: str = ""

    def __str__(self) -> str:
        return f"{self.message}; {self.remedy}" if self.remedy else self.message


# fmt: off
_TABLE: dict[int, Verdict] = {
    0: Verdict(Outcome.DONE),
    1: Verdict(Outcome.CONFIGURATION, "rsync or the node refuses the options",
               "check sync.extra_args, and that the module has 'read only = no'"),
    2: Verdict(Outcome.CONFIGURATION, "the two rsyncs do not fit", "update rsync on the node (not 3.4.3)"),
    3: Verdict(Outcome.CONFIGURATION, "the publish directory cannot be read",
               "check publish.root and its permissions"),
    4: Verdict(Outcome.CONFIGURATION, "the node's rsync lacks what is asked for", "update it on the node"),
    5: Verdict(Outcome.CONFIGURATION, "the node's rsync daemon refuses the transfer",
               "check module, user, password and 'hosts allow' on the node"),
    6: Verdict(Outcome.CONFIGURATION, "rsync cannot write its log", "check sync.extra_args"),
    10: Verdict(Outcome.UNREACHABLE, "no connection to the node",
                "check that rsync --daemon runs there and no firewall is between"),
    11: Verdict(Outcome.BROKEN, "the node cannot write", "look at its disk and its rsyncd log"),
    12: Verdict(Outcome.BROKEN, "the connection broke in mid-run", "see the node's rsyncd log"),
    13: Verdict(Outcome.BROKEN, "rsync could not pass on its messages", "see the node's rsyncd log"),
    14: Verdict(Outcome.BROKEN, "rsync's processes lost each other", "look at memory and process limits"),
    15: Verdict(Outcome.BROKEN, "an rsync process crashed", "update rsync if it happens again"),
    16: Verdict(Outcome.BROKEN, "an rsync process ended early", "see the node's rsyncd log"),
    19: Verdict(Outcome.KILLED, "the run was ended by a signal", "it is tried again"),
    20: Verdict(Outcome.KILLED, "the run was ended by a signal", "it is tried again"),
    21: Verdict(Outcome.BROKEN, "rsync lost a process of its own", "it is tried again"),
    22: Verdict(Outcome.BROKEN, "rsync is out of memory", "free memory here or on the node"),
    23: Verdict(Outcome.PARTIAL, "some paths were not carried", "see the dustbin for each"),
    24: Verdict(Outcome.VANISHED, "some paths vanished while they were sent", "they are looked at again"),
    25: Verdict(Outcome.PARTIAL, "the limit of deletions was reached", "confirm them if they are meant"),
    30: Verdict(Outcome.UNREACHABLE, "the node fell silent",
                "look at the node; sync.timeout_seconds is the limit"),
    35: Verdict(Outcome.UNREACHABLE, "the node did not accept the connection in time",
                "look at the node and the network between"),
    124: Verdict(Outcome.CONFIGURATION, "the remote command failed", "try it by hand on the node"),
    125: Verdict(Outcome.BROKEN, "the remote command was killed", "look at the node's memory and log"),
    126: Verdict(Outcome.CONFIGURATION, "rsync cannot be started", "check the permissions of the program"),
    127: Verdict(Outcome.CONFIGURATION, "there is no rsync", "install it; with ssh on the node too"),
    137: Verdict(Outcome.KILLED, "the run was killed", "it is tried again; look for a lack of memory"),
    255: Verdict(Outcome.UNREACHABLE, "ssh cannot reach the node", "check that sshd runs there"),
}
# fmt: on
_UNKNOWN = Verdict(
    Outcome.BROKEN, "rsync ended in a way that is not known", "it is tried again; see the message"
)
_NO_PROGRAM = re.compile(r"rsync\S*: (command )?not found|rsync\S*: No such file or directory")
_SSH_ENDED = re.compile(
    r"ssh: (connect to host|Could not resolve)|Permission denied \(|Host key verification"
)
_ENDING_SIGNALS = frozenset({1, 2, 9, 15})

_KEYS = (
    "Permission denied",
    "Too many authentication failures",
    "no such identity",
    "Load key",
    "bad permissions",
)
_HOST_KEYS = (
    "Host key verification failed",
    "REMOTE HOST IDENTIFICATION HAS CHANGED",
    "No matching host key",
)


def verdict(code: int, complaints: Complaints) -> Verdict:
    """What the code means in the light of the messages; the message names the first of what rsync said."""
    found = _refined(code, complaints)
    if found.outcome is Outcome.DONE:
        return found
    said = _first_words(code, complaints)
    return Verdict(found.outcome, f"{found.message}: {said}" if said else found.message, found.remedy)


def _refined(code: int, complaints: Complaints) -> Verdict:
    notes = "\n".join(complaints.notes)
    if code in (0, 23, 24) and b"" in complaints.source_failed:
        return _TABLE[3]
    if code == 5 and "max connections" in notes:
        return Verdict(Outcome.BUSY, "the node has no connection left", "raise its 'max connections'")
    if code == 11:
        return _on_write_error(complaints, notes)
    if code == 12 and _NO_PROGRAM.search(notes):  # 127 or 12, whichever rsync notices first
        return _TABLE[127]
    if code == 23:
        return _on_partial(complaints)
    if code == 255 or (code == 12 and _SSH_ENDED.search(notes)):  # likewise
        return _on_ssh(notes)
    if code < 0:
        return _TABLE[20] if -code in _ENDING_SIGNALS else _crashed(-code)
    return _TABLE.get(code, _UNKNOWN)


def _on_write_error(complaints: Complaints, notes: str) -> Verdict:
    if complaints.no_space or "No space left" in notes or "quota" in notes:
        return _no_space()
    if not complaints.failed and ("mkdir" in notes or "change_dir" in notes or "chdir" in notes):
        return Verdict(
            Outcome.CONFIGURATION, "the destination folder is missing or closed", "make it on the node"
        )
    return _TABLE[11]


def _on_partial(complaints: Complaints) -> Verdict:
    if complaints.failed:
        full = complaints.no_space >= complaints.failed.keys()
        return _no_space() if full else _TABLE[23]
    if complaints.source_failed and complaints.vanished >= complaints.source_failed.keys():
        return _TABLE[24]
    if complaints.source_failed:
        return Verdict(
            Outcome.PARTIAL,
            "some paths cannot be read here",
            "check their permissions in the publish directory",
        )
    return _TABLE[23]


def _crashed(number: int) -> Verdict:
    return Verdict(Outcome.BROKEN, f"rsync crashed (signal {number})", "update rsync if it happens again")


def _no_space() -> Verdict:
    return Verdict(Outcome.NO_SPACE, "no space left on the node", "free space or raise the quota there")


def _on_ssh(notes: str) -> Verdict:
    if any(words in notes for words in _HOST_KEYS):
        return Verdict(
            Outcome.CONFIGURATION,
            "the node's host key is not the known one",
            "make sure it is the right machine, then write its key into ssh.known_hosts",
        )
    if any(words in notes for words in _KEYS):
        return Verdict(
            Outcome.CONFIGURATION,
            "the node does not accept the ssh key",
            "check ssh.user and ssh.key_file, and authorized_keys on the node",
        )
    return _TABLE[255]


def _first_words(code: int, complaints: Complaints) -> str:
    """The first path with its reason, or the first message of the run as a whole."""
    for paths in (complaints.failed, complaints.source_failed):
        if paths and code not in (5, 10, 30, 35):
            path, reason = next(iter(paths.items()))
            more = f" (and {len(paths) - 1} more)" if len(paths) > 1 else ""
            return f"{shown(path) or 'publish.root'}: {reason}{more}"
    for note in complaints.notes:
        if note.startswith(("@ERROR", "ERROR")) or "ssh:" in note:
            return note
    return complaints.notes[0] if complaints.notes else complaints.closing
