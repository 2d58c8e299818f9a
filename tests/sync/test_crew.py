"""The threads that jobs and probes run in: in order, bounded, and never in the way of an end."""

from __future__ import annotations

import threading
import time

from sync.crew import Crew
from sync.lanes import Lane


def test_calls_are_made_by_at_most_the_limit_of_threads() -> None:
    crew, gate, lock = Crew("t", 3), threading.Event(), threading.Lock()
    running, most, done = [0], [0], threading.Semaphore(0)

    def call() -> None:
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        gate.wait(10)
        with lock:
            running[0] -= 1
        done.release()

    for _ in range(10):
        assert crew.submit(call)
    gate.set()
    assert all(done.acquire(timeout=10) for _ in range(10))
    assert most[0] <= 3
    assert crew.close(5)


def test_an_idle_thread_is_used_again() -> None:
    crew, names, done = Crew("t", 8), set[str](), threading.Semaphore(0)
    for _ in range(20):
        crew.submit(lambda: names.add(threading.current_thread().name))
        crew.submit(done.release)
        assert done.acquire(timeout=10)
        time.sleep(0.001)  # lets it lie down
    assert len(names) <= 3
    assert crew.close(5)


def test_a_call_that_raises_ends_nothing() -> None:
    crew, done = Crew("t", 1), threading.Event()
    crew.submit(lambda: 1 / 0)  # type: ignore[arg-type,return-value]
    crew.submit(done.set)
    assert done.wait(10)
    assert crew.close(5)


def test_an_end_drops_what_waits_and_does_not_wait_for_what_hangs() -> None:
    crew, gate, called = Crew("t", 1), threading.Event(), threading.Event()
    crew.submit(lambda: gate.wait(30) and None)
    crew.submit(called.set)
    began = time.monotonic()
    assert not crew.close(0.2)
    assert time.monotonic() - began < 5
    assert not crew.submit(called.set)
    gate.set()
    assert crew.close(10)
    assert not called.is_set()


def test_a_lane_is_full_at_its_limit_and_has_room_again_before_the_end_is_told() -> None:
    lane, gate, room = Lane("t", 2), threading.Event(), list[bool]()
    told = threading.Semaphore(0)

    def done(_: object) -> None:
        room.append(lane.busy < lane.limit)
        told.release()

    assert lane.try_submit(lambda: gate.wait(10), done)
    assert lane.try_submit(lambda: gate.wait(10), done)
    assert not lane.try_submit(lambda: gate.wait(10), done)
    assert lane.busy == 2
    gate.set()
    assert told.acquire(timeout=10)
    assert told.acquire(timeout=10)
    assert room == [True, True]
    assert lane.busy == 0
    assert lane.close(5)
    assert not lane.try_submit(lambda: True, done)
