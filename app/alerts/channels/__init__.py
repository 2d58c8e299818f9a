"""Ways to tell somebody, one file each, and the registry of them. Decides nothing about what is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from app.alerts.channels.apprise import AppriseChannel
from app.alerts.channels.command import CommandChannel
from app.alerts.channels.contract import TEMPLATES, Channel, ChannelError, Options, Rate
from app.alerts.channels.dingtalk import DingTalkChannel
from app.alerts.channels.email import EmailChannel
from app.alerts.channels.feishu import FeishuChannel
from app.alerts.channels.webhook import WebhookChannel
from app.alerts.channels.wecom import WeComChannel

CHANNELS: dict[str, Callable[[Options], Channel]] = {
    "email": EmailChannel.from_options,
    "webhook": WebhookChannel.from_options,
    "command": CommandChannel.from_options,
    "apprise": AppriseChannel.from_options,
    "dingtalk": DingTalkChannel.from_options,
    "wecom": WeComChannel.from_options,
    "feishu": FeishuChannel.from_options,
}


def make_channel(name: str, values: Mapping[str, Any], templates: Path = TEMPLATES) -> Channel:
    """The channel of this name. ``values`` are the keys of ``config.yml``, ``kind`` among them; secrets
    may be wrapped as pydantic does. Raises ChannelError for an unknown kind and for options that can never
    work.
    """
    factory = CHANNELS.get(str(values.get("kind")))
    if factory is None:
        raise ChannelError(
            f"channel {name}: unknown kind {values.get('kind')!r}; one of: {', '.join(CHANNELS)}"
        )
    return factory(Options(name, values, templates))


__all__ = ["CHANNELS", "Channel", "ChannelError", "Options", "Rate", "make_channel"]
