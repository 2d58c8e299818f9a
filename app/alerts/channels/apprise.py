"""Tells by Apprise, which reaches what has no file of its own here. An extra: imported when first used.

Apprise says only yes or no; its reasons are taken from its log. Each URL is told apart, and one that was
told of a notice is not told again when another has to be tried again. The limit is Apprise's own, per URL;
it keeps a pool of threads for the life of the process.
"""

from __future__ import annotations

import importlib
import logging
import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

from app.alerts.channels.contract import Options, Rate, hide
from app.alerts.model import Delivery, Notice, NoticeKind, Severity
from app.alerts.wording import body, title

_REMEMBERED = 200
_INSTALL = "apprise is not installed; pip install -r requirements-apprise.txt"


@dataclass(slots=True)
class AppriseChannel:
    """Apprise URLs, each a secret as a whole."""

    name: str
    urls: tuple[str, ...] = field(repr=False)
    timeout_seconds: float = 20.0
    rate: Rate | None = None
    _told: OrderedDict[str, set[int]] = field(default_factory=OrderedDict, repr=False, compare=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)  # owns _told

    @classmethod
    def from_options(cls, options: Options) -> AppriseChannel:
        """Raises ChannelError for an empty list."""
        return cls(options.channel, options.texts("urls"), options.number("timeout", 20))

    def send(self, notice: Notice) -> Delivery:
        """Tells every URL that has not been told of this notice yet."""
        try:
            apprise: Any = importlib.import_module("apprise")
        except ImportError:
            return Delivery(False, detail=_INSTALL)
        told = self._told_of(notice)
        details: list[str] = []
        permanent = True
        for index, url in enumerate(self.urls):
            if index in told:
                continue
            delivery = self._tell(apprise, url, notice)
            details.append(f"URL {index + 1} of {len(self.urls)}: {delivery.detail}")
            if delivery.ok:
                told.add(index)
            elif not delivery.permanent:
                permanent = False
        ok = len(told) == len(self.urls)
        return Delivery(ok, permanent and not ok, hide("; ".join(details), *self.urls))

    def _tell(self, apprise: Any, url: str, notice: Notice) -> Delivery:
        sender = apprise.Apprise()
        if not sender.add(url):
            return Delivery(False, True, "Apprise does not understand it; see its list of services")
        with apprise.LogCapture(level=logging.WARNING) as log:
            try:
                ok = sender.notify(
                    title=f"[{notice.name}] {title(notice)}",
                    body=body(notice),
                    notify_type=_type(apprise, notice),
                    timeout=self.timeout_seconds,
                )
            except Exception as error:  # noqa: BLE001 — a hundred plugins, each with exceptions of its own
                return Delivery(False, detail=f"{type(error).__name__}: {error}")
            said = log.getvalue().strip()
        scheme = url.split("://", 1)[0]
        return Delivery(
            bool(ok), detail=f"{scheme} {'told' if ok else 'failed'}{f': {said[:500]}' if said else ''}"
        )

    def _told_of(self, notice: Notice) -> set[int]:
        with self._lock:
            told = self._told.setdefault(notice.id, set())
            while len(self._told) > _REMEMBERED:
                self._told.popitem(last=False)
            return told


def _type(apprise: Any, notice: Notice) -> Any:
    kinds = apprise.NotifyType
    if notice.kind is NoticeKind.RESOLVED:
        return kinds.SUCCESS
    if notice.kind is NoticeKind.TEST:
        return kinds.INFO
    by_severity = {
        Severity.CRITICAL: kinds.FAILURE,
        Severity.WARNING: kinds.WARNING,
        Severity.INFO: kinds.INFO,
    }
    return by_severity[notice.severity]
