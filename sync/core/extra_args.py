"""Decides which rsync arguments an operator may add; refuses what would break a promise. Runs nothing."""

from __future__ import annotations

from collections.abc import Sequence

_OURS = "Lockstep decides this one itself (the publish and sync sections)"
_VALUE = "only options are taken, each with its value as --option=value"

_BY_REASON: dict[str, str] = {
    "a page could be seen half written": "inplace append append-verify write-devices partial",
    "a rename from another file system is not atomic": "temp-dir",
    "not everything that changed would be sent": """
        update existing ignore-non-existing ignore-existing size-only max-size min-size one-file-system
        stop-after stop-at time-limit""",
    "nothing would be sent": """
        dry-run list-only only-write-batch write-batch read-batch daemon server sender config help version""",
    "links would not arrive as they are": """
        copy-links copy-unsafe-links safe-links munge-links keep-dirlinks copy-dirlinks iconv""",
    "the nodes would not hold exactly what the source does": """
        relative backup backup-dir suffix partial-dir compare-dest prune-empty-dirs cvs-exclude""",
    "the source would lose its files": "remove-source-files remove-sent-files",
    "an unreadable source directory would delete its files on the nodes": "ignore-errors",
    "what the run did could not be read": """
        quiet out-format log-format info debug progress stats human-readable 8-bit-output outbuf stderr
        itemize-changes verbose""",
    _OURS: """
        del max-delete force files-from from0 filter exclude-from include-from rsh port contimeout timeout
        sockopts bwlimit password-file secluded-args protect-args archive recursive inc-recursive i-r dirs mkpath links
        perms times devices specials delay-updates modify-window checksum ignore-times ignore-missing-args
        remote-option compress omit-dir-times omit-link-times""",
}
_REFUSED = {name: reason for reason, names in _BY_REASON.items() for name in names.split()}
_FAMILIES = ("delete", "exclude", "include", "no-", "old-d")
_TAKEN = frozenset({"no-motd", "no-whole-file", "no-W", "no-implied-dirs"})
_SHORT: dict[str, str] = {
    "T": "temp-dir", "u": "update", "n": "dry-run", "q": "quiet", "R": "relative", "b": "backup",
    "L": "copy-links", "K": "keep-dirlinks", "k": "copy-dirlinks", "x": "one-file-system", "f": "filter",
    "F": "filter", "C": "cvs-exclude", "e": "rsh", "r": "recursive", "d": "dirs", "a": "archive",
    "h": "human-readable", "I": "ignore-times", "c": "checksum", "m": "prune-empty-dirs", "P": "partial",
    "M": "remote-option", "s": "secluded-args", "0": "from0", "8": "8-bit-output", "i": "itemize-changes",
    "O": "omit-dir-times", "J": "omit-link-times", "t": "times", "l": "links", "p": "perms", "D": "devices",
    "z": "compress", "v": "verbose", "V": "version",
}  # fmt: skip
_WITH_VALUE = "B@"  # what follows in the same word is a value, not options


def refused(extra_args: Sequence[str]) -> dict[str, str]:
    """Which of ``sync.extra_args`` would break a promise, each with the reason; empty: none."""
    return {arg: reason for arg in extra_args if (reason := _refusal(arg))}


def _refusal(arg: str) -> str | None:
    if not arg.startswith("-") or arg in ("-", "--"):
        return _VALUE
    if arg.startswith("--"):
        return _refusal_of_name(arg[2:].partition("=")[0])
    for letter in arg[1:]:
        if letter in _WITH_VALUE:
            return None
        if reason := _refusal_of_name(_SHORT.get(letter, "")):
            return reason
    return None


def _refusal_of_name(name: str) -> str | None:
    if reason := _REFUSED.get(name):
        return reason
    return _OURS if name.startswith(_FAMILIES) and name not in _TAKEN else None
