"""Asks whether the node's transport answers, by its greeting; it never logs in.

An rsync daemon greets with ``@RSYNCD: <version>`` as soon as it is connected to (rsync's csprotocol.txt).
For a node reached over ssh the greeting is sshd's ``SSH-2.0-…``, which other lines may precede (RFC 4253,
4.2). A daemon that hangs still accepts connections, because the kernel does it for it: only the greeting
shows life.
"""

from __future__ import annotations

import time

from sync.core.model import ProbeResult
from sync.probes.connection import Deadline, Timer, connect, describe, endpoint
from sync.probes.probe import ProbeSpec, ProbeTarget

GREETINGS = {"daemon": b"@RSYNCD: ", "ssh": b"SSH-"}
MOST_BYTES = 4096


class Rsync:
    """Good when the greeting of the target's transport came; the round trip ends with the greeting."""

    kind = "rsync"

    def __init__(self, spec: ProbeSpec, timer: Timer = time.monotonic) -> None:
        self._spec = spec
        self._timer = timer

    def probe(self, target: ProbeTarget) -> ProbeResult:
        port = self._spec.port or target.port
        where = endpoint(target.host, port)
        expected = GREETINGS[target.transport]
        deadline = Deadline.after(self._spec.timeout_seconds, self._timer)
        began = self._timer()
        said = b""
        try:
            with connect(target.host, port, deadline) as connection:
                while undecided(said, expected):
                    connection.settimeout(deadline.left())
                    more = connection.recv(1024)
                    if not more:
                        break
                    said += more
        except TimeoutError:
            silence = f"no greeting in {self._spec.timeout_seconds:g} s ({where})"
            return ProbeResult(self.kind, False, detail=instead(said, where) if said else silence)
        except OSError as error:
            detail = describe(error, where, self._spec.timeout_seconds)
            return ProbeResult(self.kind, False, detail=detail)
        if greeted(said, expected):
            return ProbeResult(self.kind, True, self._timer() - began)
        return ProbeResult(self.kind, False, detail=instead(said, where))


def greeted(said: bytes, expected: bytes) -> bool:
    """Whether the greeting has come: the first line begins with it, or for ssh any line does."""
    if said.startswith(expected):
        return True
    return expected == GREETINGS["ssh"] and b"\n" + expected in said


def undecided(said: bytes, expected: bytes) -> bool:
    """Whether the greeting has not come and still may."""
    if greeted(said, expected) or len(said) >= MOST_BYTES:
        return False
    return expected == GREETINGS["ssh"] or expected.startswith(said)


def instead(said: bytes, where: str) -> str:
    """What came in place of the greeting: one line, printable, at most 60 characters."""
    if not said:
        return f"connected, but closed without a greeting ({where}); is this address allowed there?"
    line = said.strip().split(b"\n", 1)[0].strip()[:60].decode("utf-8", "replace")
    shown = "".join(c if c.isprintable() else "?" for c in line)
    return f"no greeting; instead came: {shown} ({where})"
