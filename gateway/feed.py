"""Keeps the read model up with the ledger, from its first record on and through every outage."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import structlog

from contracts.errors import TransientError
from gateway.readmodel import ReadModel
from messaging.ledger import Change, DocumentLedger, StreamResetError

log = structlog.get_logger(__name__)

_BATCH = 256
_PAUSE_S = 1.0


class DocumentFeed:
    """Copies the ledger's changes into a read model. `caught_up` is set once all that was there at start is in it."""

    def __init__(self, ledger: DocumentLedger, model: ReadModel) -> None:
        self._ledger = ledger
        self._model = model
        self._revision = 0
        self._advanced = asyncio.Condition()
        self.caught_up = asyncio.Event()

    async def sync(self, within_s: float) -> None:
        """Wait until what is in the ledger now is in the read model, or as long as that."""
        with suppress(TimeoutError, TransientError):
            async with asyncio.timeout(within_s):
                revision = await self._ledger.revision()
                async with self._advanced:
                    await self._advanced.wait_for(lambda: self._revision >= revision)

    async def run(self) -> None:
        """Runs until cancelled."""
        while True:
            try:
                await self._follow(await self._ledger.revision())
            except* StreamResetError as errors:
                log.warning("the ledger is another one, listing it anew", reason=str(errors.exceptions[0]))
                await self._forget()
            except* TransientError as errors:
                log.warning("the ledger cannot be followed", reason=str(errors.exceptions[0]))
                await asyncio.sleep(_PAUSE_S)

    async def _follow(self, target: int) -> None:
        self._note(target)
        queue: asyncio.Queue[Change] = asyncio.Queue(_BATCH)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._read(queue))
            group.create_task(self._write(queue, target))

    async def _read(self, queue: asyncio.Queue[Change]) -> None:
        async for change in self._ledger.changes(self._revision):
            await queue.put(change)

    async def _write(self, queue: asyncio.Queue[Change], target: int) -> None:
        """What has come meanwhile goes to the table in one transaction."""
        while True:
            batch = [await queue.get()]
            while not queue.empty():
                batch.append(queue.get_nowait())
            await self._model.apply(batch)
            self._revision = batch[-1].revision
            self._note(target)
            async with self._advanced:
                self._advanced.notify_all()

    def _note(self, target: int) -> None:
        if self._revision >= target:
            self.caught_up.set()

    async def _forget(self) -> None:
        self.caught_up.clear()
        self._revision = 0
        await self._model.clear()
