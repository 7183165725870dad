"""Alerts that are told together, and when their turn is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from contracts.alerts import AlertEvent
from contracts.notifications import MAX_TOLD_ALERTS
from observability.notifications.routing import Route
from observability.notifications.told import Told

MAX_LEFT_OUT = 10_000
RESOLVED_KEPT = timedelta(hours=24)
"""How long a channel that cannot be told (it is away, or it is night) is still to be told of an alert's end."""
RESTORED_KEPT = timedelta(minutes=15)
"""How long a group without alerts waits to hear of some, after another observer took over."""

_A_MOMENT = timedelta(seconds=1)


@dataclass(kw_only=True)
class Group:
    """The alerts of one route that have the same group labels, and what each channel was told of them.

    At most `MAX_TOLD_ALERTS` are held; of the others only how many there are is known.
    """

    key: str
    route: Route
    labels: dict[str, str]
    next_turn: datetime
    alerts: dict[str, AlertEvent] = field(default_factory=dict)
    told: dict[str, Told] = field(default_factory=dict)
    left_out: set[str] = field(default_factory=set)
    had_turn: bool = False
    kept_until: datetime | None = None

    @classmethod
    def opened(cls, key: str, route: Route, labels: dict[str, str], now: datetime) -> Group:
        return cls(key=key, route=route, labels=labels, next_turn=now + route.group_wait)

    def told_of(self, channel: str) -> Told:
        return self.told.setdefault(channel, Told())

    def put(self, alert: AlertEvent, now: datetime, *, room: bool = True) -> None:
        """Take note of an alert's state. News that is older than what is known, or about an alert of which nobody was told, is
        dropped. Without `room` one that is not known yet is only counted.
        """
        known = self.alerts.get(alert.fingerprint)
        if known is not None and not _is_news(alert, known):
            return
        if not alert.is_firing and known is None and not self._somebody_may_know(alert.fingerprint):
            self.left_out.discard(alert.fingerprint)
            return
        if known is None and (not room or len(self.alerts) >= MAX_TOLD_ALERTS):
            if alert.is_firing and len(self.left_out) < MAX_LEFT_OUT:
                self.left_out.add(alert.fingerprint)
            return
        self.alerts[alert.fingerprint] = alert
        self.left_out.discard(alert.fingerprint)
        if alert.is_firing and not self.had_turn and alert.starts_at + self.route.group_wait <= now:
            self.next_turn = min(self.next_turn, now)  # it has waited already, for another observer

    def turn(self, now: datetime) -> None:
        """It is the group's turn; the next one follows after the group interval.

        A group that has yet to hear of its alerts, after another observer took over, did not have one.
        """
        if not self.alerts and not self.had_turn:
            self.next_turn = now + max(self.route.group_wait, _A_MOMENT)
            return
        self.had_turn = True
        self.next_turn = now + self.route.group_interval

    def tidy(self, channels_that_tell_ends: Iterable[str], now: datetime) -> None:
        """Forget the alerts that are over and of which every channel knows so."""
        to_tell = set(channels_that_tell_ends)
        for name, told in self.told.items():
            if name not in to_tell:
                told.forget([key for key, alert in self.alerts.items() if not alert.is_firing])
        over = [
            key
            for key, alert in self.alerts.items()
            if alert.ends_at is not None and (not self._somebody_may_know(key) or alert.ends_at + RESOLVED_KEPT <= now)
        ]
        for key in over:
            del self.alerts[key]
        if not self._awaits_alerts(now):
            for told in self.told.values():
                told.forget([key for key in told.alerts if key not in self.alerts])

    def is_over(self, now: datetime) -> bool:
        """Whether nothing is left to tell."""
        return not self.alerts and not self.left_out and not self._awaits_alerts(now)

    def _awaits_alerts(self, now: datetime) -> bool:
        return self.kept_until is not None and now < self.kept_until

    def _somebody_may_know(self, fingerprint: str) -> bool:
        return any(told.may_know(fingerprint) for told in self.told.values())


def _is_news(alert: AlertEvent, known: AlertEvent) -> bool:
    """Whether it is about a later time, or the end of the known one, or that one told again with other words."""
    if alert.starts_at != known.starts_at:
        return alert.starts_at > known.starts_at
    return known.is_firing or not alert.is_firing
