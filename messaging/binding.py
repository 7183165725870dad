"""A handler bound to a durable consumer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

from nats.aio.msg import Msg

from contracts import topology
from messaging.broker import Broker
from messaging.carrier import Carrier
from messaging.delivery import Delivery, Incoming
from messaging.gathering import Batch, BatchHandler
from messaging.pipeline import Handling, Pipeline

SingleHandler = Callable[[Any, Delivery], Awaitable[None]]
OnMessages = Callable[[list[Msg]], Awaitable[None]]


class Shape(Protocol):
    """How messages reach the handler: singly or gathered."""

    @property
    def batch(self) -> int: ...

    @property
    def gather_s(self) -> float: ...

    def on_messages(self, pipeline: Pipeline) -> OnMessages: ...


@dataclass(frozen=True, kw_only=True)
class Singly:
    """One call per message."""

    handler: SingleHandler
    batch: int = 1
    gather_s: float = 0.0

    def on_messages(self, pipeline: Pipeline) -> OnMessages:
        async def call(incoming: Incoming[Any]) -> None:
            await self.handler(incoming.message, incoming.delivery)

        way = pipeline.to(call)

        async def on_messages(messages: list[Msg]) -> None:
            for message in messages:
                await pipeline.send(message, way)

        return on_messages


@dataclass(frozen=True, kw_only=True)
class Gathered:
    """One call for up to `batch` messages that arrived within `gather_s` of the first."""

    handler: BatchHandler

    batch: int
    gather_s: float

    def on_messages(self, pipeline: Pipeline) -> OnMessages:
        return lambda messages: Batch(pipeline, self.handler).run(messages)


@dataclass(frozen=True, kw_only=True)
class Binding:
    """What a worker declared with `consumes` or `consumes_batches`."""

    consumer: topology.Consumer
    handling: Handling
    shape: Shape
    concurrency: int

    async def as_provisioned(self, broker: Broker) -> Binding:
        """This binding with the ack wait and delivery limit that the consumer has at the broker."""
        info = await broker.js.consumer_info(self.consumer.stream.name, self.consumer.durable)
        live = replace(
            self.consumer,
            ack_wait_s=info.config.ack_wait or self.consumer.ack_wait_s,
            max_deliver=info.config.max_deliver or self.consumer.max_deliver,
        )
        return replace(self, consumer=live)

    def carry(self, carrier: Carrier, pipeline: Pipeline) -> None:
        """Subscribe."""
        carrier.subscribe(
            self.consumer,
            self.shape.on_messages(pipeline),
            concurrency=self.concurrency,
            batch=self.shape.batch,
            gather_s=self.shape.gather_s,
        )
