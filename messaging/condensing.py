"""Having questions of conversations put in full: only generate workers have a model, and retrieve needs the question."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import nats.errors
import structlog

from contracts import subjects
from contracts.condensing import CondenseReply, CondenseRequest
from contracts.errors import TransientError, WaggleError
from contracts.queries import Turn
from messaging.broker import Broker
from messaging.live import Live, listening

Condense = Callable[[str, Sequence[Turn]], Awaitable[str | None]]

log = structlog.get_logger(__name__)


class NotCondensedError(TransientError):
    """Nobody put the question in full: there is no model, it is busy or away, or it took too long."""


class CondenseOffice:
    """Answers up to `concurrency` requests at once and refuses more; of several workers the broker chooses one."""

    def __init__(self, broker: Broker, condense: Condense, *, service: str, concurrency: int) -> None:
        self._broker = broker
        self._condense = condense
        self._service = service
        self._free = concurrency

    async def run(self) -> None:
        """Answer until cancelled."""
        async with asyncio.TaskGroup() as tasks:

            async def take(request: Live) -> None:
                if self._free == 0:
                    await self._reply(request, CondenseReply(error="busy"))
                    return
                self._free -= 1
                tasks.create_task(self._serve(request))

            async with listening(self._broker, subjects.CONDENSE, hear=take, group=self._service):
                await asyncio.Event().wait()

    async def _serve(self, request: Live) -> None:
        try:
            await self._reply(request, await self._answer(request.data))
        finally:
            self._free += 1

    async def _answer(self, data: bytes) -> CondenseReply:
        try:
            asked = CondenseRequest.from_bytes(data)
            async with asyncio.timeout(asked.timeout_s):
                return CondenseReply(standalone=await self._condense(asked.query, asked.messages))
        except TimeoutError:
            return CondenseReply(error="it took too long")
        except WaggleError as error:
            return CondenseReply(error=str(error))

    async def _reply(self, request: Live, reply: CondenseReply) -> None:
        if not request.reply:
            return
        try:
            await self._broker.nc.publish(request.reply, reply.to_bytes())
        except nats.errors.Error as error:  # whoever asked goes on without it
            log.warning("a condensed question was not told", reason=str(error))


class CondenseDesk:
    """Asks for questions to be put in full."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    async def condense(self, tenant: str, query: str, turns: Sequence[Turn], *, timeout_s: float) -> str:
        """The question on its own. Raises `NotCondensedError` within `timeout_s`."""
        request = CondenseRequest(tenant=tenant, query=query, messages=tuple(turns), timeout_s=timeout_s)
        try:
            message = await self._broker.nc.request(subjects.CONDENSE, request.to_bytes(), timeout=timeout_s)
            reply = CondenseReply.from_bytes(message.data)
        except nats.errors.NoRespondersError as error:
            raise NotCondensedError("no generate worker has a model") from error
        except TimeoutError as error:
            raise NotCondensedError(f"no answer within {timeout_s:g} s (WAGGLE_CONDENSE_TIMEOUT_S)") from error
        except (nats.errors.Error, OSError, WaggleError) as error:
            raise NotCondensedError(str(error)) from error
        if reply.standalone is None:
            raise NotCondensedError(reply.error or "the model had nothing to say")
        return reply.standalone
