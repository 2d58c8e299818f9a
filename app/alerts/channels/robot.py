"""Tells a group by its vendor's robot: what DingTalk, Feishu and WeCom have in common. Knows no vendor.

Plain text, because markdown would read marks in names and paths. The robot's whole URL holds its token; a secret,
where there is one, signs. HTTP 200 also for refusals, with the reason as a code in the JSON.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self

from app.alerts.channels.contract import Options, Rate
from app.alerts.channels.http import post_json, web_url
from app.alerts.model import Delivery, Notice
from app.alerts.wording import body


@dataclass(frozen=True, slots=True)
class RobotAnswer:
    """How to read a robot's JSON: the keys of its code (0: told), and what codes mean.

    ``too_fast`` gives the pause in seconds, ``refused`` what to do about a refusal that trying again
    cannot help. Any other code is tried again.
    """

    codes: tuple[str, ...]
    too_fast: Mapping[int, float]
    refused: Mapping[int, str]


@dataclass(frozen=True, slots=True)
class GroupRobot:
    """The robot's whole URL, and its secret when it asks for a signature. A vendor is a subclass that says what it
    takes (``rate``, ``text_bytes``), how it answers, and what is sent (``request``).
    """

    name: str
    url: str = field(repr=False)
    secret: str = field(default="", repr=False)
    timeout_seconds: float = 10.0
    clock: Callable[[], float] = field(default=time.time, repr=False)

    rate: ClassVar[Rate]
    text_bytes: ClassVar[int]
    answer: ClassVar[RobotAnswer]

    @classmethod
    def from_options(cls, options: Options) -> Self:
        """Raises ChannelError for a URL that cannot work."""
        url = web_url(options.channel, options.needed("url"))
        return cls(options.channel, url, options.text("secret"), options.number("timeout", 10))

    def request(self, text: str) -> tuple[str, dict[str, Any]]:
        """The URL and the document that tell this text, signed where there is a secret."""
        raise NotImplementedError

    def send(self, notice: Notice) -> Delivery:
        """One message."""
        url, document = self.request(cut_to_bytes(message(notice), self.text_bytes))
        said, delivery = post_json(url, document, self.timeout_seconds, (self.url, self.secret))
        return verdict(said, delivery, self.answer)


def signature(key: str, text: str) -> str:
    """base64(HMAC-SHA256); the vendors differ in what is the key and what is signed."""
    return base64.b64encode(hmac.new(key.encode(), text.encode(), hashlib.sha256).digest()).decode()


def message(notice: Notice) -> str:
    """The text for a group: the installation's name first, since robots are often bound to a keyword."""
    return f"[{notice.name}] {body(notice)}"


def cut_to_bytes(text: str, limit: int) -> str:
    """The text in at most ``limit`` bytes of UTF-8, with … where it was cut."""
    encoded = text.encode()
    if len(encoded) <= limit:
        return text
    return encoded[: limit - 3].decode("utf-8", "ignore") + "…"


def verdict(said: Mapping[str, Any] | None, delivery: Delivery, answer: RobotAnswer) -> Delivery:
    """What a robot's answer means; the delivery itself when there was none to read."""
    if said is None:
        return delivery
    code = next((said[key] for key in answer.codes if key in said), None)
    if code == 0:
        return delivery
    if not isinstance(code, int):
        return replace(
            delivery, ok=False, detail=f"{delivery.detail}; that is no robot's answer, check the URL"
        )
    if code in answer.too_fast:
        detail = f"{delivery.detail}; too many messages, a pause is needed"
        return replace(delivery, ok=False, detail=detail, retry_after_seconds=answer.too_fast[code])
    if code in answer.refused:
        return replace(
            delivery, ok=False, permanent=True, detail=f"{delivery.detail}; {answer.refused[code]}"
        )
    return replace(delivery, ok=False)
