"""Makes one observation of a node out of its probes and knows which count as absent; it decides no state.

Probes run one after another, in the order configured, and the series ends with the first that failed: the
observation has failed by then, and a silent host costs the first probe's time instead of all of them. What
was not asked is shown so. The whole lasts at most the sum of attempts × timeout (plus name resolution).

Absent, which counts neither way, is

- a ping that this machine may not send: said once, for all nodes, with how to permit it;
- a ping that has never been answered while the other probes are good ("filtered"): said once a node. Until a
  first answer the ping is asked last, so that the others have spoken; once filtered, it is asked in every
  twelfth observation only. When it has been answered once, silence is a failure. With no other probe to
  vouch for the node, silence is a failure as well.

When all are absent the observation is good: nothing failed.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sync.core.model import Observation, ProbeResult
from sync.probes.probe import CannotObserve, Probe, ProbeSpec, ProbeTarget
from sync.probes.registry import make_probe

log = logging.getLogger(__name__)
PAUSE_SECONDS = 0.1
"""Between two attempts: a refused connection is refused again within the same millisecond."""
FILTERED_EVERY = 12
FILTERED = "filtered: never answered, while the other probes are good; it does not count"

WORDS = {True: "good", False: "failed", None: "absent"}
Clock = Callable[[], float]


class Notices:
    """Tells each notice once, by its key. Share one between all series. Thread-safe."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._said: set[str] = set()
        self._lock = threading.Lock()

    def once(self, key: str, sentence: str) -> None:
        with self._lock:
            if key in self._said:
                return
            self._said.add(key)
        self._tell(sentence)


@dataclass(slots=True)
class _Echo:
    """What is remembered of a node's ping."""

    answered: bool = False
    filtered: bool = False
    skipped: int = 0


class ProbeSeries:
    """The probes of one or more nodes; may be used by many threads at once."""

    def __init__(
        self,
        specs: Sequence[ProbeSpec],
        *,
        make: Callable[[ProbeSpec], Probe] = make_probe,
        notices: Notices | None = None,
        stop: threading.Event | None = None,
    ) -> None:
        """``stop`` ends an observation between two attempts. Raises ValueError for an unusable spec."""
        self._probes = [(spec, make(spec)) for spec in specs]
        self._notices = notices or Notices(lambda sentence: None)
        self._stop = stop or threading.Event()
        self._echoes: dict[tuple[str, str], _Echo] = {}
        self._lock = threading.Lock()

    def observe(self, target: ProbeTarget, clock: Clock = time.time) -> Observation:
        """One observation, its time read from ``clock`` (seconds since the epoch) when it is complete.

        The results stand in the order configured. Raises CannotObserve when nothing was learned of the node.
        """
        echo = self._echo(target)
        results: dict[int, ProbeResult] = {}
        for i in self._order(echo):
            spec, probe = self._probes[i]
            failed = next((r.kind for r in results.values() if r.good is False), None)
            if failed is not None:
                results[i] = ProbeResult(spec.kind, None, detail=f"not asked, as {failed} failed")
            elif spec.kind == "ping":
                results[i] = self._ping(spec, probe, target, echo, list(results.values()))
            else:
                results[i] = self._attempts(spec, probe, target)
        ordered = tuple(results[i] for i in sorted(results))
        made = Observation(clock(), all(r.good is not False for r in ordered), ordered)
        if log.isEnabledFor(logging.DEBUG):
            told = "; ".join(f"{r.kind} {WORDS[r.good]} {r.detail}".rstrip() for r in ordered)
            log.debug("%s: %s: %s", target.node, "good" if made.good else "failed", told)
        return made

    def forget(self, node: str) -> None:
        """Drops what is remembered of a node that has been let go."""
        with self._lock:
            self._echoes = {key: echo for key, echo in self._echoes.items() if key[0] != node}

    def _echo(self, target: ProbeTarget) -> _Echo:
        with self._lock:
            return self._echoes.setdefault((target.node, target.host), _Echo())

    def _order(self, echo: _Echo) -> list[int]:
        """The probes' numbers as they are to be asked: as configured, a ping never answered last."""
        numbers = range(len(self._probes))
        return sorted(numbers, key=lambda i: not echo.answered and self._probes[i][0].kind == "ping")

    def _attempts(self, spec: ProbeSpec, probe: Probe, target: ProbeTarget) -> ProbeResult:
        """The first result that is not a failure, or the last failure."""
        for attempt in range(spec.attempts):
            if self._stop.wait(PAUSE_SECONDS if attempt else 0):
                raise CannotObserve("the service is stopping")
            result = probe.probe(target)
            if result.good is not False:
                break
        return result

    def _ping(
        self, spec: ProbeSpec, probe: Probe, target: ProbeTarget, echo: _Echo, others: list[ProbeResult]
    ) -> ProbeResult:
        if echo.filtered and not echo.answered and echo.skipped < FILTERED_EVERY - 1:
            echo.skipped += 1
            return ProbeResult(spec.kind, None, detail=FILTERED)
        result = self._attempts(spec, probe, target)
        if result.good is None:
            self._notices.once(result.detail, f"ping {result.detail}. Until then pings do not count.")
        elif result.good:
            echo.answered, echo.filtered = True, False
        elif not echo.answered and any(r.good for r in others):
            echo.filtered, echo.skipped = True, 0
            self._notices.once(
                f"filtered {target.node} {target.host}", f"ping of {target.node} is {FILTERED}"
            )
            return ProbeResult(spec.kind, None, detail=FILTERED)
        return result
