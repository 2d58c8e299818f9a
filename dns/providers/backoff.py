"""Repeats a request that had no effect, after growing pauses with jitter; never one of unknown outcome."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import tenacity

from dns.errors import ProviderError, UnavailableError
from dns.providers.port import Wiring

T = TypeVar("T")

ATTEMPTS = 4
FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 3.0

TRANSIENT = frozenset({"throttled", "busy", "server", "stale_sign"})
"""Codes worth another try within the same operation; what is not reachable is left to the next pass."""


def with_backoff(call: Callable[[], T], wiring: Wiring, attempts: int = ATTEMPTS) -> T:
    """The call's result; repeated while it raises a transient `UnavailableError`, `attempts` times in all.

    Pauses double from 0.2 s, each between half and one and a half of its nominal length, so that callers who
    were throttled together do not come back together. A provider's own `retry_after_seconds` holds, up to
    3 s. The last error is raised as it is.
    """

    def pause(state: tenacity.RetryCallState) -> float:
        nominal = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** (state.attempt_number - 1))
        error = state.outcome.exception() if state.outcome else None
        wished = error.retry_after_seconds if isinstance(error, ProviderError) else None
        return max(nominal * (0.5 + wiring.random()), min(wished or 0.0, LONGEST_PAUSE_SECONDS))

    def nap(seconds: float) -> None:
        wiring.sleep(seconds)

    retrying = tenacity.Retrying(
        stop=tenacity.stop_after_attempt(attempts),
        wait=pause,
        retry=tenacity.retry_if_exception(is_transient),
        sleep=nap,
        reraise=True,
    )
    return retrying(call)


def is_transient(error: BaseException) -> bool:
    """Whether the same request may go again: it had no effect, and waiting is all that is needed."""
    return isinstance(error, UnavailableError) and error.code in TRANSIENT
