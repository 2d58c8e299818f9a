"""The sections about telling people and programs: alerts with channels and routes, hooks. Never sends
anything.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from app.config.durations import Duration, PositiveDuration, seconds
from app.config.schema.base import AbsolutePath, Argv, Host, Name, OneLine, Port, Positive, Secret, Section
from app.config.schema.providers import Credential, Method, SecretUrl

Condition = Literal[
    "default",
    "error",
    "dead",
    "recovered",
    "out_of_step",
    "drift",
    "source",
    "held",
    "dns",
    "cut_off",
    "system",
    "inventory",
]
CONDITIONS: tuple[str, ...] = get_args(Condition)[1:]
"""What can be told; a route named default takes what has no route of its own."""

Route = Literal[Condition, "critical", "warning", "info"]
"""A word of the routes: a condition goes over a severity, a severity over default."""


def _mail_address(value: str) -> str:
    if not re.fullmatch(r"(?:[^<>\r\n]*<[^@\s<>]+@[^@\s<>]+>|[^@\s<>,]+@[^@\s<>,]+)", value):
        raise ValueError("must be a mail address, like ops@example.com")
    return value


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


MailAddress = Annotated[str, AfterValidator(_mail_address)]
MailAddresses = Annotated[tuple[MailAddress, ...], BeforeValidator(_as_list), Field(min_length=1)]


class EmailChannel(Section):
    """Mail over SMTP. `from` is `from_` in the program."""

    kind: Literal["email"]
    to: MailAddresses
    from_: Annotated[MailAddress, Field(alias="from")]
    host: Host
    port: Port = 587
    security: Literal["starttls", "tls", "none"] = "starttls"
    ca_file: AbsolutePath | None = None
    user: OneLine | None = None
    password: Secret | None = None
    timeout: PositiveDuration = 20

    @model_validator(mode="after")
    def _login_is_whole(self) -> EmailChannel:
        if (self.user is None) != (self.password is None):
            raise ValueError("needs user and password together, or neither")
        return self


class WebhookChannel(Section):
    """A request to a URL; with `secret` it is signed. `method` None: POST."""

    kind: Literal["webhook"]
    url: SecretUrl
    secret: Credential | None = None
    method: Method | None = None
    headers: Mapping[str, Secret] = {}
    body: Secret | None = None
    timeout: PositiveDuration = 10


class CommandChannel(Section):
    """A program, started without a shell."""

    kind: Literal["command"]
    argv: Argv
    timeout: PositiveDuration = 30


class AppriseChannel(Section):
    """Whatever Apprise reaches; its URLs carry tokens and are secrets."""

    kind: Literal["apprise"]
    urls: Annotated[tuple[Credential, ...], BeforeValidator(_as_list), Field(min_length=1)]
    timeout: PositiveDuration = 20


class RobotChannel(Section):
    """A group robot of DingTalk, WeCom or Feishu; its URL carries the token. WeCom has no signing secret."""

    kind: Literal["dingtalk", "wecom", "feishu"]
    url: SecretUrl
    secret: Credential | None = None
    timeout: PositiveDuration = 10

    @model_validator(mode="after")
    def _signing(self) -> RobotChannel:
        if self.kind == "wecom" and self.secret is not None:
            raise ValueError("secret does not go with wecom, whose robots are not signed")
        return self


ChannelConfig = Annotated[
    EmailChannel | WebhookChannel | CommandChannel | AppriseChannel | RobotChannel,
    Field(discriminator="kind"),
]


def _window(value: object) -> int:
    whole = seconds(value)
    if whole < 1 or whole != int(whole) or whole > 86400:
        raise ValueError("must be a window of 1 to 86400 whole seconds")
    return int(whole)


Window = Annotated[int, BeforeValidator(_window)]


class AlertsConfig(Section):
    """Who is told of what. `strategies`: within so many seconds so many errors."""

    strategies: Mapping[Window, Positive] = {90: 30, 120: 20, 150: 10, 300: 5}
    group_seconds: Duration = 30
    repeat_seconds: PositiveDuration = 14400
    flap_seconds: PositiveDuration = 900
    channels: Mapping[Name, ChannelConfig] = {}
    routes: Mapping[Route, tuple[str, ...]] = {"default": ("ops",)}


class HookConfig(Section):
    """What is run on a flip into `state` or on an event: a program, a URL or a channel."""

    state: Literal["ready", "unhealth", "dead", "recovery"] | None = None
    on: Literal["published", "withdrawn", "batch"] | None = None
    argv: Argv | None = None
    url: SecretUrl | None = None
    channel: str | None = None
    timeout: PositiveDuration = 30

    @model_validator(mode="after")
    def _whole(self) -> HookConfig:
        for names in (("state", "on"), ("argv", "url", "channel")):
            given = [name for name in names if getattr(self, name) is not None]
            if len(given) != 1:
                raise ValueError(
                    f"needs exactly one of {', '.join(names)}"
                    + (f", not {' and '.join(given)}" if given else "")
                )
        return self
