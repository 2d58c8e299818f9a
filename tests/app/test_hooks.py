"""Hooks with real programs and a real receiver: what they are given, and that none delays anybody."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.happening import (
    MOST_PATHS,
    Happening,
    Trigger,
    batch_finished,
    flipped,
    mergeable,
    merged,
    record_changed,
)
from app.hook_run import HookResult, HookSpec
from app.hooks import MOST_WAITING, Hooks
from sync.core.model import Flip, State
from tests.servers_receiver import Receiver, Say, http_receiver

SECRET = "s3cr3t"


class Reports:
    def __init__(self) -> None:
        self.all: list[HookResult] = []
        self._changed = threading.Condition()

    def __call__(self, result: HookResult) -> None:
        with self._changed:
            self.all.append(result)
            self._changed.notify_all()

    def wait_for(self, count: int) -> list[HookResult]:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.all) >= count, 20), (
                f"{len(self.all)} of {count} came"
            )
            return list(self.all)


class Told:
    def __init__(self) -> None:
        self.texts: list[tuple[str, list[str]]] = []

    def __call__(self, text: str, channels: Sequence[str]) -> None:
        self.texts.append((text, list(channels)))


class Bench:
    """Hooks with what they reported and told; stopped at the end of the test."""

    def __init__(self) -> None:
        self.reports, self.told = Reports(), Told()
        self.hooks = Hooks([], self.told, self.reports)

    def with_specs(self, *specs: HookSpec) -> Hooks:
        self.hooks.reconfigure(specs)
        return self.hooks


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    assert bench.hooks.stop() == []


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with http_receiver() as running:
        yield running


def python(code: str) -> tuple[str, ...]:
    return (sys.executable, "-I", "-S", "-c", code)


def flip(new: State = State.DEAD, node: str = "a", reason: str = "no answer") -> Happening:
    return flipped(Flip(node, 1000.0, State.UNHEALTH, new, reason), "192.0.2.1")


def batch(node: str, *paths: bytes) -> Happening:
    return batch_finished(1000.0, node, "files", paths, len(paths), 10)


# --- what they are given --------------------------------------------------------------------------


def test_a_program_finds_the_facts_of_a_flip_in_its_environment(bench: Bench) -> None:
    names = "HOOK NODE STATE OLD_STATE HOST REASON"
    code = f"import os; print(*(os.environ['LOCKSTEP_' + name] for name in '{names}'.split()))"
    bench.with_specs(HookSpec(Trigger.DEAD, argv=python(code))).fire(flip())
    (result,) = bench.reports.wait_for(1)
    assert result.ok
    assert result.output.strip() == "dead a dead unhealth 192.0.2.1 no answer"
    assert result.detail.endswith("ended with status 0")


def test_the_paths_of_a_batch_come_on_standard_input_separated_by_nul(bench: Bench) -> None:
    code = "import sys; print(sys.stdin.buffer.read().split(b'\\0'))"
    paths = (b"a b", b"new\nline", b"\xff\xfe", b"-rf")
    bench.with_specs(HookSpec(Trigger.BATCH, argv=python(code))).fire(batch("a", *paths))
    (result,) = bench.reports.wait_for(1)
    assert result.output.strip() == str([*paths, b""])


def test_a_published_record_says_where_it_stands(bench: Bench) -> None:
    where = {"service": "www", "name": "www.example.com", "record_type": "A", "line": "telecom"}
    happening = record_changed(1.0, True, **where, address="192.0.2.1", node="a", reason="ready")
    code = "import os; print(*(os.environ['LOCKSTEP_' + name] for name in ('ADDRESS', 'NAME', 'LINE')))"
    bench.with_specs(HookSpec(Trigger.PUBLISHED, argv=python(code))).fire(happening)
    assert bench.reports.wait_for(1)[0].output.strip() == "192.0.2.1 www.example.com telecom"
    assert happening.sentence == "192.0.2.1 of node a published at www.example.com A (telecom): ready"


def test_a_url_is_told_in_json_and_its_token_is_not_repeated(bench: Bench, receiver: Receiver) -> None:
    receiver.says(Say(b"purged", 202), Say(f"no {receiver.url}/purge?t={SECRET}".encode(), 403))
    hooks = bench.with_specs(HookSpec(Trigger.BATCH, url=f"{receiver.url}/purge?t={SECRET}"))
    hooks.fire(batch("a", b"index.html", b"\xff"))
    bench.reports.wait_for(1)
    hooks.fire(batch("a", b"x"))
    good, bad = bench.reports.wait_for(2)
    said = json.loads(receiver.asked[0].body)
    assert (said["hook"], said["facts"]["node"], said["paths"]) == ("batch", "a", ["index.html", "\\xff"])
    assert (good.ok, good.output) == (True, "purged")
    assert not bad.ok
    assert "status 403" in bad.detail
    assert SECRET not in bad.detail + bad.output + bad.label + repr(hooks._runners[0].spec)


def test_a_channel_is_told_the_sentence(bench: Bench) -> None:
    bench.with_specs(HookSpec(Trigger.UNHEALTH, channel="ops")).fire(flip(State.UNHEALTH))
    bench.reports.wait_for(1)
    assert bench.told.texts == [("node a went from unhealth to unhealth: no answer", ["ops"])]


def test_only_the_hooks_of_this_trigger_run(bench: Bench) -> None:
    hooks = bench.with_specs(
        HookSpec(Trigger.DEAD, channel="one"),
        HookSpec(Trigger.READY, channel="two"),
        HookSpec(Trigger.DEAD, channel="3"),
    )
    hooks.fire(flip())
    bench.reports.wait_for(2)
    assert sorted(channels[0] for _, channels in bench.told.texts) == ["3", "one"]


def test_no_secret_of_the_service_and_no_shell(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ACCESS_KEY_SECRET", SECRET)
    code = "import os; print(dict(os.environ))"
    crafted = flip(reason=f"$(touch {tmp_path}/evil) `id` \0")
    bench.with_specs(HookSpec(Trigger.DEAD, argv=python(code))).fire(crafted)
    (result,) = bench.reports.wait_for(1)
    assert result.ok
    assert SECRET not in result.output
    assert list(tmp_path.iterdir()) == []


# --- what goes wrong ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("/nonexistent/hook",), "does not exist"),
        (python("import sys; sys.exit(3)"), "ended with status 3"),
        (("/bin/sleep", "600"), "did not end within 0.3 s"),
    ],
)
def test_a_hook_that_fails_or_hangs_is_reported(bench: Bench, argv: tuple[str, ...], said: str) -> None:
    timeout = 0.3 if "sleep" in argv[0] else 20.0
    bench.with_specs(HookSpec(Trigger.DEAD, argv=argv, timeout_seconds=timeout)).fire(flip())
    (result,) = bench.reports.wait_for(1)
    assert not result.ok
    assert said in result.detail


def test_a_url_that_hangs_or_is_away_is_reported(bench: Bench, receiver: Receiver) -> None:
    receiver.says(Say(hang=True))
    hooks = bench.with_specs(
        HookSpec(Trigger.DEAD, url=f"{receiver.url}/?t={SECRET}", timeout_seconds=0.3),
        HookSpec(Trigger.DEAD, url=f"http://127.0.0.1:1/?t={SECRET}"),
    )
    hooks.fire(flip())
    details = " ".join(result.detail for result in bench.reports.wait_for(2))
    assert "did not answer within 0.3 s" in details
    assert "no connection" in details
    assert SECRET not in details


def test_only_the_first_four_kilobytes_of_output_are_kept(bench: Bench) -> None:
    bench.with_specs(HookSpec(Trigger.DEAD, argv=python("print('x' * 100_000)"))).fire(flip())
    assert bench.reports.wait_for(1)[0].output == "x" * 4096


def test_a_hook_that_hangs_delays_neither_the_others_nor_whoever_fires(bench: Bench) -> None:
    hooks = bench.with_specs(
        HookSpec(Trigger.DEAD, argv=("/bin/sleep", "600"), timeout_seconds=600),
        HookSpec(Trigger.DEAD, channel="ops"),
    )
    began = time.monotonic()
    for index in range(MOST_WAITING + 20):
        hooks.fire(flip(node=f"n{index}"))
    assert time.monotonic() - began < 5
    bench.reports.wait_for(20)
    deadline = time.monotonic() + 20
    while len(bench.told.texts) < 20 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(bench.told.texts) >= 20
    began = time.monotonic()
    assert hooks.stop() == []
    assert time.monotonic() - began < 10


def test_what_does_not_fit_the_queue_is_dropped_oldest_first_and_said_so(bench: Bench) -> None:
    hooks = bench.with_specs(HookSpec(Trigger.DEAD, argv=("/bin/sleep", "600"), timeout_seconds=600))
    for index in range(MOST_WAITING + 3):
        hooks.fire(flip(node=f"n{index}"))
    dropped = bench.reports.wait_for(2)
    assert "is the hook too slow?" in dropped[0].detail
    assert [result.happening.facts["node"] for result in dropped[:2]] in (["n0", "n1"], ["n1", "n2"])


def test_batches_to_one_node_that_wait_are_told_as_one_and_no_path_is_lost(
    bench: Bench, tmp_path: Path
) -> None:
    gate, seen = tmp_path / "gate", tmp_path / "seen"
    code = (
        f"import os, sys, time\nwhile not os.path.exists({str(gate)!r}): time.sleep(0.01)\n"
        f"open({str(seen)!r}, 'ab').write(sys.stdin.buffer.read())\nprint(os.environ['LOCKSTEP_FILES'])"
    )
    hooks = bench.with_specs(HookSpec(Trigger.BATCH, argv=python(code)))
    for index in range(500):
        hooks.fire(batch("a", b"p%d" % index, b"same"))
        hooks.fire(batch("b", b"q"))
    gate.touch()
    deadline = time.monotonic() + 20
    while sum(int(result.output) for result in bench.reports.all) < 1500 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(bench.reports.all) <= 5
    told = seen.read_bytes().split(b"\0")[:-1]
    assert set(told) == {b"p%d" % index for index in range(500)} | {b"same", b"q"}
    assert len(told) <= 505


def test_other_hooks_take_over_at_once_and_a_running_one_ends_in_peace(bench: Bench, tmp_path: Path) -> None:
    gate, begun = tmp_path / "gate", tmp_path / "begun"
    code = (
        f"import os, time\nopen({str(begun)!r}, 'w')\n"
        f"while not os.path.exists({str(gate)!r}): time.sleep(0.01)\nprint('ended in peace')"
    )
    same = HookSpec(Trigger.READY, channel="same")
    hooks = bench.with_specs(HookSpec(Trigger.DEAD, argv=python(code)), same)
    hooks.fire(flip())
    deadline = time.monotonic() + 20
    while not begun.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    hooks.reconfigure([HookSpec(Trigger.DEAD, channel="new"), same])
    hooks.fire(flip())
    bench.reports.wait_for(1)
    gate.touch()
    results = bench.reports.wait_for(2)
    assert bench.told.texts[0][1] == ["new"]
    assert results[1].output.strip() == "ended in peace"


def test_a_report_that_breaks_off_breaks_nothing() -> None:
    told = Told()
    hooks = Hooks([HookSpec(Trigger.DEAD, channel="ops")], told, lambda _: 1 / 0)  # type: ignore[arg-type]
    hooks.fire(flip())
    hooks.fire(flip())
    deadline = time.monotonic() + 20
    while len(told.texts) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert hooks.stop() == []
    assert len(told.texts) == 2


# --- merging: pure --------------------------------------------------------------------------------

paths = st.lists(st.binary(min_size=1, max_size=3), max_size=6)


@given(st.lists(paths, min_size=1, max_size=4))
def test_merged_batches_name_every_path_once(lists: list[list[bytes]]) -> None:
    both = merged([batch("a", *one) for one in lists])
    assert both.paths == tuple(dict.fromkeys(path for one in lists for path in one))
    assert both.facts["files"] == str(sum(map(len, lists)))


def test_what_must_be_told_apart_is_not_merged() -> None:
    assert mergeable(batch("a", b"x"), batch("a", b"y"))
    assert not mergeable(batch("a", b"x"), batch("b", b"x"))
    assert not mergeable(flip(), flip())


def test_a_batch_of_everything_or_of_too_much_has_no_list_and_says_so() -> None:
    everything = batch_finished(1.0, "a", "everything", None)
    assert (everything.paths, everything.facts["paths"]) == ((), "all")
    both = merged([batch("a", b"x"), everything, batch("a", b"y")])
    assert (both.paths, both.facts["paths"]) == ((), "all")
    much = batch_finished(1.0, "a", "files", (b"%d" % index for index in range(MOST_PATHS + 1)))
    assert much.facts["paths"] == "all"
    assert "everything went to node a" in much.sentence
