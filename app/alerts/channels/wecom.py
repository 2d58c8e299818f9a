"""Tells a WeCom group by its robot. Sends plain text; the URL's key is the only secret, there is no
signature.

https://developer.work.weixin.qq.com/document/path/91770: 20 messages a minute, text up to 2048 bytes; HTTP
200 also for refusals, with the reason in ``errcode``.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from app.alerts.channels.contract import Options, Rate
from app.alerts.channels.http import post_json, web_url
from app.alerts.channels.robot import RobotAnswer, cut_to_bytes, message, verdict
from app.alerts.model import Delivery, Notice

_TEXT_BYTES = 2048
_RATE = Rate(20, 60)
_ANSWER = RobotAnswer(
    codes=("errcode",),
    words=("errmsg",),
    too_fast={45009: 60.0},
    refused={
        93000: "the key in the URL is wrong or the robot was removed, copy its URL again",
        40008: "the robot does not take text",
        40058: "the message was not understood",
    },
)


@dataclass(frozen=True, slots=True)
class WeComChannel:
    """The robot's whole URL."""

    name: str
    url: str = field(repr=False)
    timeout_seconds: float = 10.0
    rate: Rate | None = _RATE

    @classmethod
    def from_options(cls, options: Options) -> WeComChannel:
        """Raises ChannelError for a URL that cannot work."""
        url = web_url(options.channel, options.needed("url"))
        return cls(options.channel, url, options.number("timeout", 10))

    def send(self, notice: Notice) -> Delivery:
        """One message."""
        document = {"msgtype": "text", "text": {"content": cut_to_bytes(message(notice), _TEXT_BYTES)}}
        said, delivery = post_json(self.url, document, self.timeout_seconds, (self.url,))
        return verdict(said, delivery, _ANSWER)
