"""Repairs on the stream OPS: what was decided and verified is recorded there once, and all of it is read back."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Final

from contracts import subjects, topology
from contracts.recovery import (
    RecoveryApproval,
    RecoveryCommand,
    RecoveryDecision,
    RecoveryResult,
    RecoveryVerification,
    Verdict,
)
from contracts.recovery_views import RecoveryEvent, RecoveryKind
from messaging.broker import Broker
from messaging.buckets import ERR_WRONG_LAST, HEADER_EXPECTED_LAST, MAX_TRIES
from messaging.errors import PublishRefusedError
from messaging.event_pages import EventPages, Page, Span, event_of
from messaging.storage import Storage
from messaging.stored import Stored

MOST_EVENTS: Final = 200
"""Of one page: a result may hold 128 KiB of what was captured."""
BATCH: Final = 32

_TYPES: Final[Mapping[str, type[RecoveryEvent]]] = {
    "decisions": RecoveryDecision,
    "commands": RecoveryCommand,
    "results": RecoveryResult,
    "verifications": RecoveryVerification,
    "approvals": RecoveryApproval,
}
"""By the third token of a subject."""


class RecoveryLog:
    """All that was decided, ordered, done, verified and answered, as far back as OPS is kept (four weeks).

    Everything raises `BrokerUnavailableError` when the broker is away.
    """

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._storage = Storage(broker)
        self._pages = EventPages(broker, batch=BATCH)

    async def record(self, event: RecoveryDecision | RecoveryVerification) -> bool:
        """Record it, unless its incident has one of this id, whoever recorded that; whether this one was stored.

        It is written against the last one of its incident, so that of two that are recorded at the same moment the later
        one has seen the earlier. Raises what `Broker.publish` raises.
        """
        if isinstance(event, RecoveryDecision):
            subject, noun = subjects.recovery_decision(event.incident), RecoveryKind.DECISION
        else:
            subject, noun = subjects.recovery_verification(event.incident), RecoveryKind.VERIFICATION
        for left in reversed(range(MAX_TRIES)):
            last = await self._last_unless_known(subject, event)
            if last is None:
                return False
            try:
                ack = await self._broker.publish(
                    subject,
                    event,
                    stream=topology.OPS,
                    message_id=f"{noun}.{event.id}",  # a command and its result share an id
                    headers={HEADER_EXPECTED_LAST: str(last)},
                )
            except PublishRefusedError as error:
                if error.err_code not in ERR_WRONG_LAST or not left:
                    raise
            else:
                return not ack.duplicate
        return False

    async def events(
        self,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        after: int = 0,
        kinds: Collection[RecoveryKind] = (),
        incident: str | None = None,
        verdicts: Collection[Verdict] = (),
        limit: int = 50,
    ) -> Page[RecoveryEvent]:
        """Events stored from `since` up to, not including, `until`, of these kinds and of one incident, where they are given;
        with `verdicts` only decisions of those. A page may hold fewer than `limit` and still not be the last one.
        """

        def wanted(stored: Stored) -> RecoveryEvent | None:
            event = _event(stored)
            if event is None or (incident is not None and event.incident != incident):
                return None
            if verdicts and not (isinstance(event, RecoveryDecision) and event.verdict in verdicts):
                return None
            return event if not kinds or _kind(stored) in kinds else None

        span = Span(since=since, until=until, after=after)
        return await self._pages.page(_pattern(kinds, incident, verdicts), wanted, span, limit=_within(limit))

    async def decisions(self, incident: str) -> list[RecoveryDecision]:
        """All decisions about an incident, in the order in which they were recorded."""
        found: list[RecoveryDecision] = []
        async for stored in self._storage.every(topology.OPS.name, subjects.recovery_decision(incident), limit=BATCH):
            decision = event_of(RecoveryDecision, stored)
            if decision is not None:
                found.append(decision)
        return found

    async def decision(self, id: str, *, since: datetime) -> RecoveryDecision | None:
        """The decision of that id, if it was recorded since then."""

        def wanted(stored: Stored) -> RecoveryDecision | None:
            event = event_of(RecoveryDecision, stored)
            return event if event is not None and event.id == id else None

        after: int | None = 0
        while after is not None:
            span = Span(since=since, after=after)
            page = await self._pages.page(subjects.recovery_decision("*"), wanted, span, limit=1)
            if page.events:
                return page.events[0]
            after = page.after
        return None

    async def last_verification(self, incident: str) -> RecoveryVerification | None:
        stored = await self._storage.last(topology.OPS.name, subjects.recovery_verification(incident))
        return None if stored is None else event_of(RecoveryVerification, stored)

    async def _last_unless_known(self, subject: str, event: RecoveryDecision | RecoveryVerification) -> int | None:
        """The sequence of the subject's last message, 0 where there is none; None: the event is there already."""
        last = 0
        async for stored in self._storage.every(topology.OPS.name, subject):
            known = event_of(type(event), stored)
            if known is not None and known.id == event.id:
                return None
            last = stored.sequence
        return last


def _pattern(kinds: Collection[RecoveryKind], incident: str | None, verdicts: Collection[Verdict]) -> str:
    """As narrow as one subject can be."""
    only = next(iter(kinds)) if len(kinds) == 1 else None
    if verdicts or only is RecoveryKind.DECISION:
        return subjects.recovery_decision(incident or "*")
    if only is RecoveryKind.VERIFICATION:
        return subjects.recovery_verification(incident or "*")
    return f"{subjects.RECOVERY}.{'*' if only is None else f'{only}s'}.*"


def _kind(stored: Stored) -> RecoveryKind:
    return RecoveryKind(stored.subject.split(".")[2].removesuffix("s"))


def _event(stored: Stored) -> RecoveryEvent | None:
    kind = _TYPES.get(stored.subject.split(".")[2])
    return None if kind is None else event_of(kind, stored)


def _within(limit: int) -> int:
    return min(max(limit, 1), MOST_EVENTS)
