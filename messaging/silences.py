"""Silences in the bucket of that name: made, listed, ended, and kept in step with by who tells people of alerts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

import structlog

from contracts import topology
from contracts.errors import PermanentError, WaggleError
from contracts.identifiers import derived_id
from contracts.silences import LabelMatcher, Silence
from messaging.broker import Broker
from messaging.buckets import Bucket, Entry, StaleRevisionError
from messaging.watching import POLL_S, BucketWatch, Entries
from observability.notifications.silencing import MAX_SILENCES, Silences

ENDED_KEPT: Final = timedelta(days=5)
"""How long one that is over can still be looked at."""
MAX_TRIES: Final = 10

log = structlog.get_logger(__name__)


class SilenceRefusedError(PermanentError):
    """The silence was not made: it would silence everything, is over already, or is one too many."""


class SilenceConflictError(PermanentError):
    """There is another silence under this id."""


def silence_id(*parts: str) -> str:
    """The id of a silence that is asked for once, however often the request comes: of its request's idempotency key, or of
    what it says.
    """
    return derived_id("silence", *parts)


def new_silence(
    *,
    matchers: Sequence[LabelMatcher],
    starts_at: datetime,
    ends_at: datetime,
    principal: str,
    comment: str = "",
    request: str | None = None,
) -> Silence:
    """A silence whose id follows from `request`, or else from what it says. Raises `ValidationError`."""
    said = (*sorted(map(str, matchers)), starts_at.isoformat(), ends_at.isoformat(), comment)
    return Silence(
        id=silence_id(principal, *(said if request is None else (request,))),
        matchers=tuple(matchers),
        starts_at=starts_at,
        ends_at=ends_at,
        comment=comment,
        principal=principal,
    )


class SilenceBook:
    """One key for each silence. Everything raises `BrokerUnavailableError` when the broker is away."""

    def __init__(self, broker: Broker, *, poll_s: float = POLL_S) -> None:
        self._broker = broker
        self._bucket = Bucket(broker, topology.SILENCES)
        self._watch = BucketWatch(broker, topology.SILENCES, "*", poll_s=poll_s)

    async def create(self, silence: Silence) -> Silence:
        """Make one, and return it as it is stored. Made again under the same id it is the one that is there, whatever became
        of it since.

        Raises `SilenceRefusedError`, and `SilenceConflictError` when what is there under its id says something else.
        """
        try:
            Silences([silence])
        except ValueError as error:
            raise SilenceRefusedError(f"the silence {error}") from error
        known = await self.all()
        same = next((each for each in known if each.id == silence.id), None)
        if same is not None:
            return _same(same, silence)
        now = self._broker.clock.now()
        if silence.ends_at <= now:
            raise SilenceRefusedError(f"the silence ends at {silence.ends_at.isoformat()}, which is past")
        if sum(each.ends_at > now for each in known) >= MAX_SILENCES:
            raise SilenceRefusedError(f"there are {MAX_SILENCES} silences in force already: end some")
        try:
            await self._bucket.write(silence.id, silence.to_bytes(), revision=0)
        except StaleRevisionError:  # the same request at the same moment
            stored = await self.get(silence.id)
            if stored is None:
                raise
            return _same(stored, silence)
        return silence

    async def get(self, silence_id: str) -> Silence | None:
        """One by its id, or None."""
        entry = await self._bucket.get(silence_id)
        return None if entry is None else _read(entry)

    async def all(self) -> list[Silence]:
        """All of them, also those that are over since at most five days; by when they end."""
        return _read_all(await self._watch.read())

    async def expire(self, silence_id: str, *, by: str | None = None) -> Silence | None:
        """End one now, also one that has not begun, and return it as it is then; None: there is none. One that is over stays
        as it is. `by` is who wants it.
        """
        for left in reversed(range(MAX_TRIES)):
            entry = await self._bucket.get(silence_id)
            silence = None if entry is None else _read(entry)
            if entry is None or silence is None:
                return None
            now = self._broker.clock.now()
            if silence.ends_at <= now:
                return silence
            starts_at = min(silence.starts_at, now - timedelta(milliseconds=1))
            ended = silence.model_copy(update={"starts_at": starts_at, "ends_at": now, "ended_by": by})
            try:
                await self._bucket.write(silence_id, ended.to_bytes(), revision=entry.revision)
            except StaleRevisionError:
                if not left:
                    raise
            else:
                return ended
        return None

    async def sweep(self) -> int:
        """Remove those that are over since more than five days; how many those were."""
        limit = self._broker.clock.now() - ENDED_KEPT
        over = [
            entry
            for entry in (await self._watch.read()).values()
            if (silence := _read(entry)) is not None and silence.ends_at < limit
        ]
        for entry in over:
            subject = self._bucket.subject(entry.key)
            await self._bucket.storage.purge(self._bucket.stream, subject, up_to=entry.revision)
        return len(over)


class SilenceKeeper:
    """Keeps `silences` as the bucket is."""

    def __init__(self, broker: Broker, silences: Silences, *, poll_s: float = POLL_S) -> None:
        self._watch = BucketWatch(broker, topology.SILENCES, "*", poll_s=poll_s)
        self._broker = broker
        self._silences = silences
        self._in_force: dict[str, Silence] = {}

    async def run(self, *, known: Callable[[], None]) -> None:
        """Until cancelled; calls `known` whenever the silences are as the bucket is."""
        async for entries in self._watch.states():
            self._keep(_read_all(entries))
            known()

    def _keep(self, silences: Sequence[Silence]) -> None:
        now = self._broker.clock.now()
        self._silences.forget_ended(now)
        wanted = {each.id: each for each in silences if each.ends_at > now}
        for gone in self._in_force.keys() - wanted.keys():
            self._silences.remove(gone)
        for silence in wanted.values():
            try:
                self._silences.put(silence)
            except ValueError as error:  # one that is not there mutes nothing: rather told than silent
                log.error("a silence is not taken", silence=silence.id, reason=str(error))  # noqa: TRY400 (it says all)
        self._in_force = wanted


def _same(stored: Silence, wanted: Silence) -> Silence:
    if set(stored.matchers) != set(wanted.matchers) or stored.principal != wanted.principal:
        raise SilenceConflictError(f"there is another silence {stored.id}, made by {stored.principal}")
    return stored


def _read_all(entries: Entries) -> list[Silence]:
    silences = [silence for entry in entries.values() if (silence := _read(entry)) is not None]
    return sorted(silences, key=lambda each: (each.ends_at, each.id))


def _read(entry: Entry) -> Silence | None:
    if entry.value is None:
        return None
    try:
        silence = Silence.from_bytes(entry.value)
    except WaggleError as error:
        log.warning("not a silence", key=entry.key, reason=str(error))
        return None
    return silence if silence.id == entry.key else None
