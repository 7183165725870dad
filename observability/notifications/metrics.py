"""Notifications in figures: `waggle.notification.…`."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from opentelemetry.metrics import Meter, NoOpMeter, Observation

from contracts.notifications import SendOutcome

CHANNEL = "waggle.notification.channel"
OUTCOME = "waggle.notification.outcome"


class NotificationMetrics:
    """Counters by channel, whose names come from the configuration and so are few."""

    def __init__(self, meter: Meter | None = None) -> None:
        self._meter = meter or NoOpMeter("waggle")
        self._ended = self._meter.create_counter(
            "waggle.notification.outcomes", description="Notifications that were delivered or given up."
        )
        self._attempts = self._meter.create_histogram(
            "waggle.notification.attempt.duration", unit="s", description="How long attempts took."
        )
        self._waiting: Callable[[], Mapping[str, int]] = dict
        self._groups: Callable[[], int] = int
        self._meter.create_observable_gauge(
            "waggle.notification.waiting",
            [lambda _: [Observation(count, {CHANNEL: name}) for name, count in self._waiting().items()]],
            description="Groups that wait to be told through a channel.",
        )
        self._meter.create_observable_gauge(
            "waggle.notification.groups", [lambda _: [Observation(self._groups())]], description="Groups of alerts."
        )

    def ended(self, channel: str, outcome: SendOutcome) -> None:
        self._ended.add(1, {CHANNEL: channel, OUTCOME: outcome.value})

    def attempted(self, channel: str, duration_s: float, *, delivered: bool) -> None:
        self._attempts.record(duration_s, {CHANNEL: channel, OUTCOME: "delivered" if delivered else "failed"})

    def watch(self, *, waiting: Callable[[], Mapping[str, int]], groups: Callable[[], int]) -> None:
        """Tell from now on how many groups there are, and how many wait for each channel; of one dispatcher at a time."""
        self._waiting, self._groups = waiting, groups
