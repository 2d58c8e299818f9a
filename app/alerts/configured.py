"""Reads the alerts and hooks sections of the configuration into the plain values that alerting takes.
Starts nothing.
"""

from __future__ import annotations

from app.alerts.channels import Channel, make_channel
from app.alerts.model import AlertRules
from app.alerts.routes import Routes
from app.config.schema.alerts import AlertsConfig
from app.config.schema.root import Config
from app.config.values import values_of
from app.happening import Trigger
from app.hook_run import HookSpec


def rules_of(config: Config) -> AlertRules:
    """The alerting rules."""
    alerts = config.alerts
    return AlertRules(
        {float(seconds): count for seconds, count in alerts.strategies.items()},
        float(alerts.group_seconds),
        float(alerts.repeat_seconds),
        flap_seconds=float(alerts.flap_seconds),
        name=config.name,
        language=language_of(config),
    )


def language_of(config: Config) -> str:
    """What mails and chat messages are written in: nobody's browser says what they would like."""
    return "zh" if config.web.language == "zh" else "en"


def routes_of(alerts: AlertsConfig) -> Routes:
    """The routes to channels that exist; the default route names one that a fresh configuration has not."""
    return Routes(
        {
            word: tuple(channel for channel in channels if channel in alerts.channels)
            for word, channels in alerts.routes.items()
        }
    )


def channels_of(alerts: AlertsConfig) -> dict[str, Channel]:
    """The channels by name. Raises ChannelError for options that can never work."""
    return {
        name: make_channel(name, {"kind": section.kind, **values_of(section)})
        for name, section in alerts.channels.items()
    }


def hooks_of(config: Config) -> list[HookSpec]:
    """The hooks, in their order."""
    return [
        HookSpec(
            Trigger(hook.state or hook.on or ""),
            hook.argv or (),
            hook.url.get_secret_value() if hook.url else "",
            hook.channel or "",
            float(hook.timeout),
        )
        for hook in config.hooks
    ]
