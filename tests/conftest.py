"""What every test shares: nothing may be left running behind it."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# Where a run decides whether work lands, the same examples are tried each time; elsewhere new ones are looked for.
settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("ci")


def children(pid: int) -> set[int]:
    """The child processes of a process, from /proc; empty where there is no /proc."""
    found: set[int] = set()
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found.update(int(word) for word in task.read_text().split())
        except OSError:
            continue
    return found


def _left_threads(before: set[threading.Thread]) -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t not in before and t.is_alive()]


@pytest.fixture(autouse=True)
def nothing_is_left_behind() -> Iterator[None]:
    """Fails a test that leaves a thread or a process; they get a moment to end by themselves."""
    threads, processes = set(threading.enumerate()), children(os.getpid())
    yield
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        threads_left, processes_left = _left_threads(threads), children(os.getpid()) - processes
        if not threads_left and not processes_left:
            return
        time.sleep(0.02)
    named = [t.name for t in threads_left]
    assert not threads_left, f"threads left behind: {named}"
    assert not processes_left, f"processes left behind: {processes_left}"
