"""What comes from elsewhere is what it says it is, and every sentence of the pages has its Chinese."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path

from babel.messages.mofile import read_mo
from babel.messages.pofile import read_po

ROOT = Path(__file__).resolve().parents[2]
VENDOR = ROOT / "app" / "web" / "static" / "vendor"
CATALOGUE = ROOT / "app" / "translations" / "zh" / "LC_MESSAGES"
NAMED = re.compile(r"%\(\w+\)s")


def test_every_vendored_file_has_its_checksum_version_and_licence() -> None:
    packages = json.loads((VENDOR / "vendor.json").read_text())["packages"]
    known = {"vendor.json"}
    for package in packages:
        assert (VENDOR / package["licence_file"]).stat().st_size > 0
        known.add(package["licence_file"])
        for name, file in package["files"].items():
            assert package["version"] in name
            assert hashlib.sha256((VENDOR / name).read_bytes()).hexdigest() == file["sha256"], name
            known.add(name)
    assert {p.name for p in VENDOR.iterdir()} == known


def test_nothing_is_asked_of_another_host() -> None:
    for path in (*ROOT.glob("templates/**/*.html"), *(ROOT / "app" / "web" / "static").glob("*.*")):
        text = path.read_text()
        assert not re.search(r"""(src|href|action)=["']?https?:""", text), path
        assert not re.search(r"(?:url|fetch|import)\(\s*[\"']?https?:", text), path


def test_no_template_needs_what_the_policy_forbids() -> None:
    for path in ROOT.glob("templates/**/*.html"):
        if "mail" in path.parts:
            continue
        text = path.read_text()
        assert not re.search(r"<script(?![^>]*\bsrc=)|\son\w+=|\sstyle=|javascript:|<style", text), path


def test_every_sentence_has_its_chinese(tmp_path: Path) -> None:
    template = tmp_path / "messages.pot"
    command = [sys.executable, "-m", "babel.messages.frontend", "-q", "extract", "-F", "babel.cfg"]
    subprocess.run(
        [*command, "-k", "_l", "-k", "lazy_gettext", "-o", str(template), "."],
        cwd=ROOT,
        check=True,
        timeout=120,
    )
    with template.open("rb") as file:
        wanted = {m.id for m in read_po(file) if m.id}
    with (CATALOGUE / "messages.po").open("rb") as file:
        found = {m.id: m.string for m in read_po(file, locale="zh") if m.id}
    missing = [i for i in wanted if not (found.get(i) if isinstance(i, str) else (found.get(i) or [""])[0])]
    assert missing == []
    assert set(found) - wanted == set(), "sentences that no page says any more"


def test_translations_name_the_same_values() -> None:
    with (CATALOGUE / "messages.po").open("rb") as file:
        for message in read_po(file, locale="zh"):
            if isinstance(message.id, str) and message.id:
                assert sorted(NAMED.findall(message.id)) == sorted(NAMED.findall(message.string)), message.id


def test_the_compiled_catalogue_is_that_of_its_source() -> None:
    def plain(message: object) -> tuple[str, str]:
        said, wanted = message.id, message.string  # type: ignore[attr-defined]
        return (
            (said, wanted)
            if isinstance(said, str)
            else (said[0], wanted if isinstance(wanted, str) else wanted[0])
        )

    with (CATALOGUE / "messages.po").open("rb") as file:
        source = dict(plain(m) for m in read_po(file, locale="zh") if m.id)
    with (CATALOGUE / "messages.mo").open("rb") as file:
        compiled = dict(plain(m) for m in read_mo(file) if m.id)
    assert compiled == source
