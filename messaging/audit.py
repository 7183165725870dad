"""The audit in the stream OPS: what somebody is about to do is told before it is done, and what came of it afterwards."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from contracts import subjects, topology
from contracts.audit import ActOutcome, AdminAct, AuditKind
from contracts.audit_views import Audited
from contracts.recovery import RecoveryApproval
from contracts.runtime_config import ConfigChanged
from messaging.broker import Broker
from messaging.event_pages import MOST_READ, event_of
from messaging.redrive import Redrive
from messaging.storage import Storage
from messaging.stored import Stored

MOST_ENTRIES: Final = 200
BATCH: Final = 256
_CONFIG: Final = subjects.CONFIG_CHANGES
_ANSWERS: Final = subjects.recovery_approval("*")
_TOLD_ELSEWHERE: Final[Mapping[AuditKind, str]] = {AuditKind.CONFIG: _CONFIG, AuditKind.RECOVERY: _ANSWERS}
"""Kinds of which some acts are events of their own."""


@dataclass(frozen=True, kw_only=True)
class AuditPage:
    """In the order in which they were stored. `after` is where the next page begins; None: there is no more."""

    events: tuple[Audited, ...]
    after: int | None


class AuditTrail:
    """Tells of acts. `close` when done: what could not be told of yet is given up then."""

    def __init__(self, broker: Broker, *, redrive: Redrive | None = None) -> None:
        self._broker = broker
        self._redrive = redrive or Redrive()

    async def begin(self, act: AdminAct) -> None:
        """Tell what is about to be done. Raises what `Broker.publish` raises: then it must not be done."""
        await self._publish(act, "intent")

    async def end(self, act: AdminAct) -> None:
        """Tell what came of it: if not at once, as soon as the broker takes it. Until then, and if this process dies before,
        it is not known.
        """
        await self._redrive.now_or_later(f"the audit of {act.action} {act.id}", lambda: self._publish(act, "outcome"))

    @asynccontextmanager
    async def telling(self, act: AdminAct, *, refusals: tuple[type[Exception], ...] = ()) -> AsyncIterator[None]:
        """Tell of what the body does: done, refused when it raises one of `refusals`, unknown when it raises anything else."""
        await self.begin(act)
        try:
            yield
        except BaseException as error:
            outcome = ActOutcome.REFUSED if isinstance(error, refusals) else ActOutcome.UNKNOWN
            await self.end(act.model_copy(update={"outcome": outcome}))
            raise
        await self.end(act.model_copy(update={"outcome": ActOutcome.DONE}))

    async def close(self) -> None:
        await self._redrive.close()

    async def _publish(self, act: AdminAct, stage: str) -> None:
        await self._broker.publish(
            subjects.audit(act.kind, act.id), act, stream=topology.OPS, message_id=f"audit.{act.id}.{stage}"
        )


class AuditLog:
    """Reads it back, as far back as OPS is kept (four weeks). Raises `BrokerUnavailableError` when the broker is away."""

    def __init__(self, broker: Broker) -> None:
        self._storage = Storage(broker)

    async def page(
        self,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        after: int = 0,
        kinds: Collection[AuditKind] = (),
        principal: str | None = None,
        limit: int = 50,
    ) -> AuditPage:
        """Acts told of from `since` up to, not including, `until`, of these kinds and of one principal, where they are given.
        A page may hold fewer than `limit` and still not be the last one.
        """
        reads = [
            await self._read(subject, since=since, until=until, after=after, principal=principal, limit=limit)
            for subject in _subjects(kinds)
        ]
        bound = min((read.up_to for read in reads if read.up_to is not None), default=None)
        within = (each for read in reads for each in read.found if bound is None or each.sequence <= bound)
        found = sorted(within, key=lambda stored: stored.sequence)
        following = found[limit - 1].sequence if len(found) > limit else bound
        return AuditPage(events=tuple(await self._settled(found[:limit])), after=following)

    async def _read(
        self,
        subject: str,
        *,
        since: datetime | None,
        until: datetime | None,
        after: int,
        principal: str | None,
        limit: int,
    ) -> _Read:
        """One more than `limit`, so that it is known whether there is more."""
        found: list[Stored] = []
        looked, begin = 0, None if after else since
        while True:
            batch = await self._storage.following(topology.OPS.name, subject, after=after, since=begin, limit=BATCH)
            begin = None
            for stored in batch:
                if until is not None and stored.stored_at >= until:
                    return _Read(found, None)
                looked, after = looked + 1, stored.sequence
                event = _event(stored)
                if event is not None and principal in {None, event.principal}:
                    found.append(stored)
                if len(found) > limit:
                    return _Read(found, after)
            if not batch or not batch[-1].pending:
                return _Read(found, None)
            if looked >= MOST_READ:
                return _Read(found, after)

    async def _settled(self, found: list[Stored]) -> list[Audited]:
        """Without the intents of acts whose outcome is told of: that comes at its own place."""
        open_ones = [stored.subject for stored in found if _is_intent(stored)]
        newest = {stored.subject: stored for stored in await self._storage.latest(topology.OPS.name, open_ones)}
        return [
            event
            for stored in found
            if (event := _event(stored)) is not None
            and not (_is_intent(stored) and newest.get(stored.subject, stored).sequence > stored.sequence)
        ]


@dataclass(frozen=True, slots=True)
class _Read:
    """What was found of a subject, up to a sequence; None: that is all there is."""

    found: list[Stored]
    up_to: int | None


def _subjects(kinds: Collection[AuditKind]) -> list[str]:
    if not kinds:
        return [subjects.audit("*", "*"), *_TOLD_ELSEWHERE.values()]
    told = [subjects.audit(kind, "*") for kind in kinds]
    return told + [subject for kind, subject in _TOLD_ELSEWHERE.items() if kind in kinds]


def _event(stored: Stored) -> Audited | None:
    if stored.subject == _CONFIG:
        return event_of(ConfigChanged, stored)
    if stored.subject.startswith(f"{subjects.AUDIT}."):
        return event_of(AdminAct, stored)
    return event_of(RecoveryApproval, stored)


def _is_intent(stored: Stored) -> bool:
    event = _event(stored)
    return isinstance(event, AdminAct) and event.outcome is None
