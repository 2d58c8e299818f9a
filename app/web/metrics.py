"""`/metrics`: the requests by prometheus-flask-exporter, everything else read from the running service at scrape time.

Nothing is kept here between scrapes, so a node that is gone from the configuration is gone from the answer. No
label holds a path, an address or an error's text.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import wraps
from typing import Any

from flask import Flask, request
from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.process_collector import ProcessCollector
from prometheus_flask_exporter import PrometheusMetrics

from app.installation import Installation
from app.supervisor import Supervisor
from app.version import VERSION
from app.web.answers import error
from sync.core.model import State
from sync.engine import Engine
from sync.field import RUN_SECONDS

PREFIX = "lockstep_"
SCRAPE_SECONDS = 5.0

NODE_GAUGES = {
    "node_in_sync": "Whether the node is in sync: proven, free of drift and in step.",
    "node_published": "Whether DNS answers with the node.",
    "node_lag_changes": "Changes the node has not confirmed yet.",
    "node_lag_seconds": "How long the oldest change that the node lacks has been waiting.",
    "node_drift_paths": "Paths the last audit found to differ.",
    "node_last_in_sync_timestamp_seconds": "When the node was last in sync.",
    "node_probe_seconds": "Round trip of the last observation.",
    "dustbin_entries": "Paths the node could not take.",
}
COUNTERS = {
    "node_flips": ("Changes of state.", ("node", "from", "to")),
    "probe_failures": ("Failed probes.", ("node", "kind")),
    "sync_runs": ("rsync runs by what they carried and how they ended.", ("kind", "result")),
    "sync_bytes": ("Bytes sent to the node.", ("node",)),
    "rsync_exits": ("rsync runs by exit code.", ("code",)),
    "dns_operations": ("Record operations at the provider.", ("provider", "action", "result")),
    "dns_errors": ("Refusals and failures of the provider.", ("provider", "code")),
    "alerts": ("Notices sent.", ("channel", "result")),
}
SOURCES = {
    "node_flips": "flips",
    "probe_failures": "probe_failures",
    "sync_runs": "runs",
    "sync_bytes": "bytes",
    "rsync_exits": "exits",
    "dns_operations": "dns_operations",
    "dns_errors": "dns_errors",
    "alerts": "alerts",
}
"""Where each counter stands among the counts: the first part of its keys."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What one scrape took from the engine, in the engine's thread."""

    counts: Mapping[tuple[str, ...], float]
    seconds: Mapping[str, list[float]]
    lanes: Mapping[str, tuple[int, int]]
    watch: tuple[int, int, int]  # events, overflows, directories


def read(engine: Engine) -> Reading:
    """A copy of the engine's numbers."""
    watcher = engine.surveyor.watcher
    return Reading(
        dict(engine.field.counts),
        {form: list(classes) for form, classes in engine.field.run_seconds.items()},
        {name: (lane.busy, lane.limit) for name, lane in engine.dispatcher.lanes.items()},
        (
            getattr(watcher, "events", 0),
            getattr(watcher, "overflows", 0),
            watcher.directories,
        ),
    )


class StateCollector:
    """The metrics of the service's state. One that cannot be read in time is left out, not made up."""

    def __init__(self, installation: Installation) -> None:
        self.installation = installation

    def describe(self) -> Iterable[Metric]:
        """Nothing: the registry need not ask the engine to know the names."""
        return ()

    def collect(self) -> Iterable[Metric]:
        yield InfoMetricFamily(f"{PREFIX}build", "The version that runs.", {"version": VERSION})
        supervisor = self.installation.supervisor
        engine = getattr(supervisor, "engine", None)
        if supervisor is None or engine is None or not hasattr(supervisor, "operations"):
            return
        lost = supervisor.lost.is_set()
        yield gauge("config_reload_ok", "Whether the last reload was taken.", float(supervisor.reload_ok))
        yield gauge("leader", "Whether this process holds the lease.", float(not lost))
        yield from status_metrics(supervisor.operations.status())
        now = engine.call(lambda: read(engine), SCRAPE_SECONDS)
        yield from engine_metrics(replace(now, counts={**now.counts, **counts_elsewhere(supervisor)}))


def counts_elsewhere(supervisor: Supervisor) -> dict[tuple[str, ...], float]:
    """What the DNS half and the alerts count, under the names of SOURCES."""
    found: dict[tuple[str, ...], float] = {}
    reconciler, alerting = getattr(supervisor, "reconciler", None), getattr(supervisor, "alerting", None)
    if reconciler is not None:
        found |= {(f"dns_{key[0]}", *key[1:]): count for key, count in reconciler.counts.copy().items()}
    if alerting is not None:
        found |= {("alerts", *key): count for key, count in alerting.deliveries.copy().items()}
    return found


def gauge(name: str, text: str, value: float) -> Metric:
    """A gauge without labels."""
    return GaugeMetricFamily(PREFIX + name, text, value=value)


def status_metrics(status: Mapping[str, Any]) -> Iterable[Metric]:
    """What `GET /api/v1/status` says, as gauges."""
    yield gauge("head", "The newest sequence number.", status["head"])
    yield gauge("source_ok", "Whether the publish directory may be sent.", float(status["publish"]["ok"]))
    yield gauge("dns_frozen", "Whether DNS changes are frozen.", float(status["frozen"] is not None))
    states = GaugeMetricFamily(f"{PREFIX}node_state", "1 for the node's state.", labels=("node", "state"))
    families = {
        name: GaugeMetricFamily(PREFIX + name, text, labels=("node",)) for name, text in NODE_GAUGES.items()
    }
    for node in status["nodes"]:
        for state in State:
            states.add_metric((node["name"], state.value), float(node["state"] == state.value))
        for name, value in node_values(node).items():
            if value is not None:
                families[name].add_metric((node["name"],), float(value))
    yield states
    yield from families.values()
    yield records(status["services"])


def node_values(node: Mapping[str, Any]) -> dict[str, float | None]:
    """The node's gauges; None for what is not known."""
    return {
        "node_in_sync": node["in_sync"],
        "node_published": node["published"],
        "node_lag_changes": node["lag_changes"],
        "node_lag_seconds": node["lag_seconds"],
        "node_drift_paths": node["drift"],
        "node_last_in_sync_timestamp_seconds": node["last_in_sync_at"],
        "node_probe_seconds": None if node["rtt_ms"] is None else node["rtt_ms"] / 1000,
        "dustbin_entries": node["dustbin"],
    }


def records(services: Iterable[Mapping[str, Any]]) -> Metric:
    """How many records are published per service and line, all types together."""
    found: dict[tuple[str, str], int] = {}
    for service in services:
        for line in service.get("lines", ()):
            key = (service["name"], line["line"])
            found[key] = found.get(key, 0) + len(line.get("values") or ())
    family = GaugeMetricFamily(f"{PREFIX}dns_records", "Published records.", labels=("service", "line"))
    for labels, count in found.items():
        family.add_metric(labels, count)
    return family


def engine_metrics(now: Reading) -> Iterable[Metric]:
    """Counters, the lengths of runs, lanes and the watcher."""
    for name, (text, labels) in COUNTERS.items():
        family = CounterMetricFamily(PREFIX + name, text, labels=labels)
        for key, count in now.counts.items():
            if key[0] == SOURCES[name] and len(key) == len(labels) + 1:
                family.add_metric(key[1:], count)
        yield family
    yield lengths(now.seconds)
    busy = GaugeMetricFamily(f"{PREFIX}workers_busy", "rsync jobs that run.", labels=("lane",))
    limit = GaugeMetricFamily(f"{PREFIX}workers_limit", "rsync jobs that may run.", labels=("lane",))
    for lane, (running, most) in now.lanes.items():
        busy.add_metric((lane,), running)
        limit.add_metric((lane,), most)
    yield busy
    yield limit
    events, overflows, directories = now.watch
    yield CounterMetricFamily(f"{PREFIX}watch_events", "Events read from the kernel.", value=events)
    yield CounterMetricFamily(f"{PREFIX}watch_overflows", "Times the kernel dropped events.", value=overflows)
    yield gauge("watch_directories", "Watched directories.", directories)


def lengths(seconds: Mapping[str, list[float]]) -> Metric:
    """How long rsync runs took, by what they carried."""
    family = HistogramMetricFamily(f"{PREFIX}sync_seconds", "Length of rsync runs.", labels=("kind",))
    for form, classes in seconds.items():
        total, buckets = 0.0, []
        for bound, count in zip((*map(str, RUN_SECONDS), "+Inf"), classes, strict=False):
            total += count
            buckets.append((bound, total))
        family.add_metric((form,), buckets, sum_value=classes[-1])
    return family


def register(app: Flask) -> PrometheusMetrics:
    """Adds `/metrics` with a registry of the app's own."""
    installation: Installation = app.extensions["lockstep"]
    registry = CollectorRegistry()
    metrics = PrometheusMetrics(
        app,
        path="/metrics",
        group_by="url_rule",
        defaults_prefix="flask",
        registry=registry,
        metrics_decorator=for_bearers(installation),
    )
    ProcessCollector(registry=registry)
    registry.register(StateCollector(installation))
    return metrics


def for_bearers(installation: Installation) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Asks for `web.metrics_token` where one is set."""

    def decorate(view: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(view)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            config = installation.supervisor.config if installation.supervisor else installation.config
            token = (
                config.web.metrics_token.get_secret_value() if config and config.web.metrics_token else None
            )
            given = request.headers.get("Authorization", "").removeprefix("Bearer ")
            if token is not None and not hmac.compare_digest(given.encode(), token.encode()):
                answer = error("unauthorized", "this needs the token of web.metrics_token", 401)
                answer.headers["WWW-Authenticate"] = "Bearer"
                return answer
            return view(*args, **kwargs)

        return guarded

    return decorate
