"""Measures a failover: a node's daemon is killed → the authoritative answer of its line is another node's.

Real rsync daemons, a real BIND with a view per line, 20 rounds; beside each the time until the probes had found
out. The difference is Lockstep's own: planning, the question whether we are cut off, and the update.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from statistics import median

from bench.figures import Figure, table
from sync.core.model import Flip, State
from sync.field import Listener
from tests.dns_stand import WWW, DnsStand, bind_provider, dns_stand
from tests.servers_bind import Bind, bind_server

ROUNDS = 20
ZONE = "example.test"
LIMIT_SECONDS = 30.0


class Watch(Listener):
    """When node a was last seen to leave ready."""

    def __init__(self) -> None:
        self.left_at = 0.0

    def flip(self, flip: Flip) -> None:
        """Notes the moment."""
        if flip.node == "a" and flip.old is State.READY:
            self.left_at = time.monotonic()


def awaited(bind: Bind, address: str, stands: bool) -> float:
    """The moment at which the telecom line answers with this address, or with others only."""
    deadline = time.monotonic() + LIMIT_SECONDS
    while time.monotonic() < deadline:
        answer = bind.ask(f"www.{ZONE}", "A", "telecom")
        if (address in answer) is stands and (answer or not stands):
            return time.monotonic()
        time.sleep(0.001)
    raise TimeoutError(f"{address} {'does not come' if stands else 'stays'}: {answer}")


def one_round(stand: DnsStand, bind: Bind, watch: Watch) -> tuple[float, float]:
    """Seconds from the kill to the probes' finding, and to the changed answer; the node is back afterwards."""
    address = stand.address("a")
    killed = time.monotonic()
    stand.daemons["a"].kill()
    changed = awaited(bind, address, stands=False)
    found = watch.left_at
    stand.daemons["a"].start()
    awaited(bind, address, stands=True)
    return found - killed, changed - killed


def measure(home: Path, rounds: int = ROUNDS) -> list[Figure]:
    """How long until the answer changed, over the time that the probes alone need."""
    with bind_server(home / "bind", [ZONE]) as bind:
        options = {"hold_down": 0, "every": 600}
        provider, services = bind_provider(bind), [WWW % ZONE]
        with dns_stand(home, provider=provider, services=services, options=options) as stand:
            stand.start()
            watch = Watch()
            stand.supervisor.engine.field.listeners.append(watch)
            awaited(bind, stand.address("a"), stands=True)
            results = [one_round(stand, bind, watch) for _ in range(rounds)]
    return [figure(results)]


def figure(results: list[tuple[float, float]]) -> Figure:
    """The rounds as one ratio; the worst in the notes."""
    probes, changed = ([pair[place] for pair in results] for place in (0, 1))
    own = [b - a for a, b in results]
    return Figure(
        "dns-failover",
        "node killed → authoritative answer changed / found by the probes",
        median(changed),
        median(probes),
        None,
        f"median of {len(results)} rounds over a real BIND, every node observed every 0.3 s",
        notes=(
            f"worst: changed after {max(changed):.3f} s, found by the probes after {max(probes):.3f} s",
            f"planning, the question whether we are cut off, and BIND: median {median(own):.3f} s, "
            f"worst {max(own):.3f} s",
        ),
    )


def main() -> None:
    """Runs it alone."""
    with tempfile.TemporaryDirectory() as name:
        figures = measure(Path(name))
    print(table(figures))
    for each in figures:
        print("\n".join(each.notes))


if __name__ == "__main__":
    main()
