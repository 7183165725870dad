"""Alerts and notifications on the stream OPS: published, and read back as history."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime
from typing import Final, TypeVar

from contracts import subjects, topology
from contracts.alerts import AlertEvent
from contracts.message import Message
from contracts.notifications import NotificationEvent
from messaging.broker import Broker
from messaging.event_pages import EventPages, Page, Span, event_of
from messaging.stored import Stored
from observability.notifications.matchers import Matchers

MOST_EVENTS: Final = 1_000
"""Of one page."""

M = TypeVar("M", bound=Message)


class AlertEvents:
    """Alerts that began to fire, or were over, and who was told, as far back as OPS is kept (four weeks).

    Everything raises `BrokerUnavailableError` when the broker is away.
    """

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._pages = EventPages(broker)

    async def publish(self, event: AlertEvent) -> None:
        """Store an event. Told again within the stream's duplicate window it is stored once. Raises what `Broker.publish`
        raises.
        """
        await self._broker.publish(subjects.alert(event), event, stream=topology.OPS, message_id=event.id)

    async def alerts(
        self,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        after: int = 0,
        names: Collection[str] = (),
        severities: Collection[str] = (),
        matchers: Matchers | None = None,
        limit: int = 100,
    ) -> Page[AlertEvent]:
        """Events stored from `since` up to, not including, `until`, of these names and severities (any where there are none)
        that all `matchers` accept. A page may hold fewer than `limit` and still not be the last one.
        """

        def accepted(event: AlertEvent) -> bool:
            return (
                (not names or event.name in names)
                and (not severities or event.severity in severities)
                and (matchers is None or matchers.accept(event.labels))
            )

        pattern = subjects.alerts(
            severity=next(iter(severities)) if len(severities) == 1 else None,
            name=next(iter(names)) if len(names) == 1 else None,
        )
        return await self._page(AlertEvent, pattern, accepted, Span(since=since, until=until, after=after), limit)

    async def notifications(
        self,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        after: int = 0,
        channel: str | None = None,
        fingerprint: str | None = None,
        limit: int = 100,
    ) -> Page[NotificationEvent]:
        """What was sent or given up, through one channel or about one alert where they are given."""

        def accepted(event: NotificationEvent) -> bool:
            return fingerprint is None or fingerprint in event.firing or fingerprint in event.resolved

        pattern = subjects.notification(channel or "*")
        return await self._page(
            NotificationEvent, pattern, accepted, Span(since=since, until=until, after=after), limit
        )

    async def _page(
        self, kind: type[M], pattern: str, accepted: Callable[[M], bool], span: Span, limit: int
    ) -> Page[M]:
        def wanted(stored: Stored) -> M | None:
            event = event_of(kind, stored)
            return event if event is not None and accepted(event) else None

        return await self._pages.page(pattern, wanted, span, limit=min(max(limit, 1), MOST_EVENTS))
