"""Asks at once, for one second at most, whether anybody out there still answers. Decides nothing."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor, wait

from dns.core.isolation import Asked
from sync.core.model import Destination
from sync.probes import ProbeSeries, ProbeSpec, ProbeTarget

SECONDS = 1.0
CANARY_PORTS = (443, 53, 80)
_PING = ProbeSpec("ping", timeout_seconds=0.8, attempts=1)


class Roll:
    """Calls the roll of nodes and canaries; one for the whole service."""

    def __init__(self, tell: Callable[[str], None] = lambda sentence: None) -> None:
        self._pool = ThreadPoolExecutor(32, thread_name_prefix="roll")
        self._ping = ProbeSeries([_PING])

    def close(self) -> None:
        """Ends the threads; each question is bounded in time."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def call(self, nodes: Mapping[str, tuple[Destination, ProbeSeries]], canaries: Iterable[str]) -> Asked:
        """Who was asked and who answered within the second."""
        canaries = frozenset(canaries)
        asked = {self._pool.submit(self._node, n, d, s): n for n, (d, s) in nodes.items()}
        asked |= {self._pool.submit(self._canary, host): host for host in canaries}
        done, _ = wait(asked, timeout=SECONDS)
        answered = frozenset(asked[f] for f in done if f.exception() is None and f.result())
        return Asked(frozenset(nodes), canaries, answered)

    def _node(self, name: str, destination: Destination, series: ProbeSeries) -> bool:
        port = destination.ssh_port if destination.transport == "ssh" else destination.port
        target = ProbeTarget(name, destination.host, destination.host, port, destination.transport)
        return series.observe(target).good

    def _canary(self, host: str) -> bool:
        """A canary answers when it is pinged, or when it takes or refuses a connection: both come from it."""
        results = self._ping.observe(ProbeTarget(host, host)).results
        if any(result.good for result in results):
            return True
        return any(_speaks(host, port) for port in CANARY_PORTS)


def _speaks(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), 0.3):
            return True
    except ConnectionRefusedError:
        return True
    except OSError:
        return False
