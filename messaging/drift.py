"""Where the broker differs from the topology, and whether it stores messages, without changing anything that lasts."""

from __future__ import annotations

import nats.errors
import nats.js.errors
from nats.js import api

from contracts import topology
from messaging import furniture
from messaging.broker import Broker
from messaging.errors import BrokerUnavailableError
from messaging.provisioning import described, differences


async def drift(broker: Broker, table: topology.Topology = topology.Topology()) -> list[str]:  # noqa: B008 (frozen)
    """What `provision` would have to set right, one line each. Raises `BrokerUnavailableError`."""
    try:
        streams = [line for config in furniture.every_stream(table) if (line := await _of_stream(broker, config))]
        consumers = [line for consumer in table.consumers if (line := await _of_consumer(broker, consumer))]
    except (nats.errors.Error, OSError) as error:
        raise BrokerUnavailableError(f"streams and consumers cannot be looked at: {error}") from error
    return streams + consumers


async def _of_stream(broker: Broker, wanted: api.StreamConfig) -> str | None:
    try:
        live = (await broker.js.stream_info(str(wanted.name))).config
    except nats.js.errors.NotFoundError:
        return f"stream {wanted.name} is missing"
    replicas = broker.replicas or live.num_replicas or 1
    changes = differences(furniture.replicated(wanted, replicas), live)
    return f"stream {wanted.name}: {described(changes)}" if changes else None


async def _of_consumer(broker: Broker, consumer: topology.Consumer) -> str | None:
    name = f"consumer {consumer.stream.name}/{consumer.durable}"
    try:
        live = (await broker.js.consumer_info(consumer.stream.name, consumer.durable)).config
    except nats.js.errors.NotFoundError:
        return f"{name} is missing"
    changes = differences(furniture.consumer_config(consumer), live)
    return f"{name}: {described(changes)}" if changes else None


async def store_probe(broker: Broker) -> None:
    """Store a message that is gone again in half a minute. Raises what `Broker.publish` raises."""
    bucket = topology.LEASES.name
    await broker.publish_bytes(f"$KV.{bucket}.storage-probe", b"", stream=f"KV_{bucket}")
