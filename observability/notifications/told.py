"""What one channel was told of one group, and the decision whether it has to be told more."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from contracts.alerts import AlertEvent, Fingerprint
from contracts.message import Value
from contracts.notifications import SendReason


class ToldAlert(Value):
    """That an alert, which began to fire at `starts_at`, was told to be firing, last at `at`.

    `at` is None while that is in doubt: a notification is under way, or nobody knows what became of it. An alert in doubt is
    told again while it fires, and its end is told, too.
    """

    starts_at: datetime
    at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What to tell and why; with `reason` None nothing."""

    reason: SendReason | None
    firing: tuple[AlertEvent, ...] = ()
    resolved: tuple[AlertEvent, ...] = ()


NOTHING_NEW = Decision(reason=None)


class Told:
    """The alerts that a channel was told of and has not been told the end of. Bounded by the alerts of its group."""

    def __init__(self, alerts: dict[Fingerprint, ToldAlert] | None = None) -> None:
        self.alerts: dict[str, ToldAlert] = dict(alerts or {})

    def knows(self, alert: AlertEvent) -> bool:
        """Whether the channel has heard, for certain, that this alert fires, this time."""
        told = self.alerts.get(alert.fingerprint)
        return told is not None and told.at is not None and told.starts_at == alert.starts_at

    def may_know(self, fingerprint: str) -> bool:
        """Whether it may believe that the alert fires, this time or an earlier one."""
        return fingerprint in self.alerts

    def told_at(self, alert: AlertEvent) -> datetime | None:
        """When it was told, for certain and last, that the alert fires this time."""
        return self.alerts[alert.fingerprint].at if self.knows(alert) else None

    def decide(
        self, alerts: Iterable[AlertEvent], *, repeat: timedelta, send_resolved: bool, now: datetime
    ) -> Decision:
        """What of `alerts`, which may be told, has to be told now."""
        everything = tuple(alerts)
        firing = tuple(alert for alert in everything if alert.is_firing)
        over = tuple(a for a in everything if not a.is_firing and send_resolved and self.may_know(a.fingerprint))
        reason = self._reason(firing, over, repeat=repeat, now=now)
        return NOTHING_NEW if reason is None else Decision(reason=reason, firing=firing, resolved=over)

    def attempting(self, firing: Iterable[AlertEvent]) -> None:
        """From now on it may know of these."""
        for alert in firing:
            if not self.knows(alert):
                self.alerts[alert.fingerprint] = ToldAlert(starts_at=alert.starts_at)

    def retracted(self, firing: Iterable[AlertEvent], before: dict[str, ToldAlert]) -> None:
        """The attempt has failed for certain: it knows of these what it knew `before`."""
        for alert in firing:
            known = before.get(alert.fingerprint)
            if known is None:
                self.alerts.pop(alert.fingerprint, None)
            else:
                self.alerts[alert.fingerprint] = known

    def delivered(self, firing: Iterable[AlertEvent], resolved: Iterable[AlertEvent], now: datetime) -> None:
        for alert in firing:
            self.alerts[alert.fingerprint] = ToldAlert(starts_at=alert.starts_at, at=now)
        for alert in resolved:
            self.alerts.pop(alert.fingerprint, None)

    def merge(self, others: dict[Fingerprint, ToldAlert]) -> None:
        """Another observer has told this meanwhile: the later word counts."""
        for fingerprint, theirs in others.items():
            ours = self.alerts.get(fingerprint)
            if ours is None or _later(theirs, ours):
                self.alerts[fingerprint] = theirs

    def forget(self, fingerprints: Iterable[str]) -> None:
        for fingerprint in fingerprints:
            self.alerts.pop(fingerprint, None)

    def _reason(
        self, firing: Sequence[AlertEvent], over: Sequence[AlertEvent], *, repeat: timedelta, now: datetime
    ) -> SendReason | None:
        if any(not self.knows(alert) for alert in firing):
            return SendReason.NEW_ALERTS if self._was_told_anything else SendReason.FIRST
        if over:
            return SendReason.RESOLVED
        if any(self._is_stale(alert, now - repeat) for alert in firing):
            return SendReason.REPEATED
        return None

    @property
    def _was_told_anything(self) -> bool:
        return any(told.at is not None for told in self.alerts.values())

    def _is_stale(self, alert: AlertEvent, limit: datetime) -> bool:
        at = self.alerts[alert.fingerprint].at
        return at is None or at <= limit


def _later(theirs: ToldAlert, ours: ToldAlert) -> bool:
    if theirs.starts_at != ours.starts_at:
        return theirs.starts_at > ours.starts_at
    return theirs.at is not None and (ours.at is None or theirs.at > ours.at)
