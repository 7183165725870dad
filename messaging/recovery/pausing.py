"""The pause: nothing is acted upon until it ends. One key in the bucket `config`, which keeps who paused and resumed."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Final

import structlog

from contracts import topology
from contracts.errors import PermanentError, TransientError, WaggleError
from contracts.recovery import RecoveryPause
from messaging.broker import Broker
from messaging.buckets import Bucket, Entry, StaleRevisionError
from messaging.watching import POLL_S, BucketWatch, Entries

KEY: Final = "recovery.pause"
LONGEST: Final = timedelta(days=7)

log = structlog.get_logger(__name__)


class PauseRefusedError(PermanentError):
    """Nothing was changed: a pause has an end, and that is in the future and within `LONGEST`."""


class PauseConflictError(PermanentError):
    """Somebody else changed the pause at the same moment; nothing was changed."""


class PauseUnknownError(TransientError):
    """Whether there is a pause is not known: nothing is to be acted upon."""


class PauseSwitch:
    """Everything raises `BrokerUnavailableError` when the broker is away."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._bucket = Bucket(broker, topology.CONFIG)

    async def current(self) -> RecoveryPause | None:
        """The pause that there is now. Raises `PauseUnknownError` for one that this release cannot read."""
        entry = await self._bucket.get(KEY)
        return _in_force(_read(entry), self._broker.clock.now())

    async def pause(
        self, reason: str, lasting: timedelta, *, principal: str, claimed_by: str | None = None
    ) -> RecoveryPause:
        """Have nothing acted upon from now on; one that there is ends with that. Raises `PauseRefusedError`,
        `PauseConflictError`, and `ValidationError` for a reason that is none.
        """
        return await self.pause_until(
            reason, self._broker.clock.now() + lasting, principal=principal, claimed_by=claimed_by
        )

    async def pause_until(
        self, reason: str, ends_at: datetime, *, principal: str, claimed_by: str | None = None
    ) -> RecoveryPause:
        """As `pause`, up to a time of the broker's clock."""
        now = self._broker.clock.now()
        if ends_at <= now:
            raise PauseRefusedError(f"the pause would end at {ends_at.isoformat()}, which is past")
        if ends_at - now > LONGEST + timedelta(minutes=1):
            raise PauseRefusedError(f"a pause lasts {LONGEST.days} days at most: pause again when they are over")
        wanted = RecoveryPause(
            reason=reason, ends_at=ends_at, principal=principal, claimed_by=claimed_by, created_at=now
        )
        await self._write(wanted, await self._bucket.get(KEY))
        return wanted

    async def resume(self, *, principal: str) -> RecoveryPause | None:
        """End the pause now, and return it as it was; None: there is none. Who ended it is kept. One that this release cannot
        read is ended, too. Raises `PauseConflictError`.
        """
        entry = await self._bucket.get(KEY)
        now = self._broker.clock.now()
        over = RecoveryPause(reason="resumed", ends_at=now, principal=principal, created_at=now)
        try:
            ended = _in_force(_read(entry), now)
        except PauseUnknownError:
            await self._write(over, entry)
            return over
        if ended is not None:
            await self._write(over, entry)
        return ended

    async def _write(self, pause: RecoveryPause, entry: Entry | None) -> None:
        try:
            await self._bucket.write(KEY, pause.to_bytes(), revision=0 if entry is None else entry.revision)
        except StaleRevisionError as error:
            raise PauseConflictError("somebody else changed the pause just now: look at it, and try again") from error


class PauseFollower:
    """The pause as it is, known at every moment without asking the broker. Until it has been read once, and while what is there
    cannot be read, nothing is known, and nothing is to be acted upon.
    """

    def __init__(self, broker: Broker, *, poll_s: float = POLL_S) -> None:
        self._broker = broker
        self._watch = BucketWatch(broker, topology.CONFIG, KEY, poll_s=poll_s)
        self._pause: RecoveryPause | None = None
        self._unknown = "it was not read yet"
        self.read_once = asyncio.Event()

    async def run(self) -> None:
        """Follow it until cancelled; while the broker is away what was known last goes on."""
        async for entries in self._watch.states():
            self._heed(entries)
            self.read_once.set()

    @property
    def current(self) -> RecoveryPause | None:
        """The pause that there is now, by the broker's clock. Raises `PauseUnknownError`."""
        if self._unknown:
            raise PauseUnknownError(f"whether repairs are paused is not known: {self._unknown}")
        return _in_force(self._pause, self._broker.clock.now())

    def _heed(self, entries: Entries) -> None:
        try:
            self._pause, self._unknown = _read(entries.get(KEY)), ""
        except PauseUnknownError as error:
            self._unknown = str(error)
            log.error("nothing is acted upon", reason=str(error))  # noqa: TRY400 (it says all)


def _in_force(pause: RecoveryPause | None, now: datetime) -> RecoveryPause | None:
    return pause if pause is not None and pause.ends_at > now else None


def _read(entry: Entry | None) -> RecoveryPause | None:
    if entry is None or entry.value is None:
        return None
    try:
        return RecoveryPause.from_bytes(entry.value)
    except WaggleError as error:
        raise PauseUnknownError(
            f"{KEY} in the bucket {topology.CONFIG.name} is no pause of this release ({error}): "
            "`waggle recovery resume` ends it"
        ) from error
