"""The revisions of the runtime configuration: read, made, gone back to."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import structlog
from pydantic import JsonValue

from contracts import subjects, topology
from contracts.errors import InvalidMessageError, NewerSchemaError, TransientError
from contracts.runtime_config import (
    MOST_KEPT,
    ConfigChanged,
    ConfigRevision,
    RuntimeConfig,
    changes_between,
)
from messaging.broker import Broker
from messaging.buckets import MAX_TRIES, Bucket, Entry, StaleRevisionError
from messaging.configuration.errors import (
    ConfigBusyError,
    ConfigConflictError,
    ConfigUnreadableError,
    NoSuchRevisionError,
)
from messaging.configuration.keys import CURRENT, EVERY_KEPT, kept, number_of

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Written:
    """The current revision after a change, None where nothing was ever set; `is_new`: the change made it."""

    revision: ConfigRevision | None
    is_new: bool


@dataclass(frozen=True, kw_only=True)
class _Standing:
    """What `runtime.current` holds: `at` is the revision of the key, to write against."""

    at: int
    current: ConfigRevision | None

    @property
    def number(self) -> int:
        return self.current.number if self.current else 0

    @property
    def values(self) -> RuntimeConfig:
        return self.current.values if self.current else RuntimeConfig()


@dataclass(frozen=True, kw_only=True)
class _Wanted:
    values: RuntimeConfig
    restores: int | None = None


class ConfigBook:
    """Everything raises `BrokerUnavailableError` when the broker is away, `NewerSchemaError` when a newer release wrote the
    current revision, and `ConfigUnreadableError` when it is none.
    """

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._bucket = Bucket(broker, topology.CONFIG)

    async def current(self) -> ConfigRevision | None:
        """What counts now; None: nothing was ever set."""
        return (await self._standing()).current

    async def find(self, number: int) -> ConfigRevision | None:
        """One by its number; None: it is not there, or not kept any more."""
        current = await self.current()
        if current is not None and current.number == number:
            return current
        entry = await self._bucket.get(kept(number))
        return None if entry is None else _kept(entry)

    async def history(self) -> list[ConfigRevision]:
        """All that are kept, the newest first."""
        current = await self.current()
        found = [_kept(entry) for entry in (await self._bucket.newest(EVERY_KEPT)).values()]
        revisions = {revision.number: revision for revision in (*found, current) if revision is not None}
        newest_first = sorted(revisions.values(), key=lambda revision: revision.number, reverse=True)
        return newest_first[:MOST_KEPT]

    async def change(
        self,
        values: Mapping[str, JsonValue],
        *,
        principal: str,
        because: str,
        claimed_by: str | None = None,
        expected: int | None = None,
    ) -> Written:
        """Set some keys, and unset those whose value is None; what is so already makes no revision.

        `expected` is the revision that has to be current (0: none). Raises `ConfigRefusedError` when a key or value will
        not do, `ConfigConflictError` when another revision is current, and `ConfigBusyError`.
        """

        async def wanted(standing: _Standing) -> _Wanted:
            return _Wanted(values=standing.values.changed(values))

        return await self._write(wanted, principal, because, claimed_by, expected)

    async def roll_back(
        self,
        to: int | None = None,
        *,
        principal: str,
        because: str,
        claimed_by: str | None = None,
        expected: int | None = None,
    ) -> Written:
        """Make a new revision with the values of an older one (0: nothing is set).

        Without a number it is the one before the current; where the current one restored another, the one before that,
        so that going back twice goes back two changes. Raises `NoSuchRevisionError`, and what `change` raises.
        """

        async def wanted(standing: _Standing) -> _Wanted:
            number = _before(standing.current) if to is None else to
            return _Wanted(values=await self._values_of(number), restores=number)

        return await self._write(wanted, principal, because, claimed_by, expected)

    async def settle(self, revision: ConfigRevision) -> None:
        """Tell of a revision on OPS and keep it, unless that was done; forget those that are too old. Repeating is right."""
        if await self._bucket.get(kept(revision.number)) is not None:
            return
        await self._tell(revision)
        try:
            await self._bucket.write(kept(revision.number), revision.to_bytes(), revision=0)
        except StaleRevisionError:  # another process did it at the same moment
            return
        await self._forget(revision.number - MOST_KEPT)

    async def _write(
        self,
        wanted: Callable[[_Standing], Awaitable[_Wanted]],
        principal: str,
        because: str,
        claimed_by: str | None,
        expected: int | None,
    ) -> Written:
        ours: ConfigRevision | None = None
        for _ in range(MAX_TRIES):
            standing = await self._standing()
            if ours is not None and standing.current == ours:  # the broker's word that it is stored was lost
                return Written(revision=ours, is_new=True)
            if expected is not None and standing.number != expected:
                raise ConfigConflictError(
                    f"revision {standing.number} is current, not {expected}: look at it, and change that"
                )
            target = await wanted(standing)
            if target.values == standing.values:
                return Written(revision=standing.current, is_new=False)
            ours = ConfigRevision(
                number=await self._next_number(standing),
                values=target.values,
                restores=target.restores,
                because=because,
                principal=principal,
                claimed_by=claimed_by,
                created_at=self._broker.clock.now(),
            )
            try:
                await self._bucket.write(CURRENT, ours.to_bytes(), revision=standing.at)
            except StaleRevisionError:
                continue
            await self._settle_soon(ours)
            return Written(revision=ours, is_new=True)
        raise ConfigBusyError("others change the configuration all the time: nothing was changed, try again")

    async def _settle_soon(self, revision: ConfigRevision) -> None:
        try:
            await self.settle(revision)
        except TransientError as error:  # it counts already; the clerks look after it
            log.warning("a revision is told of later", revision=revision.number, reason=str(error))

    async def _next_number(self, standing: _Standing) -> int:
        """Settles the current one first: what is replaced is never lost."""
        if standing.current is not None:
            await self.settle(standing.current)
            return standing.number + 1
        return 1 + max(map(number_of, await self._bucket.newest(EVERY_KEPT)), default=0)

    async def _standing(self) -> _Standing:
        entry = await self._bucket.get(CURRENT)
        if entry is None or entry.value is None:
            return _Standing(at=entry.revision if entry else 0, current=None)
        try:
            return _Standing(at=entry.revision, current=ConfigRevision.from_bytes(entry.value))
        except InvalidMessageError as error:
            raise ConfigUnreadableError(
                f"{CURRENT} in the bucket {topology.CONFIG.name} is no revision ({error}): remove that key with a client of "
                "the broker, and set again what is to count"
            ) from error

    async def _values_of(self, number: int) -> RuntimeConfig:
        if number == 0:
            return RuntimeConfig()
        revision = await self.find(number)
        if revision is None:
            raise NoSuchRevisionError(
                f"there is no revision {number}, or it is not among the last {MOST_KEPT}, which `waggle config history` shows"
            )
        return revision.values

    async def _tell(self, revision: ConfigRevision) -> None:
        previous = await self.find(revision.number - 1)
        before = previous.values if previous else RuntimeConfig()
        event = ConfigChanged(
            id=f"config.{revision.number}",
            number=revision.number,
            changes=changes_between(before, revision.values),
            because=revision.because,
            principal=revision.principal,
            claimed_by=revision.claimed_by,
            restores=revision.restores,
            created_at=revision.created_at,
        )
        await self._broker.publish(subjects.CONFIG_CHANGES, event, stream=topology.OPS, message_id=event.id)

    async def _forget(self, up_to: int) -> None:
        known = await self._bucket.storage.subjects(self._bucket.stream, self._bucket.subject(EVERY_KEPT))
        for subject in known:
            if number_of(subject) <= up_to:
                await self._bucket.storage.purge(self._bucket.stream, subject)


def _before(current: ConfigRevision | None) -> int:
    if current is None:
        raise NoSuchRevisionError("nothing was ever set, so there is nothing to go back to")
    undone = current.number if current.restores is None else current.restores
    if undone == 0:
        raise NoSuchRevisionError("nothing was set before; name the revision that you want")
    return undone - 1


def _kept(entry: Entry) -> ConfigRevision | None:
    if entry.value is None:
        return None
    try:
        return ConfigRevision.from_bytes(entry.value)
    except (InvalidMessageError, NewerSchemaError) as error:
        log.warning("not a revision of this release", key=entry.key, reason=str(error))
        return None
