"""Having questions of conversations put in full: only generate workers have a model, and retrieve needs the question."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import nats.errors

from contracts import subjects
from contracts.condensing import CondenseReply, CondenseRequest
from contracts.errors import TransientError, WaggleError
from contracts.queries import Turn
from messaging.broker import Broker
from messaging.office import Office

Condense = Callable[[str, Sequence[Turn]], Awaitable[str | None]]


class NotCondensedError(TransientError):
    """Nobody put the question in full: there is no model, it is busy or away, or it took too long."""


def condense_office(broker: Broker, condense: Condense, *, service: str, concurrency: int) -> Office:
    """Answers requests to put a question in full."""

    async def answer(data: bytes) -> bytes:
        return (await _answer(condense, data)).to_bytes()

    return Office(
        broker,
        subjects.CONDENSE,
        answer,
        busy=CondenseReply(error="busy").to_bytes(),
        leaving=CondenseReply(error="this worker ends").to_bytes(),
        service=service,
        concurrency=concurrency,
    )


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


async def _answer(condense: Condense, data: bytes) -> CondenseReply:
    try:
        asked = CondenseRequest.from_bytes(data)
        async with asyncio.timeout(asked.timeout_s):
            return CondenseReply(standalone=await condense(asked.query, asked.messages))
    except TimeoutError:
        return CondenseReply(error="it took too long")
    except WaggleError as error:
        return CondenseReply(error=str(error))
