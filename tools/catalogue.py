"""Brings app/translations up to date with the pages: new sentences in, dropped ones out, compiled. Prints what lacks.

python -m tools.catalogue
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "app" / "translations" / "zh" / "LC_MESSAGES"
EXTRACT = (
    "-m",
    "babel.messages.frontend",
    "-q",
    "extract",
    "-F",
    "babel.cfg",
    "-k",
    "_l",
    "-k",
    "lazy_gettext",
)


def extracted() -> Catalog:
    """Every sentence of the pages."""
    with tempfile.TemporaryDirectory() as folder:
        template = Path(folder) / "messages.pot"
        subprocess.run([sys.executable, *EXTRACT, "-o", str(template), "."], cwd=ROOT, check=True)
        return read_po(template.open("rb"))


def main() -> None:
    """Rewrites the catalogue; exit status 1 when a sentence has no translation yet."""
    source = FOLDER / "messages.po"
    known = {m.id: m.string for m in read_po(source.open("rb"), locale="zh") if m.id}
    made = Catalog(
        locale="zh", project="Lockstep", fuzzy=False, header_comment="# Lockstep's pages in Chinese."
    )
    missing = []
    for message in extracted():
        if not message.id:
            continue
        said = known.get(message.id, "")
        if not any(said):
            missing.append(message.id)
        made.add(message.id, said, flags=message.flags)
    with source.open("wb") as file:
        write_po(file, made, sort_output=True, no_location=True, width=110)
    with (FOLDER / "messages.mo").open("wb") as file:
        write_mo(file, made)
    for said in missing:
        print(f"no translation yet: {said}")  # noqa: T201 - a command
    sys.exit(bool(missing))


if __name__ == "__main__":
    main()
