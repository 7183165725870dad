"""Asks the observer that leads."""

from __future__ import annotations

import asyncio

import nats.errors
from nats.aio.msg import Msg
from pydantic import ValidationError

from contracts import subjects
from contracts.errors import WaggleError
from contracts.observing import DEFAULT_WAIT_S, ErrorType, ObserverReplyPart, ObserverRequest, Parameters, RequestKind
from messaging.broker import Broker
from messaging.errors import BrokerUnavailableError
from messaging.observing.answers import Answer, Assembly
from messaging.observing.errors import AnswerLostError, NoObserverError, ObserverSlowError
from messaging.replies import Replies

MOST_AT_ONCE = 16
"""Questions under way: each may bring an answer of megabytes. Further ones wait, in their own time."""
GRACE_S = 5.0
"""On top of a question's own time, in which the observer says that it was not enough, or tells a large answer."""
_STATUS = "Status"
_NO_RESPONDERS = "503"


class ObserverDesk:
    """One for a process: all its questions share an inbox."""

    def __init__(self, broker: Broker, *, grace_s: float = GRACE_S, most_at_once: int = MOST_AT_ONCE) -> None:
        self._broker = broker
        self._replies = Replies(broker)
        self._grace_s = grace_s
        self._slots = asyncio.Semaphore(most_at_once)

    async def ask(
        self, kind: RequestKind, parameters: Parameters | None = None, *, timeout_s: float = DEFAULT_WAIT_S
    ) -> Answer:
        """What the observer says, be it a refusal.

        Raises `NoObserverError`, `ObserverSlowError` or `AnswerLostError`, and `BrokerUnavailableError` when the broker is
        away.
        """
        try:
            request = ObserverRequest.of(kind, parameters or {}, timeout_s=timeout_s)
        except ValidationError as error:
            return Answer.error(ErrorType.BAD_DATA, _reason(error))
        if not self._broker.is_connected:
            raise BrokerUnavailableError("not connected to the broker, the observer cannot be asked")
        try:
            return await self._asked(request)
        except (nats.errors.Error, OSError) as error:
            raise BrokerUnavailableError(f"the observer cannot be asked: {error}") from error

    async def _asked(self, request: ObserverRequest) -> Answer:
        assembly = Assembly()
        limit = asyncio.timeout(request.timeout_s + self._grace_s)
        try:
            async with limit, self._slots:
                with await self._replies.expected() as (inbox, replies):
                    subject = subjects.observer_request(request.kind)
                    await self._broker.nc.publish(subject, request.to_bytes(), reply=inbox)
                    while True:
                        answer = await _added(assembly, await replies.get())
                        if answer is not None:
                            return answer
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise self._late(assembly, request) from error

    def _late(self, assembly: Assembly, request: ObserverRequest) -> Exception:
        waited_s = request.timeout_s + self._grace_s
        if assembly.received:
            return AnswerLostError(
                f"part {assembly.received} of the observer's answer did not come within {waited_s:g} s"
            )
        return ObserverSlowError(
            f"the observer did not answer within {waited_s:g} s: it has too much to do, it hangs, or another takes over. "
            "`waggle status` shows which observers are heard, and `waggle restart INSTANCE` starts one anew"
        )


async def _added(assembly: Assembly, message: Msg) -> Answer | None:
    if (message.headers or {}).get(_STATUS) == _NO_RESPONDERS:
        raise NoObserverError(
            "no observer leads: start one with `waggle worker observer`, or wait for the next to take over"
        )
    part = _part(message)
    if part.last and part.compressed:  # megabytes may come out of it
        return await asyncio.to_thread(assembly.add, part)
    return assembly.add(part)


def _part(message: Msg) -> ObserverReplyPart:
    try:
        return ObserverReplyPart.from_bytes(message.data)
    except WaggleError as error:
        raise AnswerLostError(f"a part of the observer's answer cannot be read: {error}") from error


def _reason(error: ValidationError) -> str:
    found = error.errors(include_input=False, include_url=False, include_context=False)[0]
    place = ".".join(map(str, found["loc"]))
    return f"{place}: {found['msg']}" if place else str(found["msg"])
