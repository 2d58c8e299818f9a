"""What can be asked of the alerts of a running service: what holds, silences, tests, what was sent. Knows no HTTP."""

from __future__ import annotations

import math
import time
from typing import Any

from app.alerting import Alerting
from app.alerts.alert import Alert
from app.alerts.entry import EntryState
from app.alerts.model import Condition
from app.alerts.silences import Silences
from app.cutting import key_of_text, text_of_key
from app.refused import Refused
from app.stores.reading import Reading
from app.stores.rows import storable
from app.views import Json, alert_view, delivery_view

LONGEST_SILENCE_SECONDS = 366 * 86_400.0
LONGEST_TEXT = 200
TOO_LONG = "a silence lasts more than nothing and at most a year"


class AlertOperations:
    """The part of Operations that is about alerts. Thread-safe."""

    reading: Reading
    alerting: Alerting | None = None  # a one-off run tells nobody

    def _alerting(self) -> Alerting:
        if self.alerting is None:
            raise Refused(
                "not_running", "alerts are told by a running service only: start it with `make serve`"
            )
        return self.alerting

    def alerts(self) -> Json:
        """What holds now, what is silenced, and the channels there are."""
        alerts = self._alerting().alerts
        silences = alerts.silences
        covered = Silences(silences)
        return {
            "alerts": [
                alert_view(alert) | {"silenced": covered.cover(alert.condition, alert.object)}
                for alert in alerts.alerts
            ],
            "silences": [
                {
                    "id": s.id,
                    "until": s.until,
                    "condition": s.condition,
                    "object": s.object,
                    "comment": s.comment,
                }
                for s in silences
            ],
            "channels": sorted(alerts.outbox.channels),
        }

    def alerts_up(self) -> list[Alert]:
        """What holds now and is not silenced; nothing where nobody is told. Never waits."""
        if self.alerting is None:
            return []
        alerts = self.alerting.alerts
        covered = Silences(alerts.silences)
        return [a for a in alerts.alerts if a.up and not covered.cover(a.condition, a.object)]

    def test_channel(self, channel: str) -> Json:
        """Sends a test over a channel and says in full what happened; it is written down like every delivery."""
        try:
            entry, delivery = self._alerting().test(channel)
        except KeyError:
            names = ", ".join(sorted(self._alerting().alerts.outbox.channels)) or "none are configured"
            raise Refused(
                "unknown_channel", f"there is no channel {channel!r}; the channels are: {names}"
            ) from None
        return {"channel": channel, "ok": delivery.ok, "detail": delivery.detail, "delivery": entry.id}

    def silence(self, seconds: float, condition: str | None, name: str | None, comment: str) -> Json:
        """Tells nothing of these alerts for a while."""
        try:
            chosen = Condition(condition) if condition else None
        except ValueError:
            raise Refused(
                "usage", f"there is no condition {condition!r}; there are: {', '.join(Condition)}"
            ) from None
        if not (math.isfinite(seconds) and 0 < seconds <= LONGEST_SILENCE_SECONDS):
            raise Refused("usage", TOO_LONG)
        name, comment = storable(name or ""), storable(comment)
        if len(name) > LONGEST_TEXT or len(comment) > LONGEST_TEXT:
            raise Refused("usage", f"object and comment take at most {LONGEST_TEXT} characters")
        begun = self._alerting().alerts.silence(time.time() + seconds, chosen, name or None, comment)
        return {"id": begun.id, "until": begun.until}

    def end_silence(self, silence_id: str) -> Json:
        """Ends a silence early."""
        if not self._alerting().alerts.end_silence(silence_id):
            raise Refused("unknown_silence", f"there is no silence {silence_id!r}: it may have ended already")
        return {"ended": silence_id}

    def deliveries(
        self,
        limit: int = 100,
        before: str | None = None,
        channel: str | None = None,
        state: str | None = None,
    ) -> Json:
        """What was sent where and how it went, newest first."""
        if state is not None and state not in list(EntryState):
            raise Refused(
                "bad_request", f"there is no state {state!r}; the states are: {', '.join(EntryState)}"
            )
        try:
            behind = None if before is None else key_of_text(before, (0.0, ""))
        except ValueError:
            raise Refused("bad_request", "before must be the next_before of an earlier answer") from None
        rows = self.reading.deliveries(limit + 1, behind, channel, state)
        shown = rows[:limit]
        more = len(rows) > limit and shown
        last: Any = (float(shown[-1]["created_at"]), shown[-1]["id"]) if more else None
        return {"deliveries": [delivery_view(row) for row in shown], "next_before": text_of_key(last)}

    def delivery(self, entry_id: str) -> Json | None:
        """One of them; None when it is not there."""
        row = self.reading.delivery(entry_id)
        return None if row is None else delivery_view(row)
