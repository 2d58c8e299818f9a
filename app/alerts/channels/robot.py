"""What the group robots have in common: the text they are sent and how their answers are read. Sends
nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from app.alerts.model import Delivery, Notice
from app.alerts.wording import body


@dataclass(frozen=True, slots=True)
class RobotAnswer:
    """How to read a robot's JSON: the keys of its code (0: told) and words, and what codes mean.

    ``too_fast`` gives the pause in seconds, ``refused`` what to do about a refusal that trying again
    cannot help. Any other code is tried again.
    """

    codes: tuple[str, ...]
    words: tuple[str, ...]
    too_fast: Mapping[int, float]
    refused: Mapping[int, str]


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
