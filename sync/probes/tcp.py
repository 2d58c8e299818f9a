"""Asks whether a TCP port accepts a connection; it says and reads nothing."""

from __future__ import annotations

import time

from sync.core.model import ProbeResult
from sync.probes.connection import Deadline, Timer, connect, describe, endpoint
from sync.probes.probe import ProbeSpec, ProbeTarget


class Tcp:
    """Good when the connection stands within the time limit; the round trip is that of the connection."""

    kind = "tcp"

    def __init__(self, spec: ProbeSpec, timer: Timer = time.monotonic) -> None:
        self._spec = spec
        self._timer = timer

    def probe(self, target: ProbeTarget) -> ProbeResult:
        port = self._spec.port or target.port
        deadline = Deadline.after(self._spec.timeout_seconds, self._timer)
        began = self._timer()
        try:
            with connect(target.host, port, deadline):
                return ProbeResult(self.kind, True, self._timer() - began)
        except OSError as error:
            detail = describe(error, endpoint(target.host, port), self._spec.timeout_seconds)
            return ProbeResult(self.kind, False, detail=detail)
