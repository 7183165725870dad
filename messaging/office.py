"""An office: workers that answer requests which cannot wait, each as many at once as it can."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import nats.errors
import structlog

from messaging.broker import Broker
from messaging.live import Live, listening

log = structlog.get_logger(__name__)


class Office:
    """Answers up to `concurrency` requests at once and refuses more; of several workers of a service the broker chooses one."""

    def __init__(
        self,
        broker: Broker,
        subject: str,
        answer: Callable[[bytes], Awaitable[bytes]],
        *,
        busy: bytes,
        leaving: bytes,
        service: str,
        concurrency: int,
    ) -> None:
        """`busy` is what one too many is answered, and `leaving` who still waits when the worker ends."""
        self._broker = broker
        self._subject = subject
        self._answer = answer
        self._busy = busy
        self._leaving = leaving
        self._service = service
        self._free = concurrency

    async def run(self) -> None:
        """Answer until cancelled."""
        async with asyncio.TaskGroup() as tasks:

            async def take(request: Live) -> None:
                if self._free == 0:
                    await self._reply(request, self._busy)
                    return
                self._free -= 1
                tasks.create_task(self._serve(request))

            async with listening(self._broker, self._subject, hear=take, group=self._service):
                await asyncio.Event().wait()

    async def _serve(self, request: Live) -> None:
        try:
            await self._reply(request, await self._answer(request.data))
        except asyncio.CancelledError:
            await self._reply(request, self._leaving)
            raise
        finally:
            self._free += 1

    async def _reply(self, request: Live, reply: bytes) -> None:
        if not request.reply:
            return
        try:
            await self._broker.nc.publish(request.reply, reply)
        except nats.errors.Error as error:  # whoever asked asks again, goes on without, or gives up in time
            log.warning("a reply could not be told", subject=self._subject, reason=str(error))
