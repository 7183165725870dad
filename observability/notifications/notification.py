"""What is told: alerts of one group, for one channel."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from contracts.alerts import AlertEvent
from contracts.identifiers import derived_id
from contracts.notifications import SendReason


@dataclass(frozen=True, kw_only=True)
class Notification:
    """A message to be, before it has the form of its channel.

    `id` is its idempotency key: it follows from what is told, so an attempt that is repeated, by this observer or by the one
    that takes over, carries the same one. `left_out` counts alerts of the group that there was no room for.
    """

    id: str
    group_key: str
    receiver: str
    channel: str
    reason: SendReason
    group_labels: Mapping[str, str]
    firing: tuple[AlertEvent, ...]
    resolved: tuple[AlertEvent, ...]
    at: datetime
    group_interval: timedelta = field(default=timedelta(minutes=5))
    left_out: int = 0
    external_url: str = ""

    @property
    def alerts(self) -> tuple[AlertEvent, ...]:
        """Those that fire, then those that are over."""
        return self.firing + self.resolved

    @property
    def status(self) -> str:
        return "firing" if self.firing else "resolved"

    @property
    def common_labels(self) -> dict[str, str]:
        return _common(alert.labels for alert in self.alerts)

    @property
    def common_annotations(self) -> dict[str, str]:
        return _common(alert.annotations for alert in self.alerts)


def notification_id(
    group_key: str,
    channel: str,
    firing: Iterable[tuple[AlertEvent, datetime | None]],
    resolved: Iterable[AlertEvent],
) -> str:
    """The idempotency key. `firing`: each alert with when it was told before."""
    parts = sorted(
        f"{a.fingerprint} {a.starts_at.timestamp():.6f} {'' if at is None else at.timestamp()}" for a, at in firing
    )
    over = sorted(f"{a.fingerprint} {a.starts_at.timestamp():.6f}" for a in resolved)
    return derived_id(group_key, channel, *parts, "resolved", *over)


def _common(sets: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """The pairs that all have."""
    first, *others = sets
    return {name: text for name, text in sorted(first.items()) if all(other.get(name) == text for other in others)}
