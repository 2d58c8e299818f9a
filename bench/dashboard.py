"""Measures the Overview of 300 nodes while something is published: how long it takes, and what open tabs cost."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from bench import made_up
from bench.figures import Figure
from bench.ground import daemon, make_tree
from bench.service import Json, Service
from bench.tabs import PASSWORD, Browser, tabs

REAL, TABS, PEOPLE = 8, 20, 4
OVERVIEW_SECONDS, TABS_SHARE = 0.05, 0.1
WRITE_SECONDS = 0.2
PAUSE_SECONDS = 0.45  # longer than anything is remembered for a page that is opened


def measure(home: Path, rounds: int, seconds: float) -> list[Figure]:
    """``rounds`` times the tabs are shut and open, ``seconds`` each."""
    publish = home / "publish"
    make_tree(publish, 2000, 20)
    with daemon(home / "daemon", {f"n{n}": home / f"node-{n}" for n in range(REAL)}) as rsyncd:
        to = {f"n{n}": (rsyncd.port, f"n{n}") for n in range(REAL)}
        service = Service(home / "service", publish, to, more=lambda config: made_up.with_crowd(config, REAL))
        for number in range(PEOPLE):
            role = "administrator" if number == 0 else "viewer"
            service.command("user", "add", f"person{number}", "--role", role, typed=PASSWORD + "\n")
        made_up.history(service.data / "lockstep.db", time.time())
        with service, _writing(publish):
            service.wait(_settled, 180, "the real nodes ready and the others dead")
            cookies = [Browser(service.port).log_in(f"person{n}").cookie for n in range(PEOPLE)]
            return [_overview(service, cookies[0], rounds), _tabs(service, cookies, rounds, seconds)]


def _settled(status: Json) -> bool:
    states = [node["state"] for node in status["nodes"]]
    return (states.count("ready"), states.count("dead")) == (REAL, made_up.NODES - REAL)


@contextmanager
def _writing(root: Path) -> Iterator[None]:
    """A file is written five times a second until the block ends."""
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.wait(WRITE_SECONDS):
            (root / f"news-{number % 100:02d}.html").write_text(f"<h1>{number}</h1>\n")
            number += 1

    thread = threading.Thread(target=write, name="writer")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(10)


def _overview(service: Service, cookie: str, rounds: int) -> Figure:
    """Each page is opened anew: nothing that was rendered before is of use."""
    browser = Browser(service.port, cookie)
    taken, light, size = [], [], 0
    idle = _cores(service, 10)
    before, started = service.cpu_seconds(children=False), time.perf_counter()
    for _ in range(20 * rounds):
        seconds, size = _asked(browser, "/")
        taken.append(seconds)
        time.sleep(PAUSE_SECONDS)
    worked = service.cpu_seconds(children=False) - before - idle * (time.perf_counter() - started)
    for _ in range(20):
        light.append(_asked(browser, "/healthz")[0])
        time.sleep(0.05)
    browser.close()
    taken.sort()
    return Figure(
        "overview",
        f"the Overview of {made_up.NODES} nodes while something is published",
        median(taken),
        OVERVIEW_SECONDS,
        1.0,
        f"median of {len(taken)} over loopback, from asking to the last byte, against {OVERVIEW_SECONDS * 1000:.0f} ms",
        notes=(
            f"{taken[0] * 1000:.0f} to {taken[-1] * 1000:.0f} ms, {size / 1000:.0f} KB; of processor time "
            f"{max(worked, 0.0) / len(taken) * 1000:.0f} ms each; "
            f"/healthz at the same time: {median(light) * 1000:.0f} ms",
            _ground(),
        ),
    )


def _asked(browser: Browser, path: str) -> tuple[float, int]:
    """The seconds one answer took, and its size. Raises RuntimeError for anything but 200."""
    began = time.perf_counter()
    status, text, _ = browser.get(path, Accept="text/html")
    if status != 200:
        raise RuntimeError(f"{path} answers {status}")
    return time.perf_counter() - began, len(text)


def _tabs(service: Service, cookies: list[str], rounds: int, seconds: float) -> Figure:
    shut, opened, answers, times = [], [], 0, []
    unchanged, size = 0, 0
    for _ in range(rounds):
        shut.append(_cores(service, seconds))
        with tabs(service.port, [cookies[n % PEOPLE] for n in range(TABS)]) as told:
            time.sleep(3)  # loading the page is no polling
            opened.append(_cores(service, seconds))
        answers += sum(told.statuses.values())
        unchanged += told.statuses[304]
        size += told.bytes
        times += told.seconds
    cost = median(opened) - median(shut)
    return Figure(
        "tabs",
        f"{TABS} open tabs on the Overview of {made_up.NODES} nodes while something is published",
        max(cost, 0.0),
        TABS_SHARE,
        1.0,
        f"processor time of the service's process with the tabs, less that without, medians of {rounds} times "
        f"{seconds:.0f} s each in turns, against {TABS_SHARE:g} of a core",
        unit="cores",
        notes=(
            f"with: {_spread(opened)}; without: {_spread(shut)}",
            f"{answers} polls of {PEOPLE} people, {unchanged} of them 304, {size / max(1, answers) / 1000:.0f} KB and "
            f"{median(times) * 1000:.0f} ms each at the median",
        ),
    )


def _cores(service: Service, seconds: float) -> float:
    """The share of a core that the service's own process took."""
    before, began = service.cpu_seconds(children=False), time.perf_counter()
    time.sleep(seconds)
    return (service.cpu_seconds(children=False) - before) / (time.perf_counter() - began)


def _spread(shares: list[float]) -> str:
    return f"{min(shares) * 100:.1f} to {max(shares) * 100:.1f} %"


def _ground() -> str:
    return (
        f"{REAL} of the nodes are real, and a file is written every "
        f"{WRITE_SECONDS * 1000:.0f} ms; the others do not answer; "
        f"{made_up.SERVICES} services with {len(made_up.LINES)} lines; a month of history"
    )
