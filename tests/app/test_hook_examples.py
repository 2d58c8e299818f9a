"""The example hooks of the documentation run as they are written, with only their addresses changed."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from app.happening import Happening, Trigger, batch_finished, flipped
from app.hook_run import HookResult, HookSpec
from app.hooks import Hooks
from sync.core.model import Flip, State
from tests.servers_receiver import Receiver, http_receiver

EXAMPLES = Path(__file__).resolve().parents[2] / "docs" / "hooks"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with http_receiver() as running:
        yield running


def run(script: Path, happening: Happening) -> HookResult:
    results: list[HookResult] = []
    spec = HookSpec(happening.trigger, argv=(str(script),))
    hooks = Hooks([spec], lambda *_: None, results.append)
    hooks.fire(happening)
    runner = hooks._runners[0]
    while not results and runner.alive:
        runner.join(0.01)
    hooks.stop()
    return results[0]


def changed(name: str, folder: Path, *changes: tuple[str, str]) -> Path:
    """A copy of the example that names other addresses and files."""
    text = (EXAMPLES / name).read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    copy = folder / name
    copy.write_text(text)
    copy.chmod(0o755)
    return copy


def test_the_cdn_is_asked_to_forget_exactly_what_was_published(receiver: Receiver, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("t0ken\n")
    addresses = ("https://cdn.example.com", receiver.url), ("/etc/lockstep/cdn-token", str(token))
    script = changed("purge-cdn.py", tmp_path, *addresses)
    result = run(script, batch_finished(1.0, "a", "files", [b"index.html", b"a b/\xff#.js"]))
    assert result.ok, result.output
    said = json.loads(receiver.asked[0].body)
    assert said["files"] == ["https://www.example.com/index.html", "https://www.example.com/a%20b/%FF%23.js"]
    assert receiver.asked[0].headers["Authorization"] == "Bearer t0ken"
    assert run(script, batch_finished(1.0, "a", "everything", None)).ok
    assert json.loads(receiver.asked[1].body)["files"] == ["https://www.example.com/"]


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_chat_is_written_the_sentence_and_the_token_is_no_argument(
    receiver: Receiver, tmp_path: Path
) -> None:
    config = tmp_path / "chat.curl"
    config.write_text(f'url = "{receiver.url}/hook?token=t0ken"\n')
    script = changed("write-to-chat.sh", tmp_path, ("/etc/lockstep/chat.curl", str(config)))
    result = run(script, flipped(Flip("a", 1.0, State.UNHEALTH, State.DEAD, "no answer & more"), "192.0.2.1"))
    assert result.ok, result.output
    assert receiver.asked[0].path == "/hook?token=t0ken"
    assert parse_qs(receiver.asked[0].body.decode()) == {
        "text": ["node a went from unhealth to dead: no answer & more"]
    }


def test_the_node_is_told_to_reload_by_ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = tmp_path / "ssh"
    said.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    said.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    result = run(
        EXAMPLES / "reload-node.sh", flipped(Flip("a", 1.0, State.RECOVERY, State.READY, ""), "192.0.2.1")
    )
    assert result.ok, result.output
    assert result.output.split()[-2:] == ["reload@192.0.2.1", "reload"]
    assert result.happening.trigger is Trigger.READY


@pytest.mark.parametrize("script", sorted(EXAMPLES.glob("*.sh")), ids=lambda path: path.name)
def test_every_shell_example_is_plain_sh_and_executable(script: Path) -> None:
    subprocess.run(["sh", "-n", str(script)], check=True, timeout=10)
    assert script.stat().st_mode & 0o100
