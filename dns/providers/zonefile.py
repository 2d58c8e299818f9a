"""Writes each line of a zone as an RFC 1035 file of its own. It owns its files wholly and touches no
others.

The files are ``<path>/<zone>.<line>.zone``, one for each line that has ever had a record; a name server's
views load one each. A file begins with the header line below; a file that does not is somebody else's and
is refused, never overwritten. An optional template gives the SOA and NS records (and whatever else shall
stand in every file); the word ``$SERIAL`` in it becomes the serial, without it the file gets SOA and NS
records of its own.

The serial only counts up, from what the file says, so that it survives a restart (RFC 1982 arithmetic is
never needed: it would take 4 billion changes). Files are replaced in one step, so a reader never sees
half of one.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from dns.core.model import (
    ADDRESS_TYPES,
    DEFAULT,
    Action,
    Capabilities,
    Observed,
    Operation,
    Record,
    RecordKey,
    RecordSet,
    canonical_name,
    canonical_value,
    relative_name,
)
from dns.errors import RefusedError, SettingsError, UnavailableError
from dns.providers.port import Answer, Wiring, refuse_no_addresses

HEADER = "; Written by Lockstep. Changes made by hand are overwritten. serial "
BEGIN = "; --- records of the services ---"
DEFAULT_SOA = """\
@ 3600 IN SOA localhost. hostmaster.localhost. ( $SERIAL 3600 600 1209600 60 )
@ 3600 IN NS localhost.
"""
RELOAD_SECONDS = 10.0

_LINE = re.compile(r"[A-Za-z0-9_-]+")
_RECORD = re.compile(r"(\S+)\s+(\d+)\s+IN\s+(\S+)\s+(\S+)")
_SOA = re.compile(r"\bSOA\b", re.IGNORECASE)


@dataclass(frozen=True)
class ZoneFileSettings:
    """`path`: the folder of the files, made when missing; `template`: a file; `reload`: argv run after
    each change.
    """

    path: str
    template: str | None = None
    reload: tuple[str, ...] | list[str] | None = None

    def __post_init__(self) -> None:
        if not self.path:
            raise SettingsError("path", "the folder of the zone files is empty; give one, like var/zones")
        if isinstance(self.reload, str):
            raise SettingsError("reload", "the reload command is a list: [rndc, reload]")


@dataclass(frozen=True, slots=True)
class _File:
    """What one of our files says: its serial, and the records of the services by (name, type)."""

    serial: int = 0
    sets: Mapping[tuple[str, str], tuple[Record, ...]] | None = None

    @property
    def records(self) -> dict[tuple[str, str], tuple[Record, ...]]:
        return dict(self.sets or {})


class ZoneFile:
    """The provider; see the module's text."""

    kind: ClassVar[str] = "zonefile"
    Settings: ClassVar[type[Any]] = ZoneFileSettings

    def __init__(self, name: str, settings: ZoneFileSettings, wiring: Wiring) -> None:
        self.name = name
        self._folder = Path(settings.path)
        self._template = Path(settings.template) if settings.template else None
        self._reload = tuple(settings.reload or ())
        self._run = wiring.run
        self._parsed_files: dict[Path, tuple[tuple[int, ...], _File]] = {}
        self._serials: dict[Path, int] = {}  # so that a file deleted by hand does not count backwards

    def capabilities(self, zone: str) -> Capabilities:
        """Any line, each with a file of its own and therefore written in full; whole sets at once."""
        return Capabilities(
            lines=None, ttl_min=0, ttl_max=2**31 - 1, atomic_sets=True, owns_zone=True, update_in_place=True
        )

    def observe(self, zone: str, names: frozenset[str]) -> Observed:
        """What the files say; a zone without files is empty, since the files are ours to make."""
        apex = canonical_name(zone)
        sets: dict[RecordKey, RecordSet] = {}
        for line, path in self._files(apex):
            for (name, record_type), records in self._read(path, apex).records.items():
                if name in names:
                    key = RecordKey(name, record_type, line)
                    sets[key] = RecordSet(key, records)
        return Observed(sets)

    def apply(self, operation: Operation) -> Answer:
        """Write the line's file anew and run the reload command. A reload that fails is said, the file
        stands.
        """
        key, apex = operation.key, operation.zone.zone
        if not _LINE.fullmatch(key.line):
            raise RefusedError("line", f"{self._who(apex)}: {key.line!r} cannot be part of a file's name")
        refuse_no_addresses(operation)
        path = self._path(apex, key.line)
        file = self._read(path, apex)
        sets = file.records
        if operation.action is Action.REMOVE:
            sets.pop((key.name, key.type), None)
        else:
            sets[key.name, key.type] = tuple(Record(r.value, r.ttl) for r in operation.new)
        if path.exists() and sets == file.records:
            return Answer(f"serial {file.serial}, unchanged")
        serial = self._serials[path] = max(file.serial, self._serials.get(path, 0)) + 1
        self._write(path, self._text(apex, serial, sets))
        return Answer(f"serial {serial}{self._reloaded()}")

    def check(self, zone: str) -> tuple[str, ...]:
        """Whether the folder can be written, the template be used and every file be ours."""
        apex = canonical_name(zone)
        problems: list[str] = []
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._soa(0)
        except OSError as error:
            problems.append(f"{self._who(apex)}: {error.filename or self._folder}: {error.strerror}")
        except RefusedError as error:
            problems.append(str(error))
        if self._folder.is_dir() and not os.access(self._folder, os.W_OK | os.X_OK):
            problems.append(
                f"{self._who(apex)}: {self._folder} cannot be written; give it to the service's user"
            )
        for _, path in self._files(apex):
            try:
                self._read(path, apex)
            except RefusedError as error:
                problems.append(str(error))
        return tuple(problems)

    def close(self) -> None:
        """Nothing is held open."""

    def _who(self, zone: str) -> str:
        return f"provider {self.name}, zone {zone}"

    def _path(self, zone: str, line: str) -> Path:
        return self._folder / f"{zone}.{line}.zone"

    def _files(self, zone: str) -> list[tuple[str, Path]]:
        """The zone's files by line, default first. ``b.com`` never takes ``a.b.com``'s, nor the other way
        round.
        """
        found = []
        for path in self._folder.glob("*.zone"):
            line = path.name.removeprefix(f"{zone}.").removesuffix(".zone")
            if path.name.startswith(f"{zone}.") and _LINE.fullmatch(line):
                found.append((line, path))
        return sorted(found, key=lambda pair: (pair[0] != DEFAULT, pair[0]))

    def _read(self, path: Path, zone: str) -> _File:
        """What the file says; parsed again only when it is another file than last time."""
        try:
            stat = path.stat()
            seen = (stat.st_ino, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size)
            known = self._parsed_files.get(path)
            if known is None or known[0] != seen:
                known = (seen, self._parsed(path.read_text("utf-8"), path, zone))
                self._parsed_files[path] = known
        except FileNotFoundError:
            return _File()
        except (OSError, UnicodeDecodeError) as error:
            raise UnavailableError("file", f"{self._who(zone)}: {path} cannot be read: {error}") from error
        return known[1]

    def _parsed(self, text: str, path: Path, zone: str) -> _File:
        first, _, _ = text.partition("\n")
        serial = first.removeprefix(HEADER).strip()
        if not first.startswith(HEADER) or not serial.isdigit():
            raise RefusedError(
                "not_ours",
                f"{self._who(zone)}: {path} does not begin with Lockstep's header, so it is not overwritten; "
                "move it away, or use it as `template`",
            )
        sets: dict[tuple[str, str], tuple[Record, ...]] = {}
        for line in text.partition(BEGIN)[2].splitlines():
            if match := _RECORD.fullmatch(line.strip()):
                name, ttl, record_type, value = match.groups()
                full = zone if name == "@" else f"{name}.{zone}"
                record = Record(canonical_value(record_type, value), int(ttl))
                sets[full, record_type] = (*sets.get((full, record_type), ()), record)
        return _File(int(serial), sets)

    def _text(self, zone: str, serial: int, sets: Mapping[tuple[str, str], Iterable[Record]]) -> str:
        rows = [
            f"{relative_name(name, zone)} {r.ttl} IN {record_type} {r.value}\n"
            for (name, record_type), records in sorted(sets.items())
            for r in records
            if record_type in ADDRESS_TYPES
        ]
        origin = f"$ORIGIN {zone}.\n"  # twice, because a template may set another
        return f"{HEADER}{serial}\n{origin}{self._soa(serial)}{BEGIN}\n{origin}{''.join(rows)}"

    def _soa(self, serial: int) -> str:
        """The part before the records: the template's, or one of our own."""
        text = DEFAULT_SOA
        if self._template is not None:
            text = self._template_text().rstrip("\n") + "\n"
            if "$SERIAL" not in text or not _SOA.search(text):
                raise RefusedError(
                    "template",
                    f"provider {self.name}: the template {self._template} needs a SOA record with $SERIAL "
                    "where its serial stands",
                )
        return text.replace("$SERIAL", str(serial))

    def _template_text(self) -> str:
        template = self._template or Path()
        try:
            return template.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise RefusedError(
                "template", f"provider {self.name}: the template {self._template} cannot be read: {error}"
            ) from error

    def _write(self, path: Path, text: str) -> None:
        """Replace the file in one step, with its content on disk before its name."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=self._folder)
            try:
                with os.fdopen(handle, "w", encoding="utf-8") as file:
                    file.write(text)
                    file.flush()
                    os.fsync(file.fileno())
                Path(temporary).chmod(0o644)  # a name server runs as another user
                Path(temporary).replace(path)
            except BaseException:
                Path(temporary).unlink(missing_ok=True)
                raise
        except OSError as error:
            raise UnavailableError(
                "file", f"provider {self.name}: {path} cannot be written: {error}"
            ) from error

    def _reloaded(self) -> str:
        if not self._reload:
            return ""
        ended = self._run(self._reload, timeout_seconds=RELOAD_SECONDS)
        if ended.ok:
            return ", reloaded"
        said = ended.trouble or ended.errors.decode("utf-8", "replace").strip() or f"exit {ended.code}"
        return f", but {self._reload[0]} failed: {said[:200]}"
