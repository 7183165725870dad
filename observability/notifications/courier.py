"""The task of one channel: it takes what waits for it, and tries until it is delivered or the group has its next turn."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from time import perf_counter

import structlog

from contracts.identifiers import derived_id
from contracts.notifications import NotificationEvent, SendOutcome
from observability.notifications.channels.attempt import attempt
from observability.notifications.channels.base import Notifier
from observability.notifications.errors import DeliveryError
from observability.notifications.metrics import NotificationMetrics
from observability.notifications.notification import Notification
from observability.notifications.outbox import Outbox, Waiting
from observability.notifications.pacing import Pacing
from observability.notifications.pipeline import Due, Pipeline

log = structlog.get_logger(__name__)

Save = Callable[[str], Awaitable[bool]]
Note = Callable[[NotificationEvent], None]


class Courier:
    """One channel's queue and task. Channels share the pipeline and nothing else, so none holds up another."""

    def __init__(
        self,
        name: str,
        notifier: Notifier,
        outbox: Outbox,
        *,
        pipeline: Pipeline,
        clock: Callable[[], datetime],
        save: Save,
        note: Note,
        metrics: NotificationMetrics,
        timeout_s: float,
    ) -> None:
        self.name = name
        self.outbox = outbox
        self._notifier = notifier
        self._pipeline = pipeline
        self._clock = clock
        self._pacing = Pacing(clock)
        self._save = save
        self._note = note
        self._metrics = metrics
        self._timeout_s = timeout_s

    def offer(self, due: Due) -> None:
        """Tell this channel of a group, soon. With no room it waits for the group's next turn, and that is noted."""
        if self.outbox.offer(due, self._clock()):
            self._pacing.hurry()
            return
        log.warning("too many groups wait for this channel", channel=self.name, group=due.group_key)
        self._note(_unsent(due))
        self._metrics.ended(self.name, SendOutcome.QUEUE_FULL)

    async def run(self) -> None:
        """Until cancelled. What is under way then is in doubt, and stored as such."""
        try:
            while True:
                waiting = self.outbox.take(self._clock())
                if waiting is None:
                    await self._pacing.until(self.outbox.next_at())
                else:
                    await self._tell(waiting)
        finally:
            await self._notifier.close()

    async def _tell(self, waiting: Waiting) -> None:
        notification = self._pipeline.begin(waiting.due, self._clock())
        if notification is None:  # silenced, over, or told meanwhile
            return
        await self._save(notification.group_key)
        started = perf_counter()
        try:
            said = await attempt(self._notifier, notification, timeout_s=self._timeout_s)
        except DeliveryError as error:
            self._metrics.attempted(self.name, perf_counter() - started, delivered=False)
            self._pipeline.failed(notification, in_doubt=error.in_doubt)
            self._failed(waiting, notification, error)
        else:
            self._metrics.attempted(self.name, perf_counter() - started, delivered=True)
            self._pipeline.delivered(notification, self._clock())
            self._ended(notification, SendOutcome.DELIVERED, waiting.attempts + 1, said)
        await self._save(notification.group_key)

    def _failed(self, waiting: Waiting, notification: Notification, error: DeliveryError) -> None:
        log.warning(
            "not delivered", channel=self.name, reason=str(error), attempt=waiting.attempts + 1, final=error.final
        )
        if not self.outbox.failed(waiting, error, self._clock()):
            outcome = SendOutcome.REFUSED if error.final else SendOutcome.EXPIRED
            self._ended(notification, outcome, waiting.attempts, str(error))

    def _ended(self, notification: Notification, outcome: SendOutcome, attempts: int, detail: str) -> None:
        self._note(_event(notification, outcome, attempts, detail))
        self._metrics.ended(self.name, outcome)


def _event(notification: Notification, outcome: SendOutcome, attempts: int, detail: str) -> NotificationEvent:
    return NotificationEvent(
        id=notification.id,
        channel=notification.channel,
        receiver=notification.receiver,
        group_key=notification.group_key,
        group_labels=dict(notification.group_labels),
        reason=notification.reason,
        outcome=outcome,
        attempts=attempts,
        firing=tuple(alert.fingerprint for alert in notification.firing),
        resolved=tuple(alert.fingerprint for alert in notification.resolved),
        detail=detail[:1024],
    )


def _unsent(due: Due) -> NotificationEvent:
    return NotificationEvent(
        id=derived_id(due.group_key, due.channel, due.deadline.isoformat()),
        channel=due.channel,
        receiver=due.receiver,
        group_key=due.group_key,
        outcome=SendOutcome.QUEUE_FULL,
        attempts=0,
        detail="too many groups wait for this channel",
    )
