"""Tells a DingTalk group by its custom robot. Sends plain text, because markdown would read marks in names
and paths.

https://open.dingtalk.com/document/robots/custom-robot-access: with signing, ``timestamp`` (ms) and ``sign`` =
base64(HMAC-SHA256(secret, "timestamp\\nsecret")) go into the query; 20 messages a minute, above that the
robot is deaf for ten minutes; HTTP 200 also for refusals, with the reason in ``errcode``.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import quote_plus

from app.alerts.channels.contract import Options, Rate
from app.alerts.channels.http import post_json, web_url
from app.alerts.channels.robot import RobotAnswer, cut_to_bytes, message, verdict
from app.alerts.model import Delivery, Notice

_TEXT_BYTES = 18000
_RATE = Rate(20, 60)
_ANSWER = RobotAnswer(
    codes=("errcode",),
    words=("errmsg",),
    too_fast={130101: 600.0, 410100: 600.0},
    refused={
        300001: "the token is wrong, copy the robot's URL again",
        300005: "the token is wrong, copy the robot's URL again",
        310000: "its security settings refused it: set secret, or make its keyword the installation's name",
        400013: "the group is dissolved",
        400101: "the token is missing in the URL",
        400102: "the robot is switched off",
        400105: "the robot does not take text",
    },
)


@dataclass(frozen=True, slots=True)
class DingTalkChannel:
    """The robot's whole URL, and its secret when it asks for a signature."""

    name: str
    url: str = field(repr=False)
    secret: str = field(default="", repr=False)
    timeout_seconds: float = 10.0
    clock: Callable[[], float] = field(default=time.time, repr=False)
    rate: Rate | None = _RATE

    @classmethod
    def from_options(cls, options: Options) -> DingTalkChannel:
        """Raises ChannelError for a URL that cannot work."""
        url = web_url(options.channel, options.needed("url"))
        return cls(options.channel, url, options.text("secret"), options.number("timeout", 10))

    def send(self, notice: Notice) -> Delivery:
        """One message."""
        document = {"msgtype": "text", "text": {"content": cut_to_bytes(message(notice), _TEXT_BYTES)}}
        said, delivery = post_json(
            self._signed_url(), document, self.timeout_seconds, (self.url, self.secret)
        )
        return verdict(said, delivery, _ANSWER)

    def _signed_url(self) -> str:
        if not self.secret:
            return self.url
        timestamp = f"{self.clock() * 1000:.0f}"
        digest = hmac.new(
            self.secret.encode(), f"{timestamp}\n{self.secret}".encode(), hashlib.sha256
        ).digest()
        sign = quote_plus(base64.b64encode(digest))
        return f"{self.url}{'&' if '?' in self.url else '?'}timestamp={timestamp}&sign={sign}"
