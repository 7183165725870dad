"""Incidents, read from what the broker keeps: no observer has to answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final, TypeVar

from contracts.diagnoses import EpisodeView
from contracts.incidents import MOST_INCIDENTS, IncidentsView, IncidentView, incident_id
from contracts.message import Message
from contracts.recovery import RecoveryResult
from contracts.recovery_views import RecoveryEvent
from messaging.alert_events import MOST_EVENTS, AlertEvents
from messaging.broker import Broker
from messaging.diagnosis_records import BucketEpisodes
from messaging.event_pages import Page
from messaging.recovery.audit import MOST_EVENTS as MOST_REPAIRS
from messaging.recovery.audit import RecoveryLog
from observability.incidents import Material, incident, incidents

MOST_JOINED: Final = 10_000
"""Alerts, and events of repairs, that are read for one list."""
AROUND: Final = timedelta(hours=1)
"""What belongs to an incident may be told so long before and after what is known of it."""

M = TypeVar("M", bound=Message)


class IncidentBook:
    """Incidents as far back as OPS is kept (four weeks). Raises `BrokerUnavailableError` when the broker is away."""

    def __init__(self, broker: Broker) -> None:
        self._alerts = AlertEvents(broker)
        self._episodes = BucketEpisodes(broker)
        self._log = RecoveryLog(broker)

    async def list(self, *, since: datetime, until: datetime | None = None) -> IncidentsView:
        """Those that went on within the span, newest first."""
        material, complete = await self._material(since - AROUND, None if until is None else until + AROUND)
        told = await asyncio.to_thread(incidents, material)
        found = [
            each
            for each in told
            if (each.ended_at is None or each.ended_at >= since) and (until is None or each.began_at < until)
        ]
        return IncidentsView(items=tuple(found), complete=complete and len(told) < MOST_INCIDENTS)

    async def find(self, id: str) -> IncidentView | None:
        """One whole, with what was captured; None: there is none, or it is not kept any more."""
        known = await self._known()
        began = [
            *(each.created_at for each in await self._log.decisions(id)),
            *(each.began_at for each in known if incident_id(each.diagnosis.fingerprint, each.began_at) == id),
        ]
        verified = await self._log.last_verification(id)
        if verified is not None:
            began.append(verified.created_at)
        if not began:
            return None
        material, complete = await self._material(min(began) - AROUND, None, whole=id)
        if not complete:  # whatever came of others, its own is told
            own, _ = await _all(
                lambda after: self._log.events(since=min(began) - AROUND, after=after, incident=id, limit=MOST_REPAIRS)
            )
            material = replace(material, repairs=(*material.repairs, *own))
        return await asyncio.to_thread(incident, material, id)

    async def _material(
        self, since: datetime, until: datetime | None, *, whole: str | None = None
    ) -> tuple[Material, bool]:
        """Of all incidents, since alerts are of the one or of the other. What was captured, which would be much, is only of the
        one that is told `whole`. `True`: nothing within the span is missing.
        """
        alerts, all_alerts = await _all(
            lambda after: self._alerts.alerts(since=since, until=until, after=after, limit=MOST_EVENTS)
        )
        repairs, all_repairs = await _all(lambda after: self._repairs(since, until, after, whole))
        return Material(alerts=alerts, episodes=await self._known(), repairs=repairs), all_alerts and all_repairs

    async def _repairs(
        self, since: datetime, until: datetime | None, after: int, whole: str | None
    ) -> Page[RecoveryEvent]:
        page = await self._log.events(since=since, until=until, after=after, limit=MOST_REPAIRS)
        return Page(tuple(event if event.incident == whole else _lighter(event) for event in page.events), page.after)

    async def _known(self) -> Sequence[EpisodeView]:
        return [each.view() for stored in await self._episodes.load() if (each := stored.record) is not None]


async def _all(read: Callable[[int], Awaitable[Page[M]]]) -> tuple[list[M], bool]:
    """Every event of the pages, and whether that is all there are: at most `MOST_JOINED` are read."""
    found: list[M] = []
    after: int | None = 0
    while after is not None:
        page = await read(after)
        found += page.events
        after = page.after
        if len(found) >= MOST_JOINED:
            return found, after is None
    return found, True


def _lighter(event: RecoveryEvent) -> RecoveryEvent:
    return event.model_copy(update={"captured": ""}) if isinstance(event, RecoveryResult) else event
