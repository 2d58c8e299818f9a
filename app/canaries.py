"""Asks at once, for one second at most, whether anybody out there still answers. Decides nothing."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from dns.core.isolation import Asked
from sync.core.model import Destination
from sync.probes import ProbeSeries, ProbeSpec, ProbeTarget

SECONDS = 1.0
THREADS = 256
"""A thread is made when it is needed; one silent host must not keep another's answer waiting."""
CANARY_PORTS = (443, 53, 80)
_PING = ProbeSpec("ping", timeout_seconds=0.8, attempts=1)
Nodes = Mapping[str, tuple[Destination, ProbeSeries]]


class Roll:
    """Calls the roll of nodes and canaries; one for the whole service, for one caller at a time."""

    def __init__(self, seconds: float = SECONDS) -> None:
        self._seconds = seconds
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="roll")
        self._ping = ProbeSeries([_PING])
        self._open: dict[str, Future[bool]] = {}  # questions of earlier calls that nobody has answered yet

    def close(self) -> None:
        """Ends the threads; each question is bounded in time."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def call(self, nodes: Nodes, canaries: Collection[str], enough: Collection[str]) -> Asked:
        """Who was asked and who answered: within the second, or until one of ``enough`` did."""
        asked = {name: self._asked(f"node {name}", self._node, name, *to) for name, to in nodes.items()}
        asked |= {host: self._asked(f"canary {host}", self._canary, host) for host in canaries}
        deadline = time.monotonic() + self._seconds
        while True:
            answered = frozenset(name for name, future in asked.items() if _good(future))
            waiting = [future for future in asked.values() if not future.done()]
            left = deadline - time.monotonic()
            if answered & set(enough) or not waiting or left <= 0:
                return Asked(frozenset(nodes), frozenset(canaries), answered)
            wait(waiting, timeout=left, return_when=FIRST_COMPLETED)

    def _asked(self, key: str, ask: Callable[..., bool], *args: object) -> Future[bool]:
        """The question under way, else a new one: hosts that stay silent cost one thread each."""
        known = self._open.get(key)
        if known is None or known.done():
            known = self._open[key] = self._pool.submit(ask, *args)
        return known

    def _node(self, name: str, destination: Destination, series: ProbeSeries) -> bool:
        """A node answers when any of its probes does: its daemon may be dead, the way to it is not."""
        port = destination.ssh_port if destination.transport == "ssh" else destination.port
        target = ProbeTarget(name, destination.host, destination.host, port, destination.transport)
        return any(result.good for result in series.observe(target).results)

    def _canary(self, host: str) -> bool:
        """A canary answers when it is pinged, or when it takes or refuses a connection: both come from it."""
        results = self._ping.observe(ProbeTarget(host, host)).results
        if any(result.good for result in results):
            return True
        return any(_speaks(host, port) for port in CANARY_PORTS)


def _good(future: Future[bool]) -> bool:
    return future.done() and not future.cancelled() and future.exception() is None and future.result()


def _speaks(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), 0.3):
            return True
    except ConnectionRefusedError:
        return True
    except OSError:
        return False
