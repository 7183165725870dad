"""A process takes orders that name it, does each once, and answers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta

import nats.errors
import structlog

from contracts import subjects
from contracts.control import ControlAction, ControlOrder, ControlOutcome, ControlReply
from contracts.errors import WaggleError
from contracts.health import ProcessState
from messaging.broker import Broker
from messaging.live import Live, listening

MOST_REMEMBERED = 64
"""Orders that are not over yet, with their answers; a process that has had so many refuses further ones."""
MOST_UNDER_WAY = 256
"""Messages that are being answered; further ones are left aside, and whoever sent them asks again."""
LONGEST_S = 3600.0
"""How far ahead an order may expire: so long its id is remembered."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Done:
    """What became of an order."""

    detail: str
    outcome: ControlOutcome = ControlOutcome.DONE
    evidence: str = ""


Duty = Callable[[ControlOrder], Awaitable[Done]]


def cannot(detail: str) -> Done:
    """A refusal: nothing was done."""
    return Done(detail=detail, outcome=ControlOutcome.REFUSED)


class ControlOffice:
    """Takes orders for one process, each in a task of its own: a drain that waits holds up no resume.

    What was ordered is kept in memory only: a process that is started again knows nothing of it.
    """

    def __init__(
        self,
        broker: Broker,
        duties: Mapping[ControlAction, Duty],
        *,
        service: str,
        instance: str,
        state: Callable[[], ProcessState],
        in_flight: Callable[[], int],
    ) -> None:
        self._broker = broker
        self._duties = dict(duties)
        self._service = service
        self._instance = instance
        self._state = state
        self._in_flight = in_flight
        self._under_way = 0
        self._known: dict[str, tuple[ControlOrder, asyncio.Task[Done]]] = {}

    async def run(self) -> None:
        """Take orders until cancelled."""
        async with asyncio.TaskGroup() as tasks:

            async def hear(message: Live) -> None:
                if self._under_way < MOST_UNDER_WAY:
                    self._under_way += 1
                    tasks.create_task(self._take(message, tasks), name="order")

            async with listening(self._broker, subjects.control(self._service, self._instance), hear=hear):
                await asyncio.Event().wait()

    async def _take(self, message: Live, tasks: asyncio.TaskGroup) -> None:
        try:
            order = ControlOrder.from_bytes(message.data)
            await self._answer(message.reply, order, await self._done(order, tasks))
        except WaggleError as error:
            log.warning("order left aside", subject=message.subject, reason=str(error))
        finally:
            self._under_way -= 1

    async def _done(self, order: ControlOrder, tasks: asyncio.TaskGroup) -> Done:
        if (known := self._known.get(order.order_id)) is None:
            if (refusal := self._refusal(order)) is not None:
                return refusal
            known = self._known[order.order_id] = order, tasks.create_task(self._do(order), name=order.action.value)
        return await known[1]

    def _refusal(self, order: ControlOrder) -> Done | None:
        now = self._broker.clock.now()
        if (order.service, order.instance) != (self._service, self._instance):
            return cannot(f"it is for {order.service}/{order.instance}, and this is {self._service}/{self._instance}")
        if order.expires_at <= now:
            return cannot("it came too late: it has expired. Give it again")
        if order.expires_at > now + timedelta(seconds=LONGEST_S):
            return cannot(f"it expires in more than {LONGEST_S:g} s: give it for a shorter time")
        over = [id for id, (known, task) in self._known.items() if known.expires_at <= now and task.done()]
        for id in over:
            del self._known[id]
        if len(self._known) >= MOST_REMEMBERED:
            return cannot(f"{MOST_REMEMBERED} orders have not expired yet: wait, or give orders for a shorter time")
        return None

    async def _do(self, order: ControlOrder) -> Done:
        told = {"action": order.action.value, "by": order.principal, "why": order.reason, "order": order.order_id}
        log.info("order", **told)
        try:
            done = await self._duties[order.action](order)
        except Exception as error:
            log.exception("an order went wrong", **told)
            return Done(detail=f"{type(error).__name__}: {error}"[:500], outcome=ControlOutcome.FAILED)
        log.info("order done", **told, outcome=done.outcome.value, detail=done.detail)
        return done

    async def _answer(self, reply: str, order: ControlOrder, done: Done) -> None:
        if not reply:
            return
        answer = ControlReply(
            order_id=order.order_id,
            service=self._service,
            instance=self._instance,
            action=order.action,
            outcome=done.outcome,
            detail=done.detail,
            state=self._state(),
            in_flight=self._in_flight(),
            evidence=done.evidence,
        )
        try:
            await self._broker.nc.publish(reply, answer.to_bytes())
        except (nats.errors.Error, OSError) as error:  # whoever ordered it asks again with the same id
            log.warning("order not answered", order=order.order_id, reason=str(error))
