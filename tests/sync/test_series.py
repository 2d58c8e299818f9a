"""How single probes become one observation: attempts, order, early end, and what counts as absent."""

from __future__ import annotations

import shutil
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterator

import pytest

from sync.core.model import ProbeResult
from sync.probes import CannotObserve, Notices, ProbeSeries, ProbeSpec, ProbeTarget
from sync.probes.ping import NOT_PERMITTED_4
from sync.probes.series import FILTERED, FILTERED_EVERY
from tests.servers_rsync import Daemon, daemon, daemons  # noqa: F401 - fixtures

TARGET = ProbeTarget("a", "127.0.0.1")


class Scripted:
    """A probe that answers what it is told, good when it is told nothing, and logs each question."""

    def __init__(self, kind: str, log: list[str]) -> None:
        self.kind = kind
        self.answers: deque[bool | None] = deque()
        self.always: bool | None = True
        self.detail = "says no"
        self._log = log

    def probe(self, target: ProbeTarget) -> ProbeResult:
        self._log.append(self.kind)
        good = self.answers.popleft() if self.answers else self.always
        return ProbeResult(self.kind, good, 0.001 if good else None, "" if good else self.detail)


class Series:
    """A series of scripted probes with everything it said."""

    def __init__(self, *kinds: str, attempts: int = 1, stop: threading.Event | None = None) -> None:
        self.asked: list[str] = []
        self.said: list[str] = []
        self.probes = {kind: Scripted(kind, self.asked) for kind in kinds}
        specs = [ProbeSpec(kind, attempts=attempts) for kind in kinds]
        self.series = ProbeSeries(
            specs, make=lambda spec: self.probes[spec.kind], notices=Notices(self.said.append), stop=stop
        )

    def observe(self, target: ProbeTarget = TARGET) -> tuple[bool, dict[str, bool | None]]:
        self.asked.clear()
        observation = self.series.observe(target, lambda: 7.0)
        assert observation.at == 7.0
        assert [r.kind for r in observation.results] == list(self.probes)
        return observation.good, {r.kind: r.good for r in observation.results}


def test_an_observation_is_good_when_all_probes_are() -> None:
    s = Series("tcp", "rsync", "http")
    assert s.observe() == (True, {"tcp": True, "rsync": True, "http": True})
    assert s.asked == ["tcp", "rsync", "http"]


def test_one_lost_attempt_is_no_failure_and_as_many_as_configured_are() -> None:
    s = Series("tcp", attempts=3)
    s.probes["tcp"].answers.extend([False, False, True])
    assert s.observe()[0] is True
    s.probes["tcp"].answers.extend([False, False, False])
    assert s.observe()[0] is False
    assert s.asked == ["tcp"] * 3


def test_after_a_failure_the_others_are_not_asked_and_shown_so() -> None:
    s = Series("tcp", "rsync", "http")
    s.probes["rsync"].always = False
    observation = s.series.observe(TARGET, lambda: 1.0)
    assert s.asked == ["tcp", "rsync"]
    assert observation.good is False
    assert observation.detail == "rsync: says no"
    assert observation.results[2] == ProbeResult("http", None, None, "not asked, as rsync failed")


def test_a_ping_never_answered_while_the_others_are_good_is_absent_and_said_once_a_node() -> None:
    s = Series("ping", "rsync")
    s.probes["ping"].always = False
    for _ in range(3):
        assert s.observe() == (True, {"ping": None, "rsync": True})
    assert s.said == [f"ping of a is {FILTERED}"]
    s.observe(ProbeTarget("b", "127.0.0.2"))
    assert s.said[1:] == [f"ping of b is {FILTERED}"]


def test_a_filtered_ping_is_asked_rarely_and_counts_from_its_first_answer_on() -> None:
    s = Series("ping", "rsync")
    s.probes["ping"].always = False
    s.observe()
    s.probes["ping"].always = True
    asked = []
    for _ in range(FILTERED_EVERY):
        s.observe()
        asked.append("ping" in s.asked)
    assert asked == [False] * (FILTERED_EVERY - 1) + [True]
    assert s.observe() == (True, {"ping": True, "rsync": True})
    s.probes["ping"].always = False
    assert s.observe() == (False, {"ping": False, "rsync": None})


def test_a_ping_answered_once_is_asked_in_its_place_and_its_silence_is_a_failure() -> None:
    s = Series("ping", "rsync")
    s.observe()
    assert s.asked == ["rsync", "ping"]
    s.observe()
    assert s.asked == ["ping", "rsync"]
    s.probes["ping"].always = False
    assert s.observe() == (False, {"ping": False, "rsync": None})
    assert s.said == []


def test_a_silent_ping_with_nobody_to_vouch_for_the_node_is_a_failure() -> None:
    alone = Series("ping")
    alone.probes["ping"].always = False
    assert alone.observe() == (False, {"ping": False})
    s = Series("ping", "rsync")
    s.probes["ping"].always = s.probes["rsync"].always = False
    assert s.observe() == (False, {"ping": None, "rsync": False})
    assert s.asked == ["rsync"]
    assert s.said == []


def test_a_ping_that_is_not_permitted_is_absent_and_said_once_for_all_nodes() -> None:
    s = Series("ping", "rsync")
    s.probes["ping"].always = None
    s.probes["ping"].detail = NOT_PERMITTED_4
    for name in ("a", "b", "c"):
        assert s.observe(ProbeTarget(name, "127.0.0.1")) == (True, {"ping": None, "rsync": True})
    assert len(s.said) == 1
    assert "net.ipv4.ping_group_range" in s.said[0]


def test_a_node_that_moved_or_was_forgotten_is_learned_anew() -> None:
    s = Series("ping", "rsync")
    s.observe()
    s.probes["ping"].always = False
    assert s.observe(ProbeTarget("a", "127.0.0.9"))[0] is True
    assert s.observe()[0] is False
    s.series.forget("a")
    assert s.observe()[0] is True


def test_no_probes_at_all_are_a_good_observation() -> None:
    assert ProbeSeries([]).observe(TARGET, lambda: 1.0).good


def test_stopping_ends_an_observation_without_a_result() -> None:
    stop = threading.Event()
    s = Series("tcp", attempts=3, stop=stop)
    s.probes["tcp"].always = False
    stop.set()
    with pytest.raises(CannotObserve):
        s.observe()
    assert s.asked == []


def test_notices_are_told_once_whatever_the_threads() -> None:
    said: list[str] = []
    notices = Notices(said.append)
    threads = [threading.Thread(target=notices.once, args=("k", "x"), name=f"n{i}") for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert said == ["x"]


@pytest.fixture
def dead_port() -> Iterator[int]:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


@pytest.mark.skipif(shutil.which("rsync") is None, reason="no rsync here")
def test_the_default_series_against_a_real_daemon(
    daemon: Daemon,  # noqa: F811
    dead_port: int,
) -> None:
    specs = [ProbeSpec("ping", 5, 3), ProbeSpec("rsync", 10, 2)]
    observe: Callable[[int], bool] = lambda port: (  # noqa: E731
        ProbeSeries(specs).observe(ProbeTarget("a", "127.0.0.1", port=port)).good
    )
    assert observe(daemon.port)
    assert not observe(dead_port)
