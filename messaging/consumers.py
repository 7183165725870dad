"""What the broker says about a durable consumer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from contracts import topology
from messaging.broker import Broker
from messaging.errors import BrokerUnavailableError
from messaging.jetstream_api import JetStreamApi, described

NOT_FOUND = 404


@dataclass(frozen=True, kw_only=True)
class Standing:
    """How a consumer stands.

    `pending` messages wait for it, `ack_pending` are in the hands of its workers, `redelivered` of these were delivered
    before; `waiting` requests ask for one. Up to the stream sequence `done_with` it delivers nothing (again).
    """

    pending: int
    ack_pending: int
    redelivered: int
    waiting: int
    handed_out: int
    done_with: int

    @classmethod
    def of(cls, info: Mapping[str, Any]) -> Standing:
        """From the broker's reply."""
        # The floor rises only with acknowledgements; when nothing is in flight all that was delivered is over.
        reached = info["ack_floor"] if info["num_ack_pending"] else info["delivered"]
        return cls(
            pending=info["num_pending"],
            ack_pending=info["num_ack_pending"],
            redelivered=info["num_redelivered"],
            waiting=info["num_waiting"],
            handed_out=info["delivered"]["consumer_seq"],
            done_with=int(reached["stream_seq"]),
        )


async def standing(broker: Broker, consumer: topology.Consumer) -> Standing | None:
    """How a consumer stands, None when there is none (it is being restored). Raises `BrokerUnavailableError`."""
    stream = consumer.stream.name
    reply = await JetStreamApi(broker).ask(f"CONSUMER.INFO.{stream}.{consumer.durable}", stream)
    if (error := reply.get("error")) is None:
        return Standing.of(reply)
    if error.get("code") == NOT_FOUND:
        return None
    raise BrokerUnavailableError(f"consumer {consumer.durable} cannot be looked at: {described(error)}")


async def done_with(broker: Broker, consumer: topology.Consumer) -> int:
    """The stream sequence up to which a consumer delivers nothing (again); 0 when there is no such consumer.

    What a work queue still holds up to there is stranded. Raises `BrokerUnavailableError`.
    """
    found = await standing(broker, consumer)
    return 0 if found is None else found.done_with


@dataclass(frozen=True, kw_only=True)
class Backlog:
    """What waits for a consumer, what its workers have in hand, and how many deliveries it has made."""

    waiting: int = 0
    in_flight: int = 0
    handed_out: int = 0


async def backlog(broker: Broker, consumer: topology.Consumer) -> Backlog:
    """A consumer's figures, all 0 when there is none (it is being restored). Raises `BrokerUnavailableError`."""
    found = await standing(broker, consumer)
    if found is None:
        return Backlog()
    return Backlog(waiting=found.pending, in_flight=found.ack_pending, handed_out=found.handed_out)
