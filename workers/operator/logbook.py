"""Keeps what the operator remembers, over its own end and against another operator.

It is one key of the bucket `config`, whose keys do not age out as those of `leases` do: were the highest token forgotten, an
observer could act that was replaced long ago. It is written before anything is done, by compare-and-set, so that of two
operators each knows what the other began.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from contracts import topology
from contracts.errors import InvalidMessageError, TransientError
from contracts.recovery import RecoveryCommand
from messaging.broker import Broker
from messaging.buckets import MAX_TRIES, Bucket, Entry, StaleRevisionError
from workers.operator.blast_radius import Footprint, require_within_radius
from workers.operator.errors import Refusal, RefusedError
from workers.operator.record import OperatorRecord

KEY: Final = "recovery.operator"


class Logbook:
    """Everything raises `BrokerUnavailableError` when the broker is away, and `RefusedError` when what stands there is no record.

    `leases` is the bucket that tokens come from.
    """

    def __init__(self, broker: Broker, *, leases: topology.KeyValue) -> None:
        self._broker = broker
        self._bucket = Bucket(broker, topology.CONFIG)
        self._leases = f"KV_{leases.name}"

    async def heed(self, command: RecoveryCommand) -> None:
        """Remember its token. Raises `RefusedError` when it is older than one before, and `BegunError` for a command that was
        begun.
        """
        made_at = await self._bucket.storage.created_at(self._leases)

        def heeding(record: OperatorRecord) -> OperatorRecord:
            record.require_not_begun(command)
            return record.heeding(command, made_at)

        await self._change(heeding, OperatorRecord(leases_made_at=made_at))

    async def begin(self, command: RecoveryCommand, footprint: Footprint) -> None:
        """Remember that it is about to be done. Raises `RefusedError` when too much was done of late, and what `heed` raises."""
        made_at = await self._bucket.storage.created_at(self._leases)
        now = self._broker.clock.now()

        def beginning(record: OperatorRecord) -> OperatorRecord:
            record.require_not_begun(command)
            heeding = record.heeding(command, made_at)
            require_within_radius(command, footprint, heeding.begun, now=now)
            return heeding.beginning(command, taken=footprint.taken, at=now)

        await self._change(beginning, OperatorRecord(leases_made_at=made_at))

    async def _change(self, change: Callable[[OperatorRecord], OperatorRecord], first: OperatorRecord) -> None:
        for _ in range(MAX_TRIES):
            entry = await self._bucket.get(KEY)
            record = first if entry is None else _record(entry)
            if (changed := change(record)) == record and entry is not None:
                return
            try:
                await self._bucket.write(KEY, changed.to_bytes(), revision=entry.revision if entry else 0)
            except StaleRevisionError:  # another operator
                continue
            return
        raise TransientError(f"{KEY} is written by others all the time: nothing was done")


def _record(entry: Entry) -> OperatorRecord:
    try:
        return OperatorRecord.from_bytes(entry.value or b"")
    except InvalidMessageError as error:
        raise RefusedError(
            Refusal.NO_RECORD,
            f"{KEY} in the bucket {topology.CONFIG.name} is no record of the operator ({error}): remove that key with a client "
            "of the broker; until then nothing is done",
        ) from error
