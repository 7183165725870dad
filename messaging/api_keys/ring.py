"""All API keys as they are, known at every moment without asking the broker."""

from __future__ import annotations

import asyncio
import hmac
from typing import Final

import structlog

from contracts import topology
from contracts.api_keys import ApiKey
from messaging.api_keys.book import KEYS, over, read_key
from messaging.api_keys.text import digest_of, parts_of
from messaging.broker import Broker
from messaging.buckets import Bucket
from messaging.errors import BrokerUnavailableError
from messaging.storage import StreamResetError

POLL_S: Final = 0.5
"""How often it is looked for changes whatever was heard: what is revoked is to open nothing within 2 s, at busy gateways too."""
AGAIN_S: Final = 1.0
ANEW_S: Final = 60.0
"""How often all of them are read: who purges the bucket, or makes it anew, tells nobody."""
_NONE: Final = "0" * 64
"""What the secret of a key that is not there is compared with, so that it takes as long."""

log = structlog.get_logger(__name__)


class KeyRing:
    """Until it has been read once nothing is known, and nobody is let in. While the broker is away what was known goes on."""

    def __init__(self, broker: Broker, *, poll_s: float = POLL_S, anew_s: float = ANEW_S) -> None:
        self._broker = broker
        self._bucket = Bucket(broker, topology.APIKEYS)
        self._poll_s = poll_s
        self._anew_s = anew_s
        self._keys: dict[str, ApiKey] = {}
        self.known = asyncio.Event()

    async def run(self) -> None:
        """Follow them until cancelled."""
        while True:
            try:
                after = await self._read()
                while True:
                    after = await self._follow_and_read(after)
            except* StreamResetError as errors:
                log.warning("the API keys are read anew", reason=str(errors.exceptions[0]))
            except* BrokerUnavailableError as errors:
                log.debug("API keys not read, what is known goes on", reason=str(errors.exceptions[0]))
                await asyncio.sleep(AGAIN_S)

    def find(self, text: str) -> ApiKey | None:
        """The key that this text is, if it opens anything now; in a time that does not tell why not."""
        parts = parts_of(text)
        key_id, secret = parts if parts is not None else ("", text)
        key = self._keys.get(key_id)
        right = hmac.compare_digest(digest_of(secret), _NONE if key is None else key.digest)
        return self.in_force(key_id) if right else None

    def in_force(self, key_id: str) -> ApiKey | None:
        """The key of this id, if it opens anything now."""
        key = self._keys.get(key_id)
        return None if key is None or over(key, self._broker.clock.now()) is not None else key

    async def _follow_and_read(self, after: int) -> int:
        """Follow for `anew_s`, and on while all are read, which takes seconds where they are many. Returns the newest revision."""
        async with asyncio.TaskGroup() as tasks:
            following = tasks.create_task(self._follow(after))
            await asyncio.sleep(self._anew_s)
            newest = await self._read()
            following.cancel()
        return newest

    async def _read(self) -> int:
        """Returns the newest revision."""
        entries = list((await self._bucket.newest(f"{KEYS}.*")).values())
        keys = (read_key(entry) for entry in entries)
        self._keys = {key.id: key for key in keys if key is not None}
        self.known.set()
        return max((entry.revision for entry in entries), default=0)

    async def _follow(self, after: int) -> None:
        subject = self._bucket.subject(f"{KEYS}.*")
        async for stored in self._bucket.storage.follow(self._bucket.stream, subject, after=after, poll_s=self._poll_s):
            entry = self._bucket.entry(stored)
            key = read_key(entry)
            if key is None:
                self._keys.pop(entry.key.removeprefix(f"{KEYS}."), None)
            else:
                self._keys[key.id] = key
