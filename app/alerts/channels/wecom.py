"""Tells a WeCom group by its robot. The URL's key is the only secret; there is no signature.

https://developer.work.weixin.qq.com/document/path/91770: 20 messages a minute, text up to 2048 bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from app.alerts.channels.contract import Rate
from app.alerts.channels.robot import GroupRobot, RobotAnswer


@dataclass(frozen=True, slots=True)
class WeComChannel(GroupRobot):
    """Never signs."""

    rate: ClassVar[Rate] = Rate(20, 60)
    text_bytes: ClassVar[int] = 2048
    answer: ClassVar[RobotAnswer] = RobotAnswer(
        codes=("errcode",),
        too_fast={45009: 60.0},
        refused={
            93000: "the key in the URL is wrong or the robot was removed, copy its URL again",
            40008: "the robot does not take text",
            40058: "the message was not understood",
        },
    )

    def request(self, text: str) -> tuple[str, dict[str, Any]]:
        return self.url, {"msgtype": "text", "text": {"content": text}}
