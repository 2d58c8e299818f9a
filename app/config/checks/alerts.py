"""Checks that routes and hooks name channels which exist."""

from __future__ import annotations

from collections.abc import Iterator

from app.config.checks.finding import Declared, Finding
from app.config.errors import nearest
from app.config.schema.alerts import AlertsConfig
from app.config.schema.root import Config

_DEFAULT = AlertsConfig.model_fields["routes"].default


def findings(config: Config, declared: Declared) -> Iterator[Finding]:
    """Channels that are named but not configured. The default route counts only once there is a channel at
    all.
    """
    if declared.channels or config.alerts.routes != _DEFAULT:
        for condition, channels in config.alerts.routes.items():
            for index, channel in enumerate(channels):
                if channel not in declared.channels:
                    yield _unknown(("alerts", "routes", condition, index), channel, declared)
    for index, hook in enumerate(config.hooks):
        if hook.channel is not None and hook.channel not in declared.channels:
            yield _unknown(("hooks", index, "channel"), hook.channel, declared)


def _unknown(loc: tuple[object, ...], channel: str, declared: Declared) -> Finding:
    return Finding(loc, f"{channel} is not under alerts.channels", nearest(channel, declared.channels))
