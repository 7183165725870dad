"""What the broker says about a durable consumer."""

from __future__ import annotations

from dataclasses import dataclass

import nats.errors
import nats.js.errors
from nats.js.api import ConsumerInfo

from contracts import topology
from messaging.broker import Broker
from messaging.errors import BrokerUnavailableError


async def done_with(broker: Broker, consumer: topology.Consumer) -> int:
    """The stream sequence up to which a consumer delivers nothing (again); 0 when there is no such consumer.

    What a work queue still holds up to there is stranded. Raises `BrokerUnavailableError`.
    """
    info = await _info(broker, consumer)
    if info is None:
        return 0
    # The floor rises only with acknowledgements; when nothing is in flight all that was delivered is over.
    reached = info.ack_floor if info.num_ack_pending else info.delivered
    return int(reached.stream_seq) if reached else 0


@dataclass(frozen=True, kw_only=True)
class Backlog:
    """What waits for a consumer, what its workers have in hand, and how many deliveries it has made."""

    waiting: int = 0
    in_flight: int = 0
    handed_out: int = 0


async def backlog(broker: Broker, consumer: topology.Consumer) -> Backlog:
    """A consumer's figures, all 0 when there is none (it is being restored). Raises `BrokerUnavailableError`."""
    info = await _info(broker, consumer)
    if info is None:
        return Backlog()
    handed_out = info.delivered.consumer_seq if info.delivered else 0
    return Backlog(waiting=info.num_pending or 0, in_flight=info.num_ack_pending or 0, handed_out=handed_out)


async def _info(broker: Broker, consumer: topology.Consumer) -> ConsumerInfo | None:
    try:
        info: ConsumerInfo = await broker.js.consumer_info(consumer.stream.name, consumer.durable)
    except nats.js.errors.NotFoundError:
        return None
    except (nats.errors.Error, OSError) as error:
        raise BrokerUnavailableError(f"consumer {consumer.durable} cannot be looked at: {error}") from error
    return info
