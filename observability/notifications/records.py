"""Where the state of groups is kept, so that another observer can go on with it."""

from __future__ import annotations

import asyncio

import structlog

from observability.notifications.errors import FencedError
from observability.notifications.pipeline import Pipeline
from observability.notifications.state import GroupRecord, record_key
from observability.records import RecordStore, StaleRecordError, StoredRecord

MAX_TRIES = 5
"""Of one write: so often may an observer that led before still write at the same moment."""
WRITE_TIMEOUT_S = 2.0

log = structlog.get_logger(__name__)


class Records:
    """Keeps a pipeline's groups stored, under the fencing `token` of the lease that its observer leads by.

    `claim` writes every record anew with the own token: an observer that led before can then no longer write any, and learns that it
    is not leading (`FencedError`) when it tries.
    """

    def __init__(self, store: RecordStore[GroupRecord], *, token: int) -> None:
        self._store = store
        self._token = token
        self._revisions: dict[str, int] = {}
        self._one_at_a_time = asyncio.Lock()

    async def load(self) -> list[GroupRecord]:
        """What is stored. Raises `FencedError` when an observer with a newer token wrote some of it."""
        stored = await self._store.load()
        self._revisions = {each.key: each.revision for each in stored}
        records = [each.record for each in stored if each.record is not None]
        for record in records:
            self._require_lead(record)
        return records

    async def save(self, pipeline: Pipeline, group_key: str) -> None:
        """Store a group as it is now, or remove it when it is over.

        Raises `FencedError`, `TimeoutError` and `TransientError`; what was to be stored then may be stored or not.
        """
        async with asyncio.timeout(WRITE_TIMEOUT_S), self._one_at_a_time:
            for _ in range(MAX_TRIES):
                try:
                    return await self._write(pipeline, group_key)
                except StaleRecordError:
                    await self._catch_up(pipeline, group_key)
            raise StaleRecordError(f"the state of {group_key} is written by another observer all the time")

    async def _write(self, pipeline: Pipeline, group_key: str) -> None:
        record, key = pipeline.record(group_key, self._token), record_key(group_key)
        revision = self._revisions.get(key, 0)
        if record is not None:
            self._revisions[key] = await self._store.write(record, revision=revision)
        elif revision:
            await self._store.remove(key, revision=revision)
            del self._revisions[key]

    async def _catch_up(self, pipeline: Pipeline, group_key: str) -> None:
        key = record_key(group_key)
        stored = await self._store.read(key)
        self._revisions.pop(key, None)
        if stored is None:
            return
        self._revisions[key] = stored.revision
        if stored.record is None:
            return
        self._require_lead(stored.record)
        if stored.record.token < self._token:
            pipeline.adopt(stored.record)

    def _require_lead(self, record: GroupRecord) -> None:
        if record.token > self._token:
            raise FencedError(f"an observer with token {record.token} leads now, this one has {self._token}")


class MemoryStore:
    """A store in this process: for one observer without a broker, and for tests."""

    def __init__(self) -> None:
        self._records: dict[str, tuple[int, bytes]] = {}
        self._revision = 0

    async def load(self) -> list[StoredRecord[GroupRecord]]:
        return [_stored(key, *entry) for key, entry in self._records.items()]

    async def read(self, key: str) -> StoredRecord[GroupRecord] | None:
        return _stored(key, *self._records[key]) if key in self._records else None

    async def write(self, record: GroupRecord, *, revision: int) -> int:
        if self._records.get(record.key, (0, b""))[0] != revision:
            raise StaleRecordError(f"{record.key} is not at revision {revision} any more")
        self._revision += 1
        self._records[record.key] = (self._revision, record.to_bytes())
        return self._revision

    async def remove(self, key: str, *, revision: int) -> None:
        if self._records.get(key, (0, b""))[0] <= revision:
            self._records.pop(key, None)


def _stored(key: str, revision: int, content: bytes) -> StoredRecord[GroupRecord]:
    return StoredRecord(key=key, revision=revision, record=GroupRecord.from_bytes(content))
