"""Names the kinds of probes: a new one is one file beside this and one line in PROBES. It asks nothing."""

from __future__ import annotations

from collections.abc import Callable

from sync.probes.http import Http
from sync.probes.ping import Ping
from sync.probes.probe import Probe, ProbeSpec
from sync.probes.rsync import Rsync
from sync.probes.tcp import Tcp

PROBES: dict[str, Callable[[ProbeSpec], Probe]] = {
    "ping": Ping,
    "tcp": Tcp,
    "rsync": Rsync,
    "http": Http,
}


def make_probe(spec: ProbeSpec) -> Probe:
    """The probe of a spec; raises ValueError for a kind there is not, or a spec its kind cannot use."""
    if spec.kind not in PROBES:
        raise ValueError(f"probe {spec.kind}: no such kind; there are {', '.join(PROBES)}")
    return PROBES[spec.kind](spec)
