"""FastStream as the carrier of our subscribers.

It runs the loops that take messages over, starts and stops them. It shares the process's one connection, so that there
is one set of callbacks; it declares nothing, decodes nothing and settles nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from types import TracebackType
from typing import Any, cast

import structlog
from faststream import AckPolicy
from faststream.nats import JStream, NatsBroker, PullSub
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext

from contracts import topology
from messaging.activity import Activity
from messaging.pulling import PullSubscription

log = structlog.get_logger(__name__)

OnMessages = Callable[[list[Msg]], Awaitable[None]]


class Carrier(NatsBroker):
    """A FastStream broker on a connection that it does not own."""

    def __init__(self, activity: Activity) -> None:
        super().__init__(
            ack_policy=AckPolicy.MANUAL,  # our own middlewares settle
            graceful_timeout=None,  # whoever stops us has waited already
            logger=None,
            apply_types=False,
        )
        self._activity = activity
        self._client: Client | None = None
        self._pulls: list[PullSubscription] = []
        self.paused = False
        self._gathering: dict[tuple[str, str], tuple[int, float]] = {}

    def subscribe(
        self,
        consumer: topology.Consumer,
        on_messages: OnMessages,
        *,
        concurrency: int,
        batch: int = 1,
        gather_s: float = 0.0,
    ) -> None:
        """Hand messages of a consumer to `on_messages`, to `concurrency` calls at once with up to `batch` each.

        Several subscribers with one request each, rather than one that fetches ahead: what waits inside a process is
        not beaten for and would be delivered twice.
        """
        self._gathering[consumer.stream.name, consumer.durable] = (batch, gather_s)
        for _ in range(concurrency):
            subscriber = self.subscriber(
                consumer.filter_subject,
                stream=JStream(consumer.stream.name, declare=False),
                durable=consumer.durable,
                pull_sub=PullSub(batch_size=batch, timeout=None, batch=batch > 1),
            )
            hand_over = _handing_over(on_messages)
            subscriber(hand_over)  # without a handler it would not be started
            # Straight from the loop to our middlewares: FastStream's own between them cost a query 0.5 ms.
            subscriber.consume = hand_over  # type: ignore[method-assign, assignment]

    async def start_on(self, client: Client) -> None:
        """Start all subscribers on an open connection."""
        self._client = client
        await self.start()

    async def pause(self) -> None:
        """Ask for nothing until `resume()`, however often the connection breaks meanwhile. What is in hand goes on."""
        self.paused = True
        await asyncio.gather(*(pull.pause() for pull in self._pulls))

    def resume(self) -> None:
        self.paused = False
        for pull in self._pulls:
            pull.resume()

    async def withdraw(self) -> None:
        """Ask for nothing more. What the broker has sent, or is about to, is handed over as usual."""
        await asyncio.gather(*(pull.close() for pull in self._pulls))

    async def open_pull(self, stream: str, durable: str) -> PullSubscription:
        client = cast("Client", self._client)
        batch, gather_s = self._gathering[stream, durable]
        pull = PullSubscription(client, self._activity, stream=stream, durable=durable, batch=batch, gather_s=gather_s)
        await pull.open()
        if self.paused:
            await pull.pause()
        self._pulls.append(pull)
        return pull

    async def _connect(self) -> Client:
        client = cast("Client", self._client)
        self.config.connect(client)
        self.config.connection_state.connect(client, _Pulls(self, client))
        return client

    async def stop(
        self,
        exc_type: type[BaseException] | None = None,
        exc_val: BaseException | None = None,
        exc_tb: TracebackType | None = None,
    ) -> None:
        """Cancel what still runs and forget the connection, which stays open."""
        await super(NatsBroker, self).stop(exc_type, exc_val, exc_tb)
        self._connection = None
        self.config.disconnect()


class _Pulls(JetStreamContext):
    """JetStream whose pull subscriptions are ours; nats-py's would create a missing consumer with default settings."""

    def __init__(self, carrier: Carrier, client: Client) -> None:
        super().__init__(client)
        self._carrier = carrier

    async def pull_subscribe(self, *_: Any, **options: Any) -> Any:
        return await self._carrier.open_pull(options["stream"], options["durable"])


def _handing_over(on_messages: OnMessages) -> Callable[[Any], Coroutine[Any, Any, None]]:
    async def hand_over(taken: Msg | list[Msg]) -> None:
        """A defect of ours costs these messages an ack wait; raised, it would end the loop, and nobody would notice."""
        try:
            await on_messages(taken if isinstance(taken, list) else [taken])
        except Exception:
            log.exception("messages were not handled, they come again")

    return hand_over
