"""Turns the configuration into what the content half takes; starts and stores nothing."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Mapping
from dataclasses import replace

from app.config import Config, destination
from app.config.schema.nodes import NodeConfig
from app.config.schema.sync import ProbeConfig
from sync.core.args import RsyncOptions
from sync.core.health import HealthRules, SleepTimes
from sync.core.quiet import QuietRules
from sync.core.scope import Scope
from sync.dispatcher import LaneLimits
from sync.engine import EngineSettings
from sync.node import NodeSettings
from sync.probes import Notices, ProbeSeries, ProbeSpec
from sync.surveyor import SurveySettings

NO_HOST = "address-not-known-yet.invalid"
"""Stands for a node's host while no source has said one: RFC 6761 keeps the name from ever resolving."""


class ProbeShop:
    """Gives every node its probe series, the same one as long as its probes stay the same.

    A series remembers whether a node ever answered a ping, so a reload must not make it anew.
    """

    def __init__(self, notices: Notices, stop: threading.Event) -> None:
        self._notices = notices
        self._stop = stop  # ends observations between two attempts
        self._series: dict[tuple[ProbeSpec, ...], ProbeSeries] = {}

    def series(self, probes: Iterable[ProbeConfig]) -> ProbeSeries:
        specs = tuple(probe_spec(probe) for probe in probes)
        if specs not in self._series:
            self._series[specs] = ProbeSeries(specs, notices=self._notices, stop=self._stop)
        return self._series[specs]


def probe_spec(probe: ProbeConfig) -> ProbeSpec:
    """A probe of the configuration as the probes' package takes it."""
    facts = probe.model_dump()
    return ProbeSpec(
        kind=facts["kind"],
        timeout_seconds=float(facts["timeout"]),
        attempts=facts["attempts"],
        port=facts.get("port"),
        url=facts.get("url"),
        status=tuple(facts.get("status", (200,))),
        contains=facts.get("contains"),
    )


def node_settings(
    config: Config,
    node: NodeConfig,
    shop: ProbeShop,
    addresses: Mapping[str, str],
    origin: str = "file",
) -> NodeSettings:
    """A node as the engine takes it. ``addresses``: the address last learned of each node that has no host."""
    known = addresses.get(node.name)
    to = destination(config, node, None if node.host else known)
    first = node.address_sources[0]
    return NodeSettings(
        name=node.name,
        destination=replace(to, host=to.host or NO_HOST),
        probes=shop.series(node.probes or config.health.probes),
        title=node.title,
        address=known or first.static or node.host,
        drained=node.drained,
        origin=origin,
    )


def engine_settings(config: Config, nodes: Iterable[NodeSettings]) -> EngineSettings:
    """The publish, sync and health sections as the engine takes them."""
    sync, health = config.sync, config.health
    times = health.sleep_times
    return EngineSettings(
        survey=survey_settings(config),
        options=RsyncOptions(
            program=sync.rsync,
            connect_seconds=sync.connect_seconds,
            timeout_seconds=sync.timeout_seconds,
            stall_seconds=sync.stall_seconds,
            compress=sync.compress,
            bwlimit=sync.bwlimit,
            extra_args=sync.extra_args,
        ),
        sweep_root=os.fsencode(config.data_dir / "empty"),
        nodes=tuple(nodes),
        limits=LaneLimits(sync.max_processes, sync.max_init, sync.max_recovery, sync.max_audits),
        rules=HealthRules(
            unhealth_tries=health.unhealth_tries,
            unhealth_fatal=health.unhealth_fatal,
            sleep=SleepTimes(times.ready, times.dead, times.unhealth, times.recovery, times.total),
        ),
        large_bytes=sync.checksum_max_bytes,
        dustbin_seconds=sync.dustbin_seconds,
        max_lag_seconds=sync.max_lag_seconds,
        audit_seconds=sync.audit_seconds,
        deep_audit_seconds=sync.deep_audit_seconds,
    )


def survey_settings(config: Config) -> SurveySettings:
    """The publish section as the surveyor takes it."""
    publish = config.publish
    return SurveySettings(
        root=os.fsencode(publish.root),
        scope=Scope(
            paths=publish.path_bytes,
            excludes=tuple(publish.exclude),
            delete=publish.delete,
        ),
        quiet=QuietRules(publish.quiet_seconds, publish.max_delay_seconds),
        max_shrink_percent=publish.max_shrink_percent,
        rescan_seconds=publish.rescan_seconds,
    )
