"""Speaks dynamic updates (RFC 2136) through `nsupdate`, and reads back by zone transfer through `dig`.
One key per line.

Keys stay in their files (`-k`), never on a command line, where `ps` would show them. Every change of a
record set is one atomic message that carries the set as it was expected as its prerequisite: compare and
swap. Messages go over TCP (`-v`): over UDP nsupdate repeats itself, and a repeated message finds its own
change in the way and says NXRRSET.

A view chooses its askers by the key they sign with, so each line is read and written with its own.
What is said to and by the programs stands in `dns.providers.bindtools`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from dns.core.checks import why_no_name
from dns.core.model import (
    Capabilities,
    Observed,
    Operation,
    Record,
    RecordKey,
    RecordSet,
    canonical_name,
)
from dns.errors import (
    ProviderError,
    RefusedError,
    SettingsError,
    StaleError,
    UnavailableError,
    UnknownOutcomeError,
)
from dns.providers.bindtools import failure, message, parsed
from dns.providers.port import Answer, Wiring, refuse_no_addresses

GRACE_SECONDS = 2.0  # beyond the programs' own time limit
TRANSFER_BYTES = 256 * 1024 * 1024


Transferred = dict[tuple[str, str], list[Record]]


@dataclass(frozen=True)
class Rfc2136Settings:
    """`lines`: line → ``{key_file: path}``, the file being as `tsig-keygen` prints it."""

    server: str
    lines: Mapping[str, Mapping[str, str]]
    port: int = 53
    timeout_seconds: float = 5.0
    nsupdate: str = "nsupdate"
    dig: str = "dig"
    key_files: Mapping[str, Path] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not self.server or any(c.isspace() for c in self.server):
            raise SettingsError("server", "server is the name server's address or name")
        if not 1 <= self.port <= 65535:
            raise SettingsError("port", f"port {self.port} is outside 1 to 65535")
        if not self.lines:
            raise SettingsError("lines", "lines is empty; give at least default: {key_file: …}")
        files = {}
        for line, keys in self.lines.items():
            if not isinstance(keys, Mapping) or set(keys) != {"key_file"} or not keys["key_file"]:
                raise SettingsError(f"lines.{line}", f"line {line} needs exactly one key: key_file")
            files[line] = Path(keys["key_file"])
        object.__setattr__(self, "key_files", files)


class Rfc2136:
    """The provider; see the module's text."""

    kind: ClassVar[str] = "rfc2136"
    Settings: ClassVar[type[Any]] = Rfc2136Settings

    def __init__(self, name: str, settings: Rfc2136Settings, wiring: Wiring) -> None:
        self.name = name
        self._settings = settings
        self._run = wiring.run

    def capabilities(self, zone: str) -> Capabilities:
        """The configured lines, each written in full, whole sets at once."""
        return Capabilities(
            lines=frozenset(self._settings.key_files), ttl_min=0, ttl_max=2**31 - 1, atomic_sets=True
        )

    def observe(self, zone: str, names: frozenset[str]) -> Observed:
        """One transfer per line, all at once: a withdrawal waits for them. Lines that fail are
        `unread_lines`; when all fail, the first failure is raised.
        """
        apex = canonical_name(zone)
        lines = tuple(self._settings.key_files)

        def read(line: str) -> Transferred | ProviderError:
            try:
                return self._transfer(apex, line)
            except ProviderError as failure:
                return failure

        with ThreadPoolExecutor(len(lines), thread_name_prefix=f"dns {self.name} transfer") as pool:
            transfers = dict(zip(lines, pool.map(read, lines), strict=True))
        sets: dict[RecordKey, RecordSet] = {}
        failures: dict[str, ProviderError] = {}
        for line, found in transfers.items():
            if isinstance(found, ProviderError):
                failures[line] = found
                continue
            for (name, record_type), records in found.items():
                if name in names:
                    key = RecordKey(name, record_type, line)
                    sets[key] = RecordSet(key, tuple(records))
        if failures and len(failures) == len(self._settings.key_files):
            raise next(iter(failures.values()))
        why = "; ".join(str(failure) for failure in failures.values())
        return Observed(sets, why=why, unread_lines=frozenset(failures))

    def apply(self, operation: Operation) -> Answer:
        """One atomic message. A prerequisite that fails because it is as wanted already is success."""
        refuse_no_addresses(operation)
        zone, key = operation.zone.zone, operation.key
        if why := why_no_name(key.name):
            raise RefusedError("name", f"{self._who(zone, key.line)}: {why}")
        try:
            self._update(zone, key.line, message(operation))
        except StaleError:
            standing = self._transfer(zone, key.line).get((key.name, key.type), [])
            if sorted(r.value for r in standing) != sorted(operation.values):
                raise
            return Answer("stands so already")
        return Answer("NOERROR")

    def check(self, zone: str) -> tuple[str, ...]:
        """Every line's transfer, and whether its key may update: an update of nothing asks that."""
        problems: list[str] = []
        apex = canonical_name(zone)
        for line in self._settings.key_files:
            try:
                self._transfer(apex, line)
                self._update(apex, line, [f"prereq yxdomain {apex}."])
            except ProviderError as problem:
                problems.append(str(problem))
        return tuple(problems)

    def close(self) -> None:
        """Nothing is held open."""

    def _who(self, zone: str, line: str) -> str:
        return f"provider {self.name}, zone {zone}, line {line}"

    def _key_file(self, zone: str, line: str) -> str:
        """The line's key file. Checked here, because without it nsupdate would send the message unsigned."""
        path = self._settings.key_files.get(line)
        if path is None:
            raise RefusedError("line", f"{self._who(zone, line)}: no key is configured for this line")
        if not os.access(path, os.R_OK):
            raise RefusedError(
                "key_file",
                f"{self._who(zone, line)}: the key file {path} cannot be read; give the path, readable to us",
            )
        return str(path)

    def _update(self, zone: str, line: str, commands: list[str]) -> None:
        at = self._settings
        head = [f"server {at.server} {at.port}", f"zone {zone}."]
        limit = max(1, round(at.timeout_seconds))
        ended = self._run(
            [at.nsupdate, "-v", "-t", str(limit), "-k", self._key_file(zone, line)],
            timeout_seconds=limit + GRACE_SECONDS,
            stdin=("\n".join([*head, *commands, "send"]) + "\n").encode(),
        )
        if not ended.ok:
            raise failure(self._who(zone, line), "the update", ended, UnknownOutcomeError)

    def _transfer(self, zone: str, line: str) -> Transferred:
        """The whole zone as this line sees it. Raises unless both SOA records that bound a transfer were
        there.
        """
        at = self._settings
        limit = max(1, round(at.timeout_seconds))
        how = ("+tries=1", f"+time={limit}", "+noall", "+answer", "+comments")
        where = ("-k", self._key_file(zone, line), "-p", str(at.port), f"@{at.server}")
        ended = self._run(
            [at.dig, *where, *how, "-q", f"{zone}.", "-t", "AXFR"],
            timeout_seconds=limit * 4 + GRACE_SECONDS,
            output_bytes=TRANSFER_BYTES,
        )
        text = ended.output.decode("utf-8", "replace")
        found = parsed(text)
        if not ended.ok or found is None:
            # a transfer is a reading: whatever went wrong, it had no effect
            raise failure(self._who(zone, line), "the zone transfer", ended, UnavailableError)
        return found
