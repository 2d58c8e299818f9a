"""Tells a Feishu (Lark) group by its custom robot. Sends plain text, in which nobody can be called by a
crafted name.

https://open.feishu.cn/document/client-docs/bot-v3/add-custom-bot: with signing, ``timestamp`` (s) and
``sign`` = base64(HMAC-SHA256("timestamp\\nsecret", "")) go into the body; 100 messages a minute and 5 a
second, 20 KB each; HTTP 200 also for refusals, with the reason in ``code``.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from app.alerts.channels.contract import Options, Rate
from app.alerts.channels.http import post_json, web_url
from app.alerts.channels.robot import RobotAnswer, cut_to_bytes, message, verdict
from app.alerts.model import Delivery, Notice

_TEXT_BYTES = 15000
_RATE = Rate(100, 60)
_ANSWER = RobotAnswer(
    codes=("code", "StatusCode"),
    words=("msg", "StatusMessage"),
    too_fast={11232: 60.0},
    refused={
        9499: "the message was not understood",
        19001: "the token in the URL is wrong, copy the robot's URL again",
        19021: "the signature was refused: check secret, and this machine's clock",
        19022: "the robot's security settings do not list this machine's address",
        19024: "the robot's security settings ask for a keyword: set it to the installation's name",
    },
)


@dataclass(frozen=True, slots=True)
class FeishuChannel:
    """The robot's whole URL, and its secret when it asks for a signature."""

    name: str
    url: str = field(repr=False)
    secret: str = field(default="", repr=False)
    timeout_seconds: float = 10.0
    clock: Callable[[], float] = field(default=time.time, repr=False)
    rate: Rate | None = _RATE

    @classmethod
    def from_options(cls, options: Options) -> FeishuChannel:
        """Raises ChannelError for a URL that cannot work."""
        url = web_url(options.channel, options.needed("url"))
        return cls(options.channel, url, options.text("secret"), options.number("timeout", 10))

    def send(self, notice: Notice) -> Delivery:
        """One message."""
        harmless = (
            message(notice).replace("<", "‹").replace(">", "›")
        )  # <at user_id="all"> would call everybody
        text = {"text": cut_to_bytes(harmless, _TEXT_BYTES)}
        document: dict[str, Any] = {"msg_type": "text", "content": text, **self._signature()}
        said, delivery = post_json(self.url, document, self.timeout_seconds, (self.url, self.secret))
        return verdict(said, delivery, _ANSWER)

    def _signature(self) -> dict[str, str]:
        if not self.secret:
            return {}
        timestamp = f"{self.clock():.0f}"
        digest = hmac.new(f"{timestamp}\n{self.secret}".encode(), b"", hashlib.sha256).digest()
        return {"timestamp": timestamp, "sign": base64.b64encode(digest).decode()}
