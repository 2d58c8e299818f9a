"""The node source as a real program: what it prints, how it may fail, and that nothing of it stays behind."""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path

import pytest

from sync.core.nodelist import Failure, Fetch, parse
from sync.nodesource import MOST_BYTES, fetch

PATIENT = 30.0


def python(code: str) -> list[str]:
    return [sys.executable, "-S", "-c", code]


def gone(pid: int) -> bool:
    """Whether the process is dead, at the latest after a while; a zombie of somebody else's is dead."""
    deadline = time.monotonic() + PATIENT
    while time.monotonic() < deadline:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
            os.kill(pid, 0)
        except (ProcessLookupError, FileNotFoundError):
            return True
        time.sleep(0.01)
    return False


def test_what_the_program_prints_is_what_comes() -> None:
    answer = fetch(python("print('a = 203.0.113.1')"), timeout_seconds=PATIENT)
    assert isinstance(answer, Fetch)
    assert [node.name for node in parse(answer.output)] == ["a"]


def test_arguments_pass_no_shell(tmp_path: Path) -> None:
    answer = fetch(["/bin/echo", f"$(touch {tmp_path}/x)", "a;b"], timeout_seconds=PATIENT)
    assert answer == Fetch(f"$(touch {tmp_path}/x) a;b\n".encode())
    assert not (tmp_path / "x").exists()


def test_a_program_that_fails_is_a_failure_with_the_end_of_its_stderr() -> None:
    code = "import sys; print('a'); sys.stderr.write('x' * 9000 + '\\nno \\x1b[31mdatabase\\n'); sys.exit(3)"
    answer = fetch(python(code), timeout_seconds=PATIENT)
    assert isinstance(answer, Failure)
    assert answer.reason == f"the node source {sys.executable!r} ended with status 3"
    assert answer.stderr.endswith("\nno ?[31mdatabase")
    assert len(answer.stderr) <= 2000


def test_a_program_that_is_killed_is_a_failure() -> None:
    answer = fetch(python("import os; os.kill(os.getpid(), 15)"), timeout_seconds=PATIENT)
    assert isinstance(answer, Failure)
    assert answer.reason.endswith("was ended by SIGTERM")


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        ([], "no command"),
        (["/no/such/program", "--token=secret"], "could not be started: No such file or directory"),
        (["/etc/passwd"], "could not be started: Permission denied"),
        (["a\0b"], "could not be started"),
    ],
)
def test_a_program_that_cannot_be_started_is_a_failure(argv: list[str], words: str) -> None:
    answer = fetch(argv)
    assert isinstance(answer, Failure)
    assert words in answer.reason
    assert "secret" not in answer.reason


def test_a_program_that_does_not_end_is_killed_with_all_its_children(tmp_path: Path) -> None:
    note = tmp_path / "pids"
    code = (
        "import os, subprocess, time\n"
        "child = subprocess.Popen(['sleep', '600'])\n"
        f"open({str(note)!r}, 'w').write(f'{{os.getpid()}} {{child.pid}}')\n"
        "print('a', flush=True)\n"
        "time.sleep(600)\n"
    )
    began = time.monotonic()
    answer = fetch(python(code), timeout_seconds=2.0)
    assert time.monotonic() - began < PATIENT
    assert isinstance(answer, Failure)
    assert "did not end in 2 s and was killed" in answer.reason
    assert all(gone(int(pid)) for pid in note.read_text().split())


def test_a_child_left_in_the_background_neither_delays_the_answer_nor_stays() -> None:
    code = "import subprocess; print(subprocess.Popen(['sleep', '600']).pid, flush=True)"
    began = time.monotonic()
    answer = fetch(python(code), timeout_seconds=PATIENT)
    assert time.monotonic() - began < PATIENT / 2
    assert isinstance(answer, Fetch)
    assert gone(int(answer.output))


def test_a_program_that_closes_its_output_and_lingers_is_waited_for() -> None:
    code = "import os, time; print('a', flush=True); os.close(1); os.close(2); time.sleep(0.3)"
    assert fetch(python(code), timeout_seconds=PATIENT) == Fetch(b"a\n")


def test_a_program_that_never_stops_printing_is_killed() -> None:
    answer = fetch(["/usr/bin/yes"], timeout_seconds=PATIENT)
    assert isinstance(answer, Failure)
    assert f"more than {MOST_BYTES} bytes" in answer.reason


def test_a_large_answer_comes_whole() -> None:
    answer = fetch(python("print('x' * 1_000_000)"), timeout_seconds=PATIENT)
    assert answer == Fetch(b"x" * 1_000_000 + b"\n")


def test_stopping_the_service_ends_the_program() -> None:
    stop = threading.Event()
    timer = threading.Timer(0.2, stop.set)
    timer.start()
    began = time.monotonic()
    answer = fetch(python("import time; time.sleep(600)"), timeout_seconds=600, stop=stop)
    timer.join()
    assert time.monotonic() - began < PATIENT
    assert isinstance(answer, Failure)
    assert "stopping" in answer.reason


def test_no_file_is_left_open() -> None:
    before = len(os.listdir("/proc/self/fd"))
    for argv in (["/bin/echo", "a"], ["/no/such/program"], ["/bin/false"]):
        fetch(argv, timeout_seconds=PATIENT)
    assert len(os.listdir("/proc/self/fd")) == before
