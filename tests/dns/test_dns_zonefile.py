"""Zone files: owned wholly, counted up, replaced in one step, and good enough for BIND's own
checker.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from dns.core.model import Action, Operation, Record, RecordKey, ZoneKey
from dns.errors import ProviderError, RefusedError, SettingsError, UnavailableError
from dns.providers import make_provider
from dns.providers.port import Provider

ZONE = "example.test"
KEY = ZoneKey("files", ZONE)
WWW = RecordKey(f"www.{ZONE}", "A", "default")
A, B = "203.0.113.10", "203.0.113.20"


def provider(folder: Path, **changes: object) -> Provider:
    return make_provider("files", "zonefile", {"path": str(folder), **changes})


def setting(key: RecordKey, *values: str) -> Operation:
    return Operation(Action.REPLACE, "www", KEY, key, tuple(Record(v, 60) for v in values), (), "a reason")


def path_of(folder: Path, line: str = "default") -> Path:
    return folder / f"{ZONE}.{line}.zone"


def serial(folder: Path, line: str = "default") -> int:
    return int(path_of(folder, line).read_text().splitlines()[0].rsplit(" ", 1)[1])


def test_the_serial_only_counts_up_also_over_a_restart_and_a_deleted_file(tmp_path: Path) -> None:
    first = provider(tmp_path)
    first.apply(setting(WWW, A))
    first.apply(setting(WWW, B))
    again = provider(tmp_path)
    again.apply(setting(WWW, A))
    assert serial(tmp_path) == 3
    path_of(tmp_path).unlink()
    again.apply(setting(WWW, A))
    assert serial(tmp_path) == 4


def test_writing_what_stands_already_changes_nothing(tmp_path: Path) -> None:
    files = provider(tmp_path)
    files.apply(setting(WWW, A))
    before = path_of(tmp_path).stat()
    assert "unchanged" in files.apply(setting(WWW, A)).text
    assert path_of(tmp_path).stat().st_ino == before.st_ino


def test_each_line_has_its_own_file_and_other_zones_are_left_alone(tmp_path: Path) -> None:
    files = provider(tmp_path)
    files.apply(setting(WWW, A))
    files.apply(setting(WWW._replace(line="telecom"), B))
    (tmp_path / "sub.example.test.default.zone").write_text("not ours")
    (tmp_path / "notes.zone").write_text("not ours")
    assert serial(tmp_path, "telecom") == 1
    assert set(files.observe(ZONE, frozenset({WWW.name})).sets) == {WWW, WWW._replace(line="telecom")}


def test_a_file_without_the_header_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path_of(tmp_path).write_text("$ORIGIN example.test.\nwww 60 IN A 198.51.100.1\n")
    files = provider(tmp_path)
    with pytest.raises(RefusedError, match="header"):
        files.apply(setting(WWW, A))
    with pytest.raises(RefusedError):
        files.observe(ZONE, frozenset({WWW.name}))
    assert any("header" in problem for problem in files.check(ZONE))
    assert "198.51.100.1" in path_of(tmp_path).read_text()


def test_a_template_gives_soa_and_ns(tmp_path: Path) -> None:
    template = tmp_path / "template"
    soa = "@ IN SOA ns1.example.test. root.example.test. $SERIAL 1 1 1 1\n"
    template.write_text(f"$TTL 300\n{soa}@ IN NS ns1\nns1 IN A 192.0.2.1\n")
    provider(tmp_path, template=str(template)).apply(setting(WWW, A))
    text = path_of(tmp_path).read_text()
    assert "root.example.test. 1 1 1 1 1" in text
    assert "www 60 IN A 203.0.113.10" in text


@pytest.mark.parametrize("text", ["@ IN NS ns1\n", "@ IN SOA a. b. 5 1 1 1 1\n", None])
def test_a_template_that_cannot_work_is_refused(tmp_path: Path, text: str | None) -> None:
    template = tmp_path / "template"
    if text is not None:
        template.write_text(text)
    files = provider(tmp_path / "zones", template=str(template))
    with pytest.raises(RefusedError, match="template"):
        files.apply(setting(WWW, A))
    assert any("template" in problem for problem in files.check(ZONE))
    assert not path_of(tmp_path / "zones").exists()


@pytest.mark.skipif(not shutil.which("named-checkzone"), reason="BIND's tools are not installed")
def test_the_files_please_the_checker_of_bind(tmp_path: Path) -> None:
    files = provider(tmp_path)
    files.apply(setting(WWW, A, B))
    files.apply(setting(RecordKey(ZONE, "AAAA"), "2001:db8::1"))
    files.apply(setting(RecordKey(f"*.{ZONE}", "A"), A))
    checked = subprocess.run(
        ["named-checkzone", ZONE, str(path_of(tmp_path))],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout
    assert "loaded serial 3" in checked.stdout


def test_the_reload_command_runs_after_a_change_only_and_its_failure_is_told(tmp_path: Path) -> None:
    count = tmp_path / "count"
    program = f"open({str(count)!r}, 'a').write('x')"
    files = provider(tmp_path / "zones", reload=[sys.executable, "-c", program])
    assert "reloaded" in files.apply(setting(WWW, A)).text
    files.apply(setting(WWW, A))
    assert count.read_text() == "x"
    broken = provider(tmp_path / "zones", reload=[str(tmp_path / "no-such-program")])
    assert "failed" in broken.apply(setting(WWW, B)).text
    assert B in path_of(tmp_path / "zones").read_text()


def test_a_reader_never_sees_half_a_file(tmp_path: Path) -> None:
    files = provider(tmp_path)
    many = [f"198.18.{n // 250}.{n % 250}" for n in range(500)]
    files.apply(setting(WWW, *many))
    ended, sizes = threading.Event(), set()

    def read() -> None:
        while not ended.is_set():
            sizes.add(path_of(tmp_path).read_text().count(" IN A "))

    reader = threading.Thread(target=read, name="reader")
    reader.start()
    for number in range(30):
        files.apply(setting(WWW, *many[number % 2 :]))
    ended.set()
    reader.join(10)
    assert sizes <= {499, 500}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_an_error_and_shows_in_the_check(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(UnavailableError):
        provider(tmp_path).apply(setting(WWW, A))
    assert provider(tmp_path).check(ZONE)
    tmp_path.chmod(0o700)


def test_a_folder_that_is_a_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "zones").write_text("")
    files = provider(tmp_path / "zones")
    with pytest.raises(ProviderError, match="zones"):
        files.apply(setting(WWW, A))
    assert files.check(ZONE)


@pytest.mark.parametrize("line", ["../x", "a/b", "", "a.b"])
def test_a_line_that_cannot_be_part_of_a_name_is_refused(tmp_path: Path, line: str) -> None:
    with pytest.raises(RefusedError):
        provider(tmp_path).apply(setting(WWW._replace(line=line), A))


def test_settings_that_cannot_work_are_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as refusal:
        provider(tmp_path, reload="rndc reload")
    assert refusal.value.key == "reload"
