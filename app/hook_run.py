"""One hook and one run of it: a program or a URL. Never through a shell, never without a time limit, never
twice.

argv      LOCKSTEP_HOOK, LOCKSTEP_AT, LOCKSTEP_TEXT and the facts in the environment; a batch's paths on
standard
          input, each ended by NUL; 4 KiB of its output are kept
url       POST of {"hook", "at", "text", "facts", "paths"} as JSON
"""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass, field

from app.alerts.channels.contract import hide, url_secrets
from app.happening import Happening, Trigger
from dns.fetch import FetchError, fetch, origin
from dns.process import plain_environment, run_program

OUTPUT_BYTES = 4096
MOST_PATHS_IN_JSON = 10_000


@dataclass(frozen=True, slots=True)
class HookSpec:
    """One entry under ``hooks``; exactly one of argv, url, channel is set. The URL may hold a token."""

    trigger: Trigger
    argv: tuple[str, ...] = ()
    url: str = field(default="", repr=False)
    channel: str = ""
    timeout_seconds: float = 30.0

    @property
    def label(self) -> str:
        """What it is called on pages: its trigger and its program, origin or channel."""
        does = self.argv[0] if self.argv else origin(self.url) if self.url else f"channel {self.channel}"
        return f"{self.trigger}: {does}"


@dataclass(frozen=True, slots=True)
class HookResult:
    """How a run ended. ``detail`` says what happened in one line, ``output`` is what a program printed."""

    label: str
    happening: Happening
    ok: bool
    detail: str
    seconds: float = 0.0
    output: str = ""


def run_argv(spec: HookSpec, happening: Happening, stop: threading.Event) -> HookResult:
    """One run of the hook's program."""
    own = {"hook": happening.trigger.value, "at": f"{happening.at:.3f}", "text": happening.sentence}
    facts = {f"LOCKSTEP_{name.upper()}": value for name, value in {**happening.facts, **own}.items()}
    ended = run_program(
        spec.argv,
        timeout_seconds=spec.timeout_seconds,
        stdin=b"".join(path + b"\0" for path in happening.paths),
        environment=plain_environment(facts),
        output_bytes=OUTPUT_BYTES,
        merge_errors=True,
        stop=stop,
    )
    detail = ended.trouble or f"{spec.argv[0]} ended with status {ended.code}"
    output = ended.output.decode("utf-8", "replace")
    return HookResult(spec.label, happening, ended.ok, detail, ended.seconds, output)


def post(spec: HookSpec, happening: Happening) -> HookResult:
    """One request to the hook's URL."""
    began = time.monotonic()
    document = {
        "hook": happening.trigger.value,
        "at": happening.at,
        "text": happening.sentence,
        "facts": dict(happening.facts),
        "paths": [path.decode("utf-8", "backslashreplace") for path in happening.paths[:MOST_PATHS_IN_JSON]],
    }
    try:
        answer = fetch(
            spec.url,
            method="POST",
            headers={"Content-Type": "application/json; charset=utf-8"},
            body=json.dumps(document, ensure_ascii=False).encode(),
            timeout_seconds=spec.timeout_seconds,
            body_bytes=OUTPUT_BYTES,
            proxies=True,
        )
    except FetchError as error:
        return HookResult(
            spec.label, happening, False, hide(str(error), *url_secrets(spec.url)), time.monotonic() - began
        )
    detail = f"{origin(spec.url)} answered with status {answer.status}"
    return HookResult(
        spec.label,
        happening,
        answer.ok,
        detail,
        time.monotonic() - began,
        hide(answer.text, *url_secrets(spec.url)),
    )
