"""Records of the observer in the bucket `alerts`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic

import structlog

from contracts import topology
from contracts.errors import WaggleError
from messaging.broker import Broker
from messaging.buckets import Bucket, Entry, StaleRevisionError
from observability.records import R, StaleRecordError, StoredRecord

log = structlog.get_logger(__name__)


class RecordBucket(Generic[R]):
    """A `RecordStore` in the broker: one key for each record, below `prefix`. Raises `BrokerUnavailableError` when the broker is
    away.
    """

    def __init__(
        self, broker: Broker, kind: type[R], *, prefix: str, key_of: Callable[[R], str], bucket: topology.KeyValue
    ) -> None:
        self._bucket = Bucket(broker, bucket)
        self._kind = kind
        self._prefix = prefix
        self._key_of = key_of

    async def load(self) -> list[StoredRecord[R]]:
        newest = await self._bucket.newest(self._under("*"))
        return [self._stored(entry) for entry in newest.values() if entry.value is not None]

    async def read(self, key: str) -> StoredRecord[R] | None:
        entry = await self._bucket.get(self._under(key))
        return None if entry is None else self._stored(entry)

    async def write(self, record: R, *, revision: int) -> int:
        try:
            return await self._bucket.write(self._under(self._key_of(record)), record.to_bytes(), revision=revision)
        except StaleRevisionError as error:
            raise StaleRecordError(str(error)) from error

    async def remove(self, key: str, *, revision: int) -> None:
        subject = self._bucket.subject(self._under(key))
        await self._bucket.storage.purge(self._bucket.stream, subject, up_to=revision)

    def _under(self, key: str) -> str:
        return f"{self._prefix}.{key}"

    def _stored(self, entry: Entry) -> StoredRecord[R]:
        record: R | None
        try:
            record = self._kind.from_bytes(entry.value or b"")
        except WaggleError as error:  # of a newer release, say: what it tells of begins anew
            log.warning("not a record of this release", key=entry.key, reason=str(error))
            record = None
        return StoredRecord(key=entry.key.removeprefix(self._under("")), revision=entry.revision, record=record)
