"""The observer that leads answers questions."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping

import nats.errors
import structlog
from opentelemetry.metrics import Meter

from contracts import subjects
from contracts.errors import TransientError, WaggleError
from contracts.observing import ErrorType, ObserverRequest, Parameters, RequestKind
from messaging.broker import Broker
from messaging.live import Live, listening
from messaging.observing.answers import Answer, parts_of
from messaging.observing.errors import RefusedError

MOST_AT_ONCE = 4
"""Questions that are worked on at the same time."""
MOST_WAITING = 64
"""Questions in hand, those that are worked on among them; further ones are told to come again."""
_OFF_LOOP_BYTES = 64 * 1024
"""Larger answers are packed beside the event loop."""
_BUCKETS_S = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0)

Handler = Callable[[Parameters], Awaitable[Answer]]
"""Answers one kind of question. It is cancelled when the time is up. What takes long runs in a thread, which has to see to
its own end: the parameter `timeout` of queries says when.

It may raise `RefusedError`, and `TransientError` for what it waits for in vain; anything else is a bug, which is logged.
"""

log = structlog.get_logger(__name__)


class ObserverOffice:
    """Answers for as long as `run` is not cancelled: an observer runs it while it leads.

    All that believe to lead hear every question, so that one that was stopped does not keep it from its successor; who asks
    takes the first answer.
    """

    def __init__(
        self,
        broker: Broker,
        handlers: Mapping[RequestKind, Handler],
        *,
        instance: str,
        meter: Meter,
        most_at_once: int = MOST_AT_ONCE,
        most_waiting: int = MOST_WAITING,
    ) -> None:
        self._broker = broker
        self._handlers = dict(handlers)
        self._instance = instance
        self._slots = asyncio.Semaphore(most_at_once)
        self._most_waiting = most_waiting
        self._in_hand = 0
        self._duration = meter.create_histogram(
            "waggle.observer.request.duration",
            unit="s",
            description="Time from a question to the observer to its answer.",
            explicit_bucket_boundaries_advisory=_BUCKETS_S,
        )

    async def run(self) -> None:
        """Answer until cancelled."""
        async with asyncio.TaskGroup() as tasks:

            async def hear(message: Live) -> None:
                if not message.reply:
                    return
                if self._in_hand >= self._most_waiting:
                    await self._tell(message, _busy())
                    return
                self._in_hand += 1
                tasks.create_task(self._serve(message))

            async with listening(self._broker, f"{subjects.OBSERVER_REQUESTS}.*", hear=hear):
                await asyncio.Event().wait()

    async def _serve(self, message: Live) -> None:
        started = time.perf_counter()
        try:
            answer = await self._answer(message)
            await self._tell(message, answer)
        finally:
            self._in_hand -= 1
        took_s = time.perf_counter() - started
        self._duration.record(took_s, {"waggle.request": _kind(message), "waggle.outcome": _outcome(answer)})

    async def _answer(self, message: Live) -> Answer:
        try:
            request = ObserverRequest.from_bytes(message.data)
        except WaggleError as error:
            return Answer.error(ErrorType.BAD_DATA, str(error))
        handler = self._handlers.get(request.kind)
        if handler is None:
            return Answer.error(ErrorType.NOT_FOUND, f"this observer does not answer {request.kind}")
        return await self._handled(handler, request)

    async def _handled(self, handler: Handler, request: ObserverRequest) -> Answer:
        limit = asyncio.timeout(request.timeout_s)
        try:
            async with limit, self._slots:
                return await handler(request.parameters)
        except RefusedError as error:
            return Answer.error(error.kind, str(error))
        except TransientError as error:
            return Answer.error(ErrorType.UNAVAILABLE, str(error))
        except Exception as error:
            if limit.expired():
                return Answer.error(ErrorType.TIMEOUT, f"no answer within {request.timeout_s:g} s")
            log.exception("a question to the observer failed", kind=str(request.kind))
            return _mistaken(error)

    async def _tell(self, message: Live, answer: Answer) -> None:
        try:
            for part in await self._parts(answer):
                await self._broker.nc.publish(message.reply, part)
        except (nats.errors.Error, OSError) as error:  # whoever asked asks again
            log.warning("an answer of the observer was not told", reason=str(error))

    async def _parts(self, answer: Answer) -> list[bytes]:
        try:
            return await self._cut(answer)
        except ValueError as error:  # a handler's mistake is not to end what else the observer does
            log.exception("an answer of the observer cannot travel", status=answer.status)
            return await self._cut(_mistaken(error))

    async def _cut(self, answer: Answer) -> list[bytes]:
        def cut() -> list[bytes]:
            return [part.to_bytes() for part in parts_of(answer, answerer=self._instance)]

        return cut() if len(answer.body) <= _OFF_LOOP_BYTES else await asyncio.to_thread(cut)


def _mistaken(error: Exception) -> Answer:
    return Answer.error(ErrorType.INTERNAL, f"{type(error).__name__}: the observer's log has the reason")


def _busy() -> Answer:
    return Answer.error(ErrorType.UNAVAILABLE, "too many questions wait for the observer: ask again in a moment")


def _kind(message: Live) -> str:
    """The kind of question as a bounded attribute."""
    kind = message.subject.rsplit(".", 1)[-1]
    return kind if kind in set(RequestKind) else "other"


def _outcome(answer: Answer) -> str:
    return "ok" if answer.is_success else str(answer.problem()[0])
