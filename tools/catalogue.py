"""Brings app/translations up to date: new sentences in, dropped ones out, compiled. Prints what lacks.

    python -m tools.catalogue

`messages` are the pages' own texts, which go through gettext; `sentences` are the reasons, advice and errors that
are written elsewhere (tools/sentences.py).
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from babel.messages.catalog import Catalog, Message
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

from tools.sentences import templates

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


def extracted() -> Iterable[Message]:
    """Every text of the pages."""
    with tempfile.TemporaryDirectory() as folder:
        template = Path(folder) / "messages.pot"
        subprocess.run([sys.executable, *EXTRACT, "-o", str(template), "."], cwd=ROOT, check=True)
        return list(read_po(template.open("rb")))


def collected() -> Iterable[Message]:
    """Every sentence of the code, with the files it stands in."""
    found = templates(ROOT)
    return [Message(english, auto_comments=[", ".join(sorted(found[english]))]) for english in found]


def bring_up_to_date(domain: str, comment: str, messages: Iterable[Message]) -> list[str]:
    """Rewrites one catalogue; returns what has no translation yet."""
    source = FOLDER / f"{domain}.po"
    old = read_po(source.open("rb"), locale="zh") if source.exists() else Catalog(locale="zh")
    known = {m.id: m.string for m in old if m.id}
    made = Catalog(locale="zh", project="Lockstep", fuzzy=False, header_comment=comment)
    made.creation_date = old.creation_date  # or the files would differ from run to run
    missing = []
    for message in messages:
        if not message.id:
            continue
        said = known.get(message.id, "")
        if not said or not any(said):
            missing.append(str(message.id))
        flags = set(message.flags) if domain == "messages" else set()
        made.add(message.id, said, flags=flags, auto_comments=message.auto_comments)
    for message in made:
        if domain != "messages":
            message.flags.discard("python-format")
    with source.open("wb") as file:
        write_po(file, made, sort_output=True, no_location=True, width=110)
    with (FOLDER / f"{domain}.mo").open("wb") as file:
        write_mo(file, made)
    return missing


def main() -> None:
    """Rewrites the catalogues; exit status 1 when a sentence has no translation yet."""
    missing = bring_up_to_date("messages", "# Lockstep's pages in Chinese.", extracted())
    missing += bring_up_to_date("sentences", "# What Lockstep's halves say, in Chinese.", collected())
    for said in missing:
        print(f"no translation yet: {said}")  # noqa: T201 - a command
    sys.exit(bool(missing))


if __name__ == "__main__":
    main()
