"""Tells a Feishu (Lark) group by its custom robot. Nobody in it can be called by a crafted name.

https://open.feishu.cn/document/client-docs/bot-v3/add-custom-bot: with signing, ``timestamp`` (s) and
``sign`` = base64(HMAC-SHA256("timestamp\\nsecret", "")) go into the body; 100 messages a minute and 5 a
second, 20 KB each.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from app.alerts.channels.contract import Rate
from app.alerts.channels.robot import GroupRobot, RobotAnswer, cut_to_bytes, signature


@dataclass(frozen=True, slots=True)
class FeishuChannel(GroupRobot):
    """Signs in the body."""

    rate: ClassVar[Rate] = Rate(100, 60)
    text_bytes: ClassVar[int] = 15000
    answer: ClassVar[RobotAnswer] = RobotAnswer(
        codes=("code", "StatusCode"),
        too_fast={11232: 60.0},
        refused={
            9499: "the message was not understood",
            19001: "the token in the URL is wrong, copy the robot's URL again",
            19021: "the signature was refused: check secret, and this machine's clock",
            19022: "the robot's security settings do not list this machine's address",
            19024: "the robot's security settings ask for a keyword: set it to the installation's name",
        },
    )

    def request(self, text: str) -> tuple[str, dict[str, Any]]:
        harmless = text.replace("<", "‹").replace(">", "›")  # <at user_id="all"> would call everybody
        content = {"text": cut_to_bytes(harmless, self.text_bytes)}  # each mark has grown to three bytes
        return self.url, {"msg_type": "text", "content": content, **self._signature()}

    def _signature(self) -> dict[str, str]:
        if not self.secret:
            return {}
        timestamp = f"{self.clock():.0f}"
        return {"timestamp": timestamp, "sign": signature(f"{timestamp}\n{self.secret}", "")}
