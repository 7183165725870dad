"""Keeps the state of rules stored, under the fencing token of the observer that leads."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import structlog

from contracts.alerts import AlertEvent
from observability.alerting.alerts import event_of
from observability.alerting.records import Essence, GroupKey, RuleGroupRecord, counts_time, essence, record_key
from observability.notifications.errors import FencedError
from observability.records import RecordStore, StaleRecordError, StoredRecord
from observability.rules import GroupState
from observability.rules.alerts import RESOLVED_KEPT_MS

MAX_TRIES: Final = 5
"""Of one write: so often may an observer that led before still write at the same moment."""
WRITE_TIMEOUT_S: Final = 5.0
MOST_UNTOLD: Final = 20_000
"""Events of one group that wait to be published; beyond, the oldest are lost, and that is logged."""
DEPARTED_KEPT: Final = timedelta(milliseconds=RESOLVED_KEPT_MS)

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Kept:
    revision: int = 0
    state: GroupState | None = None
    untold: dict[str, AlertEvent] = field(default_factory=dict)
    departed: dict[str, AlertEvent] = field(default_factory=dict)
    written: tuple[Essence, tuple[str, ...], tuple[str, ...]] | None = None
    """What of it was written last; None: nothing, or it has to be written anew."""
    one_at_a_time: asyncio.Lock = field(default_factory=asyncio.Lock)


class KeptStates:
    """The stored groups of one observer, for as long as it leads.

    `claim` writes every record anew under the own token, also of groups that have none yet: whoever led before can then
    write nothing any more, and learns by `FencedError` that it does not lead. A record is written before its events are
    published, so that it publishes nothing either.
    """

    def __init__(self, store: RecordStore[RuleGroupRecord], *, token: int) -> None:
        self._store = store
        self._token = token
        self._groups: dict[GroupKey, _Kept] = {}

    async def claim(self, groups: Collection[GroupKey]) -> dict[GroupKey, GroupState]:
        """Take over what is stored and return it; `groups` are those that there are to be.

        Raises `FencedError` when an observer with a newer token wrote some of it, and `TransientError`.
        """
        stored = await self._store.load()
        for each in stored:
            if each.record is not None:
                self._adopt(each, each.record)
        unreadable = {each.key: each.revision for each in stored if each.record is None}
        for key in groups:
            kept = self._groups.setdefault(key, _Kept())
            kept.revision = kept.revision or unreadable.get(record_key(key), 0)
        wanted = frozenset(groups)
        for key, kept in list(self._groups.items()):
            if key not in wanted and self.is_over(key):
                await self._store.remove(record_key(key), revision=kept.revision)
                del self._groups[key]
            else:
                await self.write(key)
        return {key: kept.state for key, kept in self._groups.items() if kept.state is not None}

    @property
    def keys(self) -> tuple[GroupKey, ...]:
        return tuple(self._groups)

    def state(self, key: GroupKey) -> GroupState | None:
        """The state as it was put or claimed last."""
        kept = self._groups.get(key)
        return None if kept is None else kept.state

    def untold(self, key: GroupKey) -> tuple[AlertEvent, ...]:
        """The events that are not known to be published, oldest first."""
        kept = self._groups.get(key)
        return () if kept is None else tuple(kept.untold.values())

    def is_over(self, key: GroupKey) -> bool:
        """Whether there is nothing left to keep of a group."""
        kept = self._groups.get(key)
        return kept is None or (kept.state is None and not kept.untold and not kept.departed)

    def departed(self) -> list[AlertEvent]:
        """The ends of alerts that no rule knows any more."""
        return [event for kept in list(self._groups.values()) for event in list(kept.departed.values())]

    def forget_departed(self, now: datetime) -> None:
        """Forget those that ended more than 15 minutes ago."""
        for kept in self._groups.values():
            over = [
                key for key, event in kept.departed.items() if event.ends_at and event.ends_at < now - DEPARTED_KEPT
            ]
            for key in over:
                del kept.departed[key]

    def put(self, key: GroupKey, state: GroupState | None, events: Iterable[AlertEvent]) -> None:
        """Take a state and the events of what changed since; `write` stores both."""
        kept = self._groups.setdefault(key, _Kept())
        kept.state = state
        new = {event.id: event for event in events}
        kept.untold |= new
        kept.departed |= _departed(new, state)
        while len(kept.untold) > MOST_UNTOLD:
            lost = kept.untold.pop(next(iter(kept.untold)))
            log.error("too many events wait to be published, one is lost", group=str(key), event=lost.id)
        while len(kept.departed) > MOST_UNTOLD:
            del kept.departed[next(iter(kept.departed))]

    def told(self, key: GroupKey, event: AlertEvent) -> None:
        """An event is published; the next `write` stores that."""
        self._groups[key].untold.pop(event.id, None)

    async def write(self, key: GroupKey) -> None:
        """Store a group unless nothing about it has changed.

        Raises `FencedError`, `PermanentError` for one that is too large to be stored, and `TransientError`: it may be stored or
        not then, and is written again the next time.
        """
        kept = self._groups[key]
        content = (essence(kept.state), tuple(kept.untold), tuple(kept.departed))
        if kept.written == content and not counts_time(kept.state):
            return
        kept.written = None
        try:
            async with asyncio.timeout(WRITE_TIMEOUT_S), kept.one_at_a_time:
                await self._write(key, kept)
        except TimeoutError as error:
            raise StaleRecordError(f"the state of {key} was not stored within {WRITE_TIMEOUT_S:g} s") from error
        kept.written = content

    def forget(self, key: GroupKey) -> None:
        """Let go of a group that is no more. Its empty record stays until another observer claims the records: whoever led
        before finds it, where he could write into an empty place.
        """
        self._groups.pop(key, None)

    async def _write(self, key: GroupKey, kept: _Kept) -> None:
        for _ in range(MAX_TRIES):
            record = RuleGroupRecord(
                token=self._token,
                file=key.file,
                group=key.name,
                state=kept.state,
                untold=tuple(kept.untold.values()),
                departed=tuple(kept.departed.values()),
            )
            try:
                kept.revision = await self._store.write(record, revision=kept.revision)
            except StaleRecordError:
                await self._catch_up(key, kept)
            else:
                return
        raise StaleRecordError(f"the state of {key} is written by another observer all the time")

    async def _catch_up(self, key: GroupKey, kept: _Kept) -> None:
        """Somebody else wrote it: who led before, at the same moment, or who leads now."""
        stored = await self._store.read(record_key(key))
        kept.revision = 0 if stored is None else stored.revision
        if stored is None or stored.record is None:
            return
        self._require_lead(stored.record)
        if stored.record.token < self._token:
            kept.untold = {event.id: event for event in stored.record.untold} | kept.untold

    def _adopt(self, stored: StoredRecord[RuleGroupRecord], record: RuleGroupRecord) -> None:
        self._require_lead(record)
        self._groups[record.key] = _Kept(
            revision=stored.revision,
            state=record.state,
            untold={event.id: event for event in record.untold},
            departed={event.id: event for event in record.departed},
        )

    def _require_lead(self, record: RuleGroupRecord) -> None:
        if record.token > self._token:
            raise FencedError(f"an observer with token {record.token} leads now, this one has {self._token}")


def _departed(events: Mapping[str, AlertEvent], state: GroupState | None) -> dict[str, AlertEvent]:
    """The ends among `events` of alerts that `state` does not hold."""
    ends = {key: event for key, event in events.items() if not event.is_firing}
    if not ends or state is None:
        return ends
    held = {event.id for rule in state.rules for alert in rule.alerts if (event := event_of(alert)) is not None}
    return {key: event for key, event in ends.items() if key not in held}
