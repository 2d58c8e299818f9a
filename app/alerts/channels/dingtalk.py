"""Tells a DingTalk group by its custom robot.

https://open.dingtalk.com/document/robots/custom-robot-access: with signing, ``timestamp`` (ms) and ``sign`` =
base64(HMAC-SHA256(secret, "timestamp\\nsecret")) go into the query; 20 messages a minute, above that the
robot is deaf for ten minutes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar
from urllib.parse import quote_plus

from app.alerts.channels.contract import Rate
from app.alerts.channels.robot import GroupRobot, RobotAnswer, signature


@dataclass(frozen=True, slots=True)
class DingTalkChannel(GroupRobot):
    """Signs in the query."""

    rate: ClassVar[Rate] = Rate(20, 60)
    text_bytes: ClassVar[int] = 18000
    answer: ClassVar[RobotAnswer] = RobotAnswer(
        codes=("errcode",),
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

    def request(self, text: str) -> tuple[str, dict[str, Any]]:
        return self._signed_url(), {"msgtype": "text", "text": {"content": text}}

    def _signed_url(self) -> str:
        if not self.secret:
            return self.url
        timestamp = f"{self.clock() * 1000:.0f}"
        sign = quote_plus(signature(self.secret, f"{timestamp}\n{self.secret}"))
        return f"{self.url}{'&' if '?' in self.url else '?'}timestamp={timestamp}&sign={sign}"
