"""A key-value bucket with compare-and-set, on direct reads and acknowledged writes."""

from __future__ import annotations

from dataclasses import dataclass

from contracts import topology
from messaging.broker import Broker
from messaging.errors import PublishRefusedError
from messaging.storage import Storage, Stored

HEADER_EXPECTED_LAST = "Nats-Expected-Last-Subject-Sequence"
HEADER_TTL = "Nats-TTL"
_OPERATION = "KV-Operation"
MAX_TRIES = 10
"""To overwrite a key: so many may write it at the same moment."""
ERR_WRONG_LAST = frozenset({10071, 10164})


class StaleRevisionError(PublishRefusedError):
    """Somebody else has written the key since it was read; nothing was written."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A key's value and the revision to write against; `value` is None for a key that was deleted."""

    key: str
    revision: int
    value: bytes | None


class Bucket:
    """One KV bucket. Reads and writes raise `BrokerUnavailableError` when the broker is away or does not answer."""

    def __init__(self, broker: Broker, bucket: topology.KeyValue, *, storage: Storage | None = None) -> None:
        self._broker = broker
        self.storage = storage or Storage(broker)
        self.stream = f"KV_{bucket.name}"
        self._prefix = f"$KV.{bucket.name}."

    def subject(self, key: str) -> str:
        """The subject of a key, or of a pattern of keys."""
        return self._prefix + key

    async def get(self, key: str) -> Entry | None:
        stored = await self.storage.last(self.stream, self.subject(key))
        return self.entry(stored) if stored else None

    async def get_many(self, keys: list[str]) -> list[Entry]:
        """The entries of those keys that exist or existed; one request for up to 1000 keys."""
        found = await self.storage.latest(self.stream, [self.subject(key) for key in keys])
        return [self.entry(stored) for stored in found]

    async def newest(self, pattern: str) -> dict[str, Entry]:
        """The newest entry of every key that matches a pattern, those that were deleted among them."""
        found: dict[str, Entry] = {}
        async for stored in self.storage.every(self.stream, self.subject(pattern)):
            entry = self.entry(stored)
            found[entry.key] = entry
        return found

    async def write(self, key: str, value: bytes, *, revision: int, ttl_s: int | None = None) -> int:
        """Write a key that is still at `revision` (0: that never was). Returns the new revision.

        With `ttl_s` the broker forgets it after that many whole seconds, at least one.
        Raises `StaleRevisionError` when it is not, and `StreamFullError` when the bucket is.
        """
        headers = {HEADER_EXPECTED_LAST: str(revision)}
        if ttl_s is not None:
            headers[HEADER_TTL] = str(ttl_s)
        try:
            ack = await self._broker.publish_bytes(self.subject(key), value, stream=self.stream, headers=headers)
        except PublishRefusedError as error:
            if error.err_code in ERR_WRONG_LAST:
                raise StaleRevisionError(f"{key} is not at revision {revision} any more") from error
            raise
        return int(ack.seq)

    async def overwrite(self, key: str, value: bytes) -> None:
        """Write a key whatever it holds, as the newest of those who write it at the same moment.

        Raises `StaleRevisionError` when others write it all the time, and what `write` raises.
        """
        for left in reversed(range(MAX_TRIES)):
            entry = await self.get(key)
            try:
                await self.write(key, value, revision=entry.revision if entry else 0)
            except StaleRevisionError:
                if not left:
                    raise
            else:
                return

    async def put(self, key: str, value: bytes, *, ttl_s: int) -> None:
        """Write a key whatever it held; the broker forgets it after that many whole seconds, at least one.

        Raises `StreamFullError` when the bucket is full and does not discard, and what `Broker.publish` raises.
        """
        await self._broker.publish_bytes(self.subject(key), value, stream=self.stream, headers={HEADER_TTL: str(ttl_s)})

    def entry(self, stored: Stored) -> Entry:
        """Read a stored message of this bucket's stream."""
        gone = _OPERATION in stored.headers
        return Entry(stored.subject.removeprefix(self._prefix), stored.sequence, None if gone else stored.data)
