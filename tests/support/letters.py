"""Read the dead letters."""

from __future__ import annotations

import nats.js.errors

from contracts import topology
from contracts.deadletters import DeadLetter
from messaging.broker import Broker


async def dead_letters(broker: Broker) -> list[DeadLetter]:
    """All of them, oldest first."""
    state = (await broker.js.stream_info(topology.DLQ.name)).state
    letters = []
    for sequence in range(max(1, state.first_seq), state.last_seq + 1):
        try:
            stored = await broker.js.get_msg(topology.DLQ.name, seq=sequence)
        except nats.js.errors.NotFoundError:
            continue
        letters.append(DeadLetter.from_bytes(stored.data or b""))
    return letters
