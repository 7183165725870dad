"""The real topology with times a test can wait for."""

from __future__ import annotations

from dataclasses import replace

from contracts.topology import Topology

BRISK_ACK_WAIT_S = 1.0


def brisk(*, ack_wait_s: float = BRISK_ACK_WAIT_S, max_deliver: int | None = None) -> Topology:
    """All streams and buckets as they are; consumers with a short ack wait and, if given, another delivery limit where they have
    one.
    """
    consumers = tuple(
        replace(
            c, ack_wait_s=ack_wait_s, max_deliver=max_deliver if max_deliver and c.max_deliver > 0 else c.max_deliver
        )
        for c in Topology().consumers
    )
    return Topology(consumers=consumers)
