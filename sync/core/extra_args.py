"""Decides which rsync arguments an operator may add; refuses what would break a promise. Runs nothing."""

from __future__ import annotations

from collections.abc import Sequence

_REFUSED_LONG = {
    "inplace": "a page would be seen half written",
    "append": "a page would be seen half written",
    "append-verify": "a page would be seen half written",
    "write-devices": "a device on the node would be overwritten",
    "temp-dir": "a rename over file systems is not atomic",
    "update": "a rollback to an older file would not be sent",
    "existing": "new files would not be sent",
    "ignore-non-existing": "new files would not be sent",
    "ignore-existing": "changed files would not be sent",
    "size-only": "changed files would not be sent",
    "max-size": "large files would not be sent",
    "min-size": "small files would not be sent",
    "remove-source-files": "the source would lose its files",
    "remove-sent-files": "the source would lose its files",
    "ignore-errors": "an unreadable source directory would delete its files on the nodes",
    "dry-run": "nothing would be sent",
    "list-only": "nothing would be sent",
    "only-write-batch": "nothing would be sent",
    "write-batch": "the batch file would be written by every run",
    "read-batch": "the source would not be read",
    "quiet": "what the run did could not be read",
    "daemon": "rsync would not send",
    "server": "rsync would not send",
    "relative": "paths on the node would not be the source's",
    "no-relative": "paths on the node would not be the source's",
    "backup": "the nodes would hold files that the source lacks",
    "partial-dir": "the nodes would hold files that the source lacks",
    "copy-links": "links would not arrive as links",
    "copy-unsafe-links": "links would not arrive as links",
    "safe-links": "links would not arrive",
    "munge-links": "links would not arrive as they are",
    "keep-dirlinks": "a link would be kept where the source has a directory",
    "copy-dirlinks": "links would not arrive as links",
    "iconv": "names would not arrive as they are",
    "one-file-system": "folders on other file systems would not be sent",
}
_OURS = (
    "Lockstep decides this one itself (publish.delete, publish.exclude, publish.paths and the sync section)"
)
_OURS_LONG = (
    "del", "max-delete", "force", "files-from", "from0", "filter", "exclude", "include", "cvs-exclude",
    "out-format", "log-format", "info", "debug", "human-readable", "8-bit-output", "outbuf", "stderr", "rsh",
    "port", "contimeout", "timeout", "sockopts", "bwlimit", "password-file", "secluded-args", "protect-args",
    "archive", "recursive", "dirs", "old-dirs", "links", "perms", "times", "delay-updates", "modify-window",
    "checksum", "ignore-times", "prune-empty-dirs", "delete-missing-args", "ignore-missing-args", "no-",
)  # fmt: skip
_SHORT = {
    "T": "temp-dir", "u": "update", "n": "dry-run", "q": "quiet", "R": "relative", "b": "backup",
    "L": "copy-links", "K": "keep-dirlinks", "k": "copy-dirlinks", "x": "one-file-system", "f": "filter",
    "F": "filter", "C": "cvs-exclude", "e": "rsh", "r": "recursive", "d": "dirs", "a": "archive",
    "h": "human-readable", "I": "ignore-times", "c": "checksum", "m": "prune-empty-dirs", "P": "partial-dir",
    "M": "rsh", "s": "secluded-args", "0": "from0", "8": "8-bit-output", "i": "info", "O": "times",
    "t": "times", "l": "links", "p": "perms",
}  # fmt: skip


def refused(extra_args: Sequence[str]) -> dict[str, str]:
    """Which of ``sync.extra_args`` would break a promise, each with the reason; empty: none."""
    return {arg: reason for arg in extra_args if (reason := _refusal(arg))}


def _refusal(arg: str) -> str | None:
    if not arg.startswith("-") or arg in ("-", "--"):
        return "only options are taken, each with its value as --option=value"
    if arg.startswith("--"):
        return _refusal_of_name(arg[2:].partition("=")[0])
    return next((why for letter in arg[1:] if (why := _refusal_of_name(_SHORT.get(letter, "")))), None)


def _refusal_of_name(name: str) -> str | None:
    if not name:
        return None
    if reason := _REFUSED_LONG.get(name):
        return reason
    return _OURS if name.startswith(_OURS_LONG) and name not in ("no-motd", "timeout-motd") else None
