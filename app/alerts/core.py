"""Decides who is told what and when, one alert per condition and object. Owns no thread, clock, channel or
database.

- Grouped: the first alert of a condition opens a window of ``group_seconds``; all that come meanwhile are
  one notice.
- Every incident that began is told, and told again when over with how long it took; one that was over
  before its window closed is told once, as over.
- What still holds is repeated every ``repeat_seconds``, all of one condition together.
- What flaps is told once, and once more when it has been still.
- While the supervisor is cut off nothing is told of nodes; when that ends they get a window to answer first.
- A silenced alert waits; what still holds when the silence ends is told then.
- A channel that a later configuration adds is told of what holds already, as still holding.
- An error strategy is over when the errors have been clearly fewer for its whole window, not at its threshold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from app.alerts.alert import (
    ASK,
    Alert,
    Phase,
    alert_from_json,
    alert_to_json,
    calmed,
    cleared,
    heard_by,
    raised,
    settled,
    told,
)
from app.alerts.model import (
    OF_NODES,
    AlertRules,
    Cleared,
    Condition,
    Gone,
    Mistake,
    Notice,
    NoticeKind,
    Raised,
    Signal,
)
from app.alerts.routes import Routes
from app.alerts.signals import of_errors
from app.alerts.silences import Silences
from app.alerts.windows import ErrorWindows

Told = tuple[Notice, tuple[str, ...]]
"""A notice and the channels that hear of it (none: it is only written down)."""
SETTLE_SECONDS = 60.0  # after being cut off: a dead node takes about 20 s of good answers to be seen alive
FLAP_WINDOWS = 6  # a strategy may need two to be over; three times in six is flapping
STANDING = (Phase.FIRING, Phase.FLAPPING)


class AlertBook:
    """All alerts. Feed it signals, then ask ``advance`` what is to be told; time only comes in from outside.

    One thread at a time. ``new_id`` makes the ids of notices and incidents. ``silences`` may be begun and
    ended at will.
    """

    def __init__(self, rules: AlertRules, routes: Routes, new_id: Callable[[], str]) -> None:
        self.rules = rules
        self.routes = routes
        self._new_id = new_id
        self._alerts: dict[tuple[Condition, str], Alert] = {}
        self._windows: dict[tuple[Condition, Phase], float] = {}
        self.silences = Silences()
        self._errors = ErrorWindows(rules.strategies)
        self._doubted: dict[tuple[Condition, str], float] = {}

    # --- in -----------------------------------------------------------------------------------------

    def feed(self, signal: Signal) -> None:
        """Takes a signal in; nothing is told before ``advance``."""
        match signal:
            case Raised():
                key = signal.condition, signal.object
                self._doubted.pop(key, None)
                self._put(raised(self._alerts.get(key), signal, self._rules_for(*key)), signal.at)
            case Cleared():
                self._clear(signal.condition, signal.object, signal.at)
            case Gone():
                for condition, name in list(self._alerts):
                    if name == signal.object:
                        self._clear(condition, name, signal.at)
            case Mistake():
                self._errors.add(signal.at, signal.what)
                self._judge_errors(signal.at)

    def reconfigure(self, rules: AlertRules, routes: Routes, now: float) -> None:
        """Takes over another configuration; what is raised stays raised."""
        self.rules, self.routes = rules, routes
        self._errors = ErrorWindows(rules.strategies, self._errors.times, self._errors.examples)
        current = {self._error_object(seconds) for seconds in self._errors.strategies}
        for condition, name in list(self._alerts):
            if condition is Condition.ERROR and name not in current:
                self._clear(condition, name, now)
        self.catch_up(now)

    def catch_up(self, now: float) -> None:
        """Lets channels that have not heard of what holds be told of it soon: for other routes, and after
        ``restore``, since those of before may have been others.
        """
        there = {channel for channels in self.routes.table.values() for channel in channels}
        for key, alert in list(self._alerts.items()):
            known = replace(alert, heard=tuple(channel for channel in alert.heard if channel in there))
            late = known.late_at is None and self._unheard(known)
            self._alerts[key] = replace(known, late_at=now + self.rules.group_seconds) if late else known

    # --- out ----------------------------------------------------------------------------------------

    @property
    def alerts(self) -> tuple[Alert, ...]:
        """Everything that holds or is still to be told, oldest first; for pages and ``flask alerts list``."""
        shown = (alert for alert in self._alerts.values() if alert.phase is not Phase.CALM)
        return tuple(sorted(shown, key=_by_age))

    def advance(self, now: float) -> list[Told]:
        """What is to be told now. Call it whenever signals came and at ``next_due``; it is idempotent in
        time.
        """
        self.silences.expire(now)
        for (condition, name), until in list(self._doubted.items()):
            if until <= now:
                self._clear(condition, name, now)
        self._mind_the_clock(now)
        self._judge_errors(now)
        for alert in list(self._alerts.values()):
            self._age(alert, now)
        return [*self._due(now), *self._repeats(now), *self._late(now)]

    def next_due(self) -> float | None:
        """The next time at which ``advance`` may have something to do; None while everything is calm."""
        return min(self._times(), default=None)

    # --- inside -------------------------------------------------------------------------------------

    def _put(self, alert: Alert, at: float) -> None:
        if alert.due_at == ASK:
            group = alert.condition, alert.phase
            window = self._windows.get(group)
            if window is None or window <= at:
                window = self._windows[group] = at + self.rules.group_seconds
            alert = replace(alert, due_at=window)
        self._alerts[alert.key] = alert

    def _clear(self, condition: Condition, name: str, at: float) -> None:
        self._doubted.pop((condition, name), None)
        alert = self._alerts.get((condition, name))
        if alert is None or not alert.up:
            return
        after = cleared(alert, at)
        if after.brief and condition in OF_NODES and self._cut_off():
            after = calmed(after)  # it was us, not the node
        self._put(after, at)
        if condition is Condition.CUT_OFF and not self._cut_off():
            self._let_nodes_answer(at + max(SETTLE_SECONDS, self.rules.group_seconds))

    def _let_nodes_answer(self, until: float) -> None:
        for alert in list(self._alerts.values()):
            if alert.condition in OF_NODES and alert.phase is Phase.PENDING:
                self._windows[alert.condition, alert.phase] = until
                self._alerts[alert.key] = replace(alert, due_at=until)

    def _mind_the_clock(self, now: float) -> None:
        """A clock that was set back must not keep anything waiting for as long as it was set back."""
        latest = now + max(SETTLE_SECONDS, self.rules.group_seconds)
        self._windows = {group: min(at, latest) for group, at in self._windows.items()}
        self._errors.clip(latest)
        for alert in list(self._alerts.values()):
            if max(alert.due_at or 0.0, alert.late_at or 0.0) > latest:
                due_at, late_at = _at_most(alert.due_at, latest), _at_most(alert.late_at, latest)
                self._alerts[alert.key] = replace(alert, due_at=due_at, late_at=late_at)

    def _age(self, alert: Alert, now: float) -> None:
        rules = self._rules_for(*alert.key)
        if alert.phase is Phase.CALM:
            if not alert.raises or now - alert.raises[-1] >= rules.flap_seconds:
                del self._alerts[alert.key]
        elif alert.brief and self._silenced(alert):
            self._alerts[alert.key] = calmed(alert)
        else:
            self._alerts[alert.key] = settled(alert, now, rules)

    def _rules_for(self, condition: Condition, name: str) -> AlertRules:
        """The rules, with time enough to see an error strategy flap whose window is long."""
        if condition is not Condition.ERROR:
            return self.rules
        windows = {self._error_object(seconds): seconds for seconds in self._errors.strategies}
        return replace(
            self.rules, flap_seconds=max(self.rules.flap_seconds, FLAP_WINDOWS * windows.get(name, 0.0))
        )

    def _judge_errors(self, now: float) -> None:
        for seconds, count in self._errors.strategies.items():
            name = self._error_object(seconds)
            alert = self._alerts.get((Condition.ERROR, name))
            if self._errors.holds(seconds, now):
                if alert is None or not alert.up:
                    self.feed(of_errors(now, name, count, seconds, self._errors.examples))
            elif alert is not None and alert.up:
                over_at = self._errors.over_at(seconds)
                if over_at is None or over_at <= now:
                    self._clear(Condition.ERROR, name, now)

    def _error_object(self, seconds: float) -> str:
        return f"{self._errors.strategies[seconds]} errors within {seconds:g} s"

    def _due(self, now: float) -> Iterator[Told]:
        waiting = [alert for alert in self._alerts.values() if alert.tells and not self._blocked(alert)]
        for kind, condition, channels, group in self._grouped((alert.tells, alert) for alert in waiting):
            if any(alert.due_at is not None and alert.due_at <= now for alert in group):
                yield self._tell(kind, condition, group, channels, now), channels

    def _late(self, now: float) -> Iterator[Told]:
        """What holds already, for the channels that have not heard of it; what is in doubt waits."""
        groups: dict[tuple[Condition, tuple[str, ...]], list[Alert]] = {}
        for alert in list(self._alerts.values()):
            if alert.late_at is None or self._blocked(alert) or alert.key in self._doubted:
                continue
            if channels := self._unheard(alert):
                groups.setdefault((alert.condition, channels), []).append(alert)
            else:  # it was told to all of them meanwhile
                self._alerts[alert.key] = replace(alert, late_at=None)
        for (condition, channels), group in groups.items():
            if any(alert.late_at is not None and alert.late_at <= now for alert in group):
                group.sort(key=_by_age)
                notice = self._notice(NoticeKind.REPEAT, condition, group, now)
                for alert in group:
                    self._alerts[alert.key] = heard_by(alert, channels)
                yield notice, channels

    def _unheard(self, alert: Alert) -> tuple[str, ...]:
        """The channels that should know of what holds and was told before they were there."""
        if alert.phase not in STANDING or alert.due_at is not None:
            return ()
        routed = self.routes.channels(alert.condition, alert.severity, NoticeKind.FIRING)
        return tuple(channel for channel in routed if channel not in alert.heard)

    def _repeats(self, now: float) -> Iterator[Told]:
        if self.rules.repeat_seconds <= 0:
            return
        standing = [
            alert
            for alert in self._alerts.values()
            if alert.phase in STANDING and alert.due_at is None and not self._blocked(alert)
        ]
        for kind, condition, channels, group in self._grouped(
            (NoticeKind.REPEAT, alert) for alert in standing
        ):
            oldest = min(alert.told_at for alert in group if alert.told_at is not None)
            if now - oldest >= self.rules.repeat_seconds:
                yield self._tell(kind, condition, group, channels, now), channels

    def _grouped(
        self, alerts: Iterable[tuple[NoticeKind | None, Alert]]
    ) -> Iterator[tuple[NoticeKind, Condition, tuple[str, ...], list[Alert]]]:
        groups: dict[tuple[NoticeKind, Condition, tuple[str, ...]], list[Alert]] = {}
        for kind, alert in alerts:
            if kind is not None:
                channels = self.routes.channels(alert.condition, alert.severity, kind)
                groups.setdefault((kind, alert.condition, channels), []).append(alert)
        for (kind, condition, channels), group in groups.items():
            yield kind, condition, channels, sorted(group, key=_by_age)

    def _tell(
        self,
        kind: NoticeKind,
        condition: Condition,
        group: list[Alert],
        channels: tuple[str, ...],
        now: float,
    ) -> Notice:
        notice = self._notice(kind, condition, group, now)
        for alert in group:
            self._alerts[alert.key] = told(alert, now, notice.incident, channels)
        return notice

    def _notice(self, kind: NoticeKind, condition: Condition, group: list[Alert], now: float) -> Notice:
        identity = self._new_id()
        threads = tuple(dict.fromkeys(alert.thread for alert in group if alert.thread is not None))
        incident = threads[0] if threads else identity
        severity = max((alert.severity for alert in group), key=lambda severity: severity.rank)
        items = tuple(alert.item() for alert in group)
        return Notice(identity, kind, condition, severity, now, items, incident, threads, self.rules.name)

    def _cut_off(self) -> bool:
        return any(alert.up for alert in self._alerts.values() if alert.condition is Condition.CUT_OFF)

    def _blocked(self, alert: Alert) -> bool:
        if alert.condition in OF_NODES and alert.phase is not Phase.ENDING and self._cut_off():
            return True
        return self._silenced(alert)

    def _silenced(self, alert: Alert) -> bool:
        return self.silences.cover(alert.condition, alert.object)

    def _times(self) -> Iterator[float]:
        for alert in self._alerts.values():
            if self._blocked(alert):
                continue
            if alert.due_at is not None:
                yield alert.due_at
            elif alert.phase in STANDING and self.rules.repeat_seconds > 0:
                yield (alert.told_at or alert.since) + self.rules.repeat_seconds
            if alert.phase is Phase.FLAPPING and alert.due_at is None:
                yield alert.changed_at + self._rules_for(*alert.key).flap_seconds
            if alert.late_at is not None and alert.key not in self._doubted:
                yield alert.late_at
        for seconds in self._errors.strategies:
            alert_of = self._alerts.get((Condition.ERROR, self._error_object(seconds)))
            if alert_of is not None and alert_of.up:
                over_at = self._errors.over_at(seconds)
                yield alert_of.changed_at if over_at is None else over_at
        yield from (silence.until for silence in self.silences.all())
        yield from self._doubted.values()

    # --- over a restart -----------------------------------------------------------------------------

    def to_json(self) -> dict[str, Any]:
        """The whole state as plain values."""
        return {
            "alerts": [alert_to_json(alert) for alert in self._alerts.values()],
            "windows": [[group[0].value, group[1].value, at] for group, at in self._windows.items()],
            "silences": self.silences.to_json(),
            "errors": {"times": list(self._errors.times), "examples": list(self._errors.examples)},
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Takes over what ``to_json`` gave. Raises KeyError, TypeError or ValueError for anything else."""
        alerts = [self._restored(value) for value in state["alerts"]]
        self._alerts = {alert.key: alert for alert in alerts}
        self._windows = {(Condition(one), Phase(two)): float(at) for one, two, at in state["windows"]}
        self.silences = Silences.from_json(state["silences"])
        self._errors = ErrorWindows(
            self.rules.strategies, state["errors"]["times"], state["errors"]["examples"]
        )

    def _restored(self, value: Mapping[str, Any]) -> Alert:
        """The alert. A state that was stored before channels were noted counts as told to all of them: nothing
        is repeated only because of an upgrade.
        """
        alert = alert_from_json(value)
        if "heard" in value or alert.told_at is None:
            return alert
        return heard_by(alert, self.routes.channels(alert.condition, alert.severity, NoticeKind.FIRING))

    def doubt(self, until: float) -> None:
        """After a restart: what held before and is not raised again until then is over.

        Most conditions are told when they change, and one that ended while nobody watched never changes
        again.
        """
        self._doubted = {
            alert.key: until
            for alert in self._alerts.values()
            if alert.up and alert.condition is not Condition.ERROR  # those end with their window
        }


def _at_most(at: float | None, latest: float) -> float | None:
    return None if at is None else min(at, latest)


def _by_age(alert: Alert) -> tuple[float, str]:
    return alert.since, alert.object
