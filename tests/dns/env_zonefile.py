"""The zone file provider in a folder of its own; what stands is read with a small parser of this
file's.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dns.core.model import Record, RecordKey
from dns.providers import make_provider
from dns.providers.zonefile import BEGIN, HEADER
from tests.dns.provider_envs import ProviderEnv

ZONE = "example.test"


@contextmanager
def environment(directory: Path) -> Iterator[ProviderEnv]:
    """A fresh folder below `directory`."""
    folder = directory / "zones"

    def standing(key: RecordKey) -> list[tuple[str, int]]:
        path = folder / f"{ZONE}.{key.line}.zone"
        if not path.exists():
            return []
        found = []
        for line in path.read_text().splitlines():
            parts = line.split()
            if len(parts) == 5 and parts[2:4] == ["IN", key.type]:
                name = ZONE if parts[0] == "@" else f"{parts[0]}.{ZONE}"
                if name == key.name:
                    found.append((parts[4], int(parts[1])))
        return sorted(found)

    def place(key: RecordKey, records: tuple[Record, ...]) -> None:
        """Somebody edits the file by hand, and keeps its header."""
        path = folder / f"{ZONE}.{key.line}.zone"
        folder.mkdir(exist_ok=True)
        label = key.name.removesuffix(ZONE).rstrip(".") or "@"
        old = path.read_text().splitlines() if path.exists() else [f"{HEADER}1", BEGIN]
        kept = [row for row in old if row.split()[:1] != [label] or row.split()[3:4] != [key.type]]
        new = [f"{label} {r.ttl} IN {key.type} {r.value}" for r in records]
        path.write_text("\n".join([*kept, *new]) + "\n")

    provider = make_provider("files", "zonefile", {"path": str(folder)})
    lines = ("default", "telecom", "unicom")
    yield ProviderEnv("zonefile", provider, ZONE, standing, lines=lines, place=place, foreign_zone=None)
    provider.close()
