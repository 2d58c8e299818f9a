"""Makes guessing slow: failures are counted by address and by account, and each pauses for growing times.

Never globally: nobody's failures keep another account at another address out. Kept in memory and bounded.
"""

from __future__ import annotations

import ipaddress
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

FREE_ACCOUNT = 5
FREE_ADDRESS = 10
"""Failures that cost nothing: people mistype."""
FIRST_SECONDS = 2.0
LONGEST_SECONDS = 900.0
FORGET_SECONDS = 3600.0
MOST = 10_000


@dataclass(slots=True)
class _Tally:
    failures: int = 0
    last: float = 0.0
    until: float = 0.0


class Lockout:
    """``wait_seconds`` before a try, ``failed`` and ``succeeded`` after it. Thread-safe."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._tallies: OrderedDict[tuple[str, str], _Tally] = OrderedDict()

    def wait_seconds(self, address: str, account: str) -> float:
        """How long this address must wait before it may try this account; 0.0: not at all."""
        now = self._clock()
        with self._lock:
            found = [self._tallies.get(key) for key in keys(address, account)]
            return max((tally.until - now for tally in found if tally is not None), default=0.0)

    def failed(self, address: str, account: str) -> float:
        """Counts a failure; how long the next try must wait."""
        now = self._clock()
        with self._lock:
            for key in keys(address, account):
                self._count(key, now)
            return max(self._tallies[key].until - now for key in keys(address, account))

    def _count(self, key: tuple[str, str], now: float) -> None:
        tally = self._tallies.pop(key, None)
        if tally is None or now - tally.last > FORGET_SECONDS:
            tally = _Tally()
        tally.failures, tally.last = tally.failures + 1, now
        over = tally.failures - (FREE_ACCOUNT if key[0] == "account" else FREE_ADDRESS)
        if over >= 0:
            tally.until = now + min(FIRST_SECONDS * 2.0 ** min(over, 20), LONGEST_SECONDS)
        self._tallies[key] = tally
        while len(self._tallies) > MOST:
            self._tallies.popitem(last=False)

    def succeeded(self, address: str, account: str) -> None:
        """The account's failures are forgotten; the address's stay, or one own account would free all guesses."""
        with self._lock:
            self._tallies.pop(("account", account.casefold()), None)


def keys(address: str, account: str) -> tuple[tuple[str, str], tuple[str, str]]:
    """What failures are counted by. An IPv6 customer owns a /64, so that counts as one address."""
    try:
        parsed = ipaddress.ip_address(address)
        if parsed.version == 6:
            address = str(ipaddress.ip_network((parsed, 64), strict=False))
    except ValueError:
        pass
    return ("address", address), ("account", account.casefold())
