"""Gives orders to one process."""

from __future__ import annotations

import asyncio

import nats.errors
from nats.aio.msg import Msg

from contracts import subjects
from contracts.control import ControlOrder, ControlReply
from contracts.errors import TransientError, WaggleError
from messaging.broker import Broker
from messaging.errors import BrokerUnavailableError
from messaging.replies import Replies

GRACE_S = 5.0
"""On top of an order's own time, in which the process says that it was not enough."""
_NO_RESPONDERS = "503"


class NotHeardError(TransientError):
    """Nobody took the order, or nobody answered."""


class ControlDesk:
    """One for a process: the answers to all its orders come to one inbox."""

    def __init__(self, broker: Broker, *, grace_s: float = GRACE_S) -> None:
        self._broker = broker
        self._replies = Replies(broker)
        self._grace_s = grace_s

    async def order(self, order: ControlOrder) -> ControlReply:
        """What the process did, or why not. The same order may be given again: it is done once.

        Raises `NotHeardError` when no such process listens, or it does not answer by the time the order expires (whether it
        is done is then not known), and `BrokerUnavailableError`.
        """
        if not self._broker.is_connected:
            raise BrokerUnavailableError("not connected to the broker, no order can be given")
        left_s = max(0.0, self._broker.clock.remaining_s(order.expires_at)) + self._grace_s
        try:
            async with asyncio.timeout(left_s):
                return await self._answered(order)
        except TimeoutError as error:
            raise NotHeardError(
                f"{order.instance} did not answer within {left_s:.0f} s: it hangs, or cannot be reached. Whether the order "
                "was done is not known"
            ) from error
        except (nats.errors.Error, OSError) as error:
            raise BrokerUnavailableError(f"the order cannot be given: {error}") from error

    async def _answered(self, order: ControlOrder) -> ControlReply:
        with await self._replies.expected() as (inbox, replies):
            subject = subjects.control(order.service, order.instance)
            await self._broker.nc.publish(subject, order.to_bytes(), reply=inbox)
            return _read(await replies.get(), order)


def _read(message: Msg, order: ControlOrder) -> ControlReply:
    if (message.headers or {}).get("Status") == _NO_RESPONDERS:
        raise NotHeardError(f"{order.instance} takes no orders: it does not run, or is no worker")
    try:
        return ControlReply.from_bytes(message.data)
    except WaggleError as error:
        raise NotHeardError(f"the answer of {order.instance} cannot be read: {error}") from error
