"""Uses up the deliveries of a message, as a worker that dies each time would."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta

import nats.errors

from contracts import subjects, topology
from contracts.identifiers import DEFAULT_TENANT, new_id
from contracts.queries import GenerateRequest
from messaging.broker import Broker
from tests.faults.documents import QUESTION

CONSUMER = topology.GENERATE_CANARY_WORKERS
"""No process of the stack reads it, so nobody answers in between."""
PULL_S = 0.5
FAR = timedelta(minutes=5)


async def exhausted_generation(broker: Broker) -> str:
    """Publish a request to generate, deliver it as often as it may be, and return its query's id."""
    query_id = new_id()
    await broker.publish(
        subjects.generate_request(DEFAULT_TENANT, "canary"),
        GenerateRequest(query_id=query_id, query=QUESTION, passages=(), deadline=broker.clock.now() + FAR),
        stream=topology.GENERATE,
        message_id=query_id,
    )
    await exhaust(broker, CONSUMER)
    return query_id


async def exhaust(broker: Broker, consumer: topology.Consumer) -> None:
    """Take every waiting message of a consumer and hand it back until the broker gives out no more."""
    pulls = await broker.js.pull_subscribe_bind(durable=consumer.durable, stream=consumer.stream.name)
    try:
        with suppress(nats.errors.TimeoutError):  # the advisory comes with the pull that gets nothing any more
            while True:
                for message in await pulls.fetch(1, timeout=PULL_S):
                    await message.nak()
    finally:
        await pulls.unsubscribe()
