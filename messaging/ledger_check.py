"""Whether the ledger, and buckets like it, can be read and written."""

from __future__ import annotations

import time
from collections.abc import Callable

from contracts import topology
from contracts.backends import LEDGER
from contracts.errors import TransientError
from contracts.health import BackendCheck, CheckStatus
from messaging.broker import Broker
from messaging.buckets import Bucket
from messaging.ledger import DocumentLedger

NOBODY = "probe"
"""A tenant and document that nobody has."""


class LedgerCheck:
    """Reads the ledger, and writes a key of another bucket and reads it back.

    The key is in the bucket of leases, which forgets it within half a minute: one of the ledger would be a document.
    """

    def __init__(
        self,
        broker: Broker,
        ledger: DocumentLedger,
        *,
        instance: str,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ledger = ledger
        self._bucket = Bucket(broker, topology.LEASES)
        self._key = f"probe-{instance}"
        self._monotonic = monotonic

    async def look(self) -> BackendCheck:
        """Raises `BrokerUnavailableError`, and `TransientError` when what was written is not what is read."""
        begun = self._monotonic()
        await self._ledger.get(NOBODY, NOBODY)
        await self._write(f"{begun}".encode())
        took_ms = (self._monotonic() - begun) * 1000
        return BackendCheck(name=LEDGER, status=CheckStatus.OK, latency_ms=took_ms)

    async def _write(self, value: bytes) -> None:
        await self._bucket.overwrite(self._key, value)
        entry = await self._bucket.get(self._key)
        if entry is None or entry.value != value:
            raise TransientError("a key that was just written is not read back: look at the broker's log")
