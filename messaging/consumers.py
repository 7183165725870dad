"""What the broker says about a durable consumer."""

from __future__ import annotations

import nats.errors
import nats.js.errors

from contracts import topology
from messaging.broker import Broker
from messaging.errors import BrokerUnavailableError


async def done_with(broker: Broker, consumer: topology.Consumer) -> int:
    """The stream sequence up to which a consumer delivers nothing (again); 0 when there is no such consumer.

    What a work queue still holds up to there is stranded. Raises `BrokerUnavailableError`.
    """
    try:
        info = await broker.js.consumer_info(consumer.stream.name, consumer.durable)
    except nats.js.errors.NotFoundError:
        return 0
    except (nats.errors.Error, OSError) as error:
        raise BrokerUnavailableError(f"consumer {consumer.durable} cannot be looked at: {error}") from error
    # The floor rises only with acknowledgements; when nothing is in flight all that was delivered is over.
    reached = info.ack_floor if info.num_ack_pending else info.delivered
    return int(reached.stream_seq) if reached else 0
